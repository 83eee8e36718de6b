// SPDX-License-Identifier: Apache-2.0
// The columns of variable projection row by row, for metrics that have no closed form and for exact algebra.
#pragma once

#include "libcore/systems/varpro.hpp"

#include <Eigen/Core>

namespace stillhouse::systems {

/// E_t and F_t without the sign of the section.
struct ModeValue {
    double E = 1.0;
    double F = 0.0;
};
ModeValue mode_value(const Section& s, double t);

/// E_{a+b} = E_a E_b + v F_a F_b, F_{a+b} = F_a E_b + E_a F_b.
ModeValue mode_product(const ModeValue& a, const ModeValue& b, double v);

/// Phi of some sections, those of two states first: E of all of them, then F of those.
class ModeColumns {
public:
    static constexpr Index block = 128;      // rows between exact values

    explicit ModeColumns(std::span<const Section> sections);
    Index order() const { return order_; }

    /// Rows t0 .. t0 + rows - 1 of Phi into the first columns of `to`; t0 a multiple of the block, rows <= block.
    void fill(Index t0, Index rows, Eigen::Ref<Eigen::MatrixXd> to) const;

private:
    std::span<const Section> sections_;
    std::vector<std::vector<ModeValue>> tables_;
    Index order_ = 0;
};

/// The rows of [Phi, T Phi, g_1, g_2, ...] in the metric of the problem, T = diag(t / N), handed on in pieces: the sum
/// of squares of a combination of these columns is the problem's objective (its endless tail apart).
template <class Take>
void each_rows(const FitProblem& problem, const ModeColumns& columns, Take&& take);

/// As each_rows, all at once: [Phi, T Phi, g ...] transformed, one row a real or imaginary part of a frequency.
Eigen::MatrixXd spectral_rows(const FitProblem& problem, const ModeColumns& columns);

/// A factor of the Gram matrix of [Phi, T Phi, g ...] beyond the last row, where g is zero, [its columns]^2.
Eigen::MatrixXd endless_tail(const FitProblem& problem, std::span<const Section> sections);

/// Samples [N, columns] in the metric of the problem's spectrum, [2 bins, columns].
Eigen::MatrixXd in_spectrum(const FitProblem& problem, const Eigen::MatrixXd& samples);

/// A power spectrum given at equally spaced frequencies 0 .. pi, at the bins of a transform of fft_size(2 N) (linear
/// between), of mean 1 over the circle: white input makes the metric l2.
std::vector<double> spectrum_at_bins(const std::vector<double>& power, Index N);

/// Rows t0 .. of [Phi, T Phi, g ...], weighted by the square roots of the weights.
void weighted_rows(const FitProblem& problem, const ModeColumns& columns, Index t0, Index rows, Eigen::MatrixXd& to);

template <class Take>
void each_rows(const FitProblem& problem, const ModeColumns& columns, Take&& take)
{
    if (!problem.spectrum.empty()) {
        const Eigen::MatrixXd all = spectral_rows(problem, columns);
        for (Index t0 = 0; t0 < all.rows(); t0 += ModeColumns::block) {
            take(Eigen::MatrixXd(all.middleRows(t0, std::min(ModeColumns::block, all.rows() - t0))));
        }
        return;
    }
    Eigen::MatrixXd rows(ModeColumns::block, 2 * columns.order() + problem.targets);
    for (Index t0 = 0; t0 < problem.length(); t0 += ModeColumns::block) {
        const Index count = std::min(ModeColumns::block, problem.length() - t0);
        rows.setZero();
        weighted_rows(problem, columns, t0, count, rows);
        take(rows);
    }
}

}  // namespace stillhouse::systems
