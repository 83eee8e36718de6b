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

/// The ids of a text; *replaced is raised by the number of bytes that were no UTF-8.
std::vector<Index> prompt_ids(const models::Tokenizer& tokenizer, std::string_view text,
                              models::Tokenizer::Special special, Index* replaced);
/// A prompt without any id begins with the model's first token; Error{bad_data} where it has none.
void begin_prompt(std::vector<Index>& ids, const SpecialTokens& special);

/// Error{bad_data}: an id outside the vocabulary, or more of them than attention has positions.
void check_prompt(const Prompt& prompt, const models::NetworkConfig& config);

/// The lines of a text, without their ends; the last may lack its own.
std::vector<std::string> lines_of(std::string_view text);

/// mode: auto, recurrent, exact, attention; filters: original, modes. Error{bad_argument} when the model cannot.
template <class T>
models::Execution choose_execution(std::string_view mode, std::string_view filters, const models::NetworkConfig& config,
                                   const models::Parameters<T>& weights);
const char* name_of(models::Execution execution);

/// {"prompt": 0, "text": "...", "ids": [...], "logprobs": [...], "end": "stop"}; text where there is a tokenizer.
formats::Value to_json(const Continuation& continuation, bool with_text, bool with_logprobs);

/// {"mode", "prefill", "decode", "state_bytes", "weight_bytes_per_token", "share_of_read_limit"} as commands.md has them;
/// takes a tenth of a second to measure how fast this machine reads memory.
template <class T>
formats::Map to_json(const GenerationStats& stats, const models::Network<T>& network, const std::string& mode);

/// A number that another model, or other weights of the same one, will not have (FNV-1a over config.json and weights).
template <class T>
std::string fingerprint(std::string_view config_json, const models::Parameters<T>& weights);

void write_state(formats::StreamWriter& writer, const SavedState& state);
formats::StreamInfo state_info(const SavedState& state, std::string_view model, std::string_view precision);
/// Error{bad_data} when the state is of another model, precision or execution, or is no state.
SavedState read_state(formats::StreamReader& reader, std::string_view model, std::string_view precision,
                      models::Execution execution);

}  // namespace stillhouse::adapters
