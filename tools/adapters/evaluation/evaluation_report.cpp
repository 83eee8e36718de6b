// SPDX-License-Identifier: Apache-2.0
// What an evaluation gave, as JSON.
#include "tools/adapters/evaluation/evaluation_report.hpp"

#include "formats/json.hpp"
#include "libcore/evaluation/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

namespace stillhouse::adapters {

namespace {

using evaluation::Estimate;
using evaluation::RequestScore;
using formats::List;
using formats::Map;
using formats::Value;

using ItemScores = std::vector<std::vector<RequestScore>>;

Value to_value(Estimate x) { return Map{{"value", x.value}, {"stderr", x.standard_error}}; }

/// Independent parts of a text: windows, or pages.
struct Units {
    std::vector<double> nll, other_nll, kl, agreements;
    std::vector<Index> tokens;
};

/// Sums of consecutive runs of values.
template <class V>
std::vector<V> summed(const std::vector<V>& values, const std::vector<Index>& runs)
{
    std::vector<V> sums;
    if (values.empty()) {
        return sums;
    }
    auto at = values.begin();
    for (const Index run : runs) {
        sums.push_back(std::accumulate(at, at + run, V{}));
        at += run;
    }
    return sums;
}

std::vector<Index> unit_windows(const TextScores& text, bool by_page)
{
    return by_page ? text.text.document_windows : std::vector<Index>(text.text.windows.size(), 1);
}

Units units_of(const TextScores& text, bool by_page)
{
    const std::vector<Index> runs = unit_windows(text, by_page);
    const evaluation::Scores& scores = text.scores;
    return {summed(scores.window_nll, runs), summed(scores.reference_nll, runs), summed(scores.kl, runs),
            summed(scores.agreements, runs), summed(scores.window_tokens, runs)};
}

Estimate ratio(const std::vector<double>& sums, const std::vector<Index>& counts)
{
    const auto n = static_cast<double>(std::accumulate(counts.begin(), counts.end(), Index{0}));
    return {evaluation::total(sums) / n, evaluation::ratio_standard_error(sums, counts)};
}

Estimate times(Estimate x, double factor) { return {x.value * factor, x.standard_error * factor}; }

Value positions(const evaluation::Scores& scores)
{
    List list;
    const auto n = static_cast<Index>(scores.position_nll.size());
    for (Index from = 1; from < n; from *= 2) {
        const Index to = std::min(n, 2 * from);
        double nll = 0.0;
        Index tokens = 0;
        for (Index p = from; p < to; ++p) {
            nll += scores.position_nll[static_cast<std::size_t>(p)];
            tokens += scores.position_tokens[static_cast<std::size_t>(p)];
        }
        if (tokens > 0) {
            list.emplace_back(Map{{"from", from}, {"to", to - 1},
                                  {"perplexity", std::exp(nll / static_cast<double>(tokens))}, {"tokens", tokens}});
        }
    }
    return list;
}

Value text_results(const TextScores& text, bool by_page, bool by_position)
{
    const Units units = units_of(text, by_page);
    const Estimate a_token = ratio(units.nll, units.tokens);
    Map report{{"token_perplexity", to_value(evaluation::exponential(a_token))}};
    const ScoredText& of = text.text;
    if (of.words > 0 && of.bytes > 0) {
        const auto tokens = static_cast<double>(of.encoded);
        const Estimate a_word = times(a_token, tokens / static_cast<double>(of.words));
        const Estimate a_byte = times(a_token, tokens / static_cast<double>(of.bytes));
        report.emplace_back("word_perplexity", to_value(evaluation::exponential(a_word)));
        report.emplace_back("byte_perplexity", to_value(evaluation::exponential(a_byte)));
        report.emplace_back("bits_per_byte", to_value(times(a_byte, 1.0 / std::numbers::ln2)));
    }
    report.emplace_back("tokens", text.scores.tokens());
    if (of.words > 0) {
        report.emplace_back("words", of.words);
        report.emplace_back("bytes", of.bytes);
    }
    report.emplace_back("context", text.options.context);
    report.emplace_back("stride", text.options.stride);
    report.emplace_back("windows", static_cast<Index>(of.windows.size()));
    if (by_page) {
        report.emplace_back("pages", of.documents);
    } else {
        report.emplace_back("first", text.options.prefix >= 0 ? "prefix" : "unscored");
    }
    if (by_position) {
        report.emplace_back("positions", positions(text.scores));
    }
    return report;
}

Value compared_text(const TextScores& one, const TextScores& other, bool by_page, const Map& label)
{
    const Units units = units_of(one, by_page);
    const Units others = units_of(other, by_page);
    Map report = label;
    const Estimate a_token = ratio(others.nll, others.tokens);
    report.emplace_back("token_perplexity", to_value(evaluation::exponential(a_token)));
    std::vector<double> differences(units.nll.size());
    for (std::size_t i = 0; i < differences.size(); ++i) {
        differences[i] = units.nll[i] - others.nll[i];
    }
    // Where the tokens are not the same ones, what is compared is the likelihood of the same words.
    if (units.tokens == others.tokens) {
        report.emplace_back("perplexity_ratio",
                            to_value(evaluation::exponential(ratio(differences, units.tokens))));
    }
    if (one.text.words > 0) {
        const auto tokens = static_cast<double>(one.scores.tokens());
        const double a_word = static_cast<double>(one.text.encoded) / static_cast<double>(one.text.words);
        const double factor = a_word / tokens * static_cast<double>(differences.size());
        report.emplace_back("word_perplexity_ratio",
                            to_value(evaluation::exponential(times(evaluation::mean_of(differences), factor))));
    }
    if (!units.kl.empty()) {
        report.emplace_back("kl", to_value(ratio(units.kl, units.tokens)));
        report.emplace_back("agreement", to_value(ratio(units.agreements, units.tokens)));
    }
    return report;
}

bool chosen(const Task& task) { return task.measure == Measure::choice || task.measure == Measure::normalized_choice; }

enum class Norm { none, characters, bytes };

/// 1 for every item whose best choice is the right one; the first of equal ones is taken. Of last words: is it greedy?
std::vector<double> right(const Task& task, const ItemScores& scores, Norm norm)
{
    std::vector<double> result;
    for (std::size_t k = 0; k < scores.size(); ++k) {
        const TaskItem& item = task.items[k];
        if (!chosen(task)) {
            result.push_back(scores[k][0].greedy);
            continue;
        }
        Index best = 0;
        double best_value = 0.0;
        for (std::size_t i = 0; i < scores[k].size(); ++i) {
            const Index size = norm == Norm::none         ? 1
                               : norm == Norm::characters ? item.choices[i].characters
                                                          : item.choices[i].bytes;
            const double value = scores[k][i].log_likelihood / static_cast<double>(size);
            if (i == 0 || value > best_value) {
                best = static_cast<Index>(i);
                best_value = value;
            }
        }
        result.push_back(best == item.gold);
    }
    return result;
}

std::vector<double> log_likelihoods(const ItemScores& scores)
{
    std::vector<double> result;
    for (const auto& item : scores) {
        result.push_back(item[0].log_likelihood);
    }
    return result;
}

/// Accuracy of the best answer that does not look at the item: one index always, or one word always.
double majority(const Task& task)
{
    std::map<std::string, Index> counts;
    Index most = 0;
    for (const TaskItem& item : task.items) {
        const std::string answer = chosen(task) ? std::to_string(item.gold) : item.choices[0].continuation;
        most = std::max(most, ++counts[answer]);
    }
    return static_cast<double>(most) / static_cast<double>(task.items.size());
}

double chance(const Task& task)
{
    double sum = 0.0;
    for (const TaskItem& item : task.items) {
        sum += 1.0 / static_cast<double>(item.choices.size());
    }
    return sum / static_cast<double>(task.items.size());
}

Index truncated(const ItemScores& scores)
{
    return std::count_if(scores.begin(), scores.end(), [](const auto& item) {
        return std::any_of(item.begin(), item.end(), [](const RequestScore& score) { return score.dropped > 0; });
    });
}

Value task_results(const Task& task, const ItemScores& scores)
{
    Map report;
    if (!chosen(task)) {
        const Estimate mean = evaluation::mean_of(log_likelihoods(scores));
        if (task.measure == Measure::log_likelihood) {
            report.emplace_back("loglikelihood", to_value(mean));
        }
        report.emplace_back("perplexity", to_value(evaluation::exponential({-mean.value, mean.standard_error})));
    }
    report.emplace_back("acc", to_value(evaluation::mean_of(right(task, scores, Norm::none))));
    if (task.measure == Measure::normalized_choice) {
        report.emplace_back("acc_norm", to_value(evaluation::mean_of(right(task, scores, Norm::characters))));
        report.emplace_back("acc_bytes", to_value(evaluation::mean_of(right(task, scores, Norm::bytes))));
    }
    report.emplace_back("majority", majority(task));
    if (chosen(task)) {
        report.emplace_back("chance", chance(task));
    }
    report.emplace_back("n", static_cast<Index>(scores.size()));
    report.emplace_back("truncated", truncated(scores));
    return report;
}

Map paired_report(const std::vector<double>& one, const std::vector<double>& other)
{
    const evaluation::Paired pair = evaluation::paired(one, other);
    return {{"value", pair.difference.value}, {"stderr", pair.difference.standard_error},
            {"z", pair.z}, {"p", pair.p},
            {"unpaired_stderr", pair.unpaired_error}, {"unpaired_z", pair.unpaired_z},
            {"unpaired_p", pair.unpaired_p}};
}

Value compared_task(const Task& task, const ItemScores& one, const ItemScores& other, const Map& label)
{
    Map report = label;
    const auto compare = [&](const char* measure, Norm norm) {
        const std::vector<double> a = right(task, one, norm);
        const std::vector<double> b = right(task, other, norm);
        const evaluation::Paired pair = evaluation::paired(a, b);
        Map difference = paired_report(a, b);
        difference.emplace_back("only_this", pair.only_a);
        difference.emplace_back("only_other", pair.only_b);
        difference.emplace_back("mcnemar_p", pair.mcnemar_p);
        report.emplace_back(measure, to_value(evaluation::mean_of(b)));
        report.emplace_back(std::string(measure) + "_difference", std::move(difference));
    };
    if (!chosen(task)) {
        const std::vector<double> a = log_likelihoods(one);
        const std::vector<double> b = log_likelihoods(other);
        const Estimate mean = evaluation::mean_of(b);
        report.emplace_back("perplexity", to_value(evaluation::exponential({-mean.value, mean.standard_error})));
        const Estimate difference = evaluation::paired(b, a).difference;
        report.emplace_back("perplexity_ratio", to_value(evaluation::exponential(difference)));
    }
    compare("acc", Norm::none);
    if (task.measure == Measure::normalized_choice) {
        compare("acc_norm", Norm::characters);
        compare("acc_bytes", Norm::bytes);
    }
    double largest = 0.0;
    for (std::size_t k = 0; k < one.size(); ++k) {
        for (std::size_t i = 0; i < one[k].size(); ++i) {
            largest = std::max(largest, std::fabs(one[k][i].log_likelihood - other[k][i].log_likelihood));
        }
    }
    report.emplace_back("largest_ll_difference", largest);
    return report;
}

void add_window_lines(std::string& lines, const char* name, const TextScores& text, const TextScores* other,
                      bool by_page, const Map& label)
{
    const Units units = units_of(text, by_page);
    const std::vector<Index> runs = unit_windows(text, by_page);
    const Units others = other != nullptr ? units_of(*other, by_page) : Units{};
    std::size_t window = 0;
    for (std::size_t i = 0; i < units.nll.size(); ++i) {
        Map line{{"task", name}, {"item", static_cast<Index>(i)}, {"ll", -units.nll[i]}, {"tokens", units.tokens[i]}};
        if (by_page) {
            List windows;
            for (Index w = 0; w < runs[i]; ++w, ++window) {
                windows.emplace_back(Map{{"ll", -text.scores.window_nll[window]},
                                         {"tokens", text.scores.window_tokens[window]}});
            }
            line.emplace_back("windows", std::move(windows));
        }
        if (other != nullptr) {
            line.emplace_back("against", Map{{"ll", -others.nll[i]}});
        }
        line.insert(line.end(), label.begin(), label.end());
        lines += formats::to_json(line) + "\n";
    }
}

Map choices_of(const std::vector<RequestScore>& scores)
{
    List values;
    List greedy;
    for (const RequestScore& score : scores) {
        values.emplace_back(score.log_likelihood);
        greedy.emplace_back(score.greedy);
    }
    return {{"ll", std::move(values)}, {"greedy", std::move(greedy)}};
}

Map evaluation_results(const EvaluationInput& input, const Evaluation& evaluation, bool by_position)
{
    Map results;
    if (evaluation.text) {
        results.emplace_back("text", text_results(*evaluation.text, false, by_position));
    }
    if (evaluation.pages) {
        results.emplace_back("wikitext", text_results(*evaluation.pages, true, by_position));
    }
    for (std::size_t t = 0; t < evaluation.tasks.size(); ++t) {
        results.emplace_back(input.tasks[t].name, task_results(input.tasks[t], evaluation.tasks[t]));
    }
    return results;
}

void add_comparison(Map& results, const EvaluationInput& input, const Evaluation& one, const Evaluation& other,
                    const char* key, const Map& label)
{
    auto next = results.begin();
    if (one.text) {
        (next++)->second.set(key, compared_text(*one.text, *other.text, false, label));
    }
    if (one.pages) {
        (next++)->second.set(key, compared_text(*one.pages, *other.pages, true, label));
    }
    for (std::size_t t = 0; t < one.tasks.size(); ++t) {
        (next++)->second.set(key, compared_task(input.tasks[t], one.tasks[t], other.tasks[t], label));
    }
}

std::string lines_of(const EvaluationInput& input, const Evaluation& one, const Evaluation* other, const Map& label)
{
    std::string lines;
    if (one.text) {
        add_window_lines(lines, "text", *one.text, other != nullptr ? &*other->text : nullptr, false, label);
    }
    if (one.pages) {
        add_window_lines(lines, "wikitext", *one.pages, other != nullptr ? &*other->pages : nullptr, true, label);
    }
    for (std::size_t t = 0; t < one.tasks.size(); ++t) {
        for (std::size_t k = 0; k < one.tasks[t].size(); ++k) {
            const auto& scores = one.tasks[t][k];
            Map line{{"task", input.tasks[t].name}, {"item", static_cast<Index>(k)},
                     {"gold", chosen(input.tasks[t]) ? Value(input.tasks[t].items[k].gold) : Value()}};
            for (auto& [key, value] : choices_of(scores)) {
                line.emplace_back(key, std::move(value));
            }
            List tokens;
            Index dropped = 0;
            for (const RequestScore& score : scores) {
                tokens.emplace_back(score.tokens);
                dropped = std::max(dropped, score.dropped);
            }
            line.emplace_back("tokens", std::move(tokens));
            line.emplace_back("dropped", dropped);
            if (other != nullptr) {
                line.emplace_back("against", choices_of(other->tasks[t][k]));
            }
            line.insert(line.end(), label.begin(), label.end());
            lines += formats::to_json(line) + "\n";
        }
    }
    return lines;
}

}  // namespace

void EvaluationReport::add(const std::string& precision, Evaluation one, std::optional<Evaluation> other)
{
    Map results = evaluation_results(input_, one, by_position_);
    if (other) {
        add_comparison(results, input_, one, *other, "against", {{"model", other->model}});
    }
    if (!runs_.empty()) {
        add_comparison(results, input_, one, runs_.front().one, "against_precision",
                       {{"precision", runs_.front().precision}});
    }
    runs_.push_back({precision, std::move(one), std::move(other), std::move(results)});
}

Value EvaluationReport::json() const
{
    const Run& first = runs_.front();
    Map all{{"model", first.one.model}, {"mode", first.one.mode}, {"precision", first.precision},
            {"results", first.results}};
    if (runs_.size() > 1) {
        Map others;
        for (std::size_t i = 1; i < runs_.size(); ++i) {
            others.emplace_back(runs_[i].precision, runs_[i].results);
        }
        all.emplace_back("precisions", std::move(others));
    }
    return all;
}

std::string EvaluationReport::table(Table how) const
{
    std::vector<TableRun> rows;
    for (const Run& run : runs_) {
        rows.push_back({runs_.size() > 1 ? run.precision : "", run.results});
    }
    return evaluation_table(rows, how);
}

std::string EvaluationReport::item_lines() const
{
    std::string lines;
    for (const Run& run : runs_) {
        lines += lines_of(input_, run.one, run.other ? &*run.other : nullptr,
                          runs_.size() > 1 ? Map{{"precision", run.precision}} : Map{});
    }
    return lines;
}

std::string EvaluationReport::fact() const
{
    Index tokens = 0;
    Index items = 0;
    for (const auto* text : {&runs_.front().one.text, &runs_.front().one.pages}) {
        tokens += *text ? (*text)->scores.tokens() : 0;
    }
    for (const Task& task : input_.tasks) {
        items += static_cast<Index>(task.items.size());
    }
    const std::string of_texts = tokens > 0 ? std::to_string(tokens) + " tokens" : "";
    const std::string of_tasks = items > 0 ? std::to_string(items) + " items" : "";
    return of_texts + (tokens > 0 && items > 0 ? " and " : "") + of_tasks + " scored";
}

std::vector<std::string> evaluation_notices(const EvaluationInput& input, const Evaluation& evaluation)
{
    std::vector<std::string> notices;
    for (const auto* text : {&evaluation.text, &evaluation.pages}) {
        if (*text && (*text)->text.longest < evaluation.context) {
            const std::string name = text == &evaluation.text ? "text" : "wikitext";
            notices.push_back(name + ": shorter than one context: " + std::to_string((*text)->text.longest) +
                              " tokens of " + std::to_string(evaluation.context) + "; scored as they are");
        }
    }
    for (std::size_t t = 0; t < input.tasks.size(); ++t) {
        const Task& task = input.tasks[t];
        if (task.padded > 0) {
            notices.push_back(task.name + ": " + std::to_string(task.padded) + " of " +
                              std::to_string(task.items.size()) +
                              " items hold a choice twice; of equal choices the first counts");
        }
        if (t < evaluation.tasks.size()) {
            if (const Index cut = truncated(evaluation.tasks[t]); cut > 0) {
                notices.push_back(task.name + ": " + std::to_string(cut) + " of " +
                                  std::to_string(task.items.size()) + " items are longer than the context of " +
                                  std::to_string(evaluation.context) + " tokens; their beginnings were left out");
            }
        }
    }
    return notices;
}

}  // namespace stillhouse::adapters
