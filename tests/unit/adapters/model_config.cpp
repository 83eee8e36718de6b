// SPDX-License-Identifier: Apache-2.0
// config.json to a network's configuration and back.
#include "tools/adapters/model/model_config.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

namespace {

using namespace stillhouse;
using adapters::network_config;
using models::MixerKind;
using models::Rotary;

const std::string neox = R"({"model_type": "gpt_neox", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 192, "vocab_size": 101, "max_position_embeddings": 128)";
const std::string llama = R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 8, "intermediate_size": 172, "vocab_size": 128)";

/// The message of the Error that reading the text throws; "" when it reads.
std::string refusal(const std::string& text, ErrorCode code)
{
    try {
        network_config(std::string_view(text));
    } catch (const Error& error) {
        BOOST_TEST((error.code() == code), error.what());
        return error.what();
    }
    return "";
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_CASE(gpt_neox_defaults)
{
    const auto config = network_config(std::string_view(neox + "}"));
    BOOST_TEST(config.family == "gpt_neox");
    BOOST_TEST(config.head_dim == 16);
    BOOST_TEST(config.kv_heads == 4);
    BOOST_TEST(config.rotary.dims == 4);
    BOOST_TEST(config.rotary.theta == 10000.0);
    BOOST_TEST(config.parallel_residual);
    BOOST_TEST(config.attention_bias);
    BOOST_TEST(config.mlp_bias);
    BOOST_TEST(!config.tied);
    BOOST_TEST((config.norm == models::Norm::layer));
    BOOST_TEST((config.activation == compute::Activation::gelu_erf));
    BOOST_TEST(config.mixers.size() == 2U);
}

BOOST_AUTO_TEST_CASE(both_spellings_of_rotary_agree)
{
    const auto old = network_config(std::string_view(neox + R"(, "rotary_pct": 0.5, "rotary_emb_base": 25000})"));
    const auto fresh = network_config(std::string_view(
        neox +
        R"(, "rope_parameters": {"rope_theta": 25000.0, "partial_rotary_factor": 0.5, "rope_type": "default"}})"));
    BOOST_TEST(old.rotary.dims == 8);
    BOOST_TEST(fresh.rotary.dims == 8);
    BOOST_TEST(old.rotary.theta == 25000.0);
    BOOST_TEST(fresh.rotary.theta == 25000.0);
    const std::string both = refusal(
        neox + R"(, "rotary_pct": 0.25, "rope_parameters": {"partial_rotary_factor": 0.5}})", ErrorCode::bad_data);
    BOOST_TEST(says(both, "partial_rotary_factor is 0.5 but rotary_pct is 0.25"), both);
}

BOOST_AUTO_TEST_CASE(llama_variants)
{
    const auto plain = network_config(std::string_view(llama + "}"));
    BOOST_TEST(plain.kv_heads == 8);
    BOOST_TEST(plain.rotary.dims == 8);
    BOOST_TEST(plain.norm_eps == 1e-6);
    BOOST_TEST(!plain.parallel_residual);
    BOOST_TEST((plain.mlp == models::MlpKind::gated));
    const auto grouped = network_config(std::string_view(llama + R"(, "num_key_value_heads": 2, "head_dim": 16,
        "tie_word_embeddings": true, "attention_bias": true, "mlp_bias": true, "rope_theta": 500000})"));
    BOOST_TEST(grouped.kv_heads == 2);
    BOOST_TEST(grouped.attention_width() == 128);
    BOOST_TEST(grouped.tied);
    BOOST_TEST(grouped.attention_bias);
    BOOST_TEST(grouped.mlp_bias);
    BOOST_TEST(grouped.rotary.theta == 500000.0);
}

BOOST_AUTO_TEST_CASE(rope_scaling)
{
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
        const std::string begin = llama + ", \"" + key + "\": ";
        const auto scaled = network_config(std::string_view(begin + R"({"rope_type": "llama3", "factor": 32.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})"));
        BOOST_TEST((scaled.rotary.scaling == Rotary::Scaling::llama3));
        BOOST_TEST(scaled.rotary.factor == 32.0);
        BOOST_TEST(scaled.rotary.original_max_positions == 64);
        const auto linear = network_config(std::string_view(begin + R"({"type": "linear", "factor": 2}})"));
        BOOST_TEST((linear.rotary.scaling == Rotary::Scaling::linear));
        for (const char* kind : {"dynamic", "yarn", "longrope"}) {
            const std::string message = refusal(begin + "{\"rope_type\": \"" + kind + "\", \"factor\": 2}}",
                                                ErrorCode::unsupported);
            BOOST_TEST(says(message, "'" + std::string(kind) + "'"), message);
            BOOST_TEST(says(message, "default, linear, llama3"), message);
        }
        BOOST_TEST(says(refusal(begin + R"({"rope_type": "linear"}})", ErrorCode::bad_data), "factor"));
        BOOST_TEST(says(refusal(begin + R"({"full_attention": {"rope_type": "default"}}})", ErrorCode::unsupported),
                        "full_attention"));
    }
}

