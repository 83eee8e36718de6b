// SPDX-License-Identifier: Apache-2.0
// The best small modal system for a filter: Kung's start, Levenberg-Marquardt on the poles with residues eliminated.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/systems/modal.hpp"

#include <optional>

namespace stillhouse::systems {

struct FitOptions {
    Index order = 16;                            // real states
    Index fir_taps = 1;                          // K: explicit first taps (at least delay + 1)
    double max_radius = 0.0;                     // 0: exp(-1e-7 / N)
    double min_separation = 0.0;                 // least distance of two poles (0: none)
    std::vector<double> weights;                 // of each lag's squared error, [L] or empty
    std::optional<ModalSystem> start;            // trained modes: returned to rounding at their own order
};

struct Fit {
    ModalSystem system;
    double error = 0.0;                          // relative l2 over lags >= K (0 for a zero filter)
    Index iterations = 0;
};

/// Least squares by variable projection from the starts of varpro.hpp; the best is kept. Deterministic.
/// Error{bad_data} on NaN or when order > (L - K) / 2 lags are there to see.
Fit fit_modal(std::span<const double> h, const FitOptions& options, const Control& control = {});

/// Smallest even order up to max_order whose fit has error <= tolerance (the last tried when none has).
Fit fit_to_tolerance(std::span<const double> h, double tolerance, Index max_order, FitOptions options,
                     const Control& control = {});

}  // namespace stillhouse::systems
