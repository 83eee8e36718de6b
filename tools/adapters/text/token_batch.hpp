// SPDX-License-Identifier: Apache-2.0
// Rows of token ids on their way into a network.
#pragma once

#include "libcore/base/shape.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace stillhouse::adapters {

/// tokens[rows, length]
struct TokenBatch {
    Index number = 0;
    Index rows = 0;
    Index length = 0;
    std::vector<Index> tokens;
};

/// Batches in ascending order of their numbers; nothing at the end.
using NextBatch = std::function<std::optional<TokenBatch>()>;

/// Numbers first to last - 1 of all batches.
struct BatchRange {
    Index first = 0;
    Index last = -1;                             // -1: to the end
};

}  // namespace stillhouse::adapters
