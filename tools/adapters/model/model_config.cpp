// SPDX-License-Identifier: Apache-2.0
// Reading the transformer that a config.json describes.
#include "tools/adapters/model/model_config.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/model/model_config_mixers.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace stillhouse::adapters {

namespace {

using compute::Activation;
using formats::Map;
using formats::Value;
using models::NetworkConfig;
using models::Rotary;

/// Null when the key is absent or null, which Hugging Face does not distinguish.
const Value* find(const Value& map, std::string_view key)
{
    const Value* value = map.find(key);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

template <class Read>
auto read_key(std::string_view key, Read&& read)
{
    return with_context("key " + std::string(key), read);
}

Index positive(const Value& config, std::string_view key, std::optional<Index> fallback = {})
{
    const Value* value = find(config, key);
    if (value == nullptr) {
        if (fallback) {
            return *fallback;
        }
        throw_error(ErrorCode::bad_data, "key " + std::string(key) + ": missing, expected a positive integer");
    }
    const Index number = read_key(key, [&] { return value->integer(); });
    if (number < 1 || number > (Index{1} << 40)) {
        throw_error(ErrorCode::bad_data,
                    "key " + std::string(key) + ": found " + std::to_string(number) + ", expected a positive integer");
    }
    return number;
}

double number(const Value& config, std::string_view key, double fallback)
{
    const Value* value = find(config, key);
    return value == nullptr ? fallback : read_key(key, [&] { return value->number(); });
}

double positive_number(const Value& config, std::string_view key, std::optional<double> fallback = {})
{
    const Value* value = find(config, key);
    if (value == nullptr && !fallback) {
        throw_error(ErrorCode::bad_data, "key " + std::string(key) + ": missing, expected a positive number");
    }
    const double x = value == nullptr ? *fallback : read_key(key, [&] { return value->number(); });
    if (!(x > 0.0) || !std::isfinite(x)) {
        throw_error(ErrorCode::bad_data, "key " + std::string(key) + ": found " + formats::to_json(Value(x)) +
                                             ", expected a positive number");
    }
    return x;
}

bool flag(const Value& config, std::string_view key, bool fallback)
{
    const Value* value = find(config, key);
    return value == nullptr ? fallback : read_key(key, [&] { return value->boolean(); });
}

Activation activation(const Value& config, const char* fallback)
{
    struct Name {
        const char* name;
        Activation activation;
    };
    static constexpr std::array<Name, 10> names{{{"gelu", Activation::gelu_erf},
                                                 {"gelu_python", Activation::gelu_erf},
                                                 {"gelu_new", Activation::gelu_tanh},
                                                 {"gelu_fast", Activation::gelu_tanh},
                                                 {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                 {"gelu_accurate", Activation::gelu_tanh},
                                                 {"silu", Activation::silu},
                                                 {"swish", Activation::silu},
                                                 {"relu", Activation::relu},
                                                 {"linear", Activation::identity}}};
    const Value* value = find(config, "hidden_act");
    const std::string name = value == nullptr ? fallback : read_key("hidden_act", [&] { return value->text(); });
    std::string known;
    for (const Name& each : names) {
        if (name == each.name) {
            return each.activation;
        }
        known += (known.empty() ? "" : ", ") + std::string(each.name);
    }
    throw_error(ErrorCode::unsupported, "hidden_act '" + name + "' is not supported; supported are " + known);
}

/// Keys that change results in ways no part of the network computes.
void refuse_unsupported(const Value& config)
{
    if (find(config, "quantization_config") != nullptr) {
        throw_error(ErrorCode::unsupported, "quantization_config: quantized weights are not supported; expected F64, "
                                            "F32, F16 or BF16 weights as they were before quantization");
    }
    if (find(config, "sliding_window") != nullptr && flag(config, "use_sliding_window", true)) {
        throw_error(ErrorCode::unsupported,
                    "sliding_window: sliding-window attention is not supported; supported is full causal attention");
    }
    if (const Value* types = find(config, "layer_types")) {
        for (const Value& type : read_key("layer_types", [&]() -> const formats::List& { return types->list(); })) {
            if (type.text() != "full_attention") {
                throw_error(ErrorCode::unsupported,
                            "layer_types: '" + type.text() + "' is not supported; supported is full_attention");
            }
        }
    }
    for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping", "logit_scale"}) {
        if (find(config, key) != nullptr) {
            throw_error(ErrorCode::unsupported, std::string(key) + ": not supported; expected a plain softmax");
        }
    }
    for (const char* key : {"add_cross_attention", "is_encoder_decoder"}) {
        if (flag(config, key, false)) {
            throw_error(ErrorCode::unsupported, std::string(key) + ": not supported; expected a decoder alone");
        }
    }
}

void read_scaling(const Value& scaling, Rotary& rotary)
{
    const Value* type = find(scaling, "rope_type");
    if (type == nullptr) {
        type = find(scaling, "type");           // as written before transformers 4.43
    }
    const std::string name = type == nullptr ? "default" : read_key("rope_type", [&] { return type->text(); });
    if (name == "default") {
        return;
    }
    if (name == "linear") {
        rotary.scaling = Rotary::Scaling::linear;
        rotary.factor = positive_number(scaling, "factor");
    } else if (name == "llama3") {
        rotary.scaling = Rotary::Scaling::llama3;
        rotary.factor = positive_number(scaling, "factor");
        rotary.low_freq_factor = positive_number(scaling, "low_freq_factor");
        rotary.high_freq_factor = positive_number(scaling, "high_freq_factor");
        rotary.original_max_positions = positive(scaling, "original_max_position_embeddings");
        if (rotary.high_freq_factor <= rotary.low_freq_factor) {
            throw_error(ErrorCode::bad_data, "high_freq_factor must be greater than low_freq_factor");
        }
    } else {
        throw_error(ErrorCode::unsupported, "rope type '" + name +
                                                "' is not supported; supported are default, linear, llama3");
    }
}

/// Two spellings of one quantity may both be there, but must agree.
double agreed(const Value* parameters, std::string_view new_key, const Value& config, std::string_view old_key,
              double fallback)
{
    const Value* modern = parameters == nullptr ? nullptr : find(*parameters, new_key);
    const Value* old = find(config, old_key);
    if (modern != nullptr && old != nullptr && modern->number() != old->number()) {
        throw_error(ErrorCode::bad_data, "rope_parameters." + std::string(new_key) + " is " +
                                             formats::to_json(*modern) + " but " + std::string(old_key) + " is " +
                                             formats::to_json(*old));
    }
    if (modern != nullptr) {
        return read_key(new_key, [&] { return modern->number(); });
    }
    return number(config, old_key, fallback);
}

Rotary rotary(const Value& config, Index head_dim, const char* theta_key, const char* part_key, double part_default)
{
    const Value* parameters = find(config, "rope_parameters");
    const Value* scaling = find(config, "rope_scaling");
    for (const Value* each : {parameters, scaling}) {
        if (each == nullptr) {
            continue;
        }
        for (const auto& [key, value] : each->map()) {
            if (std::holds_alternative<Map>(value.kind())) {
                throw_error(ErrorCode::unsupported, "rope parameters by layer type ('" + key +
                                                        "') are not supported; expected one set for all layers");
            }
        }
    }
    Rotary result;
    result.theta = agreed(parameters, "rope_theta", config, theta_key, 10000.0);
    const double part = agreed(parameters, "partial_rotary_factor", config, part_key, part_default);
    if (!(result.theta > 0.0) || !(part >= 0.0 && part <= 1.0)) {
        throw_error(ErrorCode::bad_data, "rotary base " + formats::to_json(Value(result.theta)) + " and part " +
                                             formats::to_json(Value(part)) +
                                             ": expected a positive base and a part between 0 and 1");
    }
    result.dims = static_cast<Index>(static_cast<double>(head_dim) * part);
    if (scaling != nullptr) {
        with_context("rope_scaling", [&] { read_scaling(*scaling, result); });
    } else if (parameters != nullptr) {
        with_context("rope_parameters", [&] { read_scaling(*parameters, result); });
    }
    return result;
}

void read_sizes(const Value& config, NetworkConfig& network)
{
    network.layers = positive(config, "num_hidden_layers");
    network.width = positive(config, "hidden_size");
    network.heads = positive(config, "num_attention_heads");
    network.ffn = positive(config, "intermediate_size");
    network.vocabulary = positive(config, "vocab_size");
    network.max_positions = positive(config, "max_position_embeddings", 2048);
    if (network.layers > 100000) {
        throw_error(ErrorCode::bad_data, "num_hidden_layers: found " + std::to_string(network.layers) +
                                             ", at most 100000 are supported");
    }
    if (find(config, "head_dim") != nullptr) {
        network.head_dim = positive(config, "head_dim");
    } else {
        if (network.width % network.heads != 0) {
            throw_error(ErrorCode::bad_data, "hidden_size " + std::to_string(network.width) +
                                                 " is no multiple of num_attention_heads " +
                                                 std::to_string(network.heads));
        }
        network.head_dim = network.width / network.heads;
    }
    network.tied = flag(config, "tie_word_embeddings", false);
}

NetworkConfig gpt_neox(const Value& config)
{
    NetworkConfig network;
    network.family = "gpt_neox";
    read_sizes(config, network);
    network.kv_heads = network.heads;
    if (network.head_dim * network.heads != network.width) {
        throw_error(ErrorCode::bad_data, "head_dim " + std::to_string(network.head_dim) + " times " +
                                             std::to_string(network.heads) + " heads is not hidden_size " +
                                             std::to_string(network.width) + ", as GPT-NeoX has it");
    }
    network.norm = models::Norm::layer;
    network.norm_eps = positive_number(config, "layer_norm_eps", 1e-5);
    network.mlp = models::MlpKind::plain;
    network.activation = activation(config, "gelu");
    network.parallel_residual = flag(config, "use_parallel_residual", true);
    network.attention_bias = flag(config, "attention_bias", true);
    network.mlp_bias = true;
    network.rotary = rotary(config, network.head_dim, "rotary_emb_base", "rotary_pct", 0.25);
    return network;
}

NetworkConfig llama(const Value& config)
{
    NetworkConfig network;
    network.family = "llama";
    read_sizes(config, network);
    network.kv_heads = positive(config, "num_key_value_heads", network.heads);
    network.norm = models::Norm::rms;
    network.norm_eps = positive_number(config, "rms_norm_eps", 1e-6);
    network.mlp = models::MlpKind::gated;
    network.activation = activation(config, "silu");
    network.parallel_residual = false;
    network.attention_bias = flag(config, "attention_bias", false);
    network.mlp_bias = flag(config, "mlp_bias", false);
    network.rotary = rotary(config, network.head_dim, "rope_theta", "partial_rotary_factor", 1.0);
    if (network.rotary.dims != network.head_dim) {
        throw_error(ErrorCode::unsupported, "partial_rotary_factor below 1 is not supported for llama");
    }
    return network;
}

}  // namespace

models::NetworkConfig network_config(const Value& config)
{
    if (!std::holds_alternative<Map>(config.kind())) {
        throw_error(ErrorCode::bad_data, "expected a JSON object");
    }
    const Value* type = find(config, "model_type");
    if (type == nullptr) {
        throw_error(ErrorCode::bad_data, "key model_type: missing, expected gpt_neox or llama");
    }
    const std::string family = read_key("model_type", [&] { return type->text(); });
    if (family != "gpt_neox" && family != "llama") {
        throw_error(ErrorCode::unsupported,
                    "model_type '" + family + "' is not supported; supported are gpt_neox, llama");
    }
    refuse_unsupported(config);
    NetworkConfig network = family == "gpt_neox" ? gpt_neox(config) : llama(config);
    network.mixers.assign(static_cast<std::size_t>(network.layers), models::MixerConfig{});
    if (const Value* ours = find(config, "stillhouse")) {
        with_context("key stillhouse", [&] { read_mixers(*ours, network); });
    }
    models::check(network);
    return network;
}

models::NetworkConfig network_config(std::string_view config_json)
{
    return with_context("config.json", [&] { return network_config(formats::parse_json(config_json)); });
}

std::string with_mixers(std::string_view config_json, const NetworkConfig& network)
{
    Value config = formats::parse_json(config_json);
    const bool student = std::any_of(network.mixers.begin(), network.mixers.end(), [](const auto& mixer) {
        return mixer.kind != models::MixerKind::attention;
    });
    if (!student && config.find("stillhouse") == nullptr) {
        return std::string(config_json);
    }
    config.set("stillhouse", write_mixers(network));
    return formats::to_json(config, 2) + "\n";
}

bool SpecialTokens::ends(Token id) const
{
    return std::find(end.begin(), end.end(), id) != end.end();
}

SpecialTokens special_tokens(std::string_view config_json, std::string_view generation_config_json, Index vocabulary)
{
    SpecialTokens tokens;
    const auto id = [&](const Value& value) {
        const Index n = value.integer();
        if (n < 0 || n >= vocabulary) {
            throw_error(ErrorCode::bad_data, "id " + std::to_string(n) + " is outside the vocabulary of " +
                                                 std::to_string(vocabulary));
        }
        return static_cast<Token>(n);
    };
    const auto read = [&](const Value& from) {
        if (const Value* first = find(from, "bos_token_id")) {
            tokens.first = with_context("bos_token_id", [&] { return id(*first); });
        }
        if (const Value* end = find(from, "eos_token_id")) {
            tokens.end.clear();
            with_context("eos_token_id", [&] {
                if (std::holds_alternative<formats::List>(end->kind())) {
                    for (const Value& each : end->list()) {
                        tokens.end.push_back(id(each));
                    }
                } else {
                    tokens.end.push_back(id(*end));
                }
            });
        }
    };
    with_context("config.json", [&] { read(formats::parse_json(config_json)); });
    if (!generation_config_json.empty()) {
        with_context("generation_config.json", [&] { read(formats::parse_json(generation_config_json)); });
    }
    return tokens;
}

}  // namespace stillhouse::adapters
