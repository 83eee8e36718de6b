// SPDX-License-Identifier: Apache-2.0
// The best small modal system for a filter, or for filters that share their poles: variable projection from several
// starts, in the metric that is asked for.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/systems/modal.hpp"

#include <optional>

namespace stillhouse::systems {

/// fast: greedy start, Levenberg-Marquardt, QR polish. normal: Kung and weighted Kung too, drop-and-reinsert swaps.
/// thorough: whatever finds a lower error, at many times the cost.
enum class Effort { fast, normal, thorough };

/// l2: over the horizon. h2: l2 over all lags, the filter being zero beyond its end. hankel: least spectral norm of the
/// Hankel operator of the error, filter zero beyond its end (Adamyan, Arov, Krein 1971; aak.hpp).
enum class Objective { l2, h2, hankel };

struct FitOptions {
    Index order = 16;                            // real states
    Index fir_taps = 1;                          // K: explicit first taps (at least delay + 1)
    double max_radius = 0.0;                     // 0: exp(-1e-7 / N)
    double min_separation = 0.0;                 // least distance of two poles (0: none)
    std::vector<double> weights;                 // of each lag's squared error, [L] or empty (l2)
    double extension = 1.0;                      // the horizon is this many times L, the filter zero beyond L (l2)
    std::vector<double> input_spectrum;          // power of the input at F equal frequencies 0 .. pi, or empty:
                                                 // the error of the output instead of that of the filter (l2)
    Effort effort = Effort::normal;
    Objective objective = Objective::l2;
    std::optional<ModalSystem> start;            // trained modes: returned to rounding at their own order
};

struct Fit {
    ModalSystem system;
    double error = 0.0;                          // relative l2 over lags >= K of the filter itself (0: a zero filter),
                                                 // whatever the objective was
    double objective = 0.0;                      // what was minimised, relative to the filter in the same norm
    Index iterations = 0;
};

/// Variable projection from the starts of fit_search.hpp; the best is kept. Deterministic.
/// Error{bad_data} on NaN or when order > (L - K) / 2 lags are there to see; Error{bad_argument}: an option out of its
/// range; Error{unsupported}: options that exclude each other, a Hankel optimum that rounding loses.
Fit fit_modal(std::span<const double> h, const FitOptions& options, const Control& control = {});

/// The fits of several orders (ascending), sharing work between them.
std::vector<Fit> fit_orders(std::span<const double> h, std::span<const Index> orders, FitOptions options,
                            const Control& control = {});

/// One set of poles for several filters [rows, L] (row-major), residues for each: sum over the filters of the squared
/// relative error is minimised. The systems have the same sections.
std::vector<Fit> fit_shared(std::span<const double> filters, Index length, const FitOptions& options,
                            const Control& control = {});

/// Smallest even order up to max_order whose fit has error <= tolerance (the last tried when none has); orders that a
/// certified bound proves insufficient are passed over.
Fit fit_to_tolerance(std::span<const double> h, double tolerance, Index max_order, FitOptions options,
                     const Control& control = {});

}  // namespace stillhouse::systems
