// SPDX-License-Identifier: Apache-2.0
// Which mixer a layer has.
#include "libcore/models/mixer.hpp"

#include "libcore/models/attention.hpp"
#include "libcore/models/hyena.hpp"

namespace stillhouse::models {
namespace {

bool is_attention(const NetworkConfig& config, Index layer)
{
    return config.mixers.at(static_cast<std::size_t>(layer)).kind == MixerKind::attention;
}

}  // namespace

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
