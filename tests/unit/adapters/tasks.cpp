// SPDX-License-Identifier: Apache-2.0
// Task files: the fields of the data sets and the flat ones give the same items; what is refused.
#include "libcore/base/error.hpp"
#include "tools/adapters/evaluation/task_items.hpp"

#include <boost/test/unit_test.hpp>

using namespace stillhouse;
using adapters::TaskItem;

namespace {

TaskItem item(const std::string& task, const std::string& line)
{
    return adapters::read_task(task, "x.jsonl", line + "\n", -1).items.at(0);
}

void check_same(const TaskItem& a, const TaskItem& b)
{
    BOOST_TEST(a.gold == b.gold);
    BOOST_REQUIRE(a.choices.size() == b.choices.size());
    for (std::size_t i = 0; i < a.choices.size(); ++i) {
        BOOST_TEST(a.choices[i].context == b.choices[i].context);
        BOOST_TEST(a.choices[i].continuation == b.choices[i].continuation);
        BOOST_TEST(a.choices[i].characters == b.choices[i].characters);
        BOOST_TEST(a.choices[i].bytes == b.choices[i].bytes);
    }
}

/// What read_task says of a line.
std::string said(const std::string& task, const std::string& line)
{
    try {
        adapters::read_task(task, "x.jsonl", "\n" + line, -1);
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::bad_data));
        return error.what();
    }
    return "";
}

void check_said(const std::string& task, const std::string& line, const std::string& part)
{
    const std::string found = said(task, line);
    BOOST_TEST(found.starts_with("x.jsonl: line 2: "), found);
    BOOST_TEST(found.find(part) != std::string::npos, found);
}

}  // namespace

BOOST_AUTO_TEST_CASE(arc_has_three_layouts)
{
    const auto flat = item("arc_easy", R"({"query": "Question: Why?\n", "choices": ["été", "b", "c"], "gold": 2})");
    BOOST_TEST(flat.choices[0].context == "Question: Why?\nAnswer:");
    BOOST_TEST(flat.choices[0].continuation == " été");
    BOOST_TEST(flat.choices[0].characters == 3);
    BOOST_TEST(flat.choices[0].bytes == 5);
    check_same(flat, item("arc_easy", R"({"id": "x", "question": "Why?", "choices": {"text": ["été", "b", "c"], )"
                                      R"("label": ["A", "B", "C"]}, "answerKey": "C"})"));
    check_same(flat, item("arc_easy", R"({"question": {"stem": "Why?", "choices": [{"text": "été", "label": "1"}, )"
                                      R"({"text": "b", "label": "2"}, {"text": "c", "label": "3"}]}, )"
                                      R"("answerKey": "3"})"));
}

BOOST_AUTO_TEST_CASE(piqa_and_winogrande_have_two)
{
    check_same(item("piqa", R"({"goal": "Do it", "sol1": "a", "sol2": "b", "label": 1})"),
               item("piqa", R"({"query": "Question: Do it\n", "choices": ["a", "b"], "gold": 1})"));
    const auto official = item("winogrande", R"({"sentence": "He saw _ and ran .", "option1": "Al", "option2": "Bo", )"
                                             R"("answer": "2"})");
    BOOST_TEST(official.choices[1].context == "He saw Bo");
    BOOST_TEST(official.choices[1].continuation == " and ran .");
    BOOST_TEST(official.gold == 1);
    const auto flat = item("winogrande", R"({"context_options": ["He saw Al", "He saw Bo"], )"
                                         R"("continuation": "and ran .", "gold": 1})");
    BOOST_TEST(flat.choices[0].context == official.choices[0].context);
    BOOST_TEST(flat.choices[0].continuation == official.choices[0].continuation);
    BOOST_TEST(flat.gold == 1);
}

BOOST_AUTO_TEST_CASE(sciq_and_logiqa_follow_their_templates)
{
    const auto sciq = item("sciq", R"({"support": " \tRain falls. ", "question": "What?", "distractor1": "a", )"
                                   R"("distractor2": "b", "distractor3": "c", "correct_answer": "d"})");
    BOOST_TEST(sciq.choices[3].context == "Rain falls. \nQuestion: What?\nAnswer:");
    BOOST_TEST(sciq.choices[3].continuation == " d");
    BOOST_TEST(sciq.gold == 3);
    const auto logiqa = item("logiqa", R"({"label": " c\n", "context": "P", "question": "Q", )"
                                       R"("options": ["w", "x", "y", "z"]})");
    BOOST_TEST(logiqa.choices[1].context ==
               "Passage: P\nQuestion: Q\nChoices:\nA. w\nB. x\nC. y\nD. z\nAnswer:");
    BOOST_TEST(logiqa.choices[1].continuation == " x");
    BOOST_TEST(logiqa.gold == 2);
}

