// SPDX-License-Identifier: Apache-2.0
// What a model is evaluated on: texts, token files, pages of WikiText, items of tasks.
#pragma once

#include "libcore/evaluation/wikitext.hpp"
#include "tools/adapters/evaluation/task_items.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// As they are named on the command line.
struct EvaluationFiles {
    std::vector<std::string> text;
    std::string tokens;
    std::optional<std::string> wikitext;
    std::vector<std::string> tasks;              // NAME=FILE
};

/// Error{bad_argument}: nothing to evaluate on, a task that is no NAME=FILE, unknown, or given twice; standard input as
/// more than one of these files, `model` and `against` (empty: none).
void check_files(const EvaluationFiles& files, const std::string& model, const std::string& against);

/// Read once for all models and precisions.
struct EvaluationInput {
    std::vector<std::string> texts;
    std::string tokens;                          // path; what is in it depends on the vocabulary
    std::vector<evaluation::Page> pages;
    std::vector<Task> tasks;
    TokenSource::Open open;
};

/// limit: items of a task, pages. `notice` hears where a text is no UTF-8. Error{bad_data} names the file: an empty
/// text or what is none, no page, what read_task refuses.
EvaluationInput read_evaluation_input(const EvaluationFiles& files, std::optional<Index> limit,
                                      const TokenSource::Open& open, const TokenSource::Notice& notice);

}  // namespace stillhouse::adapters
