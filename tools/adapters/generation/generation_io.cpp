// SPDX-License-Identifier: Apache-2.0
// Prompts and results.
#include "tools/adapters/generation/generation_io.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/generation/result_lines.hpp"
#include "tools/adapters/text/samples.hpp"
#include "tools/adapters/text/text_check.hpp"

#include <algorithm>
#include <charconv>

namespace stillhouse::adapters {

namespace {

void check_prompt(const Prompt& prompt, const models::NetworkConfig& config)
{
    for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
        if (prompt.ids[i] < 0 || prompt.ids[i] >= config.vocabulary) {
            throw_error(ErrorCode::bad_data, "prompt " + std::to_string(prompt.number) + ": id " +
                                                 std::to_string(prompt.ids[i]) + " at " + std::to_string(i) +
                                                 " is outside the vocabulary of " + std::to_string(config.vocabulary));
        }
    }
    const Index limit = context_limit(config);
    const Index before = prompt.from != nullptr ? prompt.from->count : 0;
    const Index length = before + static_cast<Index>(prompt.ids.size());
    if (limit >= 0 && length > limit) {
        throw_error(ErrorCode::bad_data, "prompt " + std::to_string(prompt.number) + ": " + std::to_string(length) +
                                             " tokens, but attention has positions for " + std::to_string(limit) +
                                             "; shorten the prompt");
    }
}

/// A text that comes in pieces, encoded as it comes: its ids alone are kept.
std::vector<Token> encode_file(formats::Fd input, const models::Tokenizer& tokenizer,
                               models::Tokenizer::Special special,
                               const std::function<void(const std::string&)>& notice)
{
    models::Tokenizer::Stream stream(tokenizer, special);
    TextCheck check(input.name(), notice);
    std::vector<Token> ids;
    std::vector<char> block(std::size_t{1} << 16);
    while (const std::size_t n = input.read_full(reinterpret_cast<std::byte*>(block.data()), block.size())) {
        check.feed({block.data(), n});
        stream.feed({block.data(), n}, ids);
    }
    check.finish();
    stream.finish(ids);
    return ids;
}

}  // namespace

std::vector<Token> parse_ids(std::string_view list)
{
    std::vector<Token> ids;
    std::size_t i = 0;
    const auto skip_blanks = [&] {
        while (i < list.size() && (list[i] == ' ' || list[i] == '\n')) {
            ++i;
        }
    };
    for (skip_blanks(); i < list.size(); skip_blanks()) {
        Token id = 0;
        const auto [end, error] = std::from_chars(list.data() + i, list.data() + list.size(), id);
        i = static_cast<std::size_t>(end - list.data());
        skip_blanks();
        if (error != std::errc() || (i < list.size() && list[i] != ',') || id < 0) {
            throw_error(ErrorCode::bad_argument, "'" + std::string(list.substr(0, 80)) +
                                                     "': expected ids separated by commas, as 1,2,3");
        }
        ids.push_back(id);
        i += i < list.size() ? 1 : 0;
    }
    return ids;
}

std::string read_all(formats::Fd input)
{
    std::string text;
    std::vector<std::byte> block(std::size_t{1} << 16);
    while (const std::size_t n = input.read_full(block.data(), block.size())) {
        text.append(reinterpret_cast<const char*>(block.data()), n);
    }
    return text;
}

std::string join_ids(const std::vector<Token>& ids)
{
    std::string text;
    for (const Token id : ids) {
        text.append(text.empty() ? "" : ",").append(std::to_string(id));
    }
    return text;
}

