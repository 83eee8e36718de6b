// SPDX-License-Identifier: Apache-2.0
// Task files (JSON lines): which tasks there are, their lines, and what no item may be.
#include "tools/adapters/evaluation/task_items.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/evaluation/white_space.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace stillhouse::adapters {

using formats::Value;

namespace {

struct Kind {
    const char* name;
    Measure measure;
    TaskItem (*item)(const Value& line);
    bool may_repeat = false;       // choices that are equal are let through
};

constexpr std::array kinds{
    Kind{"arc_challenge", Measure::normalized_choice, layouts::arc, true},
    Kind{"arc_easy", Measure::normalized_choice, layouts::arc, true},
    Kind{"logiqa", Measure::normalized_choice, layouts::logiqa},
    Kind{"piqa", Measure::normalized_choice, layouts::piqa},
    Kind{"sciq", Measure::normalized_choice, layouts::sciq},
    Kind{"winogrande", Measure::choice, layouts::winogrande},
    Kind{"wsc", Measure::choice, layouts::wsc},
    Kind{"wsc273", Measure::choice, layouts::wsc273},
    Kind{"wsc273_onespace", Measure::choice, layouts::wsc273_onespace},
    Kind{"lambada_openai", Measure::last_word, layouts::lambada},
    Kind{"choices", Measure::normalized_choice, layouts::choices},
    Kind{"loglikelihood", Measure::log_likelihood, layouts::log_likelihood},
};

/// Error{bad_data} where an item cannot be scored or judged; true where choices are equal.
bool check_item(const TaskItem& item, const Kind& kind)
{
    const bool chosen = kind.measure == Measure::choice || kind.measure == Measure::normalized_choice;
    const auto n = static_cast<Index>(item.choices.size());
    if (chosen && n < 2) {
        throw_error(ErrorCode::bad_data, "a single choice; at least two are expected");
    }
    std::set<std::pair<std::string_view, std::string_view>> seen;
    bool repeated = false;
    for (Index i = 0; i < n; ++i) {
        const TaskItem::Choice& choice = item.choices[static_cast<std::size_t>(i)];
        const bool empty = chosen ? evaluation::strip(choice.continuation).empty() : choice.continuation.empty();
        if (empty) {
            throw_error(ErrorCode::bad_data,
                        chosen ? "choice " + std::to_string(i) + " is empty" : "the continuation is empty");
        }
        repeated = !seen.insert({choice.context, choice.continuation}).second || repeated;
    }
    if (repeated && !kind.may_repeat) {
        throw_error(ErrorCode::bad_data, "a choice is given twice, so that the answer is not determined");
    }
    if (item.gold < 0 || item.gold >= n) {
        throw_error(ErrorCode::bad_data, "the answer is out of range: " + std::to_string(item.gold) +
                                             " of choices 0 to " + std::to_string(n - 1));
    }
    return repeated;
}

}  // namespace

std::vector<std::string> task_names()
{
    std::vector<std::string> names;
    for (const Kind& kind : kinds) {
        names.emplace_back(kind.name);
    }
    return names;
}

Task read_task(const std::string& name, const std::string& path, std::string_view text, Index limit)
{
    const auto* const kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.name == name; });
    STILLHOUSE_CHECK(kind != kinds.end());
    Task task{name, path, kind->measure, {}, 0};
    with_context(path, [&] {
        Index line = 0;
        for (std::size_t at = 0; at < text.size() && (limit < 0 || static_cast<Index>(task.items.size()) < limit);) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            const std::string_view one = text.substr(at, end - at);
            at = end + 1;
            ++line;
            if (evaluation::strip(one).empty()) {
                continue;
            }
            with_context("line " + std::to_string(line), [&] {
                const Value value = formats::parse_json(one);
                if (!std::holds_alternative<formats::Map>(value.kind())) {
                    throw_error(ErrorCode::bad_data, "no JSON object; one item a line is expected");
                }
                TaskItem item = kind->item(value);
                item.line = line;
                task.padded += check_item(item, *kind);
                task.items.push_back(std::move(item));
            });
        }
        if (task.items.empty()) {
            throw_error(ErrorCode::bad_data, "no items; a JSON object a line is expected");
        }
    });
    return task;
}

namespace layouts {

const Value& field(const Value& line, std::string_view name)
{
    const Value* found = line.find(name);
    if (found == nullptr) {
        std::string has;
        for (const auto& [key, value] : line.map()) {
            has += (has.empty() ? "" : ", ") + key;
        }
        throw_error(ErrorCode::bad_data, "no field '" + std::string(name) + "'; there are: " + has);
    }
    return *found;
}

const std::string& text(const Value& line, std::string_view name)
{
    const Value& value = field(line, name);
    return with_context("field '" + std::string(name) + "'", [&]() -> const std::string& { return value.text(); });
}

Index number(const Value& line, std::string_view name)
{
    const Value& value = field(line, name);
    return with_context("field '" + std::string(name) + "'", [&]() -> Index {
        if (const auto* digits = std::get_if<std::string>(&value.kind())) {
            const std::string_view stripped = evaluation::strip(*digits);
            Index result = 0;
            const auto end = std::from_chars(stripped.data(), stripped.data() + stripped.size(), result);
            if (end.ec != std::errc() || end.ptr != stripped.data() + stripped.size()) {
                throw_error(ErrorCode::bad_data, "'" + *digits + "' is no answer; a number is expected");
            }
            return result;
        }
        return value.integer();
    });
}

TaskItem::Choice after_blank(std::string context, const std::string& choice)
{
    return {std::move(context), evaluation::strip(choice).empty() ? choice : " " + choice,
            evaluation::count_characters(choice), static_cast<Index>(choice.size())};
}

}  // namespace layouts

}  // namespace stillhouse::adapters
