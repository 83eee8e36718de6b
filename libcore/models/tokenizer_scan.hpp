// SPDX-License-Identifier: Apache-2.0
// Cuts text into the pieces within which symbols merge, as the patterns of known tokenizers do. Internal.
#pragma once

#include "libcore/base/tokenizer_model.hpp"

#include <cstddef>
#include <string_view>

namespace stillhouse::models {

/// A piece that has become too long to wait for: what of it is certain by now, and how it goes on.
struct OpenPiece {
    enum class Kind { letters, numbers, others, spaces };
    Kind kind = Kind::others;
    std::size_t certain = 0;   // bytes that belong to the piece whatever follows
};

/// Length of the first piece of text (valid UTF-8, not empty); 0 when what follows `text` could change it, which
/// `final` excludes. The patterns:
///   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///   llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
///           \s+(?!\S)|\s+
///   qwen2   the same with \p{N}
std::size_t next_piece(TokenizerModel::Split split, std::string_view text, bool final) noexcept;

/// A text longer than this is not waiting for the rest of a contraction or of three digits.
inline constexpr std::size_t contraction_bytes = 16;

/// For a text of which next_piece gave 0 and which is longer than contraction_bytes: is the piece one run of a class
/// that may be handed on before its end is known? gpt2: runs of letters, numbers and others end at the first character
/// of another class, whatever follows, and of white space all but the last character belongs to the piece. llama3 and
/// qwen2: only letters, since line ends far behind can still join others and white space.
bool open_piece(TokenizerModel::Split split, std::string_view text, OpenPiece& piece) noexcept;

/// Continues an open piece: how many of the following bytes belong to it for certain. `closed`: it ends there.
std::size_t continue_piece(OpenPiece::Kind kind, std::string_view text, bool final, bool& closed) noexcept;

}  // namespace stillhouse::models
