// SPDX-License-Identifier: Apache-2.0
// What evaluation shares with lm-evaluation-harness and needs no model for: ids of pairs, pages, words, paired tests.
#include "formats/json.hpp"
#include "formats/tokenizer_json.hpp"
#include "libcore/evaluation/encoding.hpp"
#include "libcore/evaluation/statistics.hpp"
#include "libcore/evaluation/white_space.hpp"
#include "libcore/evaluation/wikitext.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <fstream>
#include <iterator>

using namespace stillhouse;
using formats::Value;

namespace {

std::string slurp(const std::string& name)
{
    std::ifstream file(std::string(STILLHOUSE_TEST_DATA) + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<Index> ids_of(const Value& list)
{
    std::vector<Index> ids;
    for (const Value& id : list.list()) {
        ids.push_back(id.integer());
    }
    return ids;
}

void check_ids(const std::vector<Index>& found, const std::vector<Index>& wanted)
{
    BOOST_CHECK_EQUAL_COLLECTIONS(found.begin(), found.end(), wanted.begin(), wanted.end());
}

void check_encoding(const std::string& cases, const std::string& tokenizer_file)
{
    const models::Tokenizer tokenizer(formats::parse_tokenizer(slurp(tokenizer_file)));
    const Value golden = formats::parse_json(slurp("evaluation/" + cases));
    const evaluation::PairEncoder encoder(tokenizer, static_cast<Token>(golden.find("prefix_token")->integer()));
    Index pairs = 0;
    for (const Value& one : golden.find("pairs")->list()) {
        const Value* context = one.find("context_ids");
        if (context == nullptr || context->is_null() || one.find("error") != nullptr) {
            continue;
        }
        BOOST_TEST_CONTEXT(one.find("why")->text()) {
            const auto request = encoder.pair(one.find("context")->text(), one.find("continuation")->text());
            check_ids(request.context, ids_of(*context));
            check_ids(request.continuation, ids_of(*one.find("ids")));
            ++pairs;
        }
    }
    BOOST_TEST(pairs > 20);
    for (const Value& one : golden.find("rolling")->list()) {
        if (one.find("ids") != nullptr && !one.find("text")->is_null()) {
            std::vector<Index> wanted = ids_of(*one.find("ids"));
            wanted.insert(wanted.begin(), golden.find("prefix_token")->integer());
            check_ids(encoder.rolling(one.find("text")->text()), wanted);
        }
    }
    BOOST_CHECK_THROW(encoder.pair("a", ""), Error);
    BOOST_CHECK_THROW(evaluation::PairEncoder(tokenizer, -1).pair("", " a"), Error);
}

}  // namespace

BOOST_AUTO_TEST_CASE(pairs_have_the_harness_s_ids)
{
    check_encoding("neox_encode_cases.json", "../../share/teachers/bookworm/tokenizer.json");
    check_encoding("stories260K_encode_cases.json", "tokenizer/stories260K_tokenizer.json");
}

BOOST_AUTO_TEST_CASE(white_space_is_python_s)
{
    BOOST_TEST(evaluation::strip(" \t\x1f\u00a0\u2009x\u3000\u0085\n") == "x");
    BOOST_TEST(evaluation::strip("\u200bx") == "\u200bx");             // no white space there
    BOOST_TEST(evaluation::count_pieces("") == 1);
    BOOST_TEST(evaluation::count_pieces("a\u2003 b\n\nc") == 3);
    BOOST_TEST(evaluation::count_pieces(" a b ") == 4);                // an empty first and last piece
    BOOST_TEST(evaluation::split(" a  b\n").size() == 2u);
    BOOST_TEST(evaluation::count_characters("né\U0001F642") == 3);
    BOOST_TEST(evaluation::character_at("né!", 2) == 3u);
    BOOST_TEST(evaluation::replaced("   ", "  ", " ") == "  ");
}

BOOST_AUTO_TEST_CASE(pages_begin_at_headings_of_the_first_level)
{
    const std::string first = " = A title = \n \n text here \n = = Part = = \n more \n";
    const std::string second = " = B = \n text \n";
    const auto pages = evaluation::wikitext_pages(" \n" + first + second);
    BOOST_REQUIRE(pages.size() == 2u);
    BOOST_TEST(pages[0].text + "\n" + pages[1].text == first + second);
    BOOST_TEST(pages[0].bytes == static_cast<Index>(first.size()) - 1);
    BOOST_TEST(pages[1].words == 6);                                    // "", =, B, =, text, ""
    BOOST_TEST(evaluation::wikitext_pages(" \n\n ").empty());
    BOOST_TEST(evaluation::wikitext_pages("no heading").size() == 1u);
    BOOST_TEST(evaluation::wikitext_pages(" = A = \r\n a\r\n").front().text == " = A = \n a\n");
}

BOOST_AUTO_TEST_CASE(pages_are_detokenised_as_by_the_harness)
{
    const std::pair<const char*, const char*> cases[] = {
        {" = Title = \n the text \n", " = Title =\nthe text\n"},
        {" = = = Deep = = = \n", " === Deep ===\n"},
        {"up @-@ to 1 @,@ 000 @.@ 5 m", "up-to 1,000.5 m"},
        {"one , two ; three : four . five ! six ? seven", "one, two; three: four. five! six? seven"},
        {"( a ( b ) c ) [ d ] { e }", "(a ( b) c ) [d] {e}"},
        {"he said \" yes \" and \" no \"", "he said \"yes\" and \"no\""},
        {"the dogs ' bone", "the dogs' bone"},
        {"the dog 's N th bone", "the dog's 1 th bone"},
        {"a ' b ' c", "a 'b' c"},
        {"/' 7/", "/'[0-9]/"},
        {"20 \u00b0 C", "20\u00b0C"},
    };
    for (const auto& [page, text] : cases) {
        BOOST_TEST(evaluation::wikitext_detokenized(page) == text);
    }
}

BOOST_AUTO_TEST_CASE(paired_tests_are_the_references)
{
    const Value golden = formats::parse_json(slurp("evaluation/paired.json"));
    for (const auto& [task, wanted] : golden.find("tasks")->map()) {
        BOOST_TEST_CONTEXT(task) {
            const auto number = [&wanted](const char* key) { return wanted.find(key)->number(); };
            const auto n = static_cast<Index>(number("n"));
            const auto only_a = static_cast<Index>(number("only_neox_right"));
            const auto only_b = static_cast<Index>(number("only_stories260K_right"));
            const auto both = std::lround(number("acc_neox") * static_cast<double>(n)) - only_a;
            std::vector<double> a, b;
            for (Index i = 0; i < n; ++i) {
                a.push_back(i < only_a || (i >= only_a + only_b && i < only_a + only_b + both));
                b.push_back(i >= only_a && i < only_a + only_b + both);
            }
            const evaluation::Paired found = evaluation::paired(a, b);
            const auto near = [&](double x, const char* key) {
                BOOST_TEST(std::fabs(x - number(key)) < 1e-12, key << ": " << x << ", expected " << number(key));
            };
            near(evaluation::mean_of(a).standard_error, "stderr_neox");
            near(evaluation::mean_of(b).standard_error, "stderr_stories260K");
            near(found.difference.value, "difference");
            near(found.difference.standard_error, "paired_stderr");
            near(found.unpaired_error, "unpaired_stderr");
            near(found.unpaired_z, "unpaired_z");
            near(found.unpaired_p, "unpaired_p");
            near(found.mcnemar_p, "mcnemar_exact_p");
            if (wanted.find("paired_p") != nullptr) {
                near(found.z, "paired_z");
                near(found.p, "paired_p");
            } else {
                BOOST_TEST(std::isnan(found.p));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_mean_of_one_has_no_error)
{
    BOOST_TEST(std::isnan(evaluation::mean_of({1.0}).standard_error));
    BOOST_TEST(evaluation::mcnemar_exact(0, 0) == 1.0);
    BOOST_TEST(std::fabs(evaluation::mcnemar_exact(2000, 1900) - 0.1128) < 1e-3);   // no overflow
}
