// SPDX-License-Identifier: Apache-2.0
// The templates of the Winograd schemas: SuperGLUE's (wsc) and the original ones (wsc273). They follow
// lm-evaluation-harness 0.4.13 and the repairs of the data set "wsc.fixed" that it reads.
#include "libcore/base/error.hpp"
#include "libcore/evaluation/white_space.hpp"
#include "tools/adapters/evaluation/task_items.hpp"

#include <algorithm>
#include <array>

namespace stillhouse::adapters::layouts {

using evaluation::replaced;
using formats::Value;

namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
char lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }
char upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }

std::string lowered(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(), lower);
    return text;
}

/// What "wsc.fixed" does to a span that does not occur in the text: the case of its first letter becomes that of the
/// word at its index, full stops at the end go, line ends become blanks. Two spans cannot be repaired.
std::string repaired(const std::string& text, std::string span, std::string_view word)
{
    if (text.find(span) != std::string::npos || span == "Kamenev and Zinoviev" ||
        span == "Kamenev, Zinoviev, and Stalin" || span.empty() || word.empty()) {
        return span;
    }
    span[0] = is_lower(word[0]) ? lower(span[0]) : upper(span[0]);
    while (span.ends_with('.')) {
        span.pop_back();
    }
    return replaced(span, "\n", " ");
}

std::string detokenized(std::string text)
{
    text = replaced(text, " n't", "n't");
    text = replaced(text, " )", ")");
    text = replaced(text, "( ", "(");
    text = replaced(text, "\" ", "\"");
    text = replaced(text, " \"", "\"");
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool drops = text[i] == ' ' && i + 1 < text.size() && std::string_view("'.,").find(text[i + 1]) < 3;
        if (!drops) {
            result += text[i];
        }
    }
    return result;
}

/// The text from `begin` on, and `delimiter`s before it as both releases of the harness have it.
std::string continuation_after(std::string_view rest, bool one_space)
{
    return " " + std::string(one_space ? evaluation::strip(rest) : rest);
}

/// An option in the place of the pronoun.
std::string fitting(const std::string& text, const std::string& pronoun, Index at, std::string option)
{
    static constexpr std::array possessive{"my", "his", "her", "our", "their"};
    static constexpr std::array capital{"A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their"};
    const std::string low = lowered(pronoun);
    if (std::find(possessive.begin(), possessive.end(), low) != possessive.end()) {
        option += "'s";
    }
    const Index before = at - 2 < 0 ? at - 2 + evaluation::count_characters(text) : at - 2;
    const bool begins_sentence = text.substr(evaluation::character_at(text, before)).starts_with('.');
    const auto words = evaluation::split(option);
    const std::string first(words.empty() ? "" : words.front());
    if (!begins_sentence && std::find(capital.begin(), capital.end(), first) != capital.end()) {
        return replaced(option, first, lowered(first));
    }
    return option;
}

/// text, pronoun, pronoun_loc, options, label; or context_options, continuation, gold.
TaskItem schema(const Value& line, bool one_space)
{
    TaskItem item;
    if (line.find("context_options") != nullptr) {
        item.gold = number(line, "gold");
        const std::string& rest = text(line, "continuation");
        // The field is stripped; in the data set a blank follows the pronoun unless the full stop does.
        const std::string full = rest == "." ? rest : " " + rest;
        for (const Value& context : field(line, "context_options").list()) {
            item.choices.push_back({context.text(), rest.empty() ? rest : continuation_after(full, one_space), 0, 0});
        }
        return item;
    }
    const std::string whole = replaced(text(line, "text"), "  ", " ");
    const std::string& pronoun = text(line, "pronoun");
    const Index at = number(line, "pronoun_loc");
    if (at < 0 || at + evaluation::count_characters(pronoun) > evaluation::count_characters(whole)) {
        throw_error(ErrorCode::bad_data, "pronoun_loc " + std::to_string(at) + " is outside of the text");
    }
    const std::size_t cut = evaluation::character_at(whole, at);
    const std::string rest =
        whole.substr(evaluation::character_at(whole, at + evaluation::count_characters(pronoun)));
    item.gold = number(line, "label");
    for (const Value& option : field(line, "options").list()) {
        item.choices.push_back({whole.substr(0, cut) + fitting(whole, pronoun, at, option.text()),
                                rest.empty() ? rest : continuation_after(rest, one_space), 0, 0});
    }
    return item;
}

}  // namespace

/// text, span1_index, span1_text, span2_index, span2_text (or these four in `target`), label.
TaskItem wsc(const Value& line)
{
    const Value* nested = line.find("target");
    const Value& spans = nested != nullptr ? *nested : line;
    const std::string& whole = text(line, "text");
    const auto words = evaluation::split(whole);
    const auto span = [&](const std::string& name) {
        const Index at = number(spans, name + "_index");
        if (at < 0 || at >= static_cast<Index>(words.size())) {
            throw_error(ErrorCode::bad_data, name + "_index " + std::to_string(at) + " is outside of the " +
                                                 std::to_string(words.size()) + " words of the text");
        }
        return repaired(whole, text(spans, name + "_text"), words[static_cast<std::size_t>(at)]);
    };
    const std::string noun = span("span1");
    const std::string pronoun = span("span2");
    std::string before;
    for (Index i = 0; i < number(spans, "span2_index"); ++i) {
        before += (i > 0 ? " " : "") + std::string(words[static_cast<std::size_t>(i)]);
    }
    const Index skipped = evaluation::count_characters(before) + evaluation::count_characters(pronoun) + 1;
    const std::string after = whole.substr(evaluation::character_at(whole, skipped));
    const std::string context = "Passage: " + detokenized(before + " *" + pronoun + "*" + after) +
                                "\nQuestion: In the passage above, does the pronoun \"*" + pronoun +
                                "*\" refer to \"*" + noun + "*\"?\nAnswer:";
    TaskItem item;
    const Value& label = field(line, "label");
    const bool* said = std::get_if<bool>(&label.kind());
    item.gold = said != nullptr ? Index{*said} : number(line, "label");
    item.choices = {after_blank(context, "no"), after_blank(context, "yes")};
    return item;
}

TaskItem wsc273(const Value& line) { return schema(line, false); }

TaskItem wsc273_onespace(const Value& line) { return schema(line, true); }

}  // namespace stillhouse::adapters::layouts
