// SPDX-License-Identifier: Apache-2.0
// Which mixer a layer has, and prefill and step from their parts.
#include "libcore/models/mixer.hpp"

#include "libcore/models/attention.hpp"
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena.hpp"
#include "libcore/models/scratch.hpp"

namespace stillhouse::models {
namespace {

bool is_attention(const NetworkConfig& config, Index layer)
{
    return config.mixers.at(static_cast<std::size_t>(layer)).kind == MixerKind::attention;
}

}  // namespace

template <class T>
void Mixer<T>::advance(compute::Operations<T>& ops, Sequences<const T> x, MixerState& state, Sequences<T> y,
                       bool decode) const
{
    const Index tokens = x.tokens();
    if (tokens == 0) {
        return;
    }
    ProjectedList<T> maps;
    Scratch<T> z(tokens * total_out(inputs_));
    maps.add_inputs(inputs_, x.rows(), z.data());
    maps.run(ops, decode);
    Scratch<T> features(tokens * total_in(outputs_));
    mix(ops, x, z.data(), state, decode, features.data());
    Scratch<T> more(y.size() * (static_cast<Index>(outputs_.size()) - 1));
    maps.add_outputs(outputs_, features.data(), y.rows(), more.data());
    maps.run(ops, decode);
    for (std::size_t i = 1; i < outputs_.size(); ++i) {
        add<T>(ops.pool(), y.data, more.data() + static_cast<Index>(i - 1) * y.size(), y.size(), y.data);
    }
}

template <class T>
void Mixer<T>::prefill(compute::Operations<T>& ops, Sequences<const T> x, MixerState& state, Sequences<T> y) const
{
    advance(ops, x, state, y, false);
}

template <class T>
void Mixer<T>::step(compute::Operations<T>& ops, Matrix<const T> x, MixerState& state, Matrix<T> y) const
{
    STILLHOUSE_CHECK(x.stride == x.cols && y.stride == y.cols);
    advance(ops, Sequences<const T>(x.data, x.rows, 1, x.cols), state, Sequences<T>(y.data, y.rows, 1, y.cols), true);
}

template <class T>
void Mixer<T>::features(compute::Operations<T>&, Sequences<const T>, Matrix<T>) const
{
    throw_error(ErrorCode::unsupported, "this mixer is attention, not a long convolution: it has no features to refit");
}

template <class T>
void Mixer<T>::sum_attention_by_lag(compute::Operations<T>&, Sequences<const T>, Matrix<double>) const
{
    throw_error(ErrorCode::unsupported, "this mixer is no attention: it has no attention weights to average by lag");
}

template <class T>
std::unique_ptr<Mixer<T>> make_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights)
{
    if (!is_attention(config, layer)) {
        return make_hyena_mixer(config, layer, weights);
    }
    return make_attention_mixer(config, layer, weights);
}

std::vector<WeightShape> mixer_weights(const NetworkConfig& config, Index layer)
{
    if (!is_attention(config, layer)) {
        return hyena_weights(config, layer);
    }
    return attention_weights(config, layer);
}

template <class T>
void initialize_mixer(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights)
{
    if (!is_attention(config, layer)) {
        initialize_hyena(config, layer, seed, weights);
        return;
    }
    initialize_attention(config, layer, seed, weights);
}

template class Mixer<float>;
template class Mixer<double>;
template std::unique_ptr<Mixer<float>> make_mixer(const NetworkConfig&, Index, const Parameters<float>&);
template std::unique_ptr<Mixer<double>> make_mixer(const NetworkConfig&, Index, const Parameters<double>&);
template void initialize_mixer(const NetworkConfig&, Index, std::uint64_t, Parameters<float>&);
template void initialize_mixer(const NetworkConfig&, Index, std::uint64_t, Parameters<double>&);

}  // namespace stillhouse::models