BOOST_AUTO_TEST_CASE(wsc_repairs_spans_and_marks_the_pronoun)
{
    const char* const raw = R"({"text": "The table won't fit , because it is wide .", "target": {"span1_index": 0, )"
                            R"("span1_text": "the table", "span2_index": 6, "span2_text": "it"}, "label": true})";
    const auto found = item("wsc", raw);
    BOOST_TEST(found.choices[0].context ==
               "Passage: The table won't fit, because *it* is wide.\nQuestion: In the passage above, does the pronoun "
               "\"*it*\" refer to \"*The table*\"?\nAnswer:");
    BOOST_TEST(found.choices[0].continuation == " no");
    BOOST_TEST(found.gold == 1);
    check_same(found, item("wsc", R"({"text": "The table won't fit , because it is wide .", "span1_index": 0, )"
                                  R"("span1_text": "The table", "span2_index": 6, "span2_text": "it", "label": 1})"));
}

BOOST_AUTO_TEST_CASE(wsc273_has_two_blanks_and_its_older_self_one)
{
    const char* const official = R"({"text": "The man  hit the boy because he was angry.", "pronoun": "he", )"
                                 R"("pronoun_loc": 28, "options": ["The man", "the boy"], "label": 0})";
    const char* const flat = R"({"context_options": ["The man hit the boy because the man", )"
                             R"("The man hit the boy because the boy"], "continuation": "was angry.", "gold": 0})";
    for (const char* name : {"wsc273", "wsc273_onespace"}) {
        const auto a = item(name, official);
        const auto b = item(name, flat);
        BOOST_TEST(a.choices[0].context == b.choices[0].context);
        BOOST_TEST(a.choices[0].continuation == b.choices[0].continuation);
        BOOST_TEST(a.choices[0].continuation ==
                   (std::string(name) == "wsc273" ? "  was angry." : " was angry."));
    }
    const auto own = item("wsc273", R"({"text": "Al took it. His car", "pronoun": "His", "pronoun_loc": 12, )"
                                    R"("options": ["The man", "Bo"], "label": 1})");
    BOOST_TEST(own.choices[0].context == "Al took it. The man's");       // begins a sentence
    const auto stop = item("wsc273", R"({"context_options": ["a", "b"], "continuation": ".", "gold": 0})");
    BOOST_TEST(stop.choices[0].continuation == " .");
}

BOOST_AUTO_TEST_CASE(last_words_and_own_items)
{
    check_same(item("lambada_openai", R"({"text": "one two three"})"),
               item("lambada_openai", R"({"context": "one two", "continuation": "three"})"));
    const auto own = item("choices", R"({"context": "c", "choices": ["x", "y"], "gold": 1})");
    BOOST_TEST(own.choices[1].context == "c");
    BOOST_TEST(own.choices[1].continuation == " y");
    BOOST_TEST(item("loglikelihood", R"({"context": "", "continuation": "y"})").choices[0].continuation == "y");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_judged_is_refused_with_its_line)
{
    check_said("choices", R"({"context": "c", "choices": ["x", "y"]})", "no field 'gold'");
    check_said("choices", R"({"context": "c", "choices": ["x", "x"], "gold": 0})", "twice");
    check_said("choices", R"({"context": "c", "choices": ["x", " "], "gold": 0})", "choice 1 is empty");
    check_said("choices", R"({"context": "c", "choices": ["x"], "gold": 0})", "a single choice");
    check_said("choices", R"({"context": "c", "choices": ["x", "y"], "gold": 2})", "out of range");
    check_said("choices", R"({"context": "c", "choices": ["x", 3], "gold": 1})", "choices");
    check_said("piqa", R"({"goal": "g", "sol1": "a", "sol2": "b", "label": -1})", "out of range");
    check_said("piqa", R"({"goal": "g", "sol1": "a", "sol2": "a", "label": 1})", "twice");
    check_said("arc_easy", R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, )"
                           R"("answerKey": "C"})",
               "out of range");
    check_said("winogrande", R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})", "gap");
    check_said("winogrande", R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": ""})", "no answer");
    check_said("wsc", R"({"text": "a b", "span1_index": 0, "span1_text": "a", "span2_index": 7, "span2_text": "b", )"
                      R"("label": 0})", "span2_index 7");
    check_said("loglikelihood", R"({"context": "c", "continuation": ""})", "empty");
    check_said("choices", "[1]", "no JSON object");
    check_said("choices", "{", "");
    BOOST_CHECK_THROW(adapters::read_task("piqa", "x", "\n \n", -1), Error);
    const auto padded = adapters::read_task(
        "arc_easy", "x", R"({"query": "q", "choices": ["a", "b", "b"], "gold": 0})", -1);
    BOOST_TEST(padded.padded == 1);
}
