// SPDX-License-Identifier: Apache-2.0
// Hand-written scanners for the patterns of known tokenizers: ASCII from a table, the rest from the Unicode tables.
#include "libcore/models/tokenizer_scan.hpp"

#include "libcore/models/unicode.hpp"

#include <array>

namespace stillhouse::models {
namespace {

using Split = TokenizerModel::Split;
constexpr std::uint8_t letter = unicode::letter, number = unicode::number, space = unicode::space;
constexpr std::uint8_t wanted = letter | number | space;   // 0 of these: the "others" of the patterns

constexpr std::array<std::uint8_t, 128> ascii_classes = [] {
    std::array<std::uint8_t, 128> classes{};
    for (std::size_t c = 0; c < 128; ++c) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            classes[c] = letter;
        } else if (c >= '0' && c <= '9') {
            classes[c] = number;
        } else if (c == ' ' || (c >= 9 && c <= 13)) {
            classes[c] = space;
        }
    }
    return classes;
}();

struct Character {
    std::uint8_t kind;
    std::size_t length;
};

inline Character look(const char* p) noexcept
{
    const auto lead = static_cast<unsigned char>(*p);
    if (lead < 0x80) {
        return {ascii_classes[lead], 1};
    }
    return {static_cast<std::uint8_t>(unicode::tables().classes(unicode::decode(p)) & wanted),
            static_cast<std::size_t>(unicode::length_of(lead))};
}

/// End of the run of class `kind` that goes on at `from`.
inline std::size_t run_end(std::string_view text, std::size_t from, std::uint8_t kind) noexcept
{
    while (from < text.size()) {
        const Character c = look(text.data() + from);
        if (c.kind != kind) {
            break;
        }
        from += c.length;
    }
    return from;
}

inline bool is_line_end(char c) noexcept { return c == '\r' || c == '\n'; }

/// Length of a contraction at text[0] == '\''; 0 when there is none, -1 when more text is needed.
int contraction(std::string_view text, bool any_case, bool final) noexcept
{
    const auto lower = [any_case](char c) { return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (text.size() < 2) {
        return final ? 0 : -1;
    }
    const char a = lower(text[1]);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return 2;
    }
    if (any_case && text[1] == '\xC5' && text[2] == '\xBF') {   // U+017F, the long s, folds to s
        return 3;
    }
    if (a != 'r' && a != 'v' && a != 'l') {
        return 0;
    }
    if (text.size() < 3) {
        return final ? 0 : -1;
    }
    return lower(text[2]) == (a == 'l' ? 'l' : 'e') ? 3 : 0;
}

/// White space at text[0], the run ending at `end`: `\s+(?!\S)|\s+`.
inline std::size_t white_space(std::string_view text, std::size_t end, bool final) noexcept
{
    if (end == text.size()) {
        return final ? end : 0;
    }
    const std::size_t last = unicode::last_character(text.substr(0, end));
    return last == 0 ? end : last;
}

std::size_t gpt2(std::string_view text, bool final) noexcept
{
    if (text[0] == '\'') {
        const int length = contraction(text, false, final);
        if (length != 0) {
            return length < 0 ? 0 : static_cast<std::size_t>(length);
        }
    }
    Character first = look(text.data());
    std::size_t from = first.length;
    if (text[0] == ' ') {
        if (text.size() == 1) {
            return final ? 1 : 0;
        }
        first = look(text.data() + 1);
        from += first.length;
    }
    const std::size_t end = run_end(text, from, first.kind);
    if (first.kind == space) {
        return white_space(text, end, final);
    }
    return end == text.size() && !final ? 0 : end;
}

std::size_t llama3(std::string_view text, std::size_t digits, bool final) noexcept
{
    if (text[0] == '\'') {
        const int length = contraction(text, true, final);
        if (length != 0) {
            return length < 0 ? 0 : static_cast<std::size_t>(length);
        }
    }
    const Character first = look(text.data());
    std::size_t at = first.length;
    if (first.kind == number) {
        for (std::size_t count = 1; count < digits; ++count) {
            if (at == text.size()) {
                return final ? at : 0;
            }
            const Character c = look(text.data() + at);
            if (c.kind != number) {
                break;
            }
            at += c.length;
        }
        return at;
    }
    const auto closed = [&](std::size_t end) { return end == text.size() && !final ? 0 : end; };
    if (first.kind == letter) {
        return closed(run_end(text, at, letter));
    }
    if (at == text.size() && !final) {
        return 0;
    }
    const Character second = at == text.size() ? Character{space, 0} : look(text.data() + at);
    if (second.kind == letter && !is_line_end(text[0])) {
        return closed(run_end(text, at + second.length, letter));
    }
    if (first.kind != space || (text[0] == ' ' && second.kind == 0)) {
        at = run_end(text, at, 0);
        while (at < text.size() && is_line_end(text[at])) {
            ++at;
        }
        return closed(at);
    }
    const std::size_t end = run_end(text, at, space);
    if (end == text.size() && !final) {
        return 0;
    }
    const std::size_t line = text.substr(0, end).find_last_of("\r\n");
    return line != std::string_view::npos ? line + 1 : white_space(text, end, final);
}

}  // namespace

std::size_t next_piece(Split split, std::string_view text, bool final) noexcept
{
    return split == Split::gpt2 ? gpt2(text, final) : llama3(text, split == Split::llama3 ? 3 : 1, final);
}

bool open_piece(Split split, std::string_view text, OpenPiece& piece) noexcept
{
    Character first = look(text.data());
    if (first.kind != letter && (split != Split::gpt2 || text[0] == ' ')) {   // one character may stand before a run
        const Character second = look(text.data() + first.length);
        if (second.kind != space && (split == Split::gpt2 || second.kind == letter)) {
            first = second;
        }
    }
    if (split != Split::gpt2 && first.kind != letter) {
        return false;
    }
    piece.kind = first.kind == letter   ? OpenPiece::Kind::letters
                 : first.kind == number ? OpenPiece::Kind::numbers
                 : first.kind == space  ? OpenPiece::Kind::spaces
                                        : OpenPiece::Kind::others;
    piece.certain = first.kind == space ? unicode::last_character(text) : text.size();
    return true;
}

std::size_t continue_piece(OpenPiece::Kind kind, std::string_view text, bool final, bool& closed) noexcept
{
    const std::uint8_t class_of_run = kind == OpenPiece::Kind::letters   ? letter
                                      : kind == OpenPiece::Kind::numbers ? number
                                      : kind == OpenPiece::Kind::spaces  ? space
                                                                         : std::uint8_t{0};
    const std::size_t end = run_end(text, 0, class_of_run);
    closed = end < text.size() || final;
    if (kind != OpenPiece::Kind::spaces || (end == text.size() && final)) {
        return end;
    }
    // the last white space character belongs to the piece only at the end of the text
    return end == 0 ? 0 : unicode::last_character(text.substr(0, end));
}

}  // namespace stillhouse::models
