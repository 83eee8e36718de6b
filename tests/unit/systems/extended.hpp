// SPDX-License-Identifier: Apache-2.0
// What a modal system answers, in extended precision, straight from its sections: the reference of every realization.
#pragma once

#include "libcore/systems/modal.hpp"

#include <cmath>
#include <vector>

namespace stillhouse::systems::test {

using Extended = long double;

/// y_t = sum_i readout_i x_i(t) of the all-pass cascade (the first taps aside), read before update, for input u. Each
/// section is the orthogonal 3 x 3 map of numerics 6.2, its entries from m and v without a subtraction of neighbours.
inline std::vector<Extended> extended_answer(const ModalSystem& system, const std::vector<double>& input)
{
    struct Entries {
        int states;
        Extended sign, a, b, s1, s2;             // k1 = sign (1 - a), k2 = -(1 - b)
    };
    std::vector<Entries> chain;
    for (const Section& s : system.sections) {
        const Extended m = s.m;
        const Extended v = s.v;
        const Extended sign = s.sign < 0.0 ? -1.0L : 1.0L;
        if (s.states == 1) {
            chain.push_back({1, sign, -std::expm1(m), 0.0L, std::sqrt(-std::expm1(2.0L * m)), 0.0L});
        } else if (s.states == 2) {
            Extended near = 0.0L;                // (1 - l1)(1 - l2)
            Extended far = 0.0L;                 // (1 + l1)(1 + l2)
            if (v < 0.0L) {
                const Extended half = std::sqrt(-v) / 2.0L;
                near = std::expm1(m) * std::expm1(m) + 4.0L * std::exp(m) * std::sin(half) * std::sin(half);
                far = std::expm1(m) * std::expm1(m) + 4.0L * std::exp(m) * std::cos(half) * std::cos(half);
            } else {
                const Extended root = std::sqrt(v);
                near = std::expm1(m + root) * std::expm1(m - root);
                far = (1.0L + std::exp(m + root)) * (1.0L + std::exp(m - root));
            }
            const Extended q = std::exp(2.0L * m);
            chain.push_back({2, sign, near / (1.0L + q), -std::expm1(2.0L * m), std::sqrt(near * far) / (1.0L + q),
                             std::sqrt(-std::expm1(4.0L * m))});
        }
    }
    std::vector<Extended> x(system.readout.size(), 0.0L);
    std::vector<Extended> answer;
    answer.reserve(input.size());
    for (const double u : input) {
        Extended y = 0.0L;
        for (std::size_t i = 0; i < x.size(); ++i) {
            y += system.readout[i] * x[i];
        }
        answer.push_back(y);
        Extended w = u;
        Extended* at = x.data();
        for (const Entries& s : chain) {
            const Extended x1 = at[0];
            if (s.states == 1) {
                at[0] = s.sign * (x1 - s.a * x1) + s.s1 * w;
                w = s.s1 * x1 - s.sign * (w - s.a * w);
            } else {
                const Extended x2 = at[1];
                const Extended e = s.b * x2 - x2 + s.s2 * w;
                at[0] = s.sign * (x1 - s.a * x1) + s.s1 * e;
                at[1] = s.s1 * x1 - s.sign * (e - s.a * e);
                w = s.s2 * x2 + (w - s.b * w);
            }
            at += s.states;
        }
    }
    return answer;
}

/// sqrt(sum (is - should)^2 / sum should^2); infinite where `is` is not finite; 0 where both vanish.
inline double extended_distance(const std::vector<double>& is, const std::vector<Extended>& should)
{
    Extended error = 0.0L;
    Extended norm = 0.0L;
    for (std::size_t t = 0; t < should.size(); ++t) {
        error += (is[t] - should[t]) * (is[t] - should[t]);
        norm += should[t] * should[t];
    }
    if (error == 0.0L) {
        return 0.0;
    }
    const double ratio = static_cast<double>(std::sqrt(error / norm));
    return std::isfinite(ratio) ? ratio : HUGE_VAL;
}

}  // namespace stillhouse::systems::test
