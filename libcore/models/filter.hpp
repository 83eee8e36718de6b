// SPDX-License-Identifier: Apache-2.0
// The long filters of a mixer in the forms they are trained in, and their impulse responses.
#pragma once

#include "libcore/models/mixer.hpp"
#include "libcore/systems/modal.hpp"

#include <memory>
#include <vector>

namespace stillhouse::models {

/// All filters of one layer: F = (order - 1) * filters rows, order slowest (row (g, f) is g * filters + f), of
/// L = filter_length lags, lag 0 first, lags below `delay` zero in every form. The weights are read live.
template <class T>
class Filter {
public:
    virtual ~Filter() = default;

    /// h[F, L] (overwritten).
    virtual void materialize(compute::Operations<T>& ops, Matrix<T> h) const = 0;

    /// Adds to the entries of `gradient` that exist what dh[F, lags] brings them; lags may be less than L (the rest has
    /// gradient zero).
    virtual void backward(compute::Operations<T>& ops, Matrix<const T> dh, Parameters<T>& gradient) const = 0;
};

/// free_taps:    h = `mixer.filter` [F, L].
///
/// implicit_mlp: with z_n the row n of `filter_mlp.positions` [L, features], w `filter_mlp.frequency` [width],
///     a_0 = sin(w (W_0 z_n + b_0)), a_i = sin(w (W_i a_{i-1} + b_i)) for i <= inner_layers, g = W_last a,
///     h[f, n] = g[f] (exp(-t_n |decay[f]|) + shift)                     (the factor only with `modulate`)
///     and, with `normalize`, divided by sum_f |h[f, n]| where that is not 0.
///     t_n = n / (L - 1), or what a checkpoint stores as `filter_mlp.times` [L] (optional, never trained).
///
/// modal: `filter_modes.fir` [F, K], K > delay, and S = ceil(filter_order / 2) rows of `filter_modes.log_decay`,
///     `.angle` [F, S] and `.readout` [F, S, 2]: h[t] = fir[t] for t < K, else sum over the rows, with tau = t - K, of
///     Re((r0 + i r1) exp((m + i angle) tau)), m = -exp(log_decay): a conjugate pair, angle in [0, pi];
///     exp((m - |a|) tau) (r0 cosh(a tau) + r1 sinh(|a| tau)), a = angle < 0: two positive real poles;
///     the same times (-1)^tau with a = angle - pi: two negative real poles.
///     An odd filter_order ends with a row of one real pole: sign exp(m), sign + where angle <= pi/2; r1 is unused.
///     So every value of the entries is a stable filter, and log decay and angle are what a gradient
///     moves. A pair of angle exactly 0 with r1 = 0 gets no gradient on either.
///     Not on the stream: there the same filters are `filter_modes.{sections,cascade,fir}`, see modes_of and set_modes.
///
/// Throws Error{bad_data} naming a tensor that is missing or has the wrong shape; Error{internal} for form none.
template <class T>
std::unique_ptr<Filter<T>> make_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights);

/// Names and shapes of the entries that are trained, in the order of the manual.
std::vector<WeightShape> filter_weights(const MixerConfig& config, Index layer);

/// Adds and fills those that `weights` lacks. free: white noise under exponential windows of time constants
/// log-spaced in 1 .. L, of unit energy; implicit: as safari's (uniform +-1/sqrt(fan in), frequency constant, decays
/// linear from log(0.01) / 1.5 to log(0.01) / 0.3); modal: time constants log-spaced in 0.7 .. L, angles 0.01 .. 0.3,
/// readouts normal of standard deviation 1 / (S time constant)^(1/2).
template <class T>
void initialize_filter(const MixerConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights);

/// The impulse responses [F, L] of whatever form: what the stream holds as `layers.i.mixer.filter`.
template <class T>
Buffer<T> materialize_filters(compute::Operations<T>& ops, const MixerConfig& config, Index layer,
                              const Parameters<T>& weights);

/// The trained modes as systems, one a filter, in double: what `filter_modes.{sections,cascade,fir}` of the stream say.
/// Rows whose readout is 0 are left out, so that order() is what is there.
template <class T>
std::vector<systems::ModalSystem> modes_of(const MixerConfig& config, Index layer, const Parameters<T>& weights);

/// The modes of a fit in the weights, `mixer.filter.{sections,cascade,fir}` or `.{poles,residues,fir}`, one system a
/// filter; empty where there is neither. Error{bad_data} when their shapes contradict.
template <class T>
std::vector<systems::ModalSystem> fitted_modes(const MixerConfig& config, Index layer, const Parameters<T>& weights);

/// The way back: sets the four entries (made where they are absent). Error{bad_data} when the number of filters or
/// their order exceeds the configuration's, or h is not zero below `delay`; Error{unsupported} when a filter cannot be
/// trained in separate poles: multiple poles, whose residues lose the response (relative l2 deviation over L lags
/// above 1e-6), or real poles of both signs that no pair holds.
template <class T>
void set_modes(const MixerConfig& config, Index layer, const std::vector<systems::ModalSystem>& modes,
               Parameters<T>& weights);

/// Which row of our layout (order slowest) is row r of a checkpoint of an operator of order > 2. safari's training code
/// keeps channel (d, g) at d (order - 1) + g, its standalone file and HyenaDNA at g D + d: ours.
enum class FilterRows { order_slowest, order_fastest };
std::vector<Index> filter_rows(FilterRows layout, Index filters, Index order);

/// safari's positional features, [length, features]: n / (length - 1), then cosines and minus sines of 2 pi n / length
/// times the (features - 1) / 2 frequencies linear in 1e-4 .. (features - 1) / 2 - 1.
Buffer<double> filter_positions(Index length, Index features);

}  // namespace stillhouse::models
