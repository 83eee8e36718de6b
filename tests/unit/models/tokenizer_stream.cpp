// SPDX-License-Identifier: Apache-2.0
// Streams equal whole texts and keep little back, on the texts and vocabularies that make it hard.
#include "tests/unit/models/tokenizer_test.hpp"

#include "libcore/base/random.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>

namespace stillhouse::models {
namespace {

std::string repeat(const std::string& part, std::size_t times)
{
    std::string text;
    for (std::size_t i = 0; i < times; ++i) {
        text += part;
    }
    return text;
}

std::string random_text(const std::vector<std::string>& parts, std::size_t count, Random& random)
{
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += parts[random.below(parts.size())];
    }
    return text;
}

const std::vector<std::string> letters{"a", "b", "c", "e", "h", "t", "s", "i", "n", "g"};

std::vector<std::string> hard_texts()
{
    Random random(5, 0);
    return {repeat("a", 9000), repeat("the", 3000), repeat(" ", 9000).append("x"), repeat("\n", 9000).append(" x"),
            repeat("\r\n", 4000), repeat("\t", 5000).append(" y"), random_text(letters, 20000, random),
            repeat("e\xCC\x81", 3000), repeat("\xCC\x81\xCC\x96", 2000).append("x"), repeat("\xE1\x85\xA1", 2000),
            repeat("<|endoftext", 800) + repeat("<|endoftext|>", 30),
            repeat("-", 9000).append("'s"), repeat("1", 5000).append("'ll"),
            repeat("\xF0\x9F\x98\x80", 2000), repeat("<s", 900) + "<s></s>" + repeat("</s> ", 100),
            random_text({"'", "s", "'l", "l", " ", "  ", "\n", "\xC2\xA0", "\xCC\x81", "<|endoftext|>", "<s>", "Z", "7",
                         "\xE6\x97\xA5", "\xE2\x96\x81", "\xFF"},
                        6000, random)};
}

void check_hard_texts(const Tokenizer& tokenizer)
{
    for (const std::string& text : hard_texts()) {
        BOOST_TEST_CONTEXT(text.substr(0, 20))
        {
            const std::vector<Token> whole = tokenizer.encode(text, Tokenizer::Special::add);
            BOOST_TEST((streamed(tokenizer, text, {}, 777) == whole));
            BOOST_TEST((streamed(tokenizer, text, {64, 16}, 50) == whole));
            BOOST_TEST((streamed(tokenizer, text, {1, 1}, 1) == whole));
        }
    }
}

BOOST_AUTO_TEST_CASE(hard_texts_byte_level) { check_hard_texts(bookworm()); }
BOOST_AUTO_TEST_CASE(hard_texts_byte_fallback) { check_hard_texts(stories()); }

/// Characters a, b, c, d and random merges. `shuffled`: ranks do not grow along a derivation, and products have several
/// derivations, so that a prefix may have several candidates for its last token.
Tokenizer random_tokenizer(std::uint64_t seed, bool shuffled)
{
    Random random(seed, 1);
    TokenizerModel model;
    model.kind = TokenizerModel::Kind::characters;
    model.vocabulary = {"a", "b", "c", "d", " "};
    for (int i = 0; i < 60; ++i) {
        const std::string left = model.vocabulary[random.below(model.vocabulary.size())];
        const std::string right = model.vocabulary[random.below(model.vocabulary.size())];
        const std::string product = left + right;
        const bool known =
            std::find(model.vocabulary.begin(), model.vocabulary.end(), product) != model.vocabulary.end();
        if (product.size() <= 9 && (shuffled || !known)) {
            if (!known) {
                model.vocabulary.push_back(product);
            }
            model.merges.emplace_back(left, right);
        }
    }
    if (shuffled) {
        for (std::size_t i = model.merges.size(); i > 1; --i) {
            std::swap(model.merges[i - 1], model.merges[random.below(i)]);
        }
    }
    return Tokenizer(std::move(model));
}

/// The definition, as slowly as it reads.
std::vector<std::string> merged(const std::string& text,
                                const std::vector<std::pair<std::string, std::string>>& merges)
{
    std::map<std::pair<std::string, std::string>, std::size_t> rank;
    for (std::size_t i = 0; i < merges.size(); ++i) {
        rank[merges[i]] = i;
    }
    std::vector<std::string> parts;
    for (const char c : text) {
        parts.emplace_back(1, c);
    }
    while (true) {
        std::size_t best = merges.size(), at = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto found = rank.find({parts[i], parts[i + 1]});
            if (found != rank.end() && found->second < best) {
                best = found->second;
                at = i;
            }
        }
        if (best == merges.size()) {
            return parts;
        }
        parts[at] += parts[at + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
}

BOOST_AUTO_TEST_CASE(random_vocabularies)
{
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        const Tokenizer tokenizer = random_tokenizer(seed, seed % 2 == 1);
        Random random(seed, 2);
        for (int n = 0; n < 6; ++n) {
            const std::string text = random_text({"a", "b", "c", "d"}, 400 + random.below(400), random);
            const std::vector<Token> whole = tokenizer.encode(text, Tokenizer::Special::add);
            BOOST_TEST((streamed(tokenizer, text, {8, 4}, 10) == whole), "seed " << seed << " text " << text);
            BOOST_TEST((streamed(tokenizer, text, {64, 100}, 10) == whole), "seed " << seed << " text " << text);
        }
    }
}

BOOST_AUTO_TEST_CASE(merging_is_the_definition)
{
    TokenizerModel model;
    model.kind = TokenizerModel::Kind::characters;
    model.vocabulary = {"a", "b", "ab", "aa", "ba", "aab", "abab", "bb", "bba"};
    model.merges = {{"b", "b"},  {"a", "b"},   {"aa", "b"}, {"a", "a"},
                    {"a", "ab"}, {"ab", "ab"}, {"bb", "a"}, {"b", "a"}};
    const Tokenizer tokenizer(model);
    Random random(3, 3);
    for (int n = 0; n < 300; ++n) {   // around the 64 symbols where the algorithm changes
        const std::string text = random_text({"a", "b"}, 1 + random.below(140), random);
        std::string joined;
        for (const Token id : tokenizer.encode(text, Tokenizer::Special::add)) {
            joined += model.vocabulary[static_cast<std::size_t>(id)] + "|";
        }
        std::string expected;
        for (const std::string& part : merged(text, model.merges)) {
            expected += part + "|";
        }
        BOOST_TEST(joined == expected);
    }
}

/// What a stream keeps back shows in the ids that it has not given yet.
BOOST_AUTO_TEST_CASE(little_is_kept_back)
{
    Random random(9, 0);
    for (const Tokenizer& tokenizer : {bookworm(), stories()}) {
        for (const std::string& text : {repeat("a", 400000), repeat("the", 130000), repeat(" ", 400000),
                                        repeat("\n", 400000), random_text(letters, 400000, random),
                                        repeat("\xE6\x97\xA5\xE6\x9C\xAC", 70000), repeat("=", 400000)}) {
            Tokenizer::Stream stream(tokenizer, Tokenizer::Special::add);
            std::vector<Token> ids;
            stream.feed(text, ids);
            const std::size_t before = ids.size();
            stream.finish(ids);
            // at most one block of 64 KiB and what a word may be long, in tokens of a byte
            BOOST_TEST(ids.size() - before < 90000U, text.substr(0, 10));
            BOOST_TEST(ids.size() > 100000U);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_long_word_takes_no_quadratic_time)
{
    // 2 MB: with a step per pair of symbols this would take hours
    const Tokenizer tokenizer = bookworm();
    const std::string text = repeat("abcdefghij", 200000);
    BOOST_TEST(tokenizer.decode(tokenizer.encode(text, Tokenizer::Special::plain), false) == text);
}

BOOST_AUTO_TEST_CASE(a_stream_serves_several_texts)
{
    const Tokenizer tokenizer = stories();
    Tokenizer::Stream stream(tokenizer, Tokenizer::Special::add);
    for (const char* text : {"Once upon", "", "a time"}) {
        std::vector<Token> ids;
        stream.feed(text, ids);
        stream.finish(ids);
        BOOST_TEST(ids == tokenizer.encode(text, Tokenizer::Special::add), boost::test_tools::per_element());
    }
}

}  // namespace
}  // namespace stillhouse::models
