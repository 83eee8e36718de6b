// SPDX-License-Identifier: Apache-2.0
// UTF-8, character classes and canonical composition.
#include "libcore/models/unicode.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

namespace stillhouse::models::unicode {
namespace {

struct ClassRange {
    char32_t first, last;
    std::uint8_t value;
};
struct Decomposition {
    char32_t character, first, second;
};
struct Composition {
    char32_t first, second, character;
};

#include "libcore/models/unicode_tables.inc"

// Hangul syllables compose by arithmetic (Unicode Standard, section 3.12).
constexpr char32_t hangul_s = 0xAC00, hangul_l = 0x1100, hangul_v = 0x1161, hangul_t = 0x11A7;
constexpr char32_t hangul_l_count = 19, hangul_v_count = 21, hangul_t_count = 28;
constexpr char32_t hangul_s_count = hangul_l_count * hangul_v_count * hangul_t_count;

constexpr char32_t all_characters = 0x110000;

void decompose(char32_t c, std::vector<char32_t>& to)
{
    if (c >= hangul_s && c < hangul_s + hangul_s_count) {
        const char32_t s = c - hangul_s;
        to.push_back(hangul_l + s / (hangul_v_count * hangul_t_count));
        to.push_back(hangul_v + s % (hangul_v_count * hangul_t_count) / hangul_t_count);
        if (s % hangul_t_count != 0) {
            to.push_back(hangul_t + s % hangul_t_count);
        }
        return;
    }
    const auto* found = std::lower_bound(std::begin(decompositions), std::end(decompositions), c,
                                         [](const Decomposition& d, char32_t x) { return d.character < x; });
    if (c < 0xC0 || found == std::end(decompositions) || found->character != c) {
        to.push_back(c);
        return;
    }
    decompose(found->first, to);
    if (found->second != 0) {
        decompose(found->second, to);
    }
}

/// The primary composite of two characters, 0 when there is none.
char32_t compose(char32_t a, char32_t b)
{
    if (a >= hangul_l && a < hangul_l + hangul_l_count && b >= hangul_v && b < hangul_v + hangul_v_count) {
        return hangul_s + ((a - hangul_l) * hangul_v_count + (b - hangul_v)) * hangul_t_count;
    }
    if (a >= hangul_s && a < hangul_s + hangul_s_count && (a - hangul_s) % hangul_t_count == 0 && b > hangul_t
        && b < hangul_t + hangul_t_count) {
        return a + (b - hangul_t);
    }
    const auto* found = std::lower_bound(
        std::begin(compositions), std::end(compositions), std::pair(a, b),
        [](const Composition& c, const std::pair<char32_t, char32_t>& x) {
            return std::pair(c.first, c.second) < x;
        });
    return found != std::end(compositions) && found->first == a && found->second == b ? found->character : 0;
}

/// Length of the valid character at p, or 0 with `bad` the length of the maximal subpart to replace; `more` when the
/// bytes end inside what may still become a character.
int inspect(const unsigned char* p, std::size_t n, int& bad, bool& more)
{
    const unsigned char lead = p[0];
    more = false;
    bad = 1;
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    const int length = length_of(lead);
    // the second byte's range excludes overlong forms, surrogates and what is above U+10FFFF
    const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i < length; ++i) {
        if (static_cast<std::size_t>(i) >= n) {
            more = true;
            bad = i;
            return 0;
        }
        const bool fits = i == 1 ? p[i] >= low && p[i] <= high : (p[i] & 0xC0) == 0x80;
        if (!fits) {
            bad = i;
            return 0;
        }
    }
    return length;
}

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Bytes before the first that is not ASCII.
std::size_t ascii_prefix(const char* p, std::size_t n)
{
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        std::uint64_t eight;
        std::memcpy(&eight, p + i, 8);
        if ((eight & 0x8080808080808080U) != 0) {
            break;
        }
    }
    while (i < n && static_cast<unsigned char>(p[i]) < 0x80) {
        ++i;
    }
    return i;
}

}  // namespace

void append(std::string& text, char32_t c)
{
    const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | c >> 6);
        put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3F));
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    }
}

