// SPDX-License-Identifier: Apache-2.0
// What realize-ssm measures of a recurrence, and the numbers of its state.
#pragma once

#include "libcore/systems/realization.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stillhouse {

/// What --check measures of one filter.
struct Check {
    double within = 0.0, beyond = 0.0;       // over the length of the filter, and over ten times it
    double rounding = 0.0;                   // of its coefficients, over all lags
    double worst() const { return std::max(within, beyond); }   // what runs; `rounding` is told beside it
};

inline constexpr Index unknown_length = 1024;       // of filters that did not come along

inline Check check_of(const systems::ModalSystem& system, const systems::Realization& r, const std::string& precision,
                      Index length)
{
    const std::vector<double> off = systems::deviations(system, r, precision, {length, 10 * length});
    return {off[0], off[1], systems::rounding_error(system, r, precision)};
}

/// First taps behind the lags at which all filters are zero: those belong to a delay, which costs no state.
inline Index stored_taps(const std::vector<systems::Realization>& bank)
{
    Index taps = 1;
    for (const systems::Realization& r : bank) {
        const auto first = std::find_if(r.fir.begin(), r.fir.end() - 1, [](double tap) { return tap != 0.0; });
        taps = std::max(taps, static_cast<Index>(r.fir.end() - first));
    }
    return taps;
}

}  // namespace stillhouse
