// SPDX-License-Identifier: Apache-2.0
// Patterns for names of tensors.
#include "formats/glob.hpp"

#include <string>

namespace stillhouse::formats {

namespace {

// One pattern element against one character; advances `pattern` over the element. A '[' without ']' is itself.
bool element_matches(std::string_view& pattern, char c)
{
    const char first = pattern.front();
    const std::size_t close = first == '[' ? pattern.find(']', 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
        pattern.remove_prefix(1);
        return first == '?' || first == c;
    }
    std::string_view set = pattern.substr(1, close - 1);
    pattern.remove_prefix(close + 1);
    const bool inverted = set.front() == '!';
    if (inverted) {
        set.remove_prefix(1);
    }
    bool found = false;
    for (std::size_t i = 0; i < set.size(); ++i) {
        if (i + 2 < set.size() && set[i + 1] == '-') {
            found = found || (set[i] <= c && c <= set[i + 2]);
            i += 2;
        } else {
            found = found || set[i] == c;
        }
    }
    return found != inverted;
}

// Without braces. On a mismatch the last star takes one character more: linear in the name for each star.
bool plain_matches(std::string_view pattern, std::string_view name)
{
    std::string_view after_star;
    std::string_view retry;
    bool starred = false;
    for (;;) {
        if (!pattern.empty() && pattern.front() == '*') {
            pattern.remove_prefix(1);
            after_star = pattern;
            retry = name;
            starred = true;
            continue;
        }
        if (name.empty() && pattern.empty()) {
            return true;
        }
        if (!name.empty() && !pattern.empty() && element_matches(pattern, name.front())) {
            name.remove_prefix(1);
            continue;
        }
        if (!starred || retry.empty()) {
            return false;
        }
        retry.remove_prefix(1);
        name = retry;
        pattern = after_star;
    }
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view name)
{
    const std::size_t open = pattern.find('{');
    const std::size_t close = open == std::string_view::npos ? open : pattern.find('}', open);
    if (close == std::string_view::npos) {
        return plain_matches(pattern, name);
    }
    std::string_view choices = pattern.substr(open + 1, close - open - 1);
    for (;;) {
        const std::size_t comma = choices.find(',');
        std::string one(pattern.substr(0, open));
        one += choices.substr(0, comma);
        one += pattern.substr(close + 1);
        if (glob_matches(one, name)) {
            return true;
        }
        if (comma == std::string_view::npos) {
            return false;
        }
        choices.remove_prefix(comma + 1);
    }
}

bool is_glob(std::string_view text)
{
    return text.find_first_of("*?[{") != std::string_view::npos;
}

}  // namespace stillhouse::formats
