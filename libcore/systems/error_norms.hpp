// SPDX-License-Identifier: Apache-2.0
// How far a modal system is from a filter, in the three norms that fits minimise.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/systems/modal.hpp"

#include <span>

namespace stillhouse::systems {

/// Each relative to the filter in the same norm, over the lags >= K = system.fir.size().
struct ErrorNorms {
    double l2 = 0.0;                 // over the lags of the filter
    double h2 = 0.0;                 // l2 over all lags, the filter being zero beyond its end
    double hankel = 0.0;             // spectral norm of the Hankel operator over all lags, likewise
    double filter_hankel = 0.0;      // that norm of the filter itself: its first Hankel singular value, not relative
};

/// The norms of e_t = h_t - hhat_t, exact over infinitely many lags: with the orthonormal responses Phi of the all-pass
/// cascade, Ghat = Phi S Phi' (S = b c' + A S A), and the rows of Phi from lag N on are Phi (A^N)'; so the operator of
/// the error acts on N + d dimensions. Cost: some dozen transforms of 2 N numbers.
/// A zero filter: 0 for a zero system, else infinity. Error{bad_data}: NaN; Error{stopped}.
ErrorNorms error_norms(std::span<const double> h, const ModalSystem& system, const Control& control = {});

}  // namespace stillhouse::systems
