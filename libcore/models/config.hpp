// SPDX-License-Identifier: Apache-2.0
// What a network is made of: the transformer around the mixers, and the mixer of each layer.
#pragma once

#include "libcore/base/shape.hpp"
#include "libcore/compute/backend.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stillhouse::models {

enum class Norm { layer, rms };
enum class MlpKind { plain, gated };          // down(act(up x)) or down(act(gate x) * up x)

struct Rotary {
    enum class Scaling { none, linear, llama3 };
    Index dims = 0;                           // leading dimensions of each head that rotate; pairs (i, i + dims/2)
    double theta = 10000.0;
    Scaling scaling = Scaling::none;
    double factor = 1.0;                      // linear, llama3
    double low_freq_factor = 1.0;             // llama3
    double high_freq_factor = 4.0;
    Index original_max_positions = 0;
};

enum class MixerKind { attention, hyena, multihyena, linear };
enum class FilterForm { none, modal, implicit_mlp, free_taps };   // none: linear has no filter

/// The Hyena implicit filter (Poli et al. 2023): sine MLP on positional features, times a window.
struct ImplicitFilter {
    Index features = 33;                      // odd: t and (features - 1) / 2 cosines and sines
    Index width = 64;
    Index inner_layers = 2;
    double frequency = 14.0;                  // initial value of the shared frequency vector
    bool modulate = true;                     // times exp(-t |decay|) + shift
    double shift = 0.0;
    bool normalize = false;                   // divided by the l1 norm over channels at each lag
};

/// One layer's mixer; the formula and the meaning of every field are in stillhouse-model(5).
struct MixerConfig {
    MixerKind kind = MixerKind::attention;
    Index channels = 0;                       // E, all heads together, kept heads included
    Index head_width = 1;                     // N: 1 for hyena, channels/heads for multihyena and linear
    Index filters = 0;                        // over the channels that are not kept; channel c of n uses c*filters/n
    Index order = 2;                          // Hyena order (order - 1 long convolutions); > 2 only with N = 1
    FilterForm form = FilterForm::modal;
    Index filter_length = 0;                  // L of the materialised filters
    Index filter_order = 16;                  // real states of a modal filter
    Index delay = 0;                          // lags 0..delay-1 of the filter are zero: `window`, or 0
    Index short_taps = 3;                     // taps of the short convolutions (0: none)
    Index window = 0;                         // softmax window of W tokens beside the convolution (0: none)
    Index taps = 0;                           // input at lags 0..taps-1 beside it (0: none)
    std::vector<Index> kept_heads;            // teacher heads that stay attention, ascending
    ImplicitFilter implicit;
    bool operator==(const MixerConfig&) const = default;
};
bool operator==(const ImplicitFilter&, const ImplicitFilter&);

struct NetworkConfig {
    std::string family;                       // "gpt_neox" or "llama": how the folder spells things
    Index layers = 0;
    Index width = 0;                          // D
    Index heads = 0;                          // of the attention, query heads
    Index kv_heads = 0;
    Index head_dim = 0;
    Index ffn = 0;
    Index vocabulary = 0;                     // rows of the head, padding included
    Index max_positions = 0;
    Norm norm = Norm::layer;
    double norm_eps = 1e-5;
    MlpKind mlp = MlpKind::plain;
    compute::Activation activation = compute::Activation::gelu_erf;
    bool parallel_residual = true;
    bool tied = false;                        // the head is the embedding
    bool attention_bias = true;
    bool mlp_bias = true;
    Rotary rotary;
    std::vector<MixerConfig> mixers;          // one a layer; kind attention for a teacher

    Index attention_width() const { return heads * head_dim; }   // E
    bool attends_only() const                 // a teacher: no layer has another mixer
    {
        return std::all_of(mixers.begin(), mixers.end(),
                           [](const MixerConfig& mixer) { return mixer.kind == MixerKind::attention; });
    }
};

/// Throws Error{bad_data} naming the field when the configuration contradicts itself (heads that kv_heads does not
/// divide, odd rotary dims, N that does not divide head_dim with kept heads, kept heads out of range ...).
void check(const NetworkConfig& config);

}  // namespace stillhouse::models
