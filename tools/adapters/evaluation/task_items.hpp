// SPDX-License-Identifier: Apache-2.0
// Task files (JSON lines) as contexts and continuations, by the templates of lm-evaluation-harness.
#pragma once

#include "formats/value.hpp"
#include "libcore/base/shape.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// What is measured on the items of a task.
enum class Measure {
    choice,               // acc: which choice has the largest log-likelihood
    normalized_choice,    // and acc_norm, acc_bytes: divided by characters, by bytes
    last_word,            // acc: is the continuation the greedy one; perplexity
    log_likelihood,       // the same of any continuation, and its sum
};

struct TaskItem {
    struct Choice {
        std::string context;
        std::string continuation;          // with its delimiter
        Index characters = 0, bytes = 0;   // of the choice, without the delimiter
    };
    Index line = 0;                        // in the file, from 1
    std::vector<Choice> choices;           // one where nothing is chosen
    Index gold = 0;
};

struct Task {
    std::string name;                      // "arc_easy"
    std::string path;
    Measure measure = Measure::choice;
    std::vector<TaskItem> items;
    Index padded = 0;                      // items of ARC that hold a choice twice
};

/// All names that read_task knows, in the order of the manual.
std::vector<std::string> task_names();

/// `name` is one of task_names(), `text` is the file, a JSON object a line; limit < 0: all items. Fields are those of
/// the data set itself or those of a flat layout (query, choices, gold; context_options, continuation, gold; context,
/// continuation), told apart by their names. Error{bad_data} with path and line: no JSON, a field that is missing or of
/// the wrong kind, empty or equal choices (equal ones are let through in ARC, whose copies are padded with them), an
/// answer that is none of the choices, no items.
Task read_task(const std::string& name, const std::string& path, std::string_view text, Index limit);

/// One line of a data set as an item: private to task_items.cpp and the layouts. Error{bad_data} names the field.
namespace layouts {

const formats::Value& field(const formats::Value& line, std::string_view name);
const std::string& text(const formats::Value& line, std::string_view name);
/// Integers, and texts of digits.
Index number(const formats::Value& line, std::string_view name);
/// `choice` after a blank.
TaskItem::Choice after_blank(std::string context, const std::string& choice);

TaskItem arc(const formats::Value& line);
TaskItem piqa(const formats::Value& line);
TaskItem sciq(const formats::Value& line);
TaskItem logiqa(const formats::Value& line);
TaskItem winogrande(const formats::Value& line);
TaskItem wsc(const formats::Value& line);
TaskItem wsc273(const formats::Value& line);
TaskItem wsc273_onespace(const formats::Value& line);
TaskItem lambada(const formats::Value& line);
TaskItem choices(const formats::Value& line);
TaskItem log_likelihood(const formats::Value& line);

}  // namespace layouts

}  // namespace stillhouse::adapters
