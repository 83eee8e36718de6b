// SPDX-License-Identifier: Apache-2.0
// config.json, in the spelling of Hugging Face with our key `stillhouse`, to a network's configuration and back.
#pragma once

#include "formats/value.hpp"
#include "libcore/base/tokenizer_model.hpp"
#include "libcore/models/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// What a config.json says. GPT-NeoX in old spelling (rotary_pct, rotary_emb_base) and new (rope_parameters), Llama
/// (num_key_value_heads, head_dim, rope_theta, rope_scaling or rope_parameters of type default, linear, llama3), and
/// our mixers under `stillhouse` (stillhouse-model(5)); without that key every layer is attention.
/// Error{unsupported} names what would change results and is not implemented, with the list of what is;
/// Error{bad_data} names a key that is missing or does not fit. The result has passed models::check.
models::NetworkConfig network_config(const formats::Value& config);
models::NetworkConfig network_config(std::string_view config_json);

/// The text of a config.json with what `network.mixers` says under `stillhouse`, all other keys as and where they were.
/// When every layer is attention and the text has no such key it is returned as it is.
std::string with_mixers(std::string_view config_json, const models::NetworkConfig& network);

/// Tokens that steer generation: generation_config.json where it says so, else config.json.
struct SpecialTokens {
    Token first = -1;               // bos_token_id; -1: none
    std::vector<Token> end;         // eos_token_id, one or a list
    bool ends(Token id) const;
};
/// generation_config_json may be empty. Error{bad_data} for ids outside the vocabulary.
SpecialTokens special_tokens(std::string_view config_json, std::string_view generation_config_json, Index vocabulary);

}  // namespace stillhouse::adapters