std::vector<Prompt> make_prompts(const PromptInput& input, const std::vector<SavedState>& states,
                                 const models::Tokenizer* tokenizer, const SpecialTokens& special,
                                 const models::NetworkConfig& config,
                                 const std::function<void(const std::string&)>& notice)
{
    const bool continues = !states.empty();
    const auto needed = [&]() -> const models::Tokenizer& {
        if (tokenizer == nullptr) {
            throw_error(ErrorCode::bad_data, "the model has no tokenizer.json: give --prompt-ids LIST and --ids");
        }
        return *tokenizer;
    };
    using Special = models::Tokenizer::Special;
    const Special add = continues ? Special::plain : Special::add;
    std::vector<Prompt> prompts;
    const auto append = [&](std::vector<Token> ids) {
        prompts.push_back({static_cast<Index>(prompts.size()), std::move(ids), nullptr});
    };
    if (input.kind == PromptInput::Kind::lines) {
        formats::Fd file = input.open();
        const std::string name = file.name();
        const std::string text = read_all(std::move(file));
        with_context(name, [&] {
            for_each_prompt(text, continues, [&](Index, std::string_view line) {
                append(line.empty() && continues ? std::vector<Token>() : needed().encode(line, add));
            });
        });
    } else if (input.kind == PromptInput::Kind::ids) {
        append(with_context("--prompt-ids", [&] { return parse_ids(input.content); }));
    } else if (input.open) {
        append(encode_file(input.open(), needed(), add, notice));
    } else {
        TextCheck check("--prompt", notice);
        check.feed(input.content);
        check.finish();
        append(input.content.empty() && tokenizer == nullptr ? std::vector<Token>()
                                                             : needed().encode(input.content, add));
    }
    if (continues && states.size() != prompts.size()) {
        throw_error(ErrorCode::bad_data,
                    "--load-state: the file holds " + std::to_string(states.size()) + " states, for " +
                        std::to_string(prompts.size()) + (prompts.size() == 1 ? " prompt" : " prompts") +
                        "; give --prompts-file FILE with a line, which may be empty, for each state");
    }
    for (Prompt& prompt : prompts) {
        if (continues) {
            prompt.from = &states[static_cast<std::size_t>(prompt.number)];
        } else if (prompt.ids.empty()) {
            if (special.first < 0) {
                throw_error(ErrorCode::bad_data,
                            "the prompt is empty and config.json has no bos_token_id to begin with");
            }
            prompt.ids.push_back(special.first);
        }
        check_prompt(prompt, config);
    }
    return prompts;
}

template <class T>
models::Execution choose_execution(std::string_view mode, std::string_view filters, const models::NetworkConfig& config,
                                   const models::Parameters<T>& weights)
{
    const auto student = std::find_if(config.mixers.begin(), config.mixers.end(), [](const auto& mixer) {
        return mixer.kind != models::MixerKind::attention;
    });
    if (mode == "attention" && student != config.mixers.end()) {
        throw_error(ErrorCode::bad_argument, "--mode attention: layer " +
                                                 std::to_string(student - config.mixers.begin()) +
                                                 " is no attention; choose recurrent or exact");
    }
    if (mode == "recurrent" || mode == "exact") {
        if (student == config.mixers.end()) {
            throw_error(ErrorCode::bad_argument, "--mode " + std::string(mode) +
                                                     ": every layer is attention; choose attention or auto");
        }
    }
    if (filters == "modes" && mode != "exact") {
        throw_error(ErrorCode::bad_argument, "--filters modes: only --mode exact convolves with them");
    }
    if (mode == "exact") {
        return filters == "modes" ? models::Execution::exact_modes : models::Execution::exact_original;
    }
    return mode == "recurrent" ? models::Execution::recurrent : natural_execution(config, weights);
}
template models::Execution choose_execution(std::string_view, std::string_view, const models::NetworkConfig&,
                                            const models::Parameters<float>&);
template models::Execution choose_execution(std::string_view, std::string_view, const models::NetworkConfig&,
                                            const models::Parameters<double>&);

formats::Value to_json(const Continuation& continuation, bool with_text, bool with_logprobs)
{
    formats::Map map;
    map.emplace_back("prompt", continuation.number);
    if (with_text) {
        map.emplace_back("text", continuation.text);
    }
    formats::List ids;
    for (const Token id : continuation.ids) {
        ids.emplace_back(static_cast<std::int64_t>(id));
    }
    map.emplace_back("ids", std::move(ids));
    if (with_logprobs) {
        map.emplace_back("logprobs", formats::List(continuation.logprobs.begin(), continuation.logprobs.end()));
        map.emplace_back("margins", formats::List(continuation.margins.begin(), continuation.margins.end()));
    }
    map.emplace_back("end", name_of(continuation.end));
    return map;
}

}  // namespace stillhouse::adapters
