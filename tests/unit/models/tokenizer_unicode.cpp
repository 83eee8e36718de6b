// SPDX-License-Identifier: Apache-2.0
// UTF-8 repair, character classes and canonical composition.
#include "libcore/models/unicode.hpp"

#include <boost/test/unit_test.hpp>

namespace stillhouse::models::unicode {
namespace {

std::string repaired(const std::string& bytes, std::size_t step, Index& count)
{
    Sanitizer sanitizer;
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += step) {
        sanitizer.feed(std::string_view(bytes).substr(i, step), text);
    }
    sanitizer.finish(text);
    count = sanitizer.replaced();
    return text;
}

/// The expectations are Python's bytes.decode(errors="replace"); ? stands for U+FFFD.
BOOST_AUTO_TEST_CASE(maximal_subparts)
{
    const std::vector<std::pair<std::string, std::string>> table{
        {"plain", "plain"},
        {"\x80", "?"},
        {"\xC3\xA9", "\xC3\xA9"},
        {"\xC3", "?"},
        {"\xC3x", "?x"},
        {"\xC0\xAF", "??"},
        {"\xE2\x82", "?"},
        {"\xE2\x82x", "?x"},
        {"\xE0\x9F\xBF", "???"},
        {"\xED\xA0\x80", "???"},
        {"\xED\x9F\xBF", "\xED\x9F\xBF"},
        {"\xF0\x9F\x98", "?"},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"\xF0\x80\x80\x80", "????"},
        {"\xF0\x90\x80x", "?x"},
        {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"},
        {"\xF4\x90\x80\x80", "????"},
        {"\xF5\x80", "??"},
        {"\xFE\xFF", "??"},
        {"a\xF0\x9F\xC3\xA9\xE2", "a?\xC3\xA9?"},
        {std::string("\0x\0", 3), std::string("\0x\0", 3)},
    };
    for (const auto& [bytes, expected_marks] : table) {
        std::string expected;
        Index marks = 0;
        for (const char c : expected_marks) {
            expected += c == '?' ? "\xEF\xBF\xBD" : std::string(1, c);
            marks += c == '?' ? 1 : 0;
        }
        for (const std::size_t step : {1U, 2U, 100U}) {
            Index count = 0;
            BOOST_TEST(repaired(bytes, step, count) == expected);
            BOOST_TEST(count == marks);
        }
    }
}

BOOST_AUTO_TEST_CASE(classes)
{
    const auto of = [](char32_t c) { return static_cast<int>(tables().classes(c)); };
    BOOST_TEST(of('a') == (letter | word));
    BOOST_TEST(of('7') == (number | word));
    BOOST_TEST(of('_') == word);
    BOOST_TEST(of(' ') == space);
    BOOST_TEST(of(0x85) == space);
    BOOST_TEST(of(0xA0) == space);
    BOOST_TEST(of(0x3000) == space);
    BOOST_TEST(of(0x200B) == 0);       // zero width space is no white space
    BOOST_TEST(of(0x1C) == 0);
    BOOST_TEST(of(0xBD) == number);    // one half: a number, no \w
    BOOST_TEST(of(0x2167) == (number | word));
    BOOST_TEST(of(0x301) == word);
    BOOST_TEST(of(0x4E00) == (letter | word));
    BOOST_TEST(of(0x1D4D7) == (letter | word));
    BOOST_TEST(of(0x16D40) == (letter | word));   // Unicode 16
    BOOST_TEST(of(0x1F600) == 0);
    BOOST_TEST(of(0x10FFFF) == 0);
}

std::string text_of(std::initializer_list<char32_t> characters)
{
    std::string text;
    for (const char32_t c : characters) {
        append(text, c);
    }
    return text;
}

BOOST_AUTO_TEST_CASE(composition)
{
    struct Case {
        std::initializer_list<char32_t> from, to;
    };
    const Case table[] = {
        {{'e', 0x301}, {0xE9}},
        {{0x212B}, {0xC5}},                              // angstrom sign: singleton
        {{'q', 0x307, 0x323}, {'q', 0x323, 0x307}},      // reordered
        {{'s', 0x307, 0x323}, {0x1E69}},                 // reordered, then composed twice
        {{0x1E0B, 0x323}, {0x1E0D, 0x307}},              // taken apart first
        {{'a', 0x334, 0x301}, {0xE1, 0x334}},            // a lower class between does not block
        {{'a', 0x315, 0x300}, {0xE0, 0x315}},
        {{'a', 0x305, 0x301}, {'a', 0x305, 0x301}},      // an equal class between blocks
        {{0x301, 'e'}, {0x301, 'e'}},
        {{0x1100, 0x1161, 0x11A8}, {0xAC01}},
        {{0xAC00, 0x11A8}, {0xAC01}},
        {{0xAC01, 0x11A8}, {0xAC01, 0x11A8}},
        {{0x958}, {0x915, 0x93C}},                       // composition exclusion
        {{0x344}, {0x308, 0x301}},
        {{0xFB1D}, {0x5D9, 0x5B4}},
        {{0x1D15E}, {0x1D157, 0x1D165}},
        {{0x11935, 0x11930}, {0x11935, 0x11930}},        // composed only since Unicode 13
        {{'a', 0x897, 0x316}, {'a', 0x897, 0x316}},      // a mark only since Unicode 14
    };
    for (const Case& row : table) {
        std::string composed;
        append_nfc(composed, text_of(row.from));
        BOOST_TEST(composed == text_of(row.to));
        std::string again;
        append_nfc(again, composed);
        BOOST_TEST(again == composed);
    }
}

/// What is cut before a boundary composes to the same as the whole.
BOOST_AUTO_TEST_CASE(boundaries)
{
    for (char32_t c = 1; c < 0x110000; ++c) {
        if ((c >= 0xD800 && c < 0xE000) || !tables().is_nfc_boundary(c)) {
            continue;
        }
        for (const std::string& before :
             {text_of({'e', 0x301}), text_of({0xAC00}), text_of({0x915}), text_of({0x9C7})}) {
            std::string parts, whole;
            append_nfc(parts, before);
            append_nfc(parts, text_of({c}));
            append_nfc(whole, before + text_of({c}));
            if (parts != whole) {
                BOOST_ERROR("character " << static_cast<unsigned>(c));
            }
        }
    }
}

}  // namespace
}  // namespace stillhouse::models::unicode
