// SPDX-License-Identifier: Apache-2.0
// Between what is typed and the variables of a table: strict parsing, messages, and back to text.
#include "tools/cli/values.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>

namespace stillhouse::cli {

namespace {

[[noreturn]] void refuse(std::string message)
{
    throw_error(ErrorCode::bad_argument, std::move(message));
}

std::string quoted(std::string_view text)
{
    return "'" + std::string(text) + "'";
}

/// The whole of `text` as a number, or nothing.
template <class T>
std::optional<T> whole_number(std::string_view text)
{
    if (text.starts_with('+')) {
        text.remove_prefix(1);
        if (text.starts_with('-') || text.starts_with('+')) {
            return std::nullopt;
        }
    }
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return value;
}

std::uint64_t parse_unsigned(std::string_view text)
{
    if (const auto value = whole_number<std::uint64_t>(text)) {
        return *value;
    }
    refuse("a whole number from 0 to 18446744073709551615 is expected");
}

void check_range(const Option& option, double value)
{
    const bool low = option.least && value < *option.least;
    const bool high = option.most && value > *option.most;
    if ((low || high || std::isnan(value)) && (option.least || option.most)) {
        const bool open = !option.most || *option.most >= 1e15;
        refuse(open ? "must be at least " + number_text(*option.least)
                    : "must be between " + number_text(*option.least) + " and " + number_text(*option.most));
    }
}

void check_choice(const Option& option, const std::string& value)
{
    const auto& names = option.choice_names;
    if (names.empty() || std::find(names.begin(), names.end(), value) != names.end()) {
        return;
    }
    const std::string near = nearest(value, names);
    refuse("one of " + join(names, ", ") + " is expected" + (near.empty() ? "" : "; did you mean " + near + "?"));
}

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
T read_as(const Option& option, const std::string& text)
{
    if constexpr (std::is_same_v<T, bool>) {
        return parse_switch(text);
    } else if constexpr (std::is_same_v<T, Index>) {
        const Index value = parse_count(text);
        check_range(option, static_cast<double>(value));
        return value;
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
        const std::uint64_t value = parse_unsigned(text);
        check_range(option, static_cast<double>(value));
        return value;
    } else if constexpr (std::is_same_v<T, double>) {
        const double value = parse_number(text);
        check_range(option, value);
        return value;
    } else if constexpr (std::is_same_v<T, Duration>) {
        const Duration value = parse_duration(text);
        check_range(option, value.seconds);
        return value;
    } else if constexpr (std::is_same_v<T, IndexList>) {
        IndexList list = parse_index_list(text);
        for (const Index value : list.values) {
            check_range(option, static_cast<double>(value));
        }
        return list;
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
        std::vector<double> list;
        for (const std::string& piece : split(text, ',')) {
            list.push_back(parse_number(piece));
            check_range(option, list.back());
        }
        return list;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        std::vector<std::string> list = split(text, ',');
        if (list.empty() && !option.choice_names.empty()) {
            refuse("one or more of " + join(option.choice_names, ", ") + " are expected");
        }
        for (const std::string& piece : list) {
            check_choice(option, piece);
        }
        return list;
    } else if constexpr (std::is_same_v<T, std::string>) {
        check_choice(option, text);
        return text;
    } else {
        static_assert(IsOptional<T>::value);
        return read_as<typename T::value_type>(option, text);
    }
}

/// Layer lists as ranges again: 0,1,2,5 -> 0-2,5.
std::string ranges(const std::vector<Index>& values)
{
    std::string text;
    for (std::size_t i = 0; i < values.size();) {
        std::size_t j = i;
        while (j + 1 < values.size() && values[j + 1] == values[j] + 1) {
            ++j;
        }
        text += (text.empty() ? "" : ",") + std::to_string(values[i]);
        if (j > i + 1) {
            text += "-" + std::to_string(values[j]);
            i = j;
        }
        ++i;
    }
    return text;
}

std::string text_of(bool x) { return x ? "true" : "false"; }
std::string text_of(Index x) { return std::to_string(x); }
std::string text_of(std::uint64_t x) { return std::to_string(x); }
std::string text_of(double x) { return number_text(x); }
std::string text_of(const std::string& x) { return x; }
std::string text_of(Duration x) { return number_text(x.seconds) + "s"; }
std::string text_of(const IndexList& x) { return ranges(x.values); }
std::string text_of(const std::vector<std::string>& x) { return join(x, ","); }
std::string text_of(const std::vector<double>& x)
{
    std::vector<std::string> pieces;
    for (const double value : x) {
        pieces.push_back(number_text(value));
    }
    return join(pieces, ",");
}
template <class T>
std::string text_of(const std::optional<T>& x)
{
    return x ? text_of(*x) : std::string{};
}

formats::Value value_of(bool x) { return x; }
formats::Value value_of(Index x) { return x; }
formats::Value value_of(std::uint64_t x) { return x; }
formats::Value value_of(double x) { return x; }
formats::Value value_of(const std::string& x) { return x; }
formats::Value value_of(Duration x) { return x.seconds; }
template <class T>
formats::Value value_of(const std::vector<T>& x)
{
    formats::List list;
    for (const T& value : x) {
        list.emplace_back(value);
    }
    return list;
}
formats::Value value_of(const IndexList& x) { return value_of(x.values); }
template <class T>
formats::Value value_of(const std::optional<T>& x)
{
    return x ? value_of(*x) : formats::Value{};
}

std::string toml_string(const std::string& text)
{
    std::string out = "\"";
    for (const char c : text) {
        switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\t': out += "\\t"; break;
        case '\r': out += "\\r"; break;
        default: out += c;
        }
    }
    return out + "\"";
}

}  // namespace