BOOST_AUTO_TEST_CASE(what_would_change_results_is_refused_by_name)
{
    const std::string other = refusal(R"({"model_type": "qwen2"})", ErrorCode::unsupported);
    BOOST_TEST(says(other, "'qwen2'"), other);
    BOOST_TEST(says(other, "gpt_neox, llama"), other);
    const auto refused = [](const std::string& rest, const std::string& name) {
        const std::string message = refusal(llama + rest + "}", ErrorCode::unsupported);
        BOOST_TEST(says(message, name), rest << ": " << message);
    };
    refused(R"(, "sliding_window": 4096)", "sliding_window");
    refused(R"(, "quantization_config": {"bits": 4})", "quantization_config");
    refused(R"(, "hidden_act": "quick_gelu")", "quick_gelu");
    refused(R"(, "layer_types": ["full_attention", "sliding_attention"])", "sliding_attention");
    refused(R"(, "partial_rotary_factor": 0.5)", "partial_rotary_factor");
    refused(R"(, "final_logit_softcapping": 30.0)", "final_logit_softcapping");
    BOOST_TEST(refusal(llama + R"(, "sliding_window": null, "layer_types": ["full_attention"]})", ErrorCode::bad_data)
               == "");
}

BOOST_AUTO_TEST_CASE(what_is_missing_or_nonsense_is_named)
{
    const auto bad = [](const std::string& text, const std::string& name) {
        const std::string message = refusal(text, ErrorCode::bad_data);
        BOOST_TEST(says(message, name), text << ": " << message);
    };
    bad("{}", "model_type");
    bad("[1]", "object");
    bad(R"({"model_type": "llama"})", "num_hidden_layers");
    bad(neox + R"(, "num_hidden_layers": 0})", "num_hidden_layers");
    bad(neox + R"(, "num_attention_heads": 5})", "num_attention_heads 5");
    bad(neox + R"(, "hidden_act": 3})", "hidden_act");
    bad(llama + R"(, "num_key_value_heads": 3})", "3");
    bad(neox + R"(, "layer_norm_eps": -1})", "layer_norm_eps");
}

BOOST_AUTO_TEST_CASE(activations_by_their_names)
{
    const auto act = [](const std::string& name) {
        return network_config(std::string_view(neox + ", \"hidden_act\": \"" + name + "\"}")).activation;
    };
    BOOST_TEST((act("gelu") == compute::Activation::gelu_erf));
    BOOST_TEST((act("gelu_new") == compute::Activation::gelu_tanh));
    BOOST_TEST((act("gelu_fast") == compute::Activation::gelu_tanh));
    BOOST_TEST((act("gelu_pytorch_tanh") == compute::Activation::gelu_tanh));
    BOOST_TEST((act("relu") == compute::Activation::relu));
    BOOST_TEST((act("silu") == compute::Activation::silu));
}

BOOST_AUTO_TEST_CASE(mixers_there_and_back)
{
    const std::string text = neox + R"(, "custom": [1, 2.5e-5, "x"]})";
    auto network = network_config(std::string_view(text));
    BOOST_TEST(adapters::with_mixers(text, network) == text);      // a teacher's text stays byte for byte

    models::MixerConfig& first = network.mixers[0];
    first.kind = MixerKind::hyena;
    first.channels = 64;
    first.filters = 4;
    first.filter_length = 32;
    first.window = 8;
    first.delay = 8;
    first.taps = 3;
    models::MixerConfig& second = network.mixers[1];
    second.kind = MixerKind::multihyena;
    second.channels = 64;
    second.head_width = 16;
    second.filters = 3;
    second.filter_length = 32;
    second.form = models::FilterForm::implicit_mlp;
    second.implicit.features = 5;
    second.implicit.shift = 0.05;
    second.implicit.normalize = true;
    second.kept_heads = {1};
    const std::string student = adapters::with_mixers(text, network);
    const auto again = network_config(std::string_view(student));
    BOOST_TEST((again.mixers == network.mixers));
    BOOST_TEST(adapters::with_mixers(student, again) == student);

    // The other keys are where they were.
    const formats::Value before = formats::parse_json(text);
    const formats::Value after = formats::parse_json(student);
    BOOST_TEST(after.map().size() == before.map().size() + 1);
    for (std::size_t i = 0; i < before.map().size(); ++i) {
        BOOST_TEST((after.map()[i] == before.map()[i]), before.map()[i].first);
    }
    const std::string future =
        refusal(neox + R"(, "stillhouse": {"version": 2, "layers": []}})", ErrorCode::unsupported);
    BOOST_TEST(says(future, "version 2"), future);
    BOOST_TEST(says(refusal(neox + R"(, "stillhouse": {"version": 1, "layers": []}})", ErrorCode::bad_data),
                    "num_hidden_layers is 2"));
    BOOST_TEST(says(refusal(neox + R"(, "stillhouse": {"version": 1, "layers": [{"mixer": "mamba"}, {}]}})",
                            ErrorCode::unsupported), "mamba"));
}

BOOST_AUTO_TEST_CASE(special_tokens)
{
    const std::string config = R"({"bos_token_id": 1, "eos_token_id": 2})";
    const auto plain = adapters::special_tokens(config, "", 10);
    BOOST_TEST(plain.first == 1);
    BOOST_TEST(plain.ends(2));
    BOOST_TEST(!plain.ends(1));
    const auto generation = adapters::special_tokens(config, R"({"eos_token_id": [1, 2], "bos_token_id": null})", 10);
    BOOST_TEST(generation.first == 1);
    BOOST_TEST(generation.ends(1));
    BOOST_TEST(adapters::special_tokens("{}", "", 10).first == -1);
    BOOST_CHECK_THROW(adapters::special_tokens(config, R"({"eos_token_id": 10})", 10), Error);
}
