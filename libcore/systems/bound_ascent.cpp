// SPDX-License-Identifier: Apache-2.0
// Supergradient ascent on the multipliers of the Hankel structure.
#include "libcore/systems/bound_ascent.hpp"

#include "libcore/compute/basis.hpp"
#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::systems {

namespace {

constexpr double value_doubt = 1e-14;    // of a value, relative to the largest: rounding of products and of Lanczos
constexpr double energy_doubt = 1e-13;   // of a squared norm, relative to the whole
constexpr Index entries_size = 2048;     // largest window that is looked at entry by entry

}  // namespace

/// A - L: weighted Hankel of `lags` plus sum_k factor_k u_k u_k'.
struct ArcsineWindow::Ascent {
    std::vector<double> lags;
    compute::Basis terms;
    std::vector<double> factors;

    void apply(HankelProduct& product, const double* x, double* y, std::vector<double>& along) const
    {
        product.apply(x, y);
        if (terms.size() > 0) {
            along.resize(static_cast<std::size_t>(terms.size()));
            terms.project(x, along.data());
            for (std::size_t k = 0; k < along.size(); ++k) {
                along[k] *= factors[k];
            }
            terms.combine(along.data(), y);
        }
    }
};

ArcsineWindow::ArcsineWindow(const std::vector<double>& g)
    : n_(std::max<Index>(1, (static_cast<Index>(g.size()) + 1) / 2)), g_(g), weights_(static_cast<std::size_t>(n_)),
      shares_(g.size(), 0.0), fft_(compute::fft_size(2 * n_ - 1)), signal_(fft_.size()),
      spectrum_(fft_.spectrum_size()), sum_(fft_.spectrum_size())
{
    // Square: of an even number of lags the last one is not looked at.
    n_ = std::min(n_, (static_cast<Index>(g.size()) + 1) / 2);
    double w = 1.0;
    for (Index k = 0; k < n_; ++k) {
        w *= k > 0 ? (static_cast<double>(k) - 0.5) / static_cast<double>(k) : 1.0;
        weights_[static_cast<std::size_t>(k)] = std::sqrt(w);
        signal_[k] = w;
    }
    fft_.forward(signal_.data(), spectrum_.data());
    for (std::complex<double>& x : spectrum_) {
        x *= x / static_cast<double>(fft_.size());
    }
    fft_.inverse(spectrum_.data(), signal_.data());
    for (Index t = 0; t < 2 * n_ - 1; ++t) {
        const double share = t < n_ ? 1.0 : std::clamp(signal_[t], 1e-300, 1.0);
        const double x = g_[static_cast<std::size_t>(t)];
        shares_[static_cast<std::size_t>(t)] = share;
        energy_ += share * x * x;
    }
}

/// What the eigenvalues of A - L prove: |A|^2 less the leading ones, each at the far end of where it can be.
double ArcsineWindow::proven(const Eigenpairs& pairs, Index order) const
{
    double head = 0.0;
    const double doubt = pairs.values.empty() ? 0.0 : value_doubt * std::fabs(pairs.values[0]);
    for (std::size_t i = 0; i < pairs.values.size() && i < static_cast<std::size_t>(order); ++i) {
        const double most = std::fabs(pairs.values[i]) + pairs.residuals[i] + doubt;
        head += most * most;
    }
    return energy_ * (1.0 - energy_doubt) - head;
}

/// The tail of A where the above cancels, from vectors V of the leading values: |A - V theta V'|_F entry by entry. A is
/// block diagonal in V and its complement but for the residuals, |A V - V theta|, which are taken off.
double ArcsineWindow::deflated(const Eigenpairs& pairs, Index order) const
{
    compute::Basis terms(n_);
    double rest = 0.0;
    for (Index k = 0; k < order; ++k) {
        terms.push(pairs.vectors.data() + k * n_);
        rest += pairs.residuals[static_cast<std::size_t>(k)] * pairs.residuals[static_cast<std::size_t>(k)];
    }
    std::vector<double> row(static_cast<std::size_t>(n_));
    std::vector<double> factors(static_cast<std::size_t>(order));
    double sum = 0.0;
    for (Index i = 0; i < n_; ++i) {
        for (Index j = 0; j < n_; ++j) {
            row[static_cast<std::size_t>(j)] = weights_[static_cast<std::size_t>(i)] *
                                               g_[static_cast<std::size_t>(i + j)] *
                                               weights_[static_cast<std::size_t>(j)];
        }
        for (Index k = 0; k < order; ++k) {
            factors[static_cast<std::size_t>(k)] =
                -pairs.values[static_cast<std::size_t>(k)] * terms.column(k)[i];
        }
        terms.combine(factors.data(), row.data());
        sum += compute::dot(row.data(), row.data(), n_);
    }
    const double doubt = value_doubt * std::sqrt(static_cast<double>(order)) * std::fabs(pairs.values[0]);
    const double sure = std::max(0.0, std::sqrt(sum) - 2.0 * std::sqrt(rest) - doubt);
    return sure * sure;
}

