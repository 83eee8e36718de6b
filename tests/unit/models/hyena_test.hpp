// SPDX-License-Identifier: Apache-2.0
// Small mixers of every kind for the tests of long convolutions.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/models/hyena.hpp"

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace stillhouse::models
{

struct NamedMixer {
    std::string name;
    NetworkConfig config;
};

/// Three heads of four channels.
inline NetworkConfig mixer_network(const MixerConfig& mixer)
{
    NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = 1;
    config.width = 10;
    config.heads = config.kv_heads = 3;
    config.head_dim = 4;
    config.max_positions = 64;
    config.rotary.dims = 2;
    config.mixers = {mixer};
    return config;
}

/// Every kind, form and addition at least once.
inline std::vector<NamedMixer> small_mixers()
{
    MixerConfig base;
    base.kind = MixerKind::hyena;
    base.channels = 12;
    base.filters = 5; // tied unevenly
    base.form = FilterForm::free_taps;
    base.filter_length = 40;

    std::vector<NamedMixer> mixers;
    const auto add = [&](const char* name, const MixerConfig& mixer) {
        mixers.push_back({name, mixer_network(mixer)});
    };
    MixerConfig m = base;
    m.taps = 3;
    add("hyena free, taps", m);

    m = base;
    m.order = 4;
    m.filters = 12;
    m.short_taps = 0;
    m.form = FilterForm::implicit_mlp;
    m.filter_length = 9; // shorter than the sequences
    m.implicit.features = 5;
    m.implicit.width = 6;
    m.implicit.inner_layers = 1;
    m.implicit.frequency = 3.0;
    m.implicit.shift = 0.05;
    m.implicit.normalize = true;
    add("hyena order 4, implicit normalized", m);

    m = base;
    m.form = FilterForm::modal;
    m.filter_order = 5;
    m.window = m.delay = 4;
    m.kept_heads = {1};
    m.filters = 8;
    add("hyena modal, window, kept head", m);

    m = base;
    m.order = 3;
    m.form = FilterForm::modal;
    m.filter_order = 4;
    m.window = m.delay = 3;
    m.filters = 3;
    m.short_taps = 1;
    add("hyena order 3 modal, window", m);

    m = base;
    m.form = FilterForm::implicit_mlp;
    m.implicit.features = 3;
    m.implicit.width = 5;
    m.implicit.inner_layers = 0;
    m.implicit.frequency = 2.0;
    m.window = m.delay = 2;
    add("hyena implicit, window", m);

    m = base;
    m.kind = MixerKind::multihyena;
    m.head_width = 4;
    m.filters = 3;
    m.form = FilterForm::modal;
    m.filter_order = 6;
    m.window = m.delay = 5;
    m.taps = 1;
    add("multihyena modal, window, taps", m);

    m = base;
    m.kind = MixerKind::multihyena;
    m.head_width = 2;
    m.filters = 2;
    m.kept_heads = {0};
    m.taps = 2;
    add("multihyena free, kept head, taps", m);

    m = base;
    m.kind = MixerKind::linear;
    m.form = FilterForm::none;
    m.head_width = 4;
    m.filters = 0;
    m.filter_length = 0;
    add("linear", m);

    m.window = 4;
    m.kept_heads = {2};
    m.short_taps = 2;
    add("linear, window, kept head", m);

    m = base;
    m.order = 3;
    m.filters = 4;
    m.taps = 2;
    m.window = m.delay = 3;
    m.kept_heads = {2};
    add("hyena order 3 free, taps, window, kept head", m);

    m = base;
    m.kind = MixerKind::multihyena;
    m.head_width = 4;
    m.filters = 3;
    m.form = FilterForm::implicit_mlp;
    m.implicit.features = 3;
    m.implicit.width = 5;
    m.implicit.inner_layers = 1;
    m.implicit.frequency = 2.0;
    m.window = m.delay = 2;
    add("multihyena implicit, window", m);

    m = base;
    m.kind = MixerKind::linear;
    m.form = FilterForm::none;
    m.head_width = 2;
    m.filters = 0;
    m.filter_length = 0;
    m.taps = 2;
    m.short_taps = 0;
    add("linear, taps, no short convolution", m);
    return mixers;
}

template <class T>
std::unique_ptr<compute::Backend> backend_for(int threads)
{
    return compute::make_backend("cpu", std::is_same_v<T, double> ? compute::Precision::f64 : compute::Precision::f32,
                                 threads);
}

template <class T>
Parameters<T> mixer_weights_of(const NetworkConfig& config, std::uint64_t seed)
{
    Parameters<T> weights;
    initialize_hyena(config, 0, seed, weights);
    return weights;
}

template <class T>
Buffer<T> random_values(Index n, std::uint64_t seed)
{
    Buffer<T> values(n);
    Random random(seed, 77);
    for (T& value : values) {
        value = static_cast<T>(random.normal());
    }
    return values;
}

template <class T>
Sequences<T> shaped(Buffer<T>& values, Index batch, Index length)
{
    return {values.data(), batch, length, values.size() / (batch * length)};
}

template <class T>
Sequences<const T> shaped(const Buffer<T>& values, Index batch, Index length)
{
    return {values.data(), batch, length, values.size() / (batch * length)};
}

/// Largest difference over the largest number of `wanted` (at least 1).
template <class A, class B>
double distance_of(const A& found, const B& wanted, Index n)
{
    double error = 0.0;
    double size = 1.0;
    for (Index i = 0; i < n; ++i) {
        error = std::max(error, std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i])));
        size = std::max(size, std::abs(static_cast<double>(wanted[i])));
        if (std::isnan(static_cast<double>(found[i]))) {
            return HUGE_VAL;
        }
    }
    return error / size;
}

} // namespace stillhouse::models
