// SPDX-License-Identifier: Apache-2.0
// Systems and measures that the tests of libcore/systems share.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/systems/modal.hpp"

#include <cmath>
#include <complex>
#include <vector>

namespace stillhouse::systems::test {

using Complex = std::complex<double>;

/// sqrt(sum (a - b)^2 / sum b^2) over lags from..
inline double relative_l2(const std::vector<double>& a, const std::vector<double>& b, std::size_t from = 0)
{
    double error = 0.0;
    double norm = 0.0;
    for (std::size_t t = from; t < b.size(); ++t) {
        error += (a[t] - b[t]) * (a[t] - b[t]);
        norm += b[t] * b[t];
    }
    return norm > 0.0 ? std::sqrt(error / norm) : std::sqrt(error);
}

/// fir, then Re sum_n R_n lambda_n^(t-K), by its definition.
inline std::vector<double> response(const std::vector<Complex>& poles, const std::vector<Complex>& residues,
                                    const std::vector<double>& fir, std::size_t length)
{
    std::vector<double> h(length, 0.0);
    for (std::size_t t = 0; t < length; ++t) {
        if (t < fir.size()) {
            h[t] = fir[t];
            continue;
        }
        for (std::size_t n = 0; n < poles.size(); ++n) {
            const double k = static_cast<double>(t - fir.size());
            const double r = std::pow(std::abs(poles[n]), k);
            const double angle = k * std::arg(poles[n]);
            h[t] += (residues[n] * Complex(r * std::cos(angle), r * std::sin(angle))).real();
        }
    }
    return h;
}

/// `pairs` complex poles (one of each pair) of radius 0.8 .. 0.999 and `reals` real ones of either sign, separated.
inline void random_modes(std::uint64_t seed, int pairs, int reals, std::vector<Complex>& poles,
                         std::vector<Complex>& residues)
{
    Random random(seed, 7);
    for (int n = 0; n < pairs; ++n) {
        const double angle = (n + 0.2 + 0.6 * random.uniform()) * 3.14159265358979 / pairs;
        const double radius = 1.0 - std::exp(-1.6 - 5.3 * random.uniform());
        poles.push_back(std::polar(radius, angle));
        residues.push_back({random.normal(), random.normal()});
    }
    for (int n = 0; n < reals; ++n) {
        const double radius = 1.0 - std::exp(-1.0 - 2.0 * n - random.uniform());
        poles.push_back(n % 3 == 2 ? -radius : radius);
        residues.push_back(random.normal());
    }
}

inline std::vector<double> noise(std::uint64_t seed, std::size_t n)
{
    Random random(seed, 9);
    std::vector<double> u(n);
    for (double& x : u) {
        x = random.normal();
    }
    return u;
}

}  // namespace stillhouse::systems::test
