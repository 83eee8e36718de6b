// SPDX-License-Identifier: Apache-2.0
// UTF-8, character classes and canonical composition, in the versions of Unicode that the tokenizers library uses.
#pragma once

#include "libcore/base/shape.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::models::unicode {

enum Class : std::uint8_t { letter = 1, number = 2, space = 4, word = 8 };

/// Length of the character that a lead byte of valid UTF-8 begins.
inline int length_of(unsigned char lead) noexcept
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// The character at p of valid UTF-8.
inline char32_t decode(const char* p) noexcept
{
    const auto at = [p](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
    switch (length_of(static_cast<unsigned char>(*p))) {
    case 1: return at(0);
    case 2: return (at(0) & 0x1F) << 6 | (at(1) & 0x3F);
    case 3: return (at(0) & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F);
    default: return (at(0) & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F);
    }
}

void append(std::string& text, char32_t character);

inline bool continues(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// Where the last character of non-empty valid UTF-8 begins.
inline std::size_t last_character(std::string_view text) noexcept
{
    std::size_t at = text.size() - 1;
    while (at > 0 && continues(text[at])) {
        --at;
    }
    return at;
}

/// Character tables, two stages: blocks of 128 characters, equal blocks kept once.
class Tables {
public:
    Tables();
    /// Bits of Class.
    std::uint8_t classes(char32_t c) const noexcept { return blocks_[class_index_[c >> 7]][c & 127]; }
    std::uint8_t combining_class(char32_t c) const noexcept { return blocks_[mark_index_[c >> 7]][c & 127]; }
    /// False for a character that NFC may change or join to what is before it (combining class not 0, or quick check
    /// No or Maybe). Text may be cut before any other character, and each part normalised by itself.
    bool is_nfc_boundary(char32_t c) const noexcept
    {
        return c < 0x300 || blocks_[boundary_index_[c >> 7]][c & 127] == 0;
    }

private:
    using Block = std::array<std::uint8_t, 128>;
    void index(const std::vector<std::uint8_t>& values, std::vector<std::uint16_t>& to);
    std::vector<Block> blocks_;
    std::vector<std::uint16_t> class_index_, mark_index_, boundary_index_;
};

/// Made at the first call, once.
const Tables& tables();

/// Appends NFC(text) of valid UTF-8 (Unicode Standard Annex 15).
void append_nfc(std::string& to, std::string_view text);

/// Replaces what is no UTF-8 by U+FFFD, one for each maximal subpart (Unicode Standard, section 3.9; the same as
/// Python's errors='replace' and Rust's from_utf8_lossy), in a text that arrives in pieces.
class Sanitizer {
public:
    /// Appends what is certain to `to`. At most 3 bytes are kept.
    void feed(std::string_view bytes, std::string& to);
    void finish(std::string& to);
    Index replaced() const noexcept { return replaced_; }
    Index first() const noexcept { return first_; }      // byte at which the first one began; -1: none yet

private:
    void replace(Index at, std::string& to);

    std::string held_;
    Index replaced_ = 0;
    Index first_ = -1;
    Index seen_ = 0;                                     // bytes before held_
};

}  // namespace stillhouse::models::unicode
