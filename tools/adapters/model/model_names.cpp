// SPDX-License-Identifier: Apache-2.0
// The spellings of GPT-NeoX and Llama folders.
#include "tools/adapters/model/model_names.hpp"

#include "libcore/base/error.hpp"

#include <array>
#include <utility>

namespace stillhouse::adapters {

namespace {

using Pairs = std::array<std::pair<std::string_view, std::string_view>, 9>;

// The part of a name after "layers.i." and before ".weight" or ".bias".
constexpr Pairs neox_modules{{{"norm1", "input_layernorm"},
                              {"norm2", "post_attention_layernorm"},
                              {"attention.q", "attention.query_key_value"},
                              {"attention.k", "attention.query_key_value"},
                              {"attention.v", "attention.query_key_value"},
                              {"attention.out", "attention.dense"},
                              {"mlp.up", "mlp.dense_h_to_4h"},
                              {"mlp.down", "mlp.dense_4h_to_h"},
                              {"mlp.gate", ""}}};
constexpr Pairs llama_modules{{{"norm1", "input_layernorm"},
                               {"norm2", "post_attention_layernorm"},
                               {"attention.q", "self_attn.q_proj"},
                               {"attention.k", "self_attn.k_proj"},
                               {"attention.v", "self_attn.v_proj"},
                               {"attention.out", "self_attn.o_proj"},
                               {"mlp.up", "mlp.up_proj"},
                               {"mlp.down", "mlp.down_proj"},
                               {"mlp.gate", "mlp.gate_proj"}}};

bool ends_with(std::string_view text, std::string_view end)
{
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

FolderNames::FolderNames(const models::NetworkConfig& config, const std::function<bool(const std::string&)>& has)
    : neox_(config.family == "gpt_neox")
{
    ours_ = has("embed.weight");
    if (ours_) {
        head_ = "head.weight";
        return;
    }
    const std::string inner = neox_ ? "gpt_neox." : "model.";
    const std::string embedding = neox_ ? "embed_in.weight" : "embed_tokens.weight";
    prefix_ = !has(inner + embedding) && has(embedding) ? "" : inner;
    head_ = neox_ && !has("lm_head.weight") ? "embed_out.weight" : "lm_head.weight";
}

std::string FolderNames::head() const
{
    return head_;
}

StoredName FolderNames::of(std::string_view weight) const
{
    if (ours_) {
        return {std::string(weight), -1};
    }
    if (weight == "embed.weight") {
        return {prefix_ + (neox_ ? "embed_in.weight" : "embed_tokens.weight"), -1};
    }
    if (weight == "head.weight") {
        return {head_, -1};
    }
    const std::size_t last = weight.rfind('.');
    const std::string kind(weight.substr(last));         // ".weight", ".bias"
    if (weight.substr(0, last) == "final_norm") {
        return {prefix_ + (neox_ ? "final_layer_norm" : "norm") + kind, -1};
    }
    const std::size_t layer_end = weight.find('.', std::string_view("layers.").size());
    const std::string_view module = weight.substr(layer_end + 1, last - layer_end - 1);
    for (const auto& [mine, theirs] : neox_ ? neox_modules : llama_modules) {
        if (module == mine && !theirs.empty()) {
            const bool interleaved = neox_ && theirs == "attention.query_key_value";
            const int part = !interleaved ? -1 : module == "attention.q" ? 0 : module == "attention.k" ? 1 : 2;
            return {prefix_ + std::string(weight.substr(0, layer_end + 1)) + std::string(theirs) + kind, part};
        }
    }
    // A mixer of ours in a folder of theirs: an export that kept the teacher's spelling for the rest.
    return {std::string(weight), -1};
}

bool is_legacy_buffer(std::string_view name)
{
    return ends_with(name, ".attention.bias") || ends_with(name, ".attention.masked_bias") ||
           ends_with(name, "rotary_emb.inv_freq") || ends_with(name, "rotary_emb.cos_cached") ||
           ends_with(name, "rotary_emb.sin_cached");
}

}  // namespace stillhouse::adapters
