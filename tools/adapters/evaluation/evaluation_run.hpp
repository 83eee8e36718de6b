// SPDX-License-Identifier: Apache-2.0
// A model evaluated on texts, pages and tasks, alone or beside another.
#pragma once

#include "libcore/evaluation/requests.hpp"
#include "tools/adapters/evaluation/evaluation_input.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/evaluation/scored_text.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

struct EvaluationSettings {
    std::optional<Index> context, stride;        // default: the model's maximum, the context
    std::string first = "unscored";              // or prefix
    std::string mode = "auto";
    std::optional<Index> limit;                  // tokens of each text
    std::optional<compute::WeightFormat> weights;   // packed so, as generate has them; else as they are
};

/// Windows and their scores; of WikiText each document is a page.
struct TextScores {
    ScoredText text;
    ScoredTextOptions options;
    evaluation::Scores scores;
};

/// What one model gave.
struct Evaluation {
    std::string model;
    std::string mode;                            // attention, recurrent or exact
    Index context = 0;                           // of windows and tasks
    std::optional<TextScores> text, pages;
    std::vector<std::vector<std::vector<evaluation::RequestScore>>> tasks;   // [task][item][choice]
};

/// Error{bad_argument}: windows of `context` tokens every `stride` tokens would leave tokens out.
void check_stride(Index stride, Index context);

/// One model, and with `against` (null: none) another in `other`: on texts both see the same windows, which asks for
/// one vocabulary; on pages and tasks each has its own tokens where their tokenizers differ. The
/// other model is run as it is defined: attention, and convolutions by their filters.
/// Only checks and encodes where `plan` is given, and says there what would be done.
/// Error{bad_argument}: a mode that the model does not have; {bad_data}: nothing to score, a continuation that is empty
/// or too long (file and line are named), models of different vocabularies on a text.
template <class T>
Evaluation evaluate_model(Model<T> model, std::optional<Model<T>> against, std::optional<Evaluation>& other,
                          const EvaluationInput& input, const EvaluationSettings& settings,
                          compute::Operations<T>& ops, const Control& control, std::string* plan = nullptr);

}  // namespace stillhouse::adapters
