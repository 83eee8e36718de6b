// SPDX-License-Identifier: Apache-2.0
// Where a fit begins: Kung's poles, and modes picked greedily from a grid.
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/lanczos.hpp"
#include "libcore/systems/varpro.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace stillhouse::systems {

namespace {

using Complex = std::complex<double>;
using Eigen::MatrixXd;

/// Sections of any poles: conjugates are pairs, real ones of equal sign pair by neighbouring value, the rest stand
/// alone.
std::vector<Section> sections_of(const std::vector<Complex>& poles)
{
    std::vector<Section> sections;
    std::vector<double> reals;
    for (const Complex p : poles) {
        if (p.imag() > 0.0) {
            sections.push_back(section_of_pair(p));
        } else if (p.imag() == 0.0) {
            reals.push_back(p.real());
        }
    }
    std::sort(reals.begin(), reals.end(), std::greater<>());
    for (std::size_t i = 0; i < reals.size(); ++i) {
        if (i + 1 < reals.size() && (reals[i] > 0.0) == (reals[i + 1] > 0.0)) {
            sections.push_back(section_of_reals(reals[i], reals[i + 1]));
            ++i;
        } else {
            sections.push_back(section_of_real(reals[i]));
        }
    }
    return sections;
}

/// A grid of damped sinusoids and, for each, what it would take off the residual.
class Grid {
public:
    explicit Grid(const FitProblem& problem)
        : problem_(problem), fft_(compute::fft_size(2 * problem.length())), signal_(fft_.size()),
          spectrum_(fft_.spectrum_size())
    {
        const double N = static_cast<double>(problem.length());
        for (int i = 0; i < radii; ++i) {
            const double low = std::log(0.2 / N);
            const double high = std::log(1.5);
            decay_.push_back(-std::exp(low + (high - low) * i / (radii - 1)));
            // S(theta) = sum w rho^{2t} e^{-2 i theta t} is the spectrum at twice the angle.
            transform([&](Index t) { return weight(t) * std::exp(2.0 * decay_.back() * static_cast<double>(t)); });
            squares_.emplace_back(spectrum_.begin(), spectrum_.end());
        }
    }

    /// The best pair (or, for one state, the best real pole) for the residual r.
    Section best(const std::vector<double>& r, int states)
    {
        Section result{states, 1.0, decay_.back(), 0.0};
        double best_gain = -1.0;
        const Index P = fft_.size();
        const double N = static_cast<double>(problem_.length());
        for (std::size_t i = 0; i < decay_.size(); ++i) {
            transform([&](Index t) {
                return weight(t) * r[static_cast<std::size_t>(t)] * std::exp(decay_[i] * static_cast<double>(t));
            });
            const double S0 = squares_[i][0].real();
            const Index last = P / 2;
            for (Index k = 0; k <= last; k += states == 1 ? std::max<Index>(last, 1) : 1) {
                const Complex twice = 2 * k <= P / 2 ? squares_[i][static_cast<std::size_t>(2 * k)]
                                                     : std::conj(squares_[i][static_cast<std::size_t>(P - 2 * k)]);
                const double X = spectrum_[k].real();
                const double Y = -spectrum_[k].imag();
                const double a = 0.5 * (S0 + twice.real());
                const double b = 0.5 * (S0 - twice.real());
                const double c = -0.5 * twice.imag();
                const double det = a * b - c * c;
                const double gain = det > 1e-8 * a * b ? (b * X * X - 2.0 * c * X * Y + a * Y * Y) / det : X * X / a;
                if (gain > best_gain) {
                    best_gain = gain;
                    double angle = 2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(P);
                    const bool negative = angle > 0.5 * std::numbers::pi;
                    angle = std::max(negative ? std::numbers::pi - angle : angle, 0.3 / N);
                    result = {states, negative ? -1.0 : 1.0, decay_[i], states == 2 ? -angle * angle : 0.0};
                }
            }
        }
        return result;
    }

private:
    static constexpr int radii = 20;

    double weight(Index t) const
    {
        return problem_.weights.empty() ? 1.0 : problem_.weights[static_cast<std::size_t>(t)];
    }

    template <class At>
    void transform(At at)
    {
        for (Index t = 0; t < problem_.length(); ++t) {
            signal_[t] = at(t);
        }
        std::fill(signal_.begin() + problem_.length(), signal_.end(), 0.0);
        fft_.forward(signal_.data(), spectrum_.data());
    }

    const FitProblem& problem_;
    compute::RealFft<double> fft_;
    Buffer<double> signal_;
    Buffer<Complex> spectrum_;
    std::vector<double> decay_;
    std::vector<std::vector<Complex>> squares_;
};

}  // namespace

std::vector<Section> kung_start(const FitProblem& problem, Index order, const Control& control)
{
    const Index N = problem.length();
    const Index n = (N + 1) / 2;             // square: of an even N the last lag is left to the refinement
    const Index d = std::min(order, n - 1);
    MatrixXd U(n, d);
    if (8 * d > n && n <= 2048) {
        MatrixXd H(n, n);
        for (Index j = 0; j < n; ++j) {
            for (Index i = 0; i < n; ++i) {
                H(i, j) = problem.g[static_cast<std::size_t>(i + j)];
            }
        }
        const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(H);
        // The d values of largest modulus stand at both ends of the ascending list.
        Index low = 0;
        Index high = n - 1;
        for (Index i = 0; i < d; ++i) {
            const bool take_high = std::fabs(eigen.eigenvalues()(high)) >= std::fabs(eigen.eigenvalues()(low));
            U.col(i) = eigen.eigenvectors().col(take_high ? high-- : low++);
        }
    } else {
        HankelProduct product(problem.g, n, n);
        const Eigenpairs pairs = lanczos([&](const double* x, double* y) { product.apply(x, y); }, n, d, 1e-8,
                                         Vectors::yes, control);
        U = Eigen::Map<const MatrixXd>(pairs.vectors.data(), n, d);
    }
    const MatrixXd A = U.topRows(n - 1).colPivHouseholderQr().solve(U.bottomRows(n - 1));
    std::vector<Complex> poles;
    if (A.allFinite()) {
        const Eigen::EigenSolver<MatrixXd> eigen(A, false);
        for (Index i = 0; i < d; ++i) {
            Complex p = eigen.eigenvalues()(i);
            if (std::abs(p) > 1.0) {
                p = 1.0 / std::conj(p);
            }
            if (std::abs(p) < 1e-12) {
                p = 1e-12;
            }
            poles.push_back(p);
        }
    }
    std::vector<Section> sections = sections_of(poles);
    // Orders that the window is too small for, or that rounding swallowed: fast poles for the refinement to move.
    Index have = 0;
    for (const Section& s : sections) {
        have += s.states;
    }
    for (; have < order; ++have) {
        sections.push_back({1, have % 2 == 0 ? 1.0 : -1.0, -0.5 - 0.25 * static_cast<double>(have), 0.0});
    }
    constrain(problem, sections);
    return sections;
}

FitStep greedy_start(const FitProblem& problem, Index order, const Control& control)
{
    Grid grid(problem);
    FitStep step;
    std::vector<double> rest = problem.g;
    for (Index have = 0; have < order;) {
        const int states = order - have >= 2 ? 2 : 1;
        step.sections.push_back(grid.best(rest, states));
        have += states;
        const Index before = step.iterations;
        step = minimise(problem, std::move(step.sections), Algebra::gram, 4, 1e-4, control);
        step.iterations += before;
        if (have < order) {
            rest = residual_of(problem, step.sections);
        }
    }
    return step;
}

}  // namespace stillhouse::systems
