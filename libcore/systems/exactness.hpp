// SPDX-License-Identifier: Apache-2.0
// Realizations and modal systems in extended precision: what rounding does to a response, over all lags.
#pragma once

#include "libcore/systems/realization.hpp"

#include <Eigen/Core>

namespace stillhouse::systems {

using Extended = long double;
using ExtendedMatrix = Eigen::Matrix<Extended, Eigen::Dynamic, Eigen::Dynamic>;

/// x' = A x + B u, y = C x (the first taps aside).
struct ExtendedStateSpace {
    ExtendedMatrix A, B, C;                      // [d, d], [d, 1], [1, d]
};

/// The all-pass cascade of the sections.
ExtendedStateSpace extended_state_space(const ModalSystem& system);

/// With the coefficients as a recurrence in `state_precision` holds them ("f64"; "f32" and "bf16": single).
ExtendedStateSpace extended_state_space(const Realization& realization, std::string_view state_precision);

/// The cascade's answer to `input`, read before the update, in extended precision (the first taps aside).
std::vector<Extended> extended_answer(const ModalSystem& system, const std::vector<double>& input);

/// sqrt(sum_t (h_t - g_t)^2) over all lags, h of `exact` (its controllability Gramian the identity) and g of `other`,
/// without a difference of norms: with any T (here sum_t A^t B B1' A1'^t, the map from one state to the other) the
/// system of x1 and delta = x - T x1 has the error as its output and only small numbers in delta's rows; its Gramian
/// comes from the Stein equation by doubling. Infinite where `other` does not decay. O(d^3) times 60 at most.
double all_lags_error(const ExtendedStateSpace& exact, const ExtendedStateSpace& other);

/// sum_t (other's response at t) (exact's states' responses at t): the readout of `exact`'s states, orthonormal over
/// all lags, that is nearest to `other` in l2.
std::vector<double> nearest_readout(const ExtendedStateSpace& exact, const ExtendedStateSpace& other);

}  // namespace stillhouse::systems
