// SPDX-License-Identifier: Apache-2.0
// The long-convolution mixer: its weights, and how an object is put together from them.
#include "libcore/models/hyena.hpp"

#include "libcore/base/random.hpp"
#include "libcore/models/hyena_mixer.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::models {

namespace {

std::string mixer_name(Index layer, const std::string& part)
{
    return "layers." + std::to_string(layer) + ".mixer." + part;
}

std::string attention_name(Index layer, const std::string& part)
{
    return "layers." + std::to_string(layer) + ".attention." + part;
}

const MixerConfig& mixer_of(const NetworkConfig& config, Index layer)
{
    STILLHOUSE_CHECK(layer >= 0 && layer < static_cast<Index>(config.mixers.size()));
    return config.mixers[static_cast<std::size_t>(layer)];
}

Index kept_channels(const NetworkConfig& config, const MixerConfig& mixer)
{
    return static_cast<Index>(mixer.kept_heads.size()) * config.head_dim;
}

bool is_kept(const MixerConfig& mixer, Index head)
{
    return std::find(mixer.kept_heads.begin(), mixer.kept_heads.end(), head) != mixer.kept_heads.end();
}

/// "q", "k", "v", "gate.1", ...: what is multiplied, in the order of HyenaTape::z.
std::vector<std::string> projection_names(const MixerConfig& mixer)
{
    std::vector<std::string> names{"q", "k", "v"};
    for (Index g = 1; g <= mixer.order - 2; ++g) {
        names.push_back("gate." + std::to_string(g));
    }
    return names;
}

}  // namespace

std::vector<WeightShape> hyena_weights(const NetworkConfig& config, Index layer)
{
    const MixerConfig& mixer = mixer_of(config, layer);
    const Index width = config.width;
    const Index kept = kept_channels(config, mixer);
    const Index n = mixer.channels - kept;
    std::vector<WeightShape> weights;
    const auto add = [&](std::string name, Shape shape) { weights.push_back({std::move(name), std::move(shape)}); };
    for (const char* part : {"q", "k", "v"}) {
        if (kept > 0) {
            add(attention_name(layer, part + std::string(".weight")), {kept, width});
            if (config.attention_bias) {
                add(attention_name(layer, part + std::string(".bias")), {kept});
            }
        }
    }
    for (const std::string& part : projection_names(mixer)) {
        add(mixer_name(layer, part + ".weight"), {n, width});
        add(mixer_name(layer, part + ".bias"), {n});
        if (mixer.short_taps > 0) {
            add(mixer_name(layer, part + ".short.weight"), {n, mixer.short_taps});
            add(mixer_name(layer, part + ".short.bias"), {n});
        }
    }
    add(mixer_name(layer, "out.weight"), {width, mixer.channels * (mixer.window > 0 ? 2 : 1)});
    add(mixer_name(layer, "out.bias"), {width});
    for (const char* part : {"window.q", "window.k"}) {
        if (mixer.window > 0) {
            add(mixer_name(layer, part + std::string(".weight")), {n, width});
            add(mixer_name(layer, part + std::string(".bias")), {n});
        }
    }
    if (mixer.taps > 0) {
        add(mixer_name(layer, "taps.weight"), {width, mixer.taps * width});
    }
    if (mixer.filters > 0) {
        add(mixer_name(layer, "skip"), {(mixer.order - 1) * mixer.filters});
    }
    for (WeightShape& each : filter_weights(mixer, layer)) {
        weights.push_back(std::move(each));
    }
    return weights;
}

