// SPDX-License-Identifier: Apache-2.0
// Memory of trainings, by the arrays that their steps hold.
#include "libcore/training/memory.hpp"

#include <algorithm>

namespace stillhouse::training {

namespace {

using models::MixerConfig;
using models::MixerKind;
using models::NetworkConfig;

struct LayerNumbers {
    double tape = 0.0;                   // numbers a token from the forward to the backward
    double backward = 0.0;               // and for the time of the backward
};

LayerNumbers mixer_numbers(const NetworkConfig& config, const MixerConfig& mixer)
{
    if (mixer.kind == MixerKind::attention) {
        const auto attended = static_cast<double>(config.heads * config.head_dim * 2 +
                                                  config.kv_heads * config.head_dim * 2);
        return {attended, attended};
    }
    const auto kept = static_cast<double>(static_cast<Index>(mixer.kept_heads.size()) * config.head_dim);
    const double n = static_cast<double>(mixer.channels) - kept;
    const auto order = static_cast<double>(mixer.order);
    const double columns = static_cast<double>(mixer.channels) * (mixer.window > 0 ? 2.0 : 1.0);
    const double chain = mixer.head_width == 1 ? 2.0 * (order - 1.0) * n : 0.0;
    const double beside = (mixer.window > 0 ? 4.0 * n : 0.0) + 4.0 * kept;
    LayerNumbers numbers;
    numbers.tape = (order + 1.0) * n + chain + columns + beside;
    numbers.backward = columns + 2.0 * (order + 1.0) * n + 4.0 * n + beside +
                       static_cast<double>(mixer.taps * config.width);
    return numbers;
}

LayerNumbers layer_numbers(const NetworkConfig& config, Index layer)
{
    const double gated = config.mlp == models::MlpKind::gated ? 2.0 : 1.0;
    const auto width = static_cast<double>(config.width);
    const auto inner = static_cast<double>(config.ffn);
    LayerNumbers numbers = mixer_numbers(config, config.mixers[static_cast<std::size_t>(layer)]);
    numbers.tape += (config.parallel_residual ? 3.0 : 4.0) * width + (gated + 1.0) * inner;
    numbers.backward += 3.0 * width + gated * inner;
    return numbers;
}

/// All tapes and the largest backward, numbers a token.
LayerNumbers network_numbers(const NetworkConfig& config)
{
    LayerNumbers all;
    for (Index i = 0; i < config.layers; ++i) {
        const LayerNumbers layer = layer_numbers(config, i);
        all.tape += layer.tape;
        all.backward = std::max(all.backward, layer.backward);
    }
    return all;
}

template <class T>
double count(const models::Parameters<T>& weights)
{
    double numbers = 0.0;
    for (const auto& entry : weights) {
        numbers += static_cast<double>(entry.values.size());
    }
    return numbers;
}

}  // namespace

template <class T>
MemoryPlan end_to_end_memory(const models::Network<T>& student, const std::vector<std::string>& trained,
                             const models::Network<T>* teacher, PieceShape piece, Index copies)
{
    const NetworkConfig& config = student.config();
    const auto tokens = static_cast<double>(piece.batch * piece.length);
    constexpr double bytes = sizeof(T);
    MemoryPlan plan;
    plan.weights = bytes * (count(student.weights()) + (teacher != nullptr ? count(teacher->weights()) : 0.0));
    double moved = 0.0;
    for (const std::string& name : trained) {
        moved += static_cast<double>(student.weights().at(name).values.size());
    }
    plan.moments = bytes * moved * static_cast<double>(3 + copies);
    const LayerNumbers numbers = network_numbers(config);
    const double taught = teacher != nullptr ? static_cast<double>(teacher->config().width) : 0.0;
    plan.activations =
        bytes * tokens * (2.0 * static_cast<double>(config.width) + taught + numbers.tape + numbers.backward);
    const auto rows = static_cast<double>(head_rows(piece.batch * piece.length, config.vocabulary));
    plan.logits = bytes * rows * static_cast<double>(config.vocabulary) * (teacher != nullptr ? 2.0 : 1.0);
    return plan;
}

template <class T>
MemoryPlan layerwise_memory(const NetworkConfig& student, Index teacher_numbers, const LayerwiseOptions& options,
                            PieceShape piece, Index start_tokens)
{
    constexpr double bytes = sizeof(T);
    const auto width = static_cast<double>(student.width);
    const auto tokens = static_cast<double>(piece.batch * piece.length);
    const double boundaries = static_cast<double>(student.layers + 1) * width;
    double mixers = 0.0;
    LayerNumbers largest;
    double features = 0.0;
    for (Index i = 0; i < student.layers; ++i) {
        const MixerConfig& mixer = student.mixers[static_cast<std::size_t>(i)];
        const LayerNumbers layer = layer_numbers(student, i);
        largest.tape = std::max(largest.tape, layer.tape);
        largest.backward = std::max(largest.backward, layer.backward);
        if (mixer.kind != MixerKind::attention) {
            for (const auto& weight : models::mixer_weights(student, i)) {
                mixers += static_cast<double>(element_count(weight.shape));
            }
            features = std::max(features, static_cast<double>(mixer.channels * (mixer.window > 0 ? 2 : 1) +
                                                              mixer.taps * student.width));
        }
    }
    MemoryPlan plan;
    plan.weights = bytes * (static_cast<double>(teacher_numbers) + mixers);
    plan.moments = bytes * 3.0 * mixers;
    const double tape = options.schedule == LayerSchedule::joint ? network_numbers(student).tape : largest.tape;
    const double stepping = bytes * tokens * (4.0 * width + tape + largest.backward);
    // The start: the student's stream of all tokens; of one batch features, target and what made them; F^2 in double.
    const double starting = start_tokens > 0 ? bytes * (static_cast<double>(start_tokens) * width +
                                                        tokens * (features + 3.0 * width + largest.tape)) +
                                                   3.0 * 8.0 * features * features
                                             : 0.0;
    plan.activations = std::max(stepping, starting);
    // A batch that is read, its pieces, and what the start keeps until the steps have used it.
    plan.data = bytes * boundaries * (tokens + std::max(tokens, static_cast<double>(start_tokens)));
    return plan;
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                      \
    template MemoryPlan end_to_end_memory<T>(const models::Network<T>&, const std::vector<std::string>&,              \
                                             const models::Network<T>*, PieceShape, Index);                           \
    template MemoryPlan layerwise_memory<T>(const NetworkConfig&, Index, const LayerwiseOptions&, PieceShape, Index);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::training