/// The lags x_t = (sum_{i+j=t} a_i X_ij a_j) / c_t of the weighted Hankel matrix nearest to X = sum_k value_k u_k u_k'.
std::vector<double> ArcsineWindow::projected(const double* vectors, const std::vector<double>& values, Index count)
{
    std::fill(sum_.begin(), sum_.end(), std::complex<double>());
    for (Index k = 0; k < count; ++k) {
        for (Index i = 0; i < n_; ++i) {
            signal_[i] = weights_[static_cast<std::size_t>(i)] * vectors[k * n_ + i];
        }
        std::fill(signal_.begin() + n_, signal_.end(), 0.0);
        fft_.forward(signal_.data(), spectrum_.data());
        const double factor = values[static_cast<std::size_t>(k)] / static_cast<double>(fft_.size());
        for (Index f = 0; f < sum_.size(); ++f) {
            const double re = spectrum_[f].real();
            const double im = spectrum_[f].imag();
            sum_[f] += std::complex<double>(factor * (re * re - im * im), factor * (2.0 * re * im));
        }
    }
    fft_.inverse(sum_.data(), signal_.data());
    std::vector<double> lags(g_.size(), 0.0);
    for (Index t = 0; t < 2 * n_ - 1; ++t) {
        lags[static_cast<std::size_t>(t)] = signal_[t] / shares_[static_cast<std::size_t>(t)];
    }
    return lags;
}

double ArcsineWindow::ascend(Index order, Index steps, const Eigenpairs& plain, double reached,
                             const Control& control)
{
    Ascent at{g_, compute::Basis(n_), {}};
    std::vector<double> best_lags = g_;                  // of the best so far; its terms are the first of at.terms
    std::size_t best_terms = 0;
    double best_value = reached;
    Eigenpairs best = plain;
    std::vector<double> start(static_cast<std::size_t>(n_));
    std::vector<double> along;
    double step = 1.0;
    for (Index s = 0; s < steps; ++s) {
        control.throw_if_stopped();
        const std::vector<double> lags = projected(best.vectors.data(), best.values, order);
        for (std::size_t t = 0; t < lags.size(); ++t) {
            at.lags[t] += step * lags[t];
        }
        std::fill(start.begin(), start.end(), 0.0);
        for (Index k = 0; k < order; ++k) {
            const double* u = best.vectors.data() + k * n_;
            at.terms.push(u);
            at.factors.push_back(-step * best.values[static_cast<std::size_t>(k)]);
            for (Index i = 0; i < n_; ++i) {
                start[static_cast<std::size_t>(i)] += u[i];
            }
        }
        HankelProduct product(at.lags, n_, n_, weights_, weights_);
        Eigenpairs pairs = lanczos([&](const double* x, double* y) { at.apply(product, x, y, along); }, n_,
                                   {.k = order, .tolerance = 3e-3, .vectors = Vectors::yes, .probe = false,
                                    .start = start.data()}, control);
        double value = energy_;                          // as it seems: for choosing, not for proving
        for (const double x : pairs.values) {
            value -= x * x;
        }
        if (value > best_value) {
            best_value = value;
            best_lags = at.lags;
            best_terms = at.factors.size();
            best = std::move(pairs);
            step *= 0.7;
        } else {                                         // too far: back, and less
            at.lags = best_lags;
            at.factors.resize(best_terms);
            at.terms.shrink(static_cast<Index>(best_terms));
            step *= 0.3;
        }
    }
    if (best_terms == 0) {
        return reached;
    }
    HankelProduct product(at.lags, n_, n_, weights_, weights_);
    const double head = std::max(energy_ - best_value, 1e-300);
    const double tolerance = std::clamp(1e-4 * best_value / head, 1e-13, 1e-4) / static_cast<double>(order);
    const Eigenpairs pairs = lanczos([&](const double* x, double* y) { at.apply(product, x, y, along); }, n_,
                                     {.k = order, .tolerance = tolerance}, control);
    return std::max(reached, proven(pairs, order));
}

std::vector<double> ArcsineWindow::bounds(std::span<const Index> orders, Index steps, const Control& control)
{
    std::vector<double> result(orders.size(), 0.0);
    const Index deepest = orders.empty() ? 0 : std::min(orders.back(), n_);
    HankelProduct product(g_, n_, n_, weights_, weights_);
    const Operator apply = [&](const double* x, double* y) { product.apply(x, y); };
    // Beyond the deepest order a few more, whose squares are part of its tail and do not cancel.
    auto leading = [&](double tolerance) {
        return lanczos(apply, n_, {.k = std::min(n_, deepest + 8), .tolerance = tolerance, .vectors = Vectors::yes},
                       control);
    };
    Eigenpairs plain = leading(1e-9);
    auto cancels = [&](Index d) { return d < n_ && proven(plain, d) < 1e-9 * energy_; };
    const bool exact = n_ <= entries_size && cancels(deepest);
    if (exact) {
        plain = leading(1e-14);
    }
    for (std::size_t i = 0; i < orders.size(); ++i) {
        const Index d = orders[i];
        double sum = d >= n_ ? 0.0 : proven(plain, d);
        sum = sum > 1e3 * energy_doubt * energy_ ? sum : 0.0;
        // Ritz values are never above the singular values that they stand for: their squares bound the tail too.
        double seen = 0.0;
        for (std::size_t k = plain.values.size(); k-- > static_cast<std::size_t>(d);) {
            const double sure = std::max(0.0, std::fabs(plain.values[k]) - value_doubt * std::fabs(plain.values[0]));
            seen += sure * sure;
        }
        result[i] = std::max(sum, seen);
        if (exact && d > 0 && cancels(d) && result[i] < 1e-9 * energy_) {
            result[i] = std::max(result[i], deflated(plain, d));
        }
        if (steps > 0 && d > 0 && d < n_ && sum > 1e-9 * energy_) {
            result[i] = ascend(d, steps, plain, result[i], control);
        }
    }
    return result;
}

}  // namespace stillhouse::systems
