// SPDX-License-Identifier: Apache-2.0
// What surrounds a continuation: prompts, which execution, results as JSON, states in files.
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "tools/adapters/generation.hpp"
#include "tools/adapters/model.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// "1,2,3" (blanks allowed). Error{bad_argument} when it is no list of ids.
std::vector<Index> parse_ids(std::string_view list);
/// "1,2,3"
std::string join_ids(const std::vector<Token>& ids);

/// All that comes from a descriptor.
std::string read_all(formats::Fd input);

/// What the user gave: a text, a list of ids, or a text of which each line is a prompt.
struct PromptInput {
    enum class Kind { text, ids, lines };
    Kind kind = Kind::text;
    std::string content;
    bool continues = false;                      // the text of a saved state: nothing is put before it
};

/// The prompts, with the special tokens that the tokenizer adds; one without any id begins with the model's first
/// token. *replaced is raised by the number of sequences that were no UTF-8. Error{bad_data}: an id outside the
/// vocabulary, more of them than attention has positions, an empty prompt of a model without a first token, no
/// tokenizer for a text.
std::vector<Prompt> make_prompts(const PromptInput& input, const models::Tokenizer* tokenizer,
                                 const SpecialTokens& special, const models::NetworkConfig& config, Index* replaced);

/// mode: auto, recurrent, exact, attention; filters: original, modes. Error{bad_argument} when the model cannot.
template <class T>
models::Execution choose_execution(std::string_view mode, std::string_view filters, const models::NetworkConfig& config,
                                   const models::Parameters<T>& weights);
const char* name_of(models::Execution execution);

/// One continuation into `output`: its text as it comes; or its ids; or, with options.logprobs, a JSON line.
template <class T>
Continuation print_continuation(Generator<T>& generator, const Prompt& prompt, bool ids, bool logprobs, bool with_text,
                                const SavedState* from, SavedState* to, formats::Fd& output, const Control& control);

/// {"prompt": 0, "text": "...", "ids": [...], "logprobs": [...], "end": "stop"}; text where there is a tokenizer.
formats::Value to_json(const Continuation& continuation, bool with_text, bool with_logprobs);

/// {"mode", "prefill", "decode", "state_bytes", "weight_bytes_per_token", "share_of_read_limit"} as generate(1) has
/// them; takes a tenth of a second to measure how fast this machine reads memory.
template <class T>
formats::Map to_json(const GenerationStats& stats, const models::Network<T>& network, models::Execution execution);

/// A number that another model, or other weights of the same one, will not have (FNV-1a over config.json and weights).
template <class T>
std::string fingerprint(std::string_view config_json, const models::Parameters<T>& weights);

/// state.tokens, state.logits, state.layers.i; what they are of, in the attributes of the stream.
void write_state(formats::StreamWriter& writer, const SavedState& state);
formats::StreamInfo state_info(const SavedState& state, std::string_view model, std::string_view precision);
/// Error{bad_data} when the state is of another model, precision or execution, or is no state.
SavedState read_state(formats::StreamReader& reader, std::string_view model, std::string_view precision,
                      models::Execution execution);

}  // namespace stillhouse::adapters
