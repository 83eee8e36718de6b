// SPDX-License-Identifier: Apache-2.0
// Kung's poles and the grid of the greedy start.
#include "libcore/systems/fit_starts.hpp"

#include "libcore/systems/cascade.hpp"
#include "libcore/systems/lanczos.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>
#include <utility>

namespace stillhouse::systems {

namespace {

using Complex = std::complex<double>;
using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int rings = 20;

using Ring = ModeGrid::Ring;

/// e^{-2 pi i k / P}, k < P.
std::vector<Complex> roots_of_unity(Index P)
{
    std::vector<Complex> roots(static_cast<std::size_t>(P));
    const Index step = 256;
    std::vector<Complex> small(static_cast<std::size_t>(step));
    const double angle = -2.0 * std::numbers::pi / static_cast<double>(P);
    for (Index k = 0; k < step; ++k) {
        small[static_cast<std::size_t>(k)] = std::polar(1.0, angle * static_cast<double>(k));
    }
    for (Index k = 0; k < P; k += step) {
        const Complex start = std::polar(1.0, angle * static_cast<double>(k));
        for (Index j = 0; j < step && k + j < P; ++j) {
            const Complex z = small[static_cast<std::size_t>(j)];
            roots[static_cast<std::size_t>(k + j)] = {start.real() * z.real() - start.imag() * z.imag(),
                                                      start.real() * z.imag() + start.imag() * z.real()};
        }
    }
    return roots;
}

Index power_of_two(Index n)
{
    Index power = 32;
    while (power < n) {
        power *= 2;
    }
    return power;
}

std::vector<Ring> make_rings(const FitProblem& problem)
{
    const Index N = problem.length();
    const Index fine = compute::fft_size(2 * N);
    const double low = std::log(0.2 / static_cast<double>(N));
    const double high = std::log(1.5);
    std::vector<Ring> result;
    std::vector<Complex> roots;
    for (int i = 0; i < rings; ++i) {
        const double x = std::exp(low + (high - low) * i / (rings - 1));
        // Beyond 14 time constants nothing is left, and a fast mode is broad: few angles will do.
        const Index used = std::min(N, static_cast<Index>(std::ceil(14.0 / x)));
        Ring ring{-x, used, compute::RealFft<float>(std::min(fine, power_of_two(2 * used))), {}, {}, {}, {}};
        const Index P = ring.fft.size();
        if (static_cast<Index>(roots.size()) != P) {
            roots = roots_of_unity(P);
        }
        const double rho = std::exp(-x);
        double power = 1.0;
        for (Index t = 0; t < used; ++t) {
            power = t % 32 == 0 ? std::exp(-x * static_cast<double>(t)) : power * rho;
            ring.powers.push_back(static_cast<float>(power));
        }
        // S(theta) = sum w rho^{2t} e^{-2 i theta t} over the horizon.
        std::vector<Complex> squares(static_cast<std::size_t>(P / 2 + 1));
        if (problem.weights.empty()) {
            const double r = rho * rho;
            const double last = problem.endless ? 0.0 : std::exp(-2.0 * x * static_cast<double>(N));
            for (Index k = 0; k <= P / 2; ++k) {
                const Complex z = r * roots[static_cast<std::size_t>(2 * k % P)];
                const Complex end = last * roots[static_cast<std::size_t>(2 * k * (N % P) % P)];
                const Complex over = 1.0 - end;
                const Complex under = 1.0 - z;
                const double norm = under.real() * under.real() + under.imag() * under.imag();
                squares[static_cast<std::size_t>(k)] = {
                    (over.real() * under.real() + over.imag() * under.imag()) / norm,
                    (over.imag() * under.real() - over.real() * under.imag()) / norm};
            }
        } else {
            const compute::RealFft<double> fft(P);
            Buffer<double> signal(P);
            Buffer<Complex> spectrum(fft.spectrum_size());
            std::fill_n(signal.data(), P, 0.0);
            for (Index t = 0; t < used; ++t) {
                const double p = static_cast<double>(ring.powers[static_cast<std::size_t>(t)]);
                signal[t] = problem.weights[static_cast<std::size_t>(t)] * p * p;
            }
            fft.forward(signal.data(), spectrum.data());
            for (Index k = 0; k <= P / 2; ++k) {
                squares[static_cast<std::size_t>(k)] = 2 * k <= P / 2 ? spectrum[2 * k]
                                                                      : std::conj(spectrum[P - 2 * k]);
            }
        }
        const double S0 = squares[0].real();
        for (Index k = 0; k <= P / 2; ++k) {
            const Complex twice = squares[static_cast<std::size_t>(k)];
            const double a = 0.5 * (S0 + twice.real());
            const double b = 0.5 * (S0 - twice.real());
            const double c = -0.5 * twice.imag();
            const double det = a * b - c * c;
            double cost = 1.0;               // the input's power at this angle: of a mode in the output's metric
            if (!problem.spectrum.empty()) {
                const Index bin = std::min(fine / 2, (k * fine + P / 2) / P);
                cost = std::max(problem.spectrum[static_cast<std::size_t>(bin)], 1e-12);
            }
            const bool pair = det > 1e-8 * a * b;
            ring.XX.push_back(static_cast<float>((pair ? b / det : 1.0 / a) / cost));
            ring.XY.push_back(static_cast<float>((pair ? -2.0 * c / det : 0.0) / cost));
            ring.YY.push_back(static_cast<float>((pair ? a / det : 0.0) / cost));
        }
        result.push_back(std::move(ring));
    }
    return result;
}

/// Streams hold many filters of one length, whose grid is the same: the last one made is kept, unless it is large.
std::shared_ptr<const std::vector<Ring>> rings_of(const FitProblem& problem)
{
    if (!problem.weights.empty() || !problem.spectrum.empty() || problem.length() > 16384) {
        return std::make_shared<const std::vector<Ring>>(make_rings(problem));
    }
    static std::mutex mutex;
    static std::pair<Index, bool> kept_for;
    static std::shared_ptr<const std::vector<Ring>> kept;
    const std::pair<Index, bool> key{problem.length(), problem.endless};
    {
        const std::lock_guard<std::mutex> lock(mutex);
        if (kept && kept_for == key) {
            return kept;
        }
    }
    auto made = std::make_shared<const std::vector<Ring>>(make_rings(problem));
    const std::lock_guard<std::mutex> lock(mutex);
    kept_for = key;
    kept = made;
    return made;
}

}  // namespace

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

ModeGrid::ModeGrid(const FitProblem& problem) : problem_(problem), rings_(rings_of(problem))
{
    Index longest = 0;
    for (const Ring& ring : *rings_) {
        longest = std::max(longest, ring.fft.size());
    }
    signal_ = Buffer<float>(longest);
    spectrum_ = Buffer<std::complex<float>>(longest / 2 + 1);
    gain_.resize(static_cast<std::size_t>(longest / 2 + 1));
}

Section ModeGrid::best(const std::vector<double>& residual, int states)
{
    const Index N = problem_.length();
    std::vector<float> rest(residual.size());
    double largest = 0.0;
    for (const double r : residual) {
        largest = std::max(largest, std::fabs(r));
    }
    const double unit = largest > 0.0 ? 1.0 / largest : 1.0;
    if (problem_.spectrum.empty()) {
        for (std::size_t t = 0; t < rest.size(); ++t) {
            const double w = problem_.weights.empty() ? 1.0 : problem_.weights[t % static_cast<std::size_t>(N)];
            rest[t] = static_cast<float>(residual[t] * unit * w);
        }
    } else {
        // The metric applied: a convolution by the autocorrelation of the input.
        const compute::RealFft<double> fft(compute::fft_size(2 * N));
        Buffer<double> signal(fft.size());
        Buffer<Complex> spectrum(fft.spectrum_size());
        for (Index r = 0; r < problem_.targets; ++r) {
            std::copy_n(residual.data() + r * N, N, signal.data());
            std::fill(signal.data() + N, signal.data() + fft.size(), 0.0);
            fft.forward(signal.data(), spectrum.data());
            for (Index k = 0; k < fft.spectrum_size(); ++k) {
                spectrum[k] *= problem_.spectrum[static_cast<std::size_t>(k)] * unit / static_cast<double>(fft.size());
            }
            fft.inverse(spectrum.data(), signal.data());
            for (Index t = 0; t < N; ++t) {
                rest[static_cast<std::size_t>(r * N + t)] = static_cast<float>(signal[t]);
            }
        }
    }
    Section result{states, 1.0, rings_->back().decay, 0.0};
    float best_gain = -1.0f;
    for (const Ring& ring : *rings_) {
        const Index P = ring.fft.size();
        const Index last = P / 2;
        float* const gain = gain_.data();
        for (Index r = 0; r < problem_.targets; ++r) {
            const float* const from = rest.data() + r * N;
            for (Index t = 0; t < ring.used; ++t) {
                signal_[t] = from[t] * ring.powers[static_cast<std::size_t>(t)];
            }
            std::fill(signal_.data() + ring.used, signal_.data() + P, 0.0f);
            ring.fft.forward(signal_.data(), spectrum_.data());
            const float* const z = reinterpret_cast<const float*>(spectrum_.data());
            for (Index k = 0; k <= last; ++k) {
                const float X = z[2 * k];
                const float Y = -z[2 * k + 1];
                const std::size_t i = static_cast<std::size_t>(k);
                const float g = states == 1 ? ring.XX[i] * X * X
                                            : ring.XX[i] * X * X + ring.XY[i] * X * Y + ring.YY[i] * Y * Y;
                gain[k] = r == 0 ? g : gain[k] + g;
            }
        }
        for (Index k = 0; k <= last; k += states == 1 ? last : 1) {
            if (gain[k] > best_gain) {
                best_gain = gain[k];
                double angle = 2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(P);
                const bool negative = angle > 0.5 * std::numbers::pi;
                angle = std::max(negative ? std::numbers::pi - angle : angle, 0.3 / static_cast<double>(N));
                result = {states, negative ? -1.0 : 1.0, ring.decay, states == 2 ? -angle * angle : 0.0};
            }
        }
    }
    return result;
}

KungBasis::KungBasis(const FitProblem& problem, Index order, Metric metric, const Control& control)
{
    const Index N = problem.length();
    const Index n = (N + 1) / 2;             // square: of an even N the last lag is left to the refinement
    rows_ = n;
    columns_ = std::min(order, n - 1);
    if (columns_ < 1) {
        return;
    }
    std::vector<double> a;
    if (metric == Metric::arcsine) {
        double square = 1.0;
        for (Index i = 0; i < n; ++i) {
            if (i > 0) {
                const double next = (static_cast<double>(i) - 0.5) / static_cast<double>(i);
                ratio_.push_back(std::sqrt(next));
                square *= next;
            }
            a.push_back(std::sqrt(square));
        }
    }
    std::vector<HankelProduct> products;
    for (Index r = 0; r < problem.targets; ++r) {
        products.emplace_back(std::span<const double>(problem.g).subspan(static_cast<std::size_t>(r * N),
                                                                         static_cast<std::size_t>(N)), n, n, a, a);
    }
    std::vector<double> once(static_cast<std::size_t>(n));
    std::vector<double> part(static_cast<std::size_t>(n));
    const auto apply = [&](const double* x, double* y) {
        if (products.size() == 1) {
            products.front().apply(x, y);
            return;
        }
        std::fill_n(y, n, 0.0);
        for (HankelProduct& product : products) {
            product.apply(x, once.data());
            product.apply(once.data(), part.data());
            for (Index i = 0; i < n; ++i) {
                y[i] += part[static_cast<std::size_t>(i)];
            }
        }
    };
    Eigenpairs pairs = lanczos(apply, n, columns_, 1e-8, Vectors::yes, control);
    vectors_ = std::move(pairs.vectors);
    columns_ = static_cast<Index>(pairs.values.size());
    for (const double value : pairs.values) {
        values_.push_back(products.size() == 1 ? std::fabs(value) : std::sqrt(std::fabs(value)));
    }
}

std::vector<Section> KungBasis::sections(Index order) const
{
    // Vectors of values that are nothing but rounding would add poles of rounding.
    Index d = 0;
    while (d < std::min(order, columns_) && values_[static_cast<std::size_t>(d)] > 1e-14 * values_.front()) {
        ++d;
    }
    std::vector<Complex> poles;
    if (d > 0) {
        const Map<const MatrixXd> U(vectors_.data(), rows_, d);
        MatrixXd up = U.topRows(rows_ - 1);
        if (!ratio_.empty()) {
            up = Map<const VectorXd>(ratio_.data(), rows_ - 1).asDiagonal() * up;
        }
        // The columns are nearly orthonormal unless the last row (or a delay) holds much of them.
        const MatrixXd G = up.transpose() * up;
        const Eigen::LLT<MatrixXd> factor(G);
        MatrixXd A;
        if (factor.info() == Eigen::Success && factor.rcond() > 1e-4) {
            A = factor.solve(up.transpose() * U.bottomRows(rows_ - 1));
        } else {
            A = up.colPivHouseholderQr().solve(U.bottomRows(rows_ - 1));
        }
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
    return sections;
}

}  // namespace stillhouse::systems
