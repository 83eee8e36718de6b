// SPDX-License-Identifier: Apache-2.0
// White space and characters of UTF-8 text as the evaluation harness counts them: as Python does.
#pragma once

#include "libcore/base/shape.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::evaluation {

/// Length in bytes of the white space character that begins at `at`, 0 where none does: the characters of Python's
/// str.isspace and \s, which are those of Unicode and 0x1C .. 0x1F.
std::size_t white_space_at(std::string_view text, std::size_t at);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip(std::string_view text);

/// The pieces between runs of white space, none empty.
std::vector<std::string_view> split(std::string_view text);

/// Pieces of a split at runs of white space, an empty first and last one among them: 1 + runs.
Index count_pieces(std::string_view text);

/// Characters (code points) of valid UTF-8.
Index count_characters(std::string_view text);
/// Where character n begins; the end of the text where there are no more than n.
std::size_t character_at(std::string_view text, Index n);

/// Every occurrence of `from`, left to right, becomes `to`.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace stillhouse::evaluation
