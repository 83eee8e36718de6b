// SPDX-License-Identifier: Apache-2.0
// Variable projection: Levenberg-Marquardt on the poles of a sum of modes, its residues eliminated.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/systems/modal.hpp"

#include <span>
#include <vector>

namespace stillhouse::systems {

/// minimise over sections (and coefficients) sum_t w_t (g_t - sum_i c_i phi_i(t))^2, where the phi of a section of two
/// states are E_t = s^t e^{mt} cosh(sqrt(v) t), F_t = s^t e^{mt} sinh(sqrt(v) t) / sqrt(v), of one state s^t e^{mt}.
struct FitProblem {
    std::vector<double> g;           // [N], largest modulus 1
    std::vector<double> weights;     // [N] or empty
    double slowest = -1e-10;         // log of the largest allowed modulus, < 0
    double separation = 0.0;         // least distance of two poles
    Index length() const { return static_cast<Index>(g.size()); }
};

/// gram: normal equations, quick, blind below 1e-7 of |g|. exact: blocked Householder QR, to rounding.
enum class Algebra { gram, exact };

struct FitStep {
    std::vector<Section> sections;
    double residual = 0.0;           // sqrt of the objective
    Index iterations = 0;
};

/// Moves poles into the disc |lambda| <= exp(slowest), angles of sections into [0, pi/2] (by their sign), and poles
/// apart by the separation. Error{unsupported} when they cannot be separated.
void constrain(const FitProblem& problem, std::vector<Section>& sections);

/// Kaufman's steps with Marquardt's damping, from `sections`; at most `iterations` accepted steps,
/// stopping when the residual falls by less than `tolerance` of itself.
FitStep minimise(const FitProblem& problem, std::vector<Section> sections, Algebra algebra, Index iterations,
                 double tolerance, const Control& control);

/// g less its projection on the modes of the sections (weighted).
std::vector<double> residual_of(const FitProblem& problem, std::span<const Section> sections);

/// Kung's method: poles from the shift invariance of the leading eigenvectors of the window.
std::vector<Section> kung_start(const FitProblem& problem, Index order, const Control& control);

/// Pairs added one by one where they explain most of what is left, all refined after each.
FitStep greedy_start(const FitProblem& problem, Index order, const Control& control);

}  // namespace stillhouse::systems
