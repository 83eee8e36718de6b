// SPDX-License-Identifier: Apache-2.0
// One trial point of variable projection: what the normal equations or a QR factor say of its poles.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/systems/mode_kernels.hpp"
#include "libcore/systems/varpro.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::systems {

inline constexpr Index endless_horizon = Index{1} << 50;

inline Index padded(Index n)
{
    return std::max<Index>((n + 7) / 8 * 8, 8);
}

/// A row-major matrix as the kernels want it.
struct Rows {
    Index step = 0;
    Buffer<double> data;

    void reset(Index rows, Index columns)
    {
        step = padded(columns);
        const Index size = padded(rows) * step;
        if (data.size() < size) {
            data = Buffer<double>(size);
        }
        std::fill_n(data.data(), size, 0.0);
    }
    double* row(Index i) { return data.data() + i * step; }
    const double* row(Index i) const { return data.data() + i * step; }
};

/// Sections as the kernels want them.
struct Lanes {
    Buffer<double> data;
    ModeLanes view;

    void load(std::span<const Section> sections)
    {
        const Index P = padded(static_cast<Index>(sections.size()));
        if (data.size() < 7 * P) {
            data = Buffer<double>(7 * P);
        }
        double* const p = data.data();
        for (Index j = 0; j < P; ++j) {
            const bool used = j < static_cast<Index>(sections.size());
            const Section s = used ? sections[static_cast<std::size_t>(j)] : Section{1, 1.0, -1.0, 0.0};
            const double v = s.states == 2 ? s.v : 0.0;
            const double root = std::sqrt(std::fabs(v));
            p[j] = s.m;
            p[P + j] = v;
            p[2 * P + j] = s.sign;
            p[3 * P + j] = v > 0.0 ? s.m + root : s.m;
            p[4 * P + j] = v > 0.0 ? s.m - root : s.m;
            p[5 * P + j] = v < 0.0 ? root : 0.0;
            p[6 * P + j] = root > 0.0 ? 1.0 / root : 1.0;
        }
        view = {P, p, p + P, p + 2 * P, p + 3 * P, p + 4 * P, p + 5 * P, p + 6 * P};
    }
};

/// What a trial point needs. With phi the columns scaled to unit norm and the residues eliminated: S the Gram matrix
/// of the projected tangent T phi, y its products with the targets.
struct Trial {
    Index order = 0;
    double squares = std::numeric_limits<double>::infinity();    // of the residual
    double cancelled = 0.0;          // sum of the squares of all coefficients
    std::vector<double> norms;       // of the columns
    std::vector<double> c;           // [targets, order] coefficients of the scaled columns
    Rows U;                          // Cholesky factor of phi' phi
    Rows Z;                          // U'^-1 phi' g
    Rows X;                          // U'^-1 phi' T phi, once the tangent is wanted
    Rows S;                          // phi' T^2 phi, then S
    Rows Y;                          // [targets, order] (T phi)' g, then y
    bool has_tangent = false;
};

/// A problem and the room its trial points need.
struct TrialPoints {
    const FitProblem& problem;
    const ModeKernels& kernels = mode_kernels();
    Lanes lanes;
    Index block = 0;
    Index blocks = 0;
    std::vector<Buffer<double>> signal;      // of each target: samples by blocks, then times their place in the block
    double squares = 0.0;                    // of the targets, in the metric
    Buffer<double> scratch;
    Buffer<double> moments;
    Rows H;
    Rows damped;
    Rows WS;
    Trial now;
    Trial next;
    explicit TrialPoints(const FitProblem& from);

    bool rows_wanted() const { return !problem.weights.empty() || !problem.spectrum.empty(); }

    Index horizon() const { return problem.endless ? endless_horizon : problem.length(); }

    static Index order_of(std::span<const Section> sections);

    double* room(Buffer<double>& buffer, Index size);

    /// Gram matrices of [Phi, T Phi] by moments, into the unscaled blocks of a trial.
    void closed_form(std::span<const Section> sections, Trial& trial);

    /// The same from rows.
    void by_rows(std::span<const Section> sections, Trial& trial);

    void by_gram(std::span<const Section> sections, Trial& trial);

    /// X, S and y of a trial of normal equations.
    void find_tangent(Trial& trial);

    void by_qr(std::span<const Section> sections, Trial& trial);

    void evaluate(std::span<const Section> sections, Algebra algebra, Trial& trial);

    /// H = sum over targets of C'SC and q = sum C'y, C the derivatives by (m ..., v ...) as combinations of the scaled
    /// columns of T Phi, modulo the span of Phi.
    void normal_equations(std::span<const Section> sections, Trial& trial, std::vector<double>& q);

    /// x with (H + mu I) x = q; false where rounding left H + mu I indefinite.
    bool damped_step(double mu, const std::vector<double>& q, std::vector<double>& x);
};

}  // namespace stillhouse::systems
