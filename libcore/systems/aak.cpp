// SPDX-License-Identifier: Apache-2.0
// The Hankel optimum without root finding: an all-pass error on a circle, its stable part, the poles of that.
#include "libcore/systems/aak.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/error_norms.hpp"
#include "libcore/systems/finite.hpp"
#include "libcore/systems/lanczos.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::systems {

namespace {

using Complex = std::complex<double>;
using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double lost = 1e-13;               // of sigma_1: below, an eigenvector is rounding
constexpr double near_enough = 1.0 + 1e-5;   // distance over sigma_{d+1}: no finer circle is tried
constexpr double too_far = 1.01;             // above after the finest circle: refused
constexpr Index most_points = Index{1} << 22;

/// Impulse response over M / 2 lags of the optimum: g less the stable part of s V(1/z) / V(z), from `points` values.
std::vector<double> optimum(const VectorXd& g, const VectorXd& v, double s, Index points)
{
    compute::RealFft<double> fft(points);
    Buffer<double> signal(points);
    Buffer<Complex> spectrum(fft.spectrum_size());
    std::copy_n(v.data(), v.size(), signal.begin());
    fft.forward(signal.data(), spectrum.data());
    for (Complex& x : spectrum) {
        // F / conj F; where V is 0 on the circle, so is its mirror image, and any unit number is as good
        const double modulus = std::abs(x);
        const Complex unit = modulus > 0.0 ? x / modulus : Complex(1.0);
        x = unit * unit * (s / static_cast<double>(points));
    }
    fft.inverse(spectrum.data(), signal.data());
    std::vector<double> response(static_cast<std::size_t>(points / 2));
    for (Index t = 0; t < points / 2; ++t) {
        response[static_cast<std::size_t>(t)] = (t < g.size() ? g(t) : 0.0) - signal[t];
    }
    return response;
}

/// V and V' at z inside the disc.
std::pair<Complex, Complex> value_and_slope(const VectorXd& v, Complex z)
{
    Complex value = 0.0;
    Complex slope = 0.0;
    for (Index k = v.size(); k-- > 0;) {
        slope = slope * z + value;
        value = value * z + v(k);
    }
    return {value, slope};
}

/// Newton's steps from a pole that is nearly right; where they lead away, the pole as it was.
Complex refined(const VectorXd& v, Complex pole, double reach)
{
    Complex z = pole;
    for (int step = 0; step < 8; ++step) {
        const auto [value, slope] = value_and_slope(v, z);
        const Complex change = slope == 0.0 ? Complex(0.0) : value / slope;
        z -= change;
        if (!(std::abs(z - pole) <= reach) || !(std::abs(z) < 1.0)) {
            return pole;
        }
        if (std::abs(change) <= 1e-16 * std::abs(z)) {
            break;
        }
    }
    return z;
}

/// Poles of a response of exactly low order: shift invariance of the leading eigenvectors of its Hankel matrix. At most
/// `order`, fewer where further eigenvalues are below `floor`.
std::vector<Complex> poles_of(const std::vector<double>& response, Index size, Index order, double floor,
                              const Control& control)
{
    HankelProduct product(response, size, size);
    const Eigenpairs pairs = lanczos([&](const double* x, double* y) { product.apply(x, y); }, size, order, 1e-14,
                                     Vectors::yes, control);
    Index rank = 0;
    while (rank < order && std::fabs(pairs.values[static_cast<std::size_t>(rank)]) > floor) {
        ++rank;
    }
    if (rank == 0) {
        return {};
    }
    const Map<const MatrixXd> U(pairs.vectors.data(), size, rank);
    const MatrixXd A = U.topRows(size - 1).colPivHouseholderQr().solve(U.bottomRows(size - 1));
    const VectorXd::Index n = A.rows();
    const Eigen::VectorXcd values = A.eigenvalues();
    return {values.data(), values.data() + n};
}

/// Sections of conjugate-closed poles, moved inside the circle where rounding left them outside.
std::vector<Section> sections_of(std::vector<Complex> poles)
{
    for (Complex& pole : poles) {
        const double modulus = std::abs(pole);
        if (modulus >= 1.0) {
            pole *= (modulus > 1.0 + 1e-9 ? 1.0 / modulus : 1.0 - 1e-12) / modulus;
        }
        if (pole == 0.0) {
            pole = std::numeric_limits<double>::min();
        }
    }
    const std::vector<Complex> residues(poles.size(), 1.0);
    const double tap = 0.0;
    return system_from(poles, residues, {&tap, 1}).sections;
}

/// Readout in the orthonormal cascade basis: its inner products with the response.
std::vector<double> projection(const std::vector<Section>& sections, const std::vector<double>& response)
{
    std::vector<AllPass> chain;
    std::size_t order = 0;
    for (const Section& s : sections) {
        chain.push_back(all_pass(s));
        order += static_cast<std::size_t>(s.states);
    }
    std::vector<double> x(order, 0.0);
    std::vector<double> readout(order, 0.0);
    double w = 1.0;
    for (const double value : response) {
        double* state = x.data();
        for (const AllPass& s : chain) {
            w = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, state, w)
                              : step_single(s.sign, s.a, s.s1, state, w);
            state += s.states;
        }
        for (std::size_t i = 0; i < order; ++i) {
            readout[i] += value * x[i];
        }
        w = 0.0;
    }
    return readout;
}

}  // namespace

