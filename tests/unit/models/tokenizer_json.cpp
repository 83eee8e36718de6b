// SPDX-License-Identifier: Apache-2.0
// What tokenizer.json may say: the kinds that are read, and those that are refused by name.
#include "tests/unit/models/tokenizer_test.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

namespace stillhouse::models {
namespace {

using formats::Value;

/// A small byte-level file with one part replaced.
std::string file_with(const std::string& key, const std::string& json)
{
    std::string file = R"({"added_tokens": [{"id": 6, "content": "<e>", "special": true, "normalized": false}],
        "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "post_processor": null, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab":
        {"a": 0, "b": 1, "ab": 2, "c": 3, "1": 4, "Ġ": 5}, "merges": ["a b"]}})";
    if (key.empty()) {
        return file;
    }
    Value value = formats::parse_json(file);
    value.set(key, formats::parse_json(json));
    return formats::to_json(value);
}

std::string model_with(const std::string& key, const std::string& json)
{
    const Value file = formats::parse_json(file_with("", ""));
    Value model = *file.find("model");
    model.set(key, formats::parse_json(json));
    return file_with("model", formats::to_json(model));
}

struct Refused {
    std::string json;
    ErrorCode code;
    std::vector<std::string> says;
};

BOOST_AUTO_TEST_CASE(refusals_name_what_was_found_and_what_is_supported)
{
    const auto unsupported = ErrorCode::unsupported, bad = ErrorCode::bad_data;
    const std::vector<Refused> table{
        {"[1, 2]", bad, {"tokenizer.json", "object"}},
        {"{\"model\"", bad, {"tokenizer.json"}},
        {"{}", bad, {"'model'"}},
        {file_with("model", R"({"type": "WordPiece", "vocab": {}})"), unsupported, {"WordPiece", "BPE"}},
        {file_with("model", R"({"type": "Unigram", "vocab": []})"), unsupported, {"Unigram", "BPE"}},
        {file_with("model", R"({"type": "WordLevel", "vocab": {}})"), unsupported, {"WordLevel", "BPE"}},
        {model_with("dropout", "0.1"), unsupported, {"dropout"}},
        {model_with("continuing_subword_prefix", R"("##")"), unsupported, {"continuing_subword_prefix", "##"}},
        {model_with("end_of_word_suffix", R"("</w>")"), unsupported, {"end_of_word_suffix", "</w>"}},
        {model_with("unk_token", R"("<unk>")"), bad, {"<unk>"}},
        {model_with("vocab", R"({"a": 0, "b": 0})"), bad, {"'a'", "'b'", "id 0"}},
        {model_with("vocab", R"({"a": -1})"), bad, {"'a'", "-1"}},
        {model_with("vocab", R"({"a": 123456789012})"), bad, {"'a'", "123456789012"}},
        {model_with("vocab", R"({"a": "zero"})"), bad, {"integer"}},
        {model_with("merges", R"(["a c"])"), bad, {"merge 0", "'ac'"}},
        {model_with("merges", R"(["abc"])"), bad, {"merge 0", "abc"}},
        {model_with("merges", R"([["a", "b", "c"]])"), bad, {"merge 0", "3 parts"}},
        {file_with("added_tokens", R"([{"id": 1, "content": "a"}])"), bad, {"'a'", "id 1"}},
        {file_with("added_tokens", R"([{"id": 3, "content": "<x>"}])"), bad, {"'<x>'", "id 3"}},
        {file_with("normalizer", R"({"type": "NFKC"})"), unsupported, {"NFKC", "NFC"}},
        {file_with("normalizer", R"({"type": "Lowercase"})"), unsupported, {"Lowercase"}},
        {file_with("normalizer", R"({"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"})"), unsupported,
         {"Replace", " +"}},
        {file_with("normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]})"),
         unsupported, {"Strip"}},
        {file_with("pre_tokenizer", R"({"type": "Whitespace"})"), unsupported, {"Whitespace", "ByteLevel"}},
        {file_with("pre_tokenizer",
                   R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]})"),
         unsupported, {"Digits, ByteLevel"}},
        {file_with("pre_tokenizer",
                   R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\d+"},
                      "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "use_regex": false}]})"),
         unsupported, {"Split", "\\d+"}},
        {file_with("pre_tokenizer", R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "maybe"})"), bad,
         {"maybe", "always"}},
        {file_with("post_processor", R"({"type": "Magic"})"), unsupported, {"Magic", "TemplateProcessing"}},
        {file_with("post_processor", R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})"), bad,
         {"TemplateProcessing"}},
        {file_with("post_processor", R"({"type": "BertProcessing", "sep": ["<e>", 77], "cls": ["<e>", 6]})"), bad,
         {"77", "7"}},
        {file_with("decoder", R"({"type": "CTC"})"), unsupported, {"CTC", "ByteFallback"}},
        {file_with("decoder", R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]})"),
         unsupported, {"ByteFallback", "Fuse"}},
        {file_with("truncation", R"({"max_length": 8})"), unsupported, {"truncation"}},
        {file_with("padding", R"({"strategy": {"Fixed": 8}})"), unsupported, {"padding"}},
    };
    for (const Refused& row : table) {
        BOOST_TEST_CONTEXT(row.json)
        {
            try {
                Tokenizer(formats::parse_tokenizer(row.json));
                BOOST_ERROR("was not refused");
            } catch (const Error& error) {
                BOOST_TEST((error.code() == row.code), error.what());
                for (const std::string& word : row.says) {
                    const bool said = std::string(error.what()).find(word) != std::string::npos;
                    BOOST_TEST(said, error.what() << " lacks " << word);
                }
            }
        }
    }
}

