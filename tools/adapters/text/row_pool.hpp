// SPDX-License-Identifier: Apache-2.0
// Rows of tokens in random order through a pool of fixed size: neighbours in a book become strangers in a batch.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/base/shape.hpp"

#include <optional>
#include <vector>

namespace stillhouse::adapters {

/// Rows of equal length. Once the pool holds `size` rows, each that enters makes a random one leave; what is left at
/// the end leaves in random order. Keyed by the seed alone, so that the order is that of the rows that entered,
/// whatever is done with them. size 0: rows leave as they enter.
class RowPool {
public:
    RowPool(Index size, std::uint64_t seed) : size_(static_cast<std::size_t>(size)), random_(seed, stream) {}

    /// The row that leaves for this one, if one does.
    std::optional<std::vector<Index>> enter(std::vector<Index> row);
    /// One of those that are left.
    std::optional<std::vector<Index>> leave();

private:
    static constexpr std::uint64_t stream = 0x73687566666c65u;

    std::size_t size_;
    Random random_;
    std::vector<std::vector<std::uint32_t>> rows_;
};

}  // namespace stillhouse::adapters