Fit fit_hankel(std::span<const double> h, const FitOptions& options, const Control& control)
{
    const Index K = options.fir_taps;
    const Index d = options.order;
    const Index N = static_cast<Index>(h.size()) - K;
    if (d < 0 || K < 1 || N < 0) {
        throw_error(ErrorCode::bad_argument, "order " + std::to_string(d) + " and " + std::to_string(K) +
                    " first taps of " + std::to_string(h.size()) + " lags; expected order >= 0 and 1 <= taps <= lags");
    }
    require_finite(h);
    Fit fit;
    fit.system.fir.assign(h.begin(), h.begin() + K);
    VectorXd g = Map<const VectorXd>(h.data() + K, N);
    const double largest = N > 0 ? g.cwiseAbs().maxCoeff() : 0.0;
    if (largest == 0.0) {
        return fit;
    }
    fit.error = 1.0;
    fit.objective = 1.0;
    if (d == 0) {
        return fit;
    }
    if (d >= N) {
        throw_error(ErrorCode::bad_data, "a Hankel optimum of order " + std::to_string(d) + " needs more than " +
                    std::to_string(d) + " lags behind the first taps, found " + std::to_string(N) +
                    (d > 1 ? "; lower the order" : "; a longer filter is needed"));
    }
    g /= largest;
    std::vector<double> scaled(static_cast<std::size_t>(K), 0.0);    // h as error_norms takes it
    scaled.insert(scaled.end(), g.data(), g.data() + N);

    HankelProduct product({g.data(), static_cast<std::size_t>(N)}, N, N);
    const Eigenpairs pairs = lanczos([&](const double* x, double* y) { product.apply(x, y); }, N, d + 1, 1e-14,
                                     Vectors::yes, control);
    const double first = std::fabs(pairs.values[0]);
    const double s = pairs.values[static_cast<std::size_t>(d)];
    if (!(std::fabs(s) > lost * first)) {
        throw_error(ErrorCode::unsupported, "its Hankel singular value " + std::to_string(d + 1) +
                    " is below 1e-13 of the first, which is rounding; lower the order, or take the objective l2");
    }
    const VectorXd v = Map<const VectorXd>(pairs.vectors.data() + d * N, N);

    double best = std::numeric_limits<double>::infinity();
    for (Index points = compute::fft_size(32 * N); best > near_enough; points *= 4) {
        control.throw_if_stopped();
        const std::vector<double> response = optimum(g, v, s, points);
        const std::vector<Complex> rough = poles_of(response, N, d, 1e-7 * std::fabs(s), control);
        std::vector<Complex> fine;
        for (const Complex pole : rough) {
            fine.push_back(refined(v, pole, 0.1 * std::max(1.0 - std::abs(pole), 1e-12)));
        }
        for (const std::vector<Complex>& poles : {fine, rough}) {
            ModalSystem system;
            system.fir.assign(static_cast<std::size_t>(K), 0.0);
            system.sections = sections_of(poles);
            system.readout = projection(system.sections, response);
            const ErrorNorms norms = error_norms(scaled, system, control);
            const double ratio = norms.hankel * first / std::fabs(s);
            if (ratio < best) {
                best = ratio;
                fit.system.sections = system.sections;
                fit.system.readout = system.readout;
                fit.error = norms.l2;
                fit.objective = norms.hankel;
            }
            if (best <= near_enough) {
                break;
            }
        }
        ++fit.iterations;
        if (4 * points > most_points && fit.iterations > 1) {
            break;
        }
    }
    if (best > too_far) {
        throw_error(ErrorCode::unsupported, "the Hankel optimum of order " + std::to_string(d) +
                    " is lost in rounding: reached " + std::to_string(best) + " times the singular value " +
                    std::to_string(d + 1) + "; take another order, or the objective l2");
    }
    for (double& c : fit.system.readout) {
        c *= largest;
    }
    return fit;
}

}  // namespace stillhouse::systems
