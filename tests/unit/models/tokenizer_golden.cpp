// SPDX-License-Identifier: Apache-2.0
// Ids and texts against those of the tokenizers library.
#define BOOST_TEST_MODULE tokenizer
#include "tests/unit/models/tokenizer_test.hpp"

#include <boost/test/unit_test.hpp>

#include <cstring>

namespace stillhouse::models {
namespace {

void check_cases(const Tokenizer& tokenizer, const std::string& encode_file, const std::string& decode_file)
{
    std::size_t checked = 0;
    for (const std::string& file : {encode_file, decode_file}) {
        const formats::Value cases = formats::parse_json(slurp(file));
        for (const formats::Value& item : cases.list()) {
            const std::vector<Token> ids = ids_of(*item.find("ids"));
            if (const formats::Value* text = item.find("text")) {
                BOOST_TEST_CONTEXT(text->text())
                {
                    BOOST_TEST(tokenizer.encode(text->text(), Tokenizer::Special::add) == ids,
                               boost::test_tools::per_element());
                    BOOST_TEST(streamed(tokenizer, text->text(), {}, 5) == ids, boost::test_tools::per_element());
                    BOOST_TEST(streamed(tokenizer, text->text(), {3, 4}, 2) == ids, boost::test_tools::per_element());
                }
            }
            BOOST_TEST(tokenizer.decode(ids, false) == item.find("decoded")->text());
            BOOST_TEST(tokenizer.decode(ids, true) == item.find("decoded_plain")->text());
            Tokenizer::Printer printer(tokenizer, false);
            std::string printed;
            for (const Token id : ids) {
                printed += printer.put(id);
            }
            BOOST_TEST(printed + printer.finish() == item.find("decoded")->text());
            ++checked;
        }
    }
    BOOST_TEST(checked >= 46U);
}

BOOST_AUTO_TEST_CASE(bookworm_cases)
{
    check_cases(bookworm(), data_file("bookworm_cases.json"), data_file("bookworm_decode_cases.json"));
}

BOOST_AUTO_TEST_CASE(stories260K_cases)
{
    check_cases(stories(), data_file("stories260K_cases.json"), data_file("stories260K_decode_cases.json"));
}

BOOST_AUTO_TEST_CASE(neox_cases)
{
    const std::string file = shared_file("data/tokenizer/20B_tokenizer.json");
    const std::string json = slurp(file);
    if (json.empty()) {
        BOOST_TEST_MESSAGE("skipped: no " << file << "; STILLHOUSE_SHARED names another place");
        return;
    }
    const Tokenizer tokenizer(formats::parse_tokenizer(json));
    BOOST_TEST(tokenizer.size() == 50277);
    check_cases(tokenizer, shared_file("golden/tokenizer/neox_cases.json"),
                shared_file("golden/tokenizer/neox_decode_cases.json"));

    const std::string text = slurp(shared_file("data/text/tinyshakespeare.txt"));
    const std::string golden = slurp(shared_file("data/golden/tinyshakespeare.neox.u32"));
    std::vector<Token> ids(golden.size() / sizeof(Token));
    std::memcpy(ids.data(), golden.data(), golden.size());
    BOOST_TEST(ids.size() == 340240U);
    BOOST_TEST((tokenizer.encode(text, Tokenizer::Special::add) == ids));
    BOOST_TEST((streamed(tokenizer, text, {}, 40000) == ids));
    BOOST_TEST((streamed(tokenizer, text, {100, 8}, 60) == ids));
    BOOST_TEST(tokenizer.decode(ids, false) == text);
}

BOOST_AUTO_TEST_CASE(questions_about_ids)
{
    const Tokenizer byte_level = bookworm(), fallback = stories();
    BOOST_TEST(byte_level.size() == 2048);
    BOOST_TEST(byte_level.id_of("<|endoftext|>") == 0);
    BOOST_TEST(byte_level.is_special(0));
    BOOST_TEST(!byte_level.is_special(700));
    BOOST_TEST(byte_level.id_of("no such entry") == -1);
    BOOST_TEST(!byte_level.has_text(2048));
    BOOST_TEST(!byte_level.has_text(-1));
    BOOST_TEST(byte_level.decode({99999, -3}, false) == "");
    BOOST_TEST(fallback.id_of("<s>") == 1);
    BOOST_TEST(fallback.encode("", Tokenizer::Special::add) == std::vector<Token>{1}, boost::test_tools::per_element());
    BOOST_TEST(fallback.encode("", Tokenizer::Special::plain).empty());
}

BOOST_AUTO_TEST_CASE(invalid_utf8_is_replaced_and_counted)
{
    const Tokenizer tokenizer = bookworm();
    const std::string bad = "caf\xC3 \xF0\x9F\x98 x\xFF\xED\xA0\x80.";
    const std::string good = "caf\xEF\xBF\xBD \xEF\xBF\xBD x\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD.";
    Index replaced = 0;
    BOOST_TEST(tokenizer.encode(bad, Tokenizer::Special::add, &replaced)
                   == tokenizer.encode(good, Tokenizer::Special::add),
               boost::test_tools::per_element());
    BOOST_TEST(replaced == 6);
    Tokenizer::Stream stream(tokenizer, Tokenizer::Special::add, {1, 1});
    std::vector<Token> ids;
    for (const char c : bad) {
        stream.feed({&c, 1}, ids);
    }
    stream.finish(ids);
    BOOST_TEST(stream.replaced() == 6);
    BOOST_TEST(ids == tokenizer.encode(good, Tokenizer::Special::add), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(printing_keeps_back_half_characters)
{
    const Tokenizer tokenizer = bookworm();
    const std::vector<Token> ids = tokenizer.encode("a\xF0\x9F\x98\x80", Tokenizer::Special::plain);
    Tokenizer::Printer printer(tokenizer, true);
    BOOST_TEST(ids.size() == 5U);   // the emoji is four bytes to this vocabulary
    BOOST_TEST(printer.put(ids[0]) == "a");
    BOOST_TEST(printer.put(ids[1]) == "");
    BOOST_TEST(printer.put(ids[2]) == "");
    BOOST_TEST(printer.put(ids[3]) == "");
    BOOST_TEST(printer.put(ids[4]) == "\xF0\x9F\x98\x80");
    BOOST_TEST(printer.put(ids[1]) == "");
    BOOST_TEST(printer.finish() == "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace stillhouse::models
