// SPDX-License-Identifier: Apache-2.0
// What every analysis of a filter refuses first: NaN and infinity.
#pragma once

#include "libcore/base/error.hpp"

#include <cmath>
#include <span>
#include <string>

namespace stillhouse::systems {

/// Error{bad_data} naming the first lag that is NaN or infinite; lags count from `first`.
inline void require_finite(std::span<const double> lags, std::size_t first = 0)
{
    for (std::size_t t = 0; t < lags.size(); ++t) {
        if (!std::isfinite(lags[t])) {
            throw_error(ErrorCode::bad_data, "lag " + std::to_string(first + t) + " is not a finite number");
        }
    }
}

}  // namespace stillhouse::systems
