// SPDX-License-Identifier: Apache-2.0
// The templates of the tasks: from the fields of a line to contexts and continuations. They follow
// lm-evaluation-harness 0.4.13 (lm_eval/tasks), zero-shot.
#include "libcore/base/error.hpp"
#include "libcore/evaluation/white_space.hpp"
#include "tools/adapters/evaluation/task_items.hpp"

#include <algorithm>
#include <array>

namespace stillhouse::adapters::layouts {

using formats::List;
using formats::Map;
using formats::Value;

namespace {

std::vector<std::string> texts(const Value& line, std::string_view name)
{
    const Value& value = field(line, name);
    return with_context("field '" + std::string(name) + "'", [&] {
        std::vector<std::string> result;
        for (const Value& one : value.list()) {
            result.push_back(one.text());
        }
        return result;
    });
}

TaskItem item_of(const std::string& context, const std::vector<std::string>& choices, Index gold)
{
    TaskItem item;
    item.gold = gold;
    for (const std::string& choice : choices) {
        item.choices.push_back(after_blank(context, choice));
    }
    return item;
}

/// query, choices, gold: the query is what stands before "Answer:".
TaskItem flat(const Value& line)
{
    const std::string& query = text(line, "query");
    return item_of(query.ends_with("Answer:") ? query : query + "Answer:", texts(line, "choices"),
                   number(line, "gold"));
}

/// context_options, continuation, gold.
TaskItem options(const Value& line, const std::string& continuation)
{
    TaskItem item;
    item.gold = number(line, "gold");
    for (std::string& context : texts(line, "context_options")) {
        item.choices.push_back({std::move(context), continuation, 0, 0});
    }
    return item;
}

bool has(const Value& line, std::string_view name) { return line.find(name) != nullptr; }

std::string question(const std::string& of) { return "Question: " + of + "\nAnswer:"; }

}  // namespace

/// question, choices {text, label}, answerKey; or question {stem, choices [{text, label}]}, answerKey.
TaskItem arc(const Value& line)
{
    if (has(line, "query")) {
        return flat(line);
    }
    const Value& asked = field(line, "question");
    const bool nested = std::holds_alternative<Map>(asked.kind());
    std::vector<std::string> choices;
    std::vector<std::string> labels;
    const Value& offered = field(nested ? asked : line, "choices");
    if (std::holds_alternative<List>(offered.kind())) {
        for (const Value& choice : offered.list()) {
            choices.push_back(text(choice, "text"));
            labels.push_back(text(choice, "label"));
        }
    } else {
        choices = texts(offered, "text");
        labels = texts(offered, "label");
    }
    const std::string& key = text(line, "answerKey");
    const auto found = std::find(labels.begin(), labels.end(), key);
    if (found == labels.end() || labels.size() != choices.size()) {
        throw_error(ErrorCode::bad_data, "the answer is out of range: answerKey '" + key + "' is not among the " +
                                             std::to_string(labels.size()) + " labels of " +
                                             std::to_string(choices.size()) + " choices");
    }
    return item_of(question(nested ? text(asked, "stem") : asked.text()), choices, found - labels.begin());
}

/// goal, sol1, sol2, label.
TaskItem piqa(const Value& line)
{
    if (has(line, "query")) {
        return flat(line);
    }
    return item_of(question(text(line, "goal")), {text(line, "sol1"), text(line, "sol2")}, number(line, "label"));
}

/// support, question, distractor1, distractor2, distractor3, correct_answer: the right one is always the last.
TaskItem sciq(const Value& line)
{
    if (has(line, "query")) {
        return flat(line);
    }
    return item_of(std::string(evaluation::strip_left(text(line, "support"))) + "\n" + question(text(line, "question")),
                   {text(line, "distractor1"), text(line, "distractor2"), text(line, "distractor3"),
                    text(line, "correct_answer")},
                   3);
}

/// context, question, options, label a, b, c, d.
TaskItem logiqa(const Value& line)
{
    if (has(line, "query")) {
        return flat(line);
    }
    std::string context =
        "Passage: " + text(line, "context") + "\nQuestion: " + text(line, "question") + "\nChoices:\n";
    const std::vector<std::string> offered = texts(line, "options");
    for (std::size_t i = 0; i < offered.size(); ++i) {
        context += static_cast<char>('A' + static_cast<char>(i % 26));
        context += ". " + offered[i] + "\n";
    }
    const std::string_view label = evaluation::strip(text(line, "label"));
    if (label.size() != 1 || label[0] < 'a' || label[0] > 'z') {
        throw_error(ErrorCode::bad_data, "the answer is out of range: label '" + std::string(label) +
                                             "', a letter from a is expected");
    }
    return item_of(context + "Answer:", offered, label[0] - 'a');
}

/// sentence with a gap "_", option1, option2, answer 1 or 2.
TaskItem winogrande(const Value& line)
{
    if (has(line, "context_options")) {
        return options(line, after_blank("", text(line, "continuation")).continuation);
    }
    const std::string& sentence = text(line, "sentence");
    const std::size_t gap = sentence.find('_');
    if (gap == std::string::npos) {
        throw_error(ErrorCode::bad_data, "the sentence has no gap '_'");
    }
    const std::string rest(evaluation::strip(std::string_view(sentence).substr(gap + 1)));
    TaskItem item;
    item.gold = number(line, "answer") - 1;
    for (const char* name : {"option1", "option2"}) {
        item.choices.push_back(after_blank(sentence.substr(0, gap) + text(line, name), rest));
    }
    return item;
}

/// text, context = all words but the last; or context, continuation.
TaskItem lambada(const Value& line)
{
    TaskItem item;
    if (has(line, "text")) {
        const std::string& all = text(line, "text");
        const std::size_t cut = all.rfind(' ');
        item.choices = {after_blank(cut == std::string::npos ? "" : all.substr(0, cut),
                                    cut == std::string::npos ? all : all.substr(cut + 1))};
    } else {
        item.choices = {after_blank(text(line, "context"), text(line, "continuation"))};
    }
    return item;
}

/// context, choices, gold.
TaskItem choices(const Value& line)
{
    if (has(line, "query")) {
        return flat(line);
    }
    if (has(line, "context_options")) {
        return winogrande(line);
    }
    return item_of(text(line, "context"), texts(line, "choices"), number(line, "gold"));
}

/// context, continuation, nothing between them.
TaskItem log_likelihood(const Value& line)
{
    const std::string& continuation = text(line, "continuation");
    TaskItem item;
    item.choices = {{text(line, "context"), continuation, evaluation::count_characters(continuation),
                     static_cast<Index>(continuation.size())}};
    return item;
}

}  // namespace stillhouse::adapters::layouts