Tables::Tables()
{
    std::vector<std::uint8_t> classes(all_characters), marks(all_characters), boundary(all_characters);
    for (const ClassRange& range : class_ranges) {
        std::fill(classes.begin() + range.first, classes.begin() + range.last + 1, range.value);
    }
    for (const ClassRange& range : combining_ranges) {
        std::fill(marks.begin() + range.first, marks.begin() + range.last + 1, range.value);
        std::fill(boundary.begin() + range.first, boundary.begin() + range.last + 1, std::uint8_t{1});
    }
    for (const Decomposition& d : decompositions) {   // quick check No: what NFC does not give back
        if (d.second == 0 || compose(d.first, d.second) != d.character) {
            boundary[d.character] = 1;
        }
    }
    for (const Composition& c : compositions) {       // quick check Maybe: what may join to what is before it
        boundary[c.second] = 1;
    }
    std::fill_n(boundary.begin() + hangul_v, hangul_v_count, std::uint8_t{1});
    std::fill_n(boundary.begin() + hangul_t + 1, hangul_t_count - 1, std::uint8_t{1});
    index(classes, class_index_);
    index(marks, mark_index_);
    index(boundary, boundary_index_);
}

void Tables::index(const std::vector<std::uint8_t>& values, std::vector<std::uint16_t>& to)
{
    std::map<Block, std::uint16_t> known;
    to.resize(all_characters >> 7);
    for (std::size_t b = 0; b < to.size(); ++b) {
        Block block;
        std::copy_n(values.begin() + static_cast<Index>(b) * 128, 128, block.begin());
        const auto [where, is_new] = known.emplace(block, static_cast<std::uint16_t>(blocks_.size()));
        if (is_new) {
            blocks_.push_back(block);
        }
        to[b] = where->second;
    }
}

const Tables& tables()
{
    static const Tables the_tables;
    return the_tables;
}

void append_nfc(std::string& to, std::string_view text)
{
    const Tables& table = tables();
    std::vector<char32_t> characters;
    for (std::size_t i = 0; i < text.size(); i += static_cast<std::size_t>(length_of(text[i]))) {
        decompose(decode(text.data() + i), characters);
    }
    // canonical order: marks between starters sorted by class, stably
    for (std::size_t i = 0; i < characters.size();) {
        if (table.combining_class(characters[i]) == 0) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (end < characters.size() && table.combining_class(characters[end]) != 0) {
            ++end;
        }
        std::stable_sort(characters.begin() + static_cast<Index>(i), characters.begin() + static_cast<Index>(end),
                         [&table](char32_t a, char32_t b) {
                             return table.combining_class(a) < table.combining_class(b);
                         });
        i = end;
    }
    // composition: a character joins the last starter unless one of its class or higher (or a starter) is between
    std::size_t kept = 0, starter = characters.size();
    int between = -1;   // class of the last character kept after the starter; -1: none
    for (const char32_t c : std::vector<char32_t>(characters)) {
        const int mark = table.combining_class(c);
        if (starter < kept && (between < mark || between == -1)) {
            const char32_t joined = compose(characters[starter], c);
            if (joined != 0) {
                characters[starter] = joined;
                continue;
            }
        }
        if (mark == 0) {
            starter = kept;
            between = -1;
        } else {
            between = mark;
        }
        characters[kept++] = c;
    }
    for (std::size_t i = 0; i < kept; ++i) {
        append(to, characters[i]);
    }
}

void Sanitizer::feed(std::string_view bytes, std::string& to)
{
    std::string joined;
    if (!held_.empty()) {
        joined = std::move(held_);
        held_.clear();
        joined.append(bytes);
        bytes = joined;
    }
    const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
    std::size_t done = 0, i = 0;
    while (i < bytes.size()) {
        i += ascii_prefix(bytes.data() + i, bytes.size() - i);
        if (i == bytes.size()) {
            break;
        }
        int bad = 0;
        bool more = false;
        const int length = inspect(p + i, bytes.size() - i, bad, more);
        if (length > 0) {
            i += static_cast<std::size_t>(length);
            continue;
        }
        to.append(bytes.substr(done, i - done));
        if (more) {
            held_.assign(bytes.substr(i));
            seen_ += static_cast<Index>(i);
            return;
        }
        replace(seen_ + static_cast<Index>(i), to);
        i += static_cast<std::size_t>(bad);
        done = i;
    }
    to.append(bytes.substr(done));
    seen_ += static_cast<Index>(bytes.size());
}

void Sanitizer::replace(Index at, std::string& to)
{
    to.append(replacement);
    first_ = replaced_ == 0 ? at : first_;
    ++replaced_;
}

void Sanitizer::finish(std::string& to)
{
    if (!held_.empty()) {   // a character that the end cut off is one maximal subpart
        replace(seen_, to);
        held_.clear();
    }
}

}  // namespace stillhouse::models::unicode
