// SPDX-License-Identifier: Apache-2.0
// What surrounds a continuation: prompts, which execution, results as JSON.
#pragma once

#include "formats/fd.hpp"
#include "formats/value.hpp"
#include "tools/adapters/generation/generation.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// "1,2,3" (blanks allowed). Error{bad_argument} when it is no list of ids.
std::vector<Token> parse_ids(std::string_view list);
/// "1,2,3"
std::string join_ids(const std::vector<Token>& ids);

/// All that comes from a descriptor.
std::string read_all(formats::Fd input);

/// What the user gave: a text, a list of ids, or a text of which each line is a prompt.
struct PromptInput {
    enum class Kind { text, ids, lines };
    Kind kind = Kind::text;
    std::string content;                         // where there is no file
    std::function<formats::Fd()> open;           // of the file with it; a text is read piece by piece
};

/// The prompts, with the special tokens that the tokenizer adds; one without any id begins with the model's first
/// token. With `states` each prompt continues the text of its own: nothing is put before it, and it may be empty.
/// `notice` hears where a text is no UTF-8 (text_check.hpp). Error{bad_data}: an id outside the vocabulary,
/// more of them than attention has positions, an empty prompt of a model without a first token, no tokenizer for a
/// text, a line that is empty or no UTF-8, states and prompts of different numbers.
std::vector<Prompt> make_prompts(const PromptInput& input, const std::vector<SavedState>& states,
                                 const models::Tokenizer* tokenizer, const SpecialTokens& special,
                                 const models::NetworkConfig& config,
                                 const std::function<void(const std::string&)>& notice);

/// mode: auto, recurrent, exact, attention; filters: original, modes. Error{bad_argument} when the model cannot.
template <class T>
models::Execution choose_execution(std::string_view mode, std::string_view filters, const models::NetworkConfig& config,
                                   const models::Parameters<T>& weights);

/// {"prompt": 0, "text": "...", "ids": [...], "logprobs": [...], "margins": [...], "end": "stop"}; text where there is
/// a tokenizer.
formats::Value to_json(const Continuation& continuation, bool with_text, bool with_logprobs);

}  // namespace stillhouse::adapters
