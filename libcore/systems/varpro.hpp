// SPDX-License-Identifier: Apache-2.0
// Variable projection: Levenberg-Marquardt on the poles of a sum of modes, its residues eliminated.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/systems/modal.hpp"

#include <memory>
#include <span>
#include <vector>

namespace stillhouse::systems {

/// minimise over sections (and coefficients) sum_r sum_t w_t (g_rt - sum_i c_ri phi_i(t))^2, where the phi of a section
/// of two states are E_t = s^t e^{mt} cosh(sqrt(v) t), F_t = s^t e^{mt} sinh(sqrt(v) t) / sqrt(v), of one state
/// s^t e^{mt}.
struct FitProblem {
    std::vector<double> g;           // [targets, N], largest modulus 1
    Index targets = 1;               // filters that share the poles
    std::vector<double> weights;     // [N] or empty
    std::vector<double> spectrum;    // that weighs the error: power at each bin of fft_size(2 N), or empty
    bool endless = false;            // the sum goes over all t, g being zero from N on
    double slowest = -1e-10;         // log of the largest allowed modulus, < 0
    double separation = 0.0;         // least distance of two poles
    Index length() const { return static_cast<Index>(g.size()) / targets; }
};

/// gram: normal equations, quick; blind where coefficients cancel or residuals are below 1e-7 of |g|.
/// exact: blocked Householder QR, to rounding.
enum class Algebra { gram, exact };

struct FitStep {
    std::vector<Section> sections;   // those of two states first
    double residual = 0.0;           // sqrt of the objective
    Index iterations = 0;
    bool blind = false;              // rounding of the normal equations is more than a thousandth of the objective
};

/// Moves poles into the disc |lambda| <= exp(slowest), angles of sections into [0, pi/2] (by their sign), and poles
/// apart by the separation. Error{unsupported} when they cannot be separated.
void constrain(const FitProblem& problem, std::vector<Section>& sections);

struct TrialPoints;

/// A problem with what its trial points reuse. One object is used by one thread at a time.
class Varpro {
public:
    explicit Varpro(const FitProblem& problem);
    ~Varpro();
    const FitProblem& problem() const { return problem_; }

    /// sqrt of the objective with no mode at all.
    double norm() const { return norm_; }

    /// Kaufman's steps with Marquardt's damping, from `sections`; at most `iterations` accepted steps,
    /// stopping when the residual falls by less than `tolerance` of itself.
    FitStep minimise(std::vector<Section> sections, Algebra algebra, Index iterations, double tolerance,
                     const Control& control);

    /// g less its projection on the modes of the sections, [targets, N]. Unweighted samples, weighted projection.
    std::vector<double> residual(std::span<const Section> sections);

    /// What the objective would rise by without each of the sections, the poles of the others staying.
    std::vector<double> drop_costs(std::span<const Section> sections);

    /// Half the derivative of the objective by m and v of each section: m of all, then v of those of two states
    /// (which come first).
    std::vector<double> gradient(std::span<const Section> sections, Algebra algebra);

private:
    const FitProblem& problem_;
    double norm_ = 0.0;
    std::unique_ptr<TrialPoints> workspace_;
};

/// Poles to sections: conjugates are pairs, real ones of equal sign pair by neighbouring value, the rest stand alone.
std::vector<Section> sections_of(const std::vector<std::complex<double>>& poles);

}  // namespace stillhouse::systems
