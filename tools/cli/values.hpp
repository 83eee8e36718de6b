// SPDX-License-Identifier: Apache-2.0
// Between what is typed and the variables of a table: strict parsing, messages, and back to text.
#pragma once

#include "formats/value.hpp"
#include "tools/cli/tool.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::cli {

std::string without_dashes(std::string_view name);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& pieces, std::string_view separator);

/// 400K -> 400000; powers of 1000. Throws Error{bad_argument}.
Index parse_count(std::string_view text);
double parse_number(std::string_view text);
/// Seconds of 90, 90s, 5m, 1.5h.
Duration parse_duration(std::string_view text);
/// Inclusive, zero-based: 0,3-5.
IndexList parse_index_list(std::string_view text);
bool parse_switch(std::string_view text);                    // true|false, yes|no, on|off, 1|0

/// Writes the variable of `option` from the values given to it (one, unless it takes many; none for a bare flag),
/// after checking type, choices and range. Error{bad_argument} names the option, the value and what is expected.
void assign(const Option& option, const std::vector<std::string>& values);

/// What the user would type for the value in force; empty where it is absent. many(): joined by blanks.
std::string to_text(const Target& target);
/// The same as a value of a history or report; null where it is absent.
formats::Value to_value(const Target& target);
/// The same as TOML.
std::string to_toml(const Option& option);
/// Shortest text that reads back as the same double, always with a point or exponent unless integral.
std::string number_text(double x);

/// The candidate nearest to `word`, or nothing when none is near enough to be meant.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace stillhouse::cli
