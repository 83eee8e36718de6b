// SPDX-License-Identifier: Apache-2.0
// The mixer of long convolutions and gates: Hyena of any order, MultiHyena, linear attention, with window and taps.
#pragma once

#include "libcore/models/filter.hpp"
#include "libcore/models/mixer.hpp"

namespace stillhouse::models {

/// The mixer of layer i for the kinds hyena, multihyena and linear; formula and tensors in stillhouse-model(5).
///
/// Training sees the filters as their `filter_length` materialised lags (zero beyond). Per sequence and channel the
/// cost of a long convolution is one FFT convolution; heads of width N > 1 take N^2 of them a head or, where that is
/// less, one N-wide product a pair of tokens (hyena_heads.hpp).
///
/// Executions token by token. recurrent: the realization in `layers.i.mixer.ssm.*`, else the trained modes
/// (`filter_modes`), else Error{bad_data}. exact_original: the materialised filter over all past inputs. exact_modes:
/// the impulse response of `layers.i.mixer.filter.{sections,cascade,fir}`, else `.{poles,residues,fir}` (pairs of
/// numbers), else the trained modes, else of the realization, as far as the sequence has come. `linear` has a state of
/// N x N numbers a head in every execution; its sum begins at lag `window`, like the filters of the others.
///
/// State of a sequence, E channels, order d: (order + 1) E (short_taps - 1) past projections, (taps - 1) D past inputs,
/// E N d modes (E, of modes N N of a head, rounded up to 16; twice as many modes where f32 would lose a filter); with a
/// window its ring of keys and values, 2 W E, and W E inputs of the convolution on their way (k v; with N > 1 k alone,
/// whose v are in the window's ring), since the recurrence sees them W tokens late. No states of the recurrence are
/// spent on the delay. Exact executions keep past inputs instead of modes, in rows for the next power of two of tokens
/// (of a filter of L lags for at most 2 L rounded up): E numbers a row and convolution, with N > 1 2 E, and from 64 N
/// tokens on N E / 2 more. L tokens cost O(L log^2 L) (online_convolution.hpp), one after the other or at once.
///
/// Throws Error{bad_data} naming what is missing, misshapen or contradicts.
template <class T>
std::unique_ptr<Mixer<T>> make_hyena_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights);

/// Numbers that exact_original or exact_modes keeps of the past inputs of a sequence of so many tokens, as above; none
/// where the mixer is attention or `linear`.
Index past_numbers(const NetworkConfig& config, Index layer, Execution execution, Index tokens);

/// Names and shapes of its weights, kept heads' attention rows included, in the order of the manual.
std::vector<WeightShape> hyena_weights(const NetworkConfig& config, Index layer);

/// Adds and fills those that `weights` lacks (an entry that exists stays; Error{bad_data} when its shape is another):
/// projections and short convolutions uniform +-1/sqrt(fan in), as safari's; skip standard normal; filters by
/// initialize_filter. Numbers depend on seed, layer and name alone.
template <class T>
void initialize_hyena(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights);

}  // namespace stillhouse::models
