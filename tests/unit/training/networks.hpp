// SPDX-License-Identifier: Apache-2.0
// Small random teachers, their activations, and students of them.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/models/network.hpp"
#include "libcore/training/targets.hpp"

#include <cmath>
#include <ostream>

namespace stillhouse::testing {

enum class Residual { parallel, sequential };
inline std::ostream& operator<<(std::ostream& out, Residual x) { return out << static_cast<int>(x); }

inline models::NetworkConfig teacher_config(Residual residual)
{
    models::NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = 2;
    config.width = 16;
    config.heads = 4;
    config.kv_heads = 4;
    config.head_dim = 4;
    config.ffn = 32;
    config.vocabulary = 23;
    config.max_positions = 64;
    config.parallel_residual = residual == Residual::parallel;
    config.rotary.dims = 2;
    config.mixers.resize(2);
    return config;
}

template <class T>
models::Parameters<T> random_weights(const models::NetworkConfig& config, std::uint64_t seed)
{
    models::Parameters<T> weights;
    std::uint64_t stream = 0;
    for (const auto& shape : models::network_weights(config)) {
        auto& entry = weights.add(shape.name, shape.shape);
        Random random(seed, ++stream);
        const bool norm = shape.name.find("norm") != std::string::npos;
        const double scale = shape.shape.size() > 1 ? 1.3 / std::sqrt(static_cast<double>(shape.shape[1])) : 0.1;
        for (T& x : entry.values) {
            x = static_cast<T>((norm && shape.name.ends_with(".weight") ? 1.0 : 0.0) + scale * random.normal());
        }
    }
    return weights;
}

inline std::vector<Index> random_tokens(Index n, Index vocabulary, std::uint64_t seed)
{
    std::vector<Index> tokens;
    Random random(seed, 77);
    for (Index i = 0; i < n; ++i) {
        tokens.push_back(static_cast<Index>(random.below(static_cast<std::uint64_t>(vocabulary))));
    }
    return tokens;
}

template <class T>
training::Activations<T> activations(const models::Network<T>& teacher, Index batch, Index length, std::uint64_t seed)
{
    const auto& config = teacher.config();
    training::Activations<T> result;
    result.batch = batch;
    result.length = length;
    result.tokens = random_tokens(batch * length, config.vocabulary, seed);
    result.residual.emplace_back(batch * length * config.width);
    teacher.embed(result.tokens.data(), batch * length, result.residual[0].data());
    for (Index i = 0; i < config.layers; ++i) {
        result.residual.emplace_back(batch * length * config.width);
        const auto at = static_cast<std::size_t>(i);
        teacher.layer(i, Sequences<const T>(result.residual[at].data(), batch, length, config.width),
                      {result.residual[at + 1].data(), batch, length, config.width}, nullptr);
    }
    return result;
}

/// A student with new random mixers, and the teacher's attention that it lost.
template <class T>
struct Student {
    models::Parameters<T> attention;
    std::unique_ptr<models::Network<T>> network;

    Student(const models::Network<T>& teacher, const models::MixerConfig& mixer, compute::Operations<T>& ops)
    {
        auto config = teacher.config();
        models::Parameters<T> weights = teacher.weights().clone();
        for (Index i = 0; i < config.layers; ++i) {
            config.mixers[static_cast<std::size_t>(i)] = mixer;
            for (const auto& entry : teacher.weights()) {
                if (entry.name.starts_with("layers." + std::to_string(i) + ".attention.")) {
                    attention.add(entry.name, entry.shape).values = entry.values.clone();
                    weights.erase(entry.name);
                }
            }
        }
        for (Index i = 0; i < config.layers; ++i) {
            models::initialize_mixer(config, i, 3, weights);
        }
        network = std::make_unique<models::Network<T>>(config, std::move(weights), ops);
    }
};

inline models::MixerConfig hyena(Index length, Index window = 0)
{
    models::MixerConfig mixer;
    mixer.kind = models::MixerKind::hyena;
    mixer.channels = 16;
    mixer.filters = 4;
    mixer.form = models::FilterForm::free_taps;
    mixer.filter_length = length;
    mixer.window = window;
    mixer.delay = window;
    return mixer;
}

}  // namespace stillhouse::testing
