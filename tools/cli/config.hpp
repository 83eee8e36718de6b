// SPDX-License-Identifier: Apache-2.0
// Reads option files: the part of TOML that a table of options needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::cli {

struct ConfigLine {
    std::string key;
    std::vector<std::string> values;     // several for an array
    int line = 0;
};

/// Lines `key = value`, with basic and literal strings, numbers, true and false, arrays (over several lines too) and
/// comments. Written here because CLI11's reader takes malformed lines for flags, knows no escapes and has no line
/// numbers. Tables and repeated keys are refused. Error{bad_argument} "line N: ...".
std::vector<ConfigLine> parse_config(std::string_view text);

}  // namespace stillhouse::cli