template <class T>
HyenaMixer<T>::HyenaMixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights)
    : layer_(layer), width_(config.width), n_(0), mixer_(mixer_of(config, layer)), weights_(&weights)
{
    for (const WeightShape& wanted : hyena_weights(config, layer)) {
        weights.at(wanted.name, wanted.shape);
    }
    const Index kept = kept_channels(config, mixer_);
    n_ = mixer_.channels - kept;
    STILLHOUSE_CHECK(mixer_.kind != MixerKind::attention && n_ > 0 && n_ % mixer_.head_width == 0);
    for (Index c = 0; c < mixer_.channels; ++c) {
        const bool is_attention = kept > 0 && is_kept(mixer_, c / config.head_dim);
        (is_attention ? kept_columns_ : columns_).push_back(c);
    }
    for (Index c = 0; c < n_; ++c) {
        filter_of_.push_back(c * mixer_.filters / n_);
    }
    for (Index m = 0; m < head_count(); ++m) {
        const Index first = filter_of_[static_cast<std::size_t>(m * mixer_.head_width)];
        const Index last = filter_of_[static_cast<std::size_t>((m + 1) * mixer_.head_width - 1)];
        if (first != last) {
            throw_error(ErrorCode::bad_data, "layer " + std::to_string(layer) + ": found " +
                                                 std::to_string(mixer_.filters) +
                                                 " filters, expected a divisor of the " +
                                                 std::to_string(head_count()) + " heads");
        }
        head_filter_.push_back(first);
    }
    for (const std::string& part : projection_names(mixer_)) {
        const std::string name = mixer_name(layer, part);
        gates_.push_back({Projection<T>(weights, name, n_, width_, true)});
        if (mixer_.short_taps > 0) {
            gates_.back().short_weight = &weights.at(name + ".short.weight");
            gates_.back().short_bias = &weights.at(name + ".short.bias");
        }
    }
    skip_ = mixer_.filters > 0 ? &weights.at(mixer_name(layer, "skip")) : nullptr;
    out_ = Projection<T>(weights, mixer_name(layer, "out"), width_, mixer_.channels * (mixer_.window > 0 ? 2 : 1),
                         true);
    if (mixer_.taps > 0) {
        taps_ = &weights.at(mixer_name(layer, "taps.weight"));
        all_taps_ = Projection<T>::bare(weights, taps_->name, width_, mixer_.taps * width_);
    }
    if (mixer_.window > 0) {
        window_q_ = Projection<T>(weights, mixer_name(layer, "window.q"), n_, width_, true);
        window_k_ = Projection<T>(weights, mixer_name(layer, "window.k"), n_, width_, true);
        const Index heads = n_ / config.head_dim;
        window_.emplace(AttentionGeometry{heads, heads, config.head_dim, mixer_.window}, config.rotary);
    }
    if (kept > 0) {
        kept_q_ = Projection<T>(weights, attention_name(layer, "q"), kept, width_, config.attention_bias);
        kept_k_ = Projection<T>(weights, attention_name(layer, "k"), kept, width_, config.attention_bias);
        kept_v_ = Projection<T>(weights, attention_name(layer, "v"), kept, width_, config.attention_bias);
        const auto heads = static_cast<Index>(mixer_.kept_heads.size());
        kept_.emplace(AttentionGeometry{heads, heads, config.head_dim, 0}, config.rotary);
    }
    if (mixer_.form != FilterForm::none) {
        filter_ = make_filter(mixer_, layer, weights);
    }
    for (HyenaGate<T>& gate : gates_) {
        this->inputs_.push_back(&gate.projection);
    }
    if (window_) {
        this->inputs_.insert(this->inputs_.end(), {&window_q_, &window_k_});
    }
    if (kept_) {
        this->inputs_.insert(this->inputs_.end(), {&kept_q_, &kept_k_, &kept_v_});
    }
    this->outputs_.push_back(&out_);
    if (taps_ != nullptr) {
        this->outputs_.push_back(&all_taps_);
    }
}

template <class T>
void HyenaMixer<T>::refresh(Operations& ops)
{
    {
        const std::lock_guard lock(derived_);
        for (auto& plan : plans_) {
            plan.reset();
        }
        for (auto& exact : exact_) {
            exact.reset();
        }
        hand_over_.reset();
    }
    if (filter_ == nullptr) {
        return;
    }
    const Index rows = convolutions() * mixer_.filters;
    if (h_.empty()) {
        h_ = Buffer<T>(rows * mixer_.filter_length);
    }
    filter_->materialize(ops, Matrix<T>(h_.data(), rows, mixer_.filter_length));
}

