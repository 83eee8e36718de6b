// SPDX-License-Identifier: Apache-2.0
// The system that is nearest to a filter in Hankel norm (Adamyan, Arov, Krein 1971), in closed form.
#pragma once

#include "libcore/systems/fit.hpp"

namespace stillhouse::systems {

/// The stable system of at most options.order = d states whose Hankel operator is nearest, in spectral norm, to that of
/// g_t = h_{K+t}, t < N (then silence): the distance is sigma_{d+1}, and no system is nearer. With the eigenpair G v =
/// s v, |s| = sigma_{d+1}, and V(z) = sum_k v_k z^k,
///     Hhat(z) = stable part of  H(z) - s z^-1 V(1/z) / V(z),
/// evaluated on a circle of M points, M growing until the distance is reached; the poles, which are the zeros of V
/// inside the disc, come from its shift invariance and are refined on V itself.
/// Fewer states come back where sigma_{d+1} is repeated (one of a delay by 114 lags needs 114, and none helps before).
/// Of the options order and fir_taps are used. Fit.objective is the distance reached relative to sigma_1.
/// Error{bad_data}: NaN, no more than d lags; Error{unsupported}: sigma_{d+1} is lost in rounding.
Fit fit_hankel(std::span<const double> h, const FitOptions& options, const Control& control = {});

}  // namespace stillhouse::systems
