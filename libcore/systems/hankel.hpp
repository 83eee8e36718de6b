// SPDX-License-Identifier: Apache-2.0
// How many states does an impulse response need? Hankel operators, their spectrum, and what it proves.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/base/shape.hpp"

#include <optional>
#include <span>
#include <vector>

namespace stillhouse::systems {

/// For h_0 .. h_{L-1}, g_t = h_{t+1}, N = L - 1:
/// zero:   N x N, G_ij = g_{i+j} for i + j < N, else 0: the Hankel operator of "g, then silence".
/// window: n x m, n + m - 1 = N: known samples only.
enum class HankelOperator { zero, window };

struct Spectrum {
    std::vector<double> sigma;        // descending, min(top, size) Hankel singular values
    Index rank = 0;                   // numerical: sigma above the rounding of the input, of those computed
    bool rank_is_least = false;       // all computed are above it, and there are more: the rank is at least that
    double floor = 0.0;               // that threshold
    double effective_rank = 0.0;      // exp(-sum p ln p), p = sigma / sum sigma, over those computed
    std::optional<Index> order_99;    // least order with 99 % of sum sigma^2 (all of them: |H|_F^2), and 99.9 %;
    std::optional<Index> order_999;   // nothing where more than those computed are needed
};

struct SpectrumOptions {
    Index top = 64;
    HankelOperator op = HankelOperator::zero;
    DType input = DType::f32;         // precision the filter was stored in, for the noise floor
    double tolerance = 1e-13;         // Lanczos residual relative to sigma_1
};

/// Symmetric Lanczos with full reorthogonalisation on a real-FFT matvec, restarted on breakdown (multiplicities:
/// delays, constants); dense where n is small. Error{bad_data} on NaN or infinity. All zero: zeros, rank 0.
Spectrum hankel_spectrum(std::span<const double> h, const SpectrumOptions& options, const Control& control = {});

struct BoundOptions {
    Index steps = 6;                  // of ascent at each order, 0: the plain weighted spectra
};

/// Certified lower bound of the relative l2 error over lags 1.. of ANY real system of each order, poles anywhere; 0
/// where nothing is proven. The best of flat windows and of the arcsine window, this one raised by some steps of
/// ascent over the multipliers of the Hankel structure (bound_ascent.hpp). Over lags from K on: h.subspan(K - 1).
/// Cost at order d and length L: about 6 * 2 d products of L log L and 6 d^2 L.
std::vector<double> l2_lower_bounds(std::span<const double> h, std::span<const Index> orders,
                                    const Control& control = {}, const BoundOptions& options = {});

/// The smallest order up to `most` that is not proven insufficient for a relative error of `tolerance`: below it no
/// system can reach that. Nothing when all are proven insufficient, `most` included.
std::optional<Index> smallest_possible_order(std::span<const double> h, double tolerance, Index most,
                                             const Control& control = {}, const BoundOptions& options = {});

}  // namespace stillhouse::systems