template <class T>
Matrix<const T> HyenaMixer<T>::filters(Index g, Index length) const
{
    STILLHOUSE_CHECK(!h_.empty());   // refresh comes first
    return {h_.data() + g * mixer_.filters * mixer_.filter_length, mixer_.filters,
            std::min(length, mixer_.filter_length), mixer_.filter_length};
}

template <class T>
HeadFilters<T> HyenaMixer<T>::head_filters(Index length, Scratch<T>& ones) const
{
    HeadFilters<T> result{head_count(), mixer_.head_width, {}, head_filter_.data(), nullptr};
    result.skip = skip_ != nullptr ? skip_->values.data() : nullptr;
    if (mixer_.kind != MixerKind::linear) {
        result.h = filters(0, length);
        return result;
    }
    const Index rows = std::max<Index>(mixer_.filters, 1);
    ones = Scratch<T>(rows * length);
    for (Index i = 0; i < rows * length; ++i) {
        ones.data()[i] = i % length < delay() ? T(0) : T(1);
    }
    result.h = {ones.data(), rows, length};
    return result;
}

template <class T>
Index HyenaMixer<T>::feature_width() const
{
    return mixer_.channels * (mixer_.window > 0 ? 2 : 1) + mixer_.taps * width_;
}

template <class T>
std::unique_ptr<Mixer<T>> make_hyena_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights)
{
    return std::make_unique<HyenaMixer<T>>(config, layer, weights);
}

template <class T>
void initialize_hyena(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights)
{
    const MixerConfig& mixer = mixer_of(config, layer);
    std::uint64_t place = 0;
    std::vector<std::string> filters;
    for (const WeightShape& each : filter_weights(mixer, layer)) {
        filters.push_back(each.name);
    }
    for (const WeightShape& wanted : hyena_weights(config, layer)) {
        ++place;
        if (std::find(filters.begin(), filters.end(), wanted.name) != filters.end()) {
            continue;
        }
        if (weights.find(wanted.name) != nullptr) {
            weights.at(wanted.name, wanted.shape);
            continue;
        }
        auto& entry = weights.add(wanted.name, wanted.shape);
        Random random(seed, (static_cast<std::uint64_t>(layer) << 16) + place);
        if (wanted.name.ends_with(".skip")) {
            std::generate(entry.values.begin(), entry.values.end(), [&] { return static_cast<T>(random.normal()); });
            continue;
        }
        // torch's Linear and Conv1d: weights and biases uniform in +-1 / sqrt(fan in)
        Index fan_in = config.width;
        if (wanted.name.find(".short.") != std::string::npos) {
            fan_in = mixer.short_taps;
        } else if (wanted.name.find(".out.") != std::string::npos) {
            fan_in = mixer.channels * (mixer.window > 0 ? 2 : 1);
        } else if (wanted.name.ends_with(".taps.weight")) {
            fan_in = mixer.taps * config.width;
        }
        const double limit = 1.0 / std::sqrt(static_cast<double>(fan_in));
        std::generate(entry.values.begin(), entry.values.end(),
                      [&] { return static_cast<T>(limit * (2.0 * random.uniform() - 1.0)); });
    }
    initialize_filter(mixer, layer, seed, weights);
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template HyenaMixer<T>::HyenaMixer(const NetworkConfig&, Index, const Parameters<T>&);                            \
    template void HyenaMixer<T>::refresh(compute::Operations<T>&);                                                    \
    template Index HyenaMixer<T>::feature_width() const;                                                              \
    template Matrix<const T> HyenaMixer<T>::filters(Index, Index) const;                                              \
    template HeadFilters<T> HyenaMixer<T>::head_filters(Index, Scratch<T>&) const;                                    \
    template std::unique_ptr<Mixer<T>> make_hyena_mixer<T>(const NetworkConfig&, Index, const Parameters<T>&);        \
    template void initialize_hyena<T>(const NetworkConfig&, Index, std::uint64_t, Parameters<T>&);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
