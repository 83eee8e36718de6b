// SPDX-License-Identifier: Apache-2.0
// Scores of a text as JSON and as a table.
#include "tools/adapters/perplexity_report.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

namespace stillhouse::adapters {

namespace {

using formats::Map;
using formats::Value;

Value estimate(double value, double standard_error)
{
    return Map{{"value", value}, {"stderr", standard_error}};
}

/// exp of a mean negative log-likelihood, times `power` before.
Value perplexity(double mean, double standard_error, double power)
{
    const double value = std::exp(mean * power);
    return estimate(value, value * power * standard_error);
}

Value positions(const evaluation::Scores& scores)
{
    formats::List list;
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

std::string digits(double x, int significant)
{
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::general, significant);
    return {text.data(), end.ptr};
}

struct Row {
    std::string name, value;
};

void add(std::vector<Row>& rows, const Value& report, const char* key, const char* name)
{
    const Value* found = report.find(key);
    if (found == nullptr) {
        return;
    }
    if (const Value* value = found->find("value")) {
        const double error = found->find("stderr")->number();
        rows.push_back({name, digits(value->number(), 6) + (std::isfinite(error) ? " +- " + digits(error, 2) : "")});
    } else {
        rows.push_back({name, digits(found->number(), 6)});
    }
}

}  // namespace

Value perplexity_report(const ScoredText& text, const evaluation::Scores& scores, const ScoredTextOptions& options,
                        bool by_position, const std::optional<std::string>& reference)
{
    const double mean = scores.mean();
    const double error = scores.standard_error();
    Map report;
    report.emplace_back("token_perplexity", perplexity(mean, error, 1.0));
    if (text.words > 0 && text.bytes > 0) {
        const auto tokens = static_cast<double>(text.encoded);
        const double a_byte = tokens / static_cast<double>(text.bytes);
        report.emplace_back("word_perplexity", perplexity(mean, error, tokens / static_cast<double>(text.words)));
        report.emplace_back("byte_perplexity", perplexity(mean, error, a_byte));
        report.emplace_back("bits_per_byte",
                            estimate(mean * a_byte / std::numbers::ln2, error * a_byte / std::numbers::ln2));
    }
    report.emplace_back("tokens", scores.tokens());
    if (text.words > 0) {
        report.emplace_back("words", text.words);
        report.emplace_back("bytes", text.bytes);
    }
    report.emplace_back("context", options.context);
    report.emplace_back("stride", options.stride);
    report.emplace_back("windows", static_cast<Index>(scores.window_nll.size()));
    if (by_position) {
        report.emplace_back("positions", positions(scores));
    }
    if (reference) {
        const auto n = static_cast<double>(scores.tokens());
        std::vector<double> differences;
        double sum = 0.0;
        double difference = 0.0;
        for (std::size_t i = 0; i < scores.window_nll.size(); ++i) {
            differences.push_back(scores.window_nll[i] - scores.reference_nll[i]);
            sum += scores.reference_nll[i];
            difference += differences.back();
        }
        const double agreement = static_cast<double>(scores.agreements) / n;
        report.emplace_back(
            "against",
            Map{{"model", *reference},
                {"token_perplexity",
                 perplexity(sum / n, evaluation::ratio_standard_error(scores.reference_nll, scores.window_tokens),
                            1.0)},
                {"perplexity_ratio",
                 perplexity(difference / n, evaluation::ratio_standard_error(differences, scores.window_tokens), 1.0)},
                {"kl", scores.kl / n},
                {"agreement", estimate(agreement, std::sqrt(agreement * (1.0 - agreement) / std::max(1.0, n - 1.0)))}});
    }
    return report;
}

std::string perplexity_table(const Value& report, Table how)
{
    std::vector<Row> rows;
    add(rows, report, "token_perplexity", "token perplexity");
    add(rows, report, "word_perplexity", "word perplexity");
    add(rows, report, "byte_perplexity", "byte perplexity");
    add(rows, report, "bits_per_byte", "bits per byte");
    rows.push_back({"tokens scored", std::to_string(report.find("tokens")->integer()) + " in " +
                                         std::to_string(report.find("windows")->integer()) + " windows, context " +
                                         std::to_string(report.find("context")->integer()) + ", stride " +
                                         std::to_string(report.find("stride")->integer())});
    if (const Value* against = report.find("against")) {
        rows.push_back({"against", against->find("model")->text()});
        add(rows, *against, "token_perplexity", "its token perplexity");
        add(rows, *against, "perplexity_ratio", "perplexity ratio");
        add(rows, *against, "kl", "KL, nats a token");
        add(rows, *against, "agreement", "same first choice");
    }
    if (const Value* list = report.find("positions")) {
        for (const Value& range : list->list()) {
            rows.push_back({"perplexity at " + std::to_string(range.find("from")->integer()) + "-" +
                                std::to_string(range.find("to")->integer()),
                            digits(range.find("perplexity")->number(), 6)});
        }
    }
    std::size_t width = 0;
    for (const Row& row : rows) {
        width = std::max(width, row.name.size());
    }
    std::string table = how == Table::markdown ? "| measure | value |\n| --- | --- |\n" : "";
    for (const Row& row : rows) {
        table += how == Table::markdown ? "| " + row.name + " | " + row.value + " |\n"
                                        : row.name + std::string(width + 2 - row.name.size(), ' ') + row.value + "\n";
    }
    return table;
}

}  // namespace stillhouse::adapters
