// SPDX-License-Identifier: Apache-2.0
// What an evaluation gave, as tables for people.
#include "tools/adapters/evaluation/evaluation_report.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace stillhouse::adapters {

namespace {

using formats::Map;
using formats::Value;

enum Column { run, on, measure, value, majority, count, other, difference, chance_of_it, columns };
using Row = std::array<std::string, columns>;
constexpr std::array<const char*, columns> headings{"precision", "on",    "measure",    "value", "majority",
                                                    "n",         "other", "difference", "p"};

std::string digits(double x, int significant)
{
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::general, significant);
    return {text.data(), end.ptr};
}

/// A number, or a value with its standard error.
std::string shown(const Value* x)
{
    if (x == nullptr) {
        return "";
    }
    const Value* inner = x->find("value");
    if (inner == nullptr) {
        return std::holds_alternative<std::int64_t>(x->kind()) ? std::to_string(x->integer()) : digits(x->number(), 6);
    }
    const double error = x->find("stderr")->number();
    if (!std::isfinite(error)) {
        return digits(inner->number(), 6);
    }
    // Six digits, or more where they mean something: the ratio of two precisions.
    const double known = error > 0.0 ? std::log10(std::fabs(inner->number()) / error) : 0.0;
    const int significant = known > 4.0 ? std::min(15, static_cast<int>(known) + 2) : 6;
    return digits(inner->number(), significant) + " +- " + digits(error, 2);
}

/// With another model, or else with the first precision.
const Value* compared(const Value& results)
{
    const Value* model = results.find("against");
    return model != nullptr ? model : results.find("against_precision");
}

struct Measured {
    const char* key;
    const char* name;
};
constexpr std::array measures{
    Measured{"token_perplexity", "token perplexity"}, Measured{"word_perplexity", "word perplexity"},
    Measured{"byte_perplexity", "byte perplexity"},   Measured{"bits_per_byte", "bits per byte"},
    Measured{"loglikelihood", "log-likelihood"},      Measured{"perplexity", "perplexity"},
    Measured{"acc", "acc"},                           Measured{"acc_norm", "acc_norm"},
    Measured{"acc_bytes", "acc_bytes"},
};

std::string text_count(const Value& results, std::string_view key)
{
    const char* unit = key == "word_perplexity" ? "words" : key.starts_with("token") ? "tokens" : "bytes";
    const Value* n = results.find(unit);
    return n != nullptr ? std::to_string(n->integer()) + " " + unit : "";
}

/// The row of one measure, with what the other run or model gave beside it.
Row row_of(const std::string& name, const std::string& of, const Value& results, const Measured& one)
{
    const std::string key = one.key;
    Row row;
    row[run] = name;
    row[on] = of;
    row[measure] = one.name;
    row[value] = shown(results.find(key));
    row[count] = results.find("n") != nullptr ? std::to_string(results.find("n")->integer()) : text_count(results, key);
    row[majority] = key.starts_with("acc") ? shown(results.find("majority")) : "";
    if (const Value* against = compared(results)) {
        row[other] = shown(against->find(key));
        const Value* ratio = key == "word_perplexity" ? against->find("word_perplexity_ratio")
                             : key.ends_with("perplexity") && key != "byte_perplexity"
                                 ? against->find("perplexity_ratio")
                                 : nullptr;
        if (ratio != nullptr) {
            row[difference] = "x " + shown(ratio);
        }
        if (const Value* change = against->find(key + "_difference")) {
            row[difference] = shown(change);
            row[chance_of_it] = digits(change->find("mcnemar_p")->number(), 3);
        }
    }
    return row;
}

void add_text_rows(std::vector<Row>& rows, const std::string& name, const std::string& of, const Value& results)
{
    const auto add = [&](std::string what, std::string found) {
        Row row;
        row[run] = name;
        row[on] = of;
        row[measure] = std::move(what);
        row[value] = std::move(found);
        rows.push_back(std::move(row));
    };
    if (const Value* against = compared(results); against != nullptr && against->find("kl") != nullptr) {
        add("KL, nats a token", shown(against->find("kl")));
        add("same first choice", shown(against->find("agreement")));
    }
    if (const Value* list = results.find("positions")) {
        for (const Value& range : list->list()) {
            add("perplexity at " + std::to_string(range.find("from")->integer()) + "-" +
                    std::to_string(range.find("to")->integer()),
                shown(range.find("perplexity")));
            rows.back()[count] = shown(range.find("tokens")) + " tokens";
        }
    }
    if (results.find("windows") != nullptr) {
        add("windows", shown(results.find("windows")) + ", context " + shown(results.find("context")) +
                           (results.find("pages") != nullptr ? " of " + shown(results.find("pages")) + " pages"
                                                             : ", stride " + shown(results.find("stride"))));
    }
}

}  // namespace

std::string evaluation_table(const std::vector<TableRun>& runs, Table how)
{
    std::vector<Row> rows;
    for (const TableRun& one : runs) {
        for (const auto& [of, results] : one.results) {
            for (const Measured& each : measures) {
                if (results.find(each.key) != nullptr) {
                    rows.push_back(row_of(one.name, of, results, each));
                }
            }
            add_text_rows(rows, one.name, of, results);
        }
    }
    Row heading;
    std::copy(headings.begin(), headings.end(), heading.begin());
    std::array<std::size_t, columns> widths{};
    for (const Row& row : rows) {
        for (std::size_t i = 0; i < columns; ++i) {
            widths[i] = std::max(widths[i], row[i].size());
        }
    }
    const auto line = [&](const Row& row) {
        std::string text;
        for (std::size_t i = 0; i < columns; ++i) {
            if (widths[i] > 0) {                   // columns that nothing stands in are left out
                const std::size_t width = std::max(widths[i], heading[i].size());
                const std::string cell = row[i] + std::string(width - row[i].size(), ' ');
                const char* const before = how == Table::text ? "  " : " ";
                const char* const first = how == Table::text ? "" : "| ";
                text += (text.empty() ? first : before) + cell + (how == Table::text ? "" : " |");
            }
        }
        while (text.ends_with(' ')) {
            text.pop_back();
        }
        return text + "\n";
    };
    std::string table = line(heading);
    if (how == Table::markdown) {
        Row rule;
        for (std::size_t i = 0; i < columns; ++i) {
            rule[i] = std::string(std::max(widths[i], heading[i].size()), '-');
        }
        table += line(rule);
    }
    for (const Row& row : rows) {
        table += line(row);
    }
    return table;
}

}  // namespace stillhouse::adapters
