// SPDX-License-Identifier: Apache-2.0
// Random filters of ten kinds, cheap to make and to fit: for certificates.
#pragma once

#include "libcore/base/random.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

namespace stillhouse::systems::test {

inline constexpr std::uint64_t filter_kinds = 10;

/// Filter `seed`, of kind seed % filter_kinds and of 32 to 255 lags.
inline std::vector<double> random_filter(std::uint64_t seed)
{
    Random random(seed, 0x63657274u);
    const std::size_t length = 32 + static_cast<std::size_t>(random.below(224));
    const double n = static_cast<double>(length);
    const double rate = std::exp(0.7 + 2.0 * random.uniform()) / n;      // of decay
    const double turn = 3.0 * random.uniform();
    std::vector<double> h(length);
    std::vector<double> amplitude(6);
    std::vector<double> speed(6);
    std::vector<double> decay(6);
    for (std::size_t m = 0; m < 6; ++m) {
        amplitude[m] = random.normal();
        speed[m] = 3.1 * random.uniform();
        decay[m] = std::exp(3.0 * random.uniform()) / n;
    }
    for (std::size_t t = 0; t < length; ++t) {
        const double x = static_cast<double>(t);
        switch (seed % filter_kinds) {
        case 0: h[t] = random.normal() * std::exp(-rate * x); break;                     // decaying noise
        case 1: h[t] = random.normal(); break;                                           // noise
        case 2:                                                                          // modes
            for (std::size_t m = 0; m < 6; ++m) {
                h[t] += amplitude[m] * std::exp(-decay[m] * x) * std::cos(speed[m] * x);
            }
            break;
        case 3: h[t] = std::pow(1.0 + x, -0.3 - turn); break;                            // power law
        case 4: h[t] = std::cos(turn * x * x / n) * std::exp(-rate * x); break;          // chirp
        case 5: h[t] = std::exp(-0.5 * std::pow((x - n * turn / 3.0) / (1.0 + 3.0 * turn), 2)); break;   // bump
        case 6: h[t] = x < n * turn / 3.0 ? 1.0 : 0.0; break;                            // box
        case 7: h[t] = t == 1 + static_cast<std::size_t>(turn * n / 3.1) ? 1.0 : 0.0; break;     // delay
        case 8: h[t] = t % 3 == 1 ? random.normal() * std::exp(-rate * x) : 0.0; break;  // dilated
        default: h[t] = std::cos(turn * x) + 0.1 * random.normal(); break;               // does not decay
        }
    }
    return h;
}

}  // namespace stillhouse::systems::test
