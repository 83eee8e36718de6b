// SPDX-License-Identifier: Apache-2.0
// Where the loss of a training began and where it ended.
#pragma once

#include "libcore/base/shape.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Means over the first and over the last tenth of the steps, at least one step each; 0 where there was none.
struct LossSummary {
    double first = 0.0;
    double last = 0.0;

    explicit LossSummary(const std::vector<double>& losses)
    {
        const auto n = static_cast<Index>(losses.size());
        const Index tenth = std::min(n, std::max<Index>(1, n / 10));
        for (Index i = 0; i < tenth; ++i) {
            first += losses[static_cast<std::size_t>(i)];
            last += losses[static_cast<std::size_t>(n - tenth + i)];
        }
        first /= static_cast<double>(std::max<Index>(1, tenth));
        last /= static_cast<double>(std::max<Index>(1, tenth));
    }
};

/// ", loss 3.1 to 2.9"; nothing where no step was taken.
inline std::string loss_text(const std::vector<double>& losses)
{
    const LossSummary loss(losses);
    return losses.empty() ? "" : ", loss " + std::to_string(loss.first) + " to " + std::to_string(loss.last);
}

}  // namespace stillhouse::adapters
