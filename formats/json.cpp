// SPDX-License-Identifier: Apache-2.0
// JSON text to values and back.
#include "formats/json.hpp"

#include "libcore/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

namespace stillhouse::formats {

namespace {

constexpr std::size_t max_depth = 512;

// Builds values as the parser meets them; no recursion, so depth costs no stack.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit Builder(std::string_view text) : text_(text) {}

    bool null() override { return put(Value()); }
    bool boolean(bool x) override { return put(x); }
    bool number_integer(number_integer_t x) override { return put(std::int64_t{x}); }
    bool number_unsigned(number_unsigned_t x) override
    {
        if (x <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return put(static_cast<std::int64_t>(x));
        }
        return put(std::uint64_t{x});
    }
    bool number_float(number_float_t x, const string_t&) override { return put(x); }
    bool string(string_t& x) override { return put(std::move(x)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(Value(Map())); }
    bool start_array(std::size_t) override { return open(Value(List())); }
    bool key(string_t& x) override
    {
        keys_.push_back(std::move(x));
        return true;
    }
    bool end_object() override
    {
        keep_last_of_each_key(std::get<Map>(stack_.back().kind()));
        return close();
    }
    bool end_array() override { return close(); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override
    {
        std::string why = error.what();
        if (const std::size_t dash = why.find(" - "); dash != std::string::npos) {
            why = why.substr(dash + 3);
        }
        fail(position, why);
    }

    Value take() { return std::move(root_); }

private:
    [[noreturn]] void fail(std::size_t position, const std::string& why)
    {
        const std::string_view before = text_.substr(0, std::min(position > 0 ? position - 1 : 0, text_.size()));
        const auto line = 1 + std::count(before.begin(), before.end(), '\n');
        const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
        throw_error(ErrorCode::bad_data, "not JSON at line " + std::to_string(line) + ", column " +
                                             std::to_string(before.size() - start + 1) + ": " + why);
    }
    bool put(Value value)
    {
        if (stack_.empty()) {
            root_ = std::move(value);
        } else if (List* list = std::get_if<List>(&stack_.back().kind())) {
            list->push_back(std::move(value));
        } else {
            std::get<Map>(stack_.back().kind()).emplace_back(std::move(keys_.back()), std::move(value));
            keys_.pop_back();
        }
        return true;
    }
    bool open(Value value)
    {
        if (stack_.size() >= max_depth) {
            throw_error(ErrorCode::bad_data, "JSON nested deeper than " + std::to_string(max_depth));
        }
        stack_.push_back(std::move(value));
        return true;
    }
    bool close()
    {
        Value done = std::move(stack_.back());
        stack_.pop_back();
        return put(std::move(done));
    }
    // Sorting, since a vocabulary has 100 thousand keys.
    static void keep_last_of_each_key(Map& map)
    {
        std::vector<std::size_t> order(map.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return map[a].first < map[b].first; });
        std::vector<bool> superseded(map.size(), false);
        bool any = false;
        for (std::size_t i = 1; i < order.size(); ++i) {
            if (map[order[i - 1]].first == map[order[i]].first) {
                superseded[order[i - 1]] = any = true;
            }
        }
        if (any) {
            std::size_t kept = 0;
            for (std::size_t i = 0; i < map.size(); ++i) {
                if (!superseded[i]) {
                    if (kept != i) {
                        map[kept] = std::move(map[i]);
                    }
                    ++kept;
                }
            }
            map.resize(kept);
        }
    }

    std::string_view text_;
    Value root_;
    std::vector<Value> stack_;
    std::vector<std::string> keys_;
};

// Length of the valid UTF-8 sequence at the start of `rest`, 0 where there is none.
std::size_t utf8_length(std::string_view rest)
{
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
    const unsigned char first = at(0);
    const std::size_t n = first < 0x80   ? 1
                          : first < 0xC2 ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF5 ? 4
                                         : 0;
    if (n == 0 || n > rest.size()) {
        return 0;
    }
    for (std::size_t i = 1; i < n; ++i) {
        if ((at(i) & 0xC0U) != 0x80U) {
            return 0;
        }
    }
    const bool overlong = (first == 0xE0 && at(1) < 0xA0) || (first == 0xF0 && at(1) < 0x90);
    const bool surrogate = first == 0xED && at(1) >= 0xA0;
    const bool too_large = first == 0xF4 && at(1) >= 0x90;
    return overlong || surrogate || too_large ? 0 : n;
}

void write_string(std::string_view text, std::string& out)
{
    out += '"';
    while (!text.empty()) {
        const std::size_t n = utf8_length(text);
        if (n == 0) {
            out += "\xEF\xBF\xBD";       // JSON is UTF-8: what is not is replaced
            text.remove_prefix(1);
            continue;
        }
        const char c = text[0];
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (n == 1 && static_cast<unsigned char>(c) < 0x20) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
            out += escaped;
        } else {
            out += text.substr(0, n);
        }
        text.remove_prefix(n);
    }
    out += '"';
}

void write_number(double x, std::string& out)
{
    if (!std::isfinite(x)) {
        out += "null";
        return;
    }
    char digits[40];
    const auto end = std::to_chars(digits, digits + sizeof digits, x).ptr;
    const std::string_view text(digits, static_cast<std::size_t>(end - digits));
    out += text;
    if (text.find_first_of(".e") == std::string_view::npos) {
        out += ".0";                     // stays a number with a fraction when it is read again
    }
}

void write_hex(std::string_view bytes, std::string& out)
{
    static const char digits[] = "0123456789abcdef";
    out += '"';
    for (const char c : bytes) {
        out += digits[static_cast<unsigned char>(c) >> 4U];
        out += digits[static_cast<unsigned char>(c) & 15U];
    }
    out += '"';
}

struct Writer {
    int indent;
    std::string out;

