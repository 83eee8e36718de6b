// SPDX-License-Identifier: Apache-2.0
// Values of attributes, notes and settings: what both msgpack maps and JSON can hold, keys in their order.
#include "formats/value.hpp"

#include "libcore/base/error.hpp"

#include <cmath>
#include <cstring>
#include <limits>

namespace stillhouse::formats {

namespace {

std::string kind_name(const Value& value)
{
    static const char* const names[] = {"null", "a boolean", "an integer", "an integer", "a number", "a text",
                                        "bytes", "a list", "a map", "an extension"};
    return names[value.kind().index()];
}

[[noreturn]] void wrong_kind(const Value& value, const char* expected)
{
    throw_error(ErrorCode::bad_data, "found " + kind_name(value) + " where " + expected + " is expected");
}

}  // namespace

const Value* Value::find(std::string_view key) const
{
    if (const Map* entries = std::get_if<Map>(&kind_)) {
        for (const auto& [name, value] : *entries) {
            if (name == key) {
                return &value;
            }
        }
    }
    return nullptr;
}

Value& Value::set(std::string_view key, Value value)
{
    if (is_null()) {
        kind_ = Map();
    }
    Map* entries = std::get_if<Map>(&kind_);
    STILLHOUSE_CHECK(entries != nullptr);
    for (auto& [name, present] : *entries) {
        if (name == key) {
            present = std::move(value);
            return present;
        }
    }
    return entries->emplace_back(std::string(key), std::move(value)).second;
}

std::int64_t Value::integer() const
{
    if (const auto* x = std::get_if<std::int64_t>(&kind_)) {
        return *x;
    }
    if (const auto* x = std::get_if<std::uint64_t>(&kind_)) {
        if (*x <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return static_cast<std::int64_t>(*x);
        }
        wrong_kind(*this, "an integer below 2^63");
    }
    if (const auto* x = std::get_if<double>(&kind_)) {
        if (std::nearbyint(*x) == *x && std::fabs(*x) < 9007199254740992.0) {
            return static_cast<std::int64_t>(*x);
        }
    }
    wrong_kind(*this, "an integer");
}

double Value::number() const
{
    if (const auto* x = std::get_if<double>(&kind_)) {
        return *x;
    }
    if (const auto* x = std::get_if<std::int64_t>(&kind_)) {
        return static_cast<double>(*x);
    }
    if (const auto* x = std::get_if<std::uint64_t>(&kind_)) {
        return static_cast<double>(*x);
    }
    if (const auto* x = std::get_if<Bytes>(&kind_); x != nullptr && x->data.size() == sizeof(double)) {
        double number = 0.0;
        std::memcpy(&number, x->data.data(), sizeof number);
        return number;
    }
    wrong_kind(*this, "a number");
}

bool Value::boolean() const
{
    if (const auto* x = std::get_if<bool>(&kind_)) {
        return *x;
    }
    wrong_kind(*this, "true or false");
}

const std::string& Value::text() const
{
    if (const auto* x = std::get_if<std::string>(&kind_)) {
        return *x;
    }
    wrong_kind(*this, "a text");
}

const List& Value::list() const
{
    if (const auto* x = std::get_if<List>(&kind_)) {
        return *x;
    }
    wrong_kind(*this, "a list");
}

const Map& Value::map() const
{
    if (const auto* x = std::get_if<Map>(&kind_)) {
        return *x;
    }
    wrong_kind(*this, "a map");
}

}  // namespace stillhouse::formats
