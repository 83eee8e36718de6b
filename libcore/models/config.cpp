// SPDX-License-Identifier: Apache-2.0
// What a configuration must satisfy before a network is built from it.
#include "libcore/models/config.hpp"

#include "libcore/base/error.hpp"

#include <cmath>

namespace stillhouse::models {
namespace {

[[noreturn]] void refuse(const std::string& field, const std::string& found, const std::string& expected)
{
    throw_error(ErrorCode::bad_data, field + ": found " + found + ", expected " + expected);
}

void at_least(const std::string& field, Index value, Index least)
{
    if (value < least) {
        refuse(field, std::to_string(value), "at least " + std::to_string(least));
    }
}

void divides(const std::string& field, Index value, const std::string& of, Index total)
{
    at_least(field, value, 1);
    if (total % value != 0) {
        refuse(field, std::to_string(value), "a divisor of " + of + " (" + std::to_string(total) + ")");
    }
}

void check_rotary(const Rotary& rotary, Index head_dim)
{
    if (rotary.dims < 0 || rotary.dims % 2 != 0 || rotary.dims > head_dim) {
        refuse("rotary dims", std::to_string(rotary.dims), "an even number up to head_dim " + std::to_string(head_dim));
    }
    if (!(rotary.theta > 0.0) || !std::isfinite(rotary.theta)) {
        refuse("rotary theta", std::to_string(rotary.theta), "a positive number");
    }
    if (rotary.scaling != Rotary::Scaling::none && !(rotary.factor > 0.0 && std::isfinite(rotary.factor))) {
        refuse("rotary factor", std::to_string(rotary.factor), "a positive number");
    }
    if (rotary.scaling == Rotary::Scaling::llama3) {
        at_least("rotary original_max_positions", rotary.original_max_positions, 1);
        if (!(rotary.low_freq_factor > 0.0) || !(rotary.high_freq_factor > rotary.low_freq_factor)) {
            refuse("rotary high_freq_factor", std::to_string(rotary.high_freq_factor),
                   "more than low_freq_factor " + std::to_string(rotary.low_freq_factor) + ", both positive");
        }
    }
}

void check_heads(const NetworkConfig& config)
{
    at_least("heads", config.heads, 1);
    at_least("head_dim", config.head_dim, 1);
    divides("kv_heads", config.kv_heads, "heads", config.heads);
    at_least("max_positions", config.max_positions, 1);
    check_rotary(config.rotary, config.head_dim);
}

void check_kept_heads(const NetworkConfig& config, const MixerConfig& mixer)
{
    Index before = -1;
    for (const Index head : mixer.kept_heads) {
        if (head <= before || head >= config.heads) {
            refuse("kept_heads", std::to_string(head),
                   "ascending heads from 0 to " + std::to_string(config.heads - 1));
        }
        before = head;
    }
    if (!mixer.kept_heads.empty() && config.head_dim % mixer.head_width != 0) {
        refuse("head_width", std::to_string(mixer.head_width),
               "a divisor of head_dim " + std::to_string(config.head_dim) + ", since heads are kept");
    }
}

void check_filters(const MixerConfig& mixer, Index convolved)
{
    if (mixer.kind == MixerKind::linear) {
        if (mixer.form != FilterForm::none) {
            refuse("filter", "a form", "none: a linear mixer has no filter");
        }
        return;
    }
    if (mixer.form == FilterForm::none) {
        refuse("filter", "none", "modal, implicit or free");
    }
    at_least("filters", mixer.filters, 1);
    at_least("filter_length", mixer.filter_length, 1);
    const Index heads = convolved / mixer.head_width;
    if (mixer.head_width > 1) {
        divides("filters", mixer.filters, "the mixer's heads", heads);
    } else if (mixer.filters > convolved) {
        refuse("filters", std::to_string(mixer.filters), "at most one a channel (" + std::to_string(convolved) + ")");
    }
    if (mixer.form == FilterForm::modal) {
        at_least("filter_order", mixer.filter_order, 1);
    }
    if (mixer.form == FilterForm::implicit_mlp) {
        at_least("implicit features", mixer.implicit.features, 1);
        at_least("implicit width", mixer.implicit.width, 1);
        at_least("implicit inner_layers", mixer.implicit.inner_layers, 0);
        if (mixer.implicit.features % 2 == 0) {
            refuse("implicit features", std::to_string(mixer.implicit.features), "an odd number");
        }
    }
    if (mixer.delay != 0 && mixer.delay != mixer.window) {
        refuse("delay", std::to_string(mixer.delay), "0 or the window " + std::to_string(mixer.window));
    }
}

void check_convolution(const NetworkConfig& config, const MixerConfig& mixer)
{
    at_least("channels", mixer.channels, 1);
    divides("head_width", mixer.head_width, "channels", mixer.channels);
    if (mixer.kind == MixerKind::hyena && mixer.head_width != 1) {
        refuse("head_width", std::to_string(mixer.head_width), "1 for hyena");
    }
    at_least("order", mixer.order, 2);
    if (mixer.order > 2 && mixer.kind != MixerKind::hyena) {
        refuse("order", std::to_string(mixer.order), "2 where head_width may exceed 1");
    }
    at_least("short_taps", mixer.short_taps, 0);
    at_least("window", mixer.window, 0);
    at_least("taps", mixer.taps, 0);
    Index convolved = mixer.channels;
    if (mixer.window > 0 || !mixer.kept_heads.empty()) {
        check_heads(config);
        if (mixer.channels != config.attention_width()) {
            refuse("channels", std::to_string(mixer.channels),
                   "heads times head_dim (" + std::to_string(config.attention_width())
                       + "), since there is a window or a kept head");
        }
        check_kept_heads(config, mixer);
        convolved -= static_cast<Index>(mixer.kept_heads.size()) * config.head_dim;
        if (convolved <= 0) {
            refuse("kept_heads", "all heads", "at least one head less (or the mixer attention)");
        }
    }
    check_filters(mixer, convolved);
}

}  // namespace

bool operator==(const ImplicitFilter& a, const ImplicitFilter& b)
{
    return a.features == b.features && a.width == b.width && a.inner_layers == b.inner_layers
           && a.frequency == b.frequency && a.modulate == b.modulate && a.shift == b.shift
           && a.normalize == b.normalize;
}

void check(const NetworkConfig& config)
{
    at_least("layers", config.layers, 1);
    at_least("width", config.width, 1);
    at_least("ffn", config.ffn, 1);
    at_least("vocabulary", config.vocabulary, 1);
    if (!(config.norm_eps >= 0.0) || !std::isfinite(config.norm_eps)) {
        refuse("norm_eps", std::to_string(config.norm_eps), "a number that is not negative");
    }
    if (static_cast<Index>(config.mixers.size()) != config.layers) {
        refuse("mixers", std::to_string(config.mixers.size()),
               "one for each of " + std::to_string(config.layers) + " layers");
    }
    for (Index i = 0; i < config.layers; ++i) {
        const MixerConfig& mixer = config.mixers[static_cast<std::size_t>(i)];
        with_context("layer " + std::to_string(i), [&] {
            if (mixer.kind == MixerKind::attention) {
                check_heads(config);
            } else {
                check_convolution(config, mixer);
            }
        });
    }
}

}  // namespace stillhouse::models
