// SPDX-License-Identifier: Apache-2.0
// Values of attributes, notes and settings: what both msgpack maps and JSON can hold, keys in their order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace stillhouse::formats {

class Value;
using List = std::vector<Value>;
using Map = std::vector<std::pair<std::string, Value>>;
struct Bytes {
    std::string data;
    bool operator==(const Bytes&) const = default;
};
struct Extension {
    int type = 0;
    std::string data;
    bool operator==(const Extension&) const = default;
};

class Value {
public:
    using Kind = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Bytes, List, Map,
                              Extension>;
    Value() = default;
    Value(bool x) : kind_(x) {}
    Value(int x) : kind_(std::int64_t{x}) {}
    Value(std::int64_t x) : kind_(x) {}
    Value(std::uint64_t x) : kind_(x) {}
    Value(double x) : kind_(x) {}               // in a stream: an 8-byte little-endian bin
    Value(const char* x) : kind_(std::string(x)) {}
    Value(std::string x) : kind_(std::move(x)) {}
    Value(std::string_view x) : kind_(std::string(x)) {}
    Value(Bytes x) : kind_(std::move(x)) {}
    Value(List x) : kind_(std::move(x)) {}
    Value(Map x) : kind_(std::move(x)) {}
    Value(Extension x) : kind_(std::move(x)) {}

    const Kind& kind() const { return kind_; }
    Kind& kind() { return kind_; }
    bool is_null() const { return std::holds_alternative<std::monostate>(kind_); }

    /// Null when this is no map or has no such key.
    const Value* find(std::string_view key) const;
    Value& set(std::string_view key, Value value);       // of a map (null becomes one); replaces in place

    /// Error{bad_data} saying what was found, when the kind does not fit. Integers convert where exact; an 8-byte bin
    /// is a double where one is asked for.
    std::int64_t integer() const;
    double number() const;
    bool boolean() const;
    const std::string& text() const;
    const List& list() const;
    const Map& map() const;

    bool operator==(const Value&) const = default;

private:
    Kind kind_;
};

}  // namespace stillhouse::formats