std::vector<Token> encode(const std::string& json, const std::string& text)
{
    return Tokenizer(formats::parse_tokenizer(json)).encode(text, Tokenizer::Special::add);
}

BOOST_AUTO_TEST_CASE(kinds_that_are_read)
{
    using Ids = std::vector<Token>;
    const auto same = boost::test_tools::per_element();
    BOOST_TEST(encode(file_with("", ""), "abc<e> ab") == (Ids{2, 3, 6, 5, 2}), same);
    BOOST_TEST(encode(model_with("merges", R"([["a", "b"]])"), "ab") == Ids{2}, same);
    BOOST_TEST(encode(model_with("merges", "[]"), "ab") == (Ids{0, 1}), same);
    const Value without = formats::parse_json(model_with("merges", "[]"));
    Value model = *without.find("model");
    model.set("ignore_merges", true);
    BOOST_TEST(encode(file_with("model", formats::to_json(model)), "ab abc") == (Ids{2, 5, 0, 1, 3}), same);
    BOOST_TEST(encode(file_with("pre_tokenizer", R"({"type": "ByteLevel", "add_prefix_space": true})"), "a<e>b")
                   == (Ids{5, 0, 6, 5, 1}),
               same);
    BOOST_TEST(encode(file_with("post_processor",
                                R"({"type": "TemplateProcessing", "single": [
                                   {"SpecialToken": {"id": "<e>", "type_id": 0}},
                                   {"Sequence": {"id": "A", "type_id": 0}},
                                   {"SpecialToken": {"id": "<e>", "type_id": 0}}],
                                   "special_tokens": {"<e>": {"id": "<e>", "ids": [6], "tokens": ["<e>"]}}})"),
                      "a") == (Ids{6, 0, 6}),
               same);
    BOOST_TEST(encode(file_with("post_processor",
                                R"({"type": "RobertaProcessing", "sep": ["c", 3], "cls": ["<e>", 6]})"),
                      "a") == (Ids{6, 0, 3}),
               same);
    // characters that the vocabulary lacks vanish where nothing stands for them
    BOOST_TEST(encode(file_with("", ""), "aZb") == Ids{2}, same);
}

BOOST_AUTO_TEST_CASE(stripping_and_single_words)
{
    using Ids = std::vector<Token>;
    const auto with = [](const std::string& flags) {
        return file_with("added_tokens",
                         R"([{"id": 6, "content": "<e>", "special": true, "normalized": false, )" + flags + "}]");
    };
    const auto same = boost::test_tools::per_element();
    const std::string text = "a  <e>  b";
    BOOST_TEST(encode(with(R"("lstrip": false)"), text) == (Ids{0, 5, 5, 6, 5, 5, 1}), same);
    BOOST_TEST(encode(with(R"("lstrip": true)"), text) == (Ids{0, 6, 5, 5, 1}), same);
    BOOST_TEST(encode(with(R"("rstrip": true)"), text) == (Ids{0, 5, 5, 6, 1}), same);
    BOOST_TEST(encode(with(R"("single_word": true)"), "<e>") == Ids{6}, same);
    BOOST_TEST(encode(with(R"("single_word": true)"), "a<e>").size() != 2U);
    for (const char* flags : {R"("lstrip": true)", R"("rstrip": true)", R"("single_word": true)"}) {
        const Tokenizer tokenizer(formats::parse_tokenizer(with(flags)));
        for (const char* part : {"a  <e>  b", "  <e>", "<e>   ", "a<e>b <e> c", "<e", " <e><e>  <e> "}) {
            BOOST_TEST(streamed(tokenizer, part, {1, 1}, 1) == tokenizer.encode(part, Tokenizer::Special::add), same);
        }
    }
}

}  // namespace
}  // namespace stillhouse::models