std::string without_dashes(std::string_view name)
{
    name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
    return std::string(name);
}

std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(separator, begin), text.size());
        if (end > begin) {
            pieces.emplace_back(text.substr(begin, end - begin));
        }
        begin = end + 1;
    }
    return pieces;
}

std::string join(const std::vector<std::string>& pieces, std::string_view separator)
{
    std::string text;
    for (const std::string& piece : pieces) {
        text += (text.empty() ? std::string{} : std::string(separator)) + piece;
    }
    return text;
}

double parse_number(std::string_view text)
{
    if (const auto value = whole_number<double>(text)) {
        return *value;
    }
    refuse("a number is expected");
}

Index parse_count(std::string_view text)
{
    double unit = 1;
    std::string_view digits = text;
    if (!text.empty()) {
        switch (text.back()) {
        case 'K': case 'k': unit = 1e3; break;
        case 'M': unit = 1e6; break;
        case 'G': unit = 1e9; break;
        default: break;
        }
    }
    if (unit == 1) {
        if (const auto value = whole_number<Index>(digits)) {
            return *value;
        }
    } else {
        digits.remove_suffix(1);
    }
    const auto value = whole_number<double>(digits);
    // A count may be written 1.5M or 1e6, but must come out whole.
    if (!value || !std::isfinite(*value) || std::fabs(*value * unit) > 9e15 ||
        std::nearbyint(*value * unit) != *value * unit) {
        refuse("a whole number is expected, such as 500, 400K, 2M or 1G");
    }
    return static_cast<Index>(*value * unit);
}

Duration parse_duration(std::string_view text)
{
    double unit = 1;
    std::string_view digits = text;
    if (!text.empty() && (text.back() == 's' || text.back() == 'm' || text.back() == 'h')) {
        unit = text.back() == 's' ? 1.0 : text.back() == 'm' ? 60.0 : 3600.0;
        digits.remove_suffix(1);
    }
    const auto value = whole_number<double>(digits);
    if (!value || !std::isfinite(*value) || *value < 0) {
        refuse("a duration is expected, such as 90s, 5m or 1.5h");
    }
    return {*value * unit};
}

