// SPDX-License-Identifier: Apache-2.0
// White space and characters of UTF-8 text as the evaluation harness counts them: as Python does.
#include "libcore/evaluation/white_space.hpp"

namespace stillhouse::evaluation {

namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

std::size_t white_space_at(std::string_view text, std::size_t at)
{
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    const unsigned first = byte(0);
    if (first < 0x80) {
        return at < text.size() && (first == ' ' || (first >= 9 && first <= 13) || (first >= 0x1C && first <= 0x1F));
    }
    if (first == 0xC2) {                                         // U+0085, U+00A0
        return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;
    }
    const unsigned rest = byte(1) << 8 | byte(2);
    switch (first) {
    case 0xE1: return rest == 0x9A80 ? 3 : 0;                    // U+1680
    case 0xE2:                                                   // U+2000 .. 200A, 2028, 2029, 202F, 205F
        return (rest >= 0x8080 && rest <= 0x808A) || rest == 0x80A8 || rest == 0x80A9 || rest == 0x80AF ||
                       rest == 0x819F
                   ? 3
                   : 0;
    case 0xE3: return rest == 0x8080 ? 3 : 0;                    // U+3000
    default: return 0;
    }
}

std::string_view strip_left(std::string_view text)
{
    std::size_t at = 0;
    for (std::size_t n = 0; (n = white_space_at(text, at)) > 0;) {
        at += n;
    }
    return text.substr(at);
}

std::string_view strip_right(std::string_view text)
{
    while (!text.empty()) {
        std::size_t last = text.size() - 1;
        while (last > 0 && continues(text[last])) {
            --last;
        }
        if (white_space_at(text, last) == 0) {
            break;
        }
        text = text.substr(0, last);
    }
    return text;
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

std::vector<std::string_view> split(std::string_view text)
{
    std::vector<std::string_view> pieces;
    for (std::string_view rest = strip_left(text); !rest.empty();) {
        std::size_t end = 0;
        while (end < rest.size() && white_space_at(rest, end) == 0) {
            ++end;
        }
        pieces.push_back(rest.substr(0, end));
        rest = strip_left(rest.substr(end));
    }
    return pieces;
}

Index count_pieces(std::string_view text)
{
    Index runs = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = white_space_at(text, at);
        runs += n > 0 && !inside;
        inside = n > 0;
        at += n > 0 ? n : 1;
    }
    return 1 + runs;
}

Index count_characters(std::string_view text)
{
    Index n = 0;
    for (const char byte : text) {
        n += !continues(byte);
    }
    return n;
}

std::size_t character_at(std::string_view text, Index n)
{
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        if (!continues(text[at]) && n-- == 0) {
            break;
        }
    }
    return at;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to)
{
    std::string result;
    std::size_t at = 0;
    for (std::size_t found = 0; (found = text.find(from, at)) != std::string_view::npos; at = found + from.size()) {
        result.append(text.substr(at, found - at)).append(to);
    }
    return result.append(text.substr(at));
}

}  // namespace stillhouse::evaluation