    void line(int depth)
    {
        if (indent >= 0) {
            out += '\n';
            out.append(static_cast<std::size_t>(indent * depth), ' ');
        }
    }
    template <class Items, class Each>
    void sequence(const Items& items, char open, char close, int depth, Each each)
    {
        out += open;
        bool first = true;
        for (const auto& item : items) {
            if (!first) {
                out += indent < 0 ? ", " : ",";
            }
            first = false;
            line(depth + 1);
            each(item);
        }
        if (!items.empty()) {
            line(depth);
        }
        out += close;
    }
    void value(const Value& x, int depth)
    {
        const Value::Kind& kind = x.kind();
        if (const auto* b = std::get_if<bool>(&kind)) {
            out += *b ? "true" : "false";
        } else if (const auto* i = std::get_if<std::int64_t>(&kind)) {
            out += std::to_string(*i);
        } else if (const auto* u = std::get_if<std::uint64_t>(&kind)) {
            out += std::to_string(*u);
        } else if (const auto* d = std::get_if<double>(&kind)) {
            write_number(*d, out);
        } else if (const auto* s = std::get_if<std::string>(&kind)) {
            write_string(*s, out);
        } else if (const auto* bytes = std::get_if<Bytes>(&kind)) {
            write_hex(bytes->data, out);
        } else if (const auto* extension = std::get_if<Extension>(&kind)) {
            write_hex(extension->data, out);
        } else if (const auto* list = std::get_if<List>(&kind)) {
            sequence(*list, '[', ']', depth, [&](const Value& item) { value(item, depth + 1); });
        } else if (const auto* map = std::get_if<Map>(&kind)) {
            sequence(*map, '{', '}', depth, [&](const auto& entry) {
                write_string(entry.first, out);
                out += ": ";
                value(entry.second, depth + 1);
            });
        } else {
            out += "null";
        }
    }
};

}  // namespace

Value parse_json(std::string_view text)
{
    Builder builder(text);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
        throw_error(ErrorCode::bad_data, "not JSON");
    }
    return builder.take();
}

std::string to_json(const Value& value, int indent)
{
    Writer writer{indent, {}};
    writer.value(value, 0);
    return std::move(writer.out);
}

}  // namespace stillhouse::formats
