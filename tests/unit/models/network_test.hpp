// SPDX-License-Identifier: Apache-2.0
// Small random networks for the tests of models.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/models/network.hpp"

namespace stillhouse::models {

inline NetworkConfig neox_config()
{
    NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = 2;
    config.width = 12;
    config.heads = config.kv_heads = 2;
    config.head_dim = 6;
    config.ffn = 20;
    config.vocabulary = 23;
    config.max_positions = 160;
    config.rotary.dims = 4;
    config.mixers.resize(2);
    return config;
}

inline NetworkConfig llama_config()
{
    NetworkConfig config;
    config.family = "llama";
    config.layers = 2;
    config.width = 12;
    config.heads = 6;
    config.kv_heads = 2;
    config.head_dim = 4;
    config.ffn = 18;
    config.vocabulary = 19;
    config.max_positions = 160;
    config.norm = Norm::rms;
    config.mlp = MlpKind::gated;
    config.activation = compute::Activation::silu;
    config.parallel_residual = false;
    config.tied = true;
    config.attention_bias = false;
    config.mlp_bias = false;
    config.rotary.dims = 4;
    config.mixers.resize(2);
    return config;
}

/// Every weight normal of deviation 0.4, gains about 1.
template <class T>
Parameters<T> random_weights(const NetworkConfig& config, std::uint64_t seed)
{
    Parameters<T> weights;
    Random random(seed, 1);
    for (const WeightShape& weight : network_weights(config)) {
        const bool gain = weight.name.find("norm") != std::string::npos && weight.name.ends_with(".weight");
        for (T& value : weights.add(weight.name, weight.shape).values) {
            value = static_cast<T>((gain ? 1.0 : 0.0) + 0.4 * random.normal());
        }
    }
    return weights;
}

inline std::vector<Index> random_tokens(const NetworkConfig& config, Index n, std::uint64_t seed)
{
    std::vector<Index> tokens(static_cast<std::size_t>(n));
    Random random(seed, 2);
    for (Index& token : tokens) {
        token = static_cast<Index>(random.below(static_cast<std::uint64_t>(config.vocabulary)));
    }
    return tokens;
}

template <class T>
double greatest_difference(const Buffer<T>& a, const Buffer<T>& b)
{
    double greatest = 0.0;
    for (Index i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        greatest = difference <= greatest ? greatest : difference;   // a NaN is kept
    }
    return a.size() == b.size() ? greatest : 1e300;
}

}  // namespace stillhouse::models