IndexList parse_index_list(std::string_view text)
{
    constexpr std::size_t longest = 1 << 20;
    IndexList list;
    if (text.starts_with(',') || text.ends_with(',') || text.find(",,") != std::string_view::npos) {
        refuse("a list of numbers and ranges is expected, such as 0,3-5; nothing stands beside a comma");
    }
    for (const std::string& piece : split(text, ',')) {
        const std::size_t dash = piece.find('-', 1);
        const auto first = whole_number<Index>(std::string_view(piece).substr(0, dash));
        const auto last =
            dash == std::string::npos ? first : whole_number<Index>(std::string_view(piece).substr(dash + 1));
        if (!first || !last || *first < 0 || *last < *first) {
            refuse("a list of numbers and ranges is expected, such as 0,3-5; " + quoted(piece) + " is neither");
        }
        if (static_cast<std::uint64_t>(*last - *first) >= longest - std::min(longest, list.values.size())) {
            refuse("the range " + piece + " is too long");
        }
        for (Index i = *first; i <= *last; ++i) {
            list.values.push_back(i);
        }
    }
    if (list.values.empty()) {
        refuse("a list of numbers and ranges is expected, such as 0,3-5");
    }
    return list;
}

bool parse_switch(std::string_view text)
{
    for (const std::string_view yes : {"true", "yes", "on", "1"}) {
        if (text == yes) {
            return true;
        }
    }
    for (const std::string_view no : {"false", "no", "off", "0"}) {
        if (text == no) {
            return false;
        }
    }
    refuse("true or false is expected");
}

void assign(const Option& option, const std::vector<std::string>& values)
{
    const std::string shown = values.empty() ? "" : join(values, " ");
    try {
        std::visit(
            [&](auto* variable) {
                using T = std::remove_pointer_t<decltype(variable)>;
                if constexpr (std::is_same_v<T, bool>) {
                    *variable = values.empty() || read_as<bool>(option, values.back());
                } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
                    if (option.takes_many) {
                        for (const std::string& value : values) {
                            check_choice(option, value);
                        }
                        *variable = values;
                    } else {
                        *variable = read_as<T>(option, values.back());
                    }
                } else {
                    *variable = read_as<T>(option, values.back());
                }
            },
            option.target);
    } catch (Error& error) {
        throw error.within(option.flag() + " " + (shown.empty() ? "''" : shown));
    }
}

std::string to_text(const Target& target)
{
    return std::visit([](const auto* variable) { return text_of(*variable); }, target);
}

formats::Value to_value(const Target& target)
{
    return std::visit([](const auto* variable) { return value_of(*variable); }, target);
}

std::string to_toml(const Option& option)
{
    return std::visit(
        [&](const auto* variable) -> std::string {
            using T = std::remove_cv_t<std::remove_pointer_t<decltype(variable)>>;
            if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, Index> || std::is_same_v<T, std::uint64_t> ||
                          std::is_same_v<T, std::optional<Index>>) {
                return text_of(*variable);
            } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, std::optional<double>>) {
                const std::string text = text_of(*variable);
                return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
            } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
                std::vector<std::string> pieces;
                for (const std::string& piece : *variable) {
                    pieces.push_back(toml_string(piece));
                }
                return "[" + join(pieces, ", ") + "]";
            } else {
                return toml_string(text_of(*variable));
            }
        },
        option.target);
}

std::string number_text(double x)
{
    char buffer[40];
    // Whole numbers as a person writes them; everything else in the shortest form that reads back the same.
    const bool whole = std::fabs(x) < 1e7 && std::nearbyint(x) == x;
    const auto result = whole ? std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed)
                              : std::to_chars(buffer, buffer + sizeof buffer, x);
    return std::string(buffer, result.ptr);
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates)
{
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, (without_dashes(word).size() + 1) / 3) + 1;
    for (const std::string& candidate : candidates) {
        // Edits, with neighbours swapped counting one (the commonest slip of the hand).
        const std::size_t n = candidate.size();
        std::vector<std::size_t> before(n + 1), last(n + 1), row(n + 1);
        for (std::size_t j = 0; j <= n; ++j) {
            last[j] = j;
        }
        for (std::size_t i = 1; i <= word.size(); ++i) {
            row[0] = i;
            for (std::size_t j = 1; j <= n; ++j) {
                const std::size_t change = word[i - 1] == candidate[j - 1] ? 0 : 1;
                row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
                if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
                    row[j] = std::min(row[j], before[j - 2] + 1);
                }
            }
            before = last;
            last = row;
        }
        if (last[n] < best_distance) {
            best_distance = last[n];
            best = candidate;
        }
    }
    return best;
}

}  // namespace stillhouse::cli
