// SPDX-License-Identifier: Apache-2.0
// JSON text to values and back (the only place that sees nlohmann-json, besides json.cpp nobody).
#pragma once

#include "formats/value.hpp"

namespace stillhouse::formats {

/// Error{bad_data} with line and column. Duplicate keys: the last counts. Depth at most 512. Numbers: integers that
/// fit stay integers.
Value parse_json(std::string_view text);

/// Shortest round-trip numbers; NaN and infinities become null; UTF-8 kept, what is none replaced; bytes and extensions
/// become hexadecimal text. indent < 0: one line.
std::string to_json(const Value& value, int indent = -1);

}  // namespace stillhouse::formats
