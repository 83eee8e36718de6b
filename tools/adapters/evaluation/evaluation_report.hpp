// SPDX-License-Identifier: Apache-2.0
// What an evaluation gave, as JSON and as tables.
#pragma once

#include "formats/value.hpp"
#include "tools/adapters/evaluation/evaluation_run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// What a user should hear of beside the numbers: texts shorter than one context, cut items, padded choices.
std::vector<std::string> evaluation_notices(const EvaluationInput& input, const Evaluation& evaluation);

enum class Table { text, markdown };

/// Gathers the evaluations of one model at one precision or several, each alone or beside another model.
class EvaluationReport {
public:
    EvaluationReport(const EvaluationInput& input, bool by_position) : input_(input), by_position_(by_position) {}

    void add(const std::string& precision, Evaluation one, std::optional<Evaluation> other);

    /// {"model", "mode", "precision", "results": {"text": {...}, "wikitext": {...}, TASK: {...}}}.
    /// Texts: {"token_perplexity": {"value", "stderr"}, "word_perplexity", "byte_perplexity", "bits_per_byte",
    /// "tokens", "words", "bytes", "context", "stride", "windows", "first"}, words and bytes not of token files; by
    /// position also "positions": [{"from", "to", "perplexity", "tokens"}]. WikiText has "pages", and standard errors
    /// over these; those of texts are over windows.
    /// Tasks: {"acc", "acc_norm", "acc_bytes", "majority", "chance", "n", "truncated"}; of continuations "perplexity"
    /// (and "loglikelihood", the mean) and "acc". Errors of perplexities are first-order.
    /// With another model each has "against": {"model", its own numbers, "perplexity_ratio", "word_perplexity_ratio",
    /// "kl", "agreement"; "acc_difference": {"value", "stderr" (paired), "z", "p", "unpaired_stderr", "unpaired_z",
    /// "unpaired_p", "only_this", "only_other", "mcnemar_p"}, and so for acc_norm, acc_bytes; "largest_ll_difference"}.
    /// With several precisions "precision" is the first, to which "results" belong, and "precisions": {NAME: results}
    /// holds the others, each with "against_precision" like "against".
    formats::Value json() const;

    std::string table(Table how) const;

    /// Lines of JSON, one an item: {"task", "item", "gold", "ll": [...], "greedy": [...], "tokens": [...], "dropped"};
    /// of texts and pages {"task": "text", "item", "ll", "tokens"}, item being a window or page (with its "windows").
    /// Numbers count from 0. With another model "against": {"ll", "greedy"}, with several precisions "precision".
    std::string item_lines() const;

    /// For the closing line: what was scored.
    std::string fact() const;

private:
    struct Run {
        std::string precision;
        Evaluation one;
        std::optional<Evaluation> other;
        formats::Map results;
    };
    const EvaluationInput& input_;
    bool by_position_;
    std::vector<Run> runs_;
};

/// Rows of a table: results of one run, named in the first column where there are several.
struct TableRun {
    std::string name;
    formats::Map results;
};
std::string evaluation_table(const std::vector<TableRun>& runs, Table how);

}  // namespace stillhouse::adapters
