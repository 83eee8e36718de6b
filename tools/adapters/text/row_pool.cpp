// SPDX-License-Identifier: Apache-2.0
// Rows of tokens in random order.
#include "tools/adapters/text/row_pool.hpp"

#include <utility>

namespace stillhouse::adapters {

std::optional<std::vector<Index>> RowPool::enter(std::vector<Index> row)
{
    if (size_ == 0) {
        return row;
    }
    std::vector<std::uint32_t> packed(row.begin(), row.end());        // ids fit: half the memory of the pool
    if (rows_.size() < size_) {
        rows_.push_back(std::move(packed));
        return std::nullopt;
    }
    std::swap(rows_[random_.below(size_)], packed);
    return std::vector<Index>(packed.begin(), packed.end());
}

std::optional<std::vector<Index>> RowPool::leave()
{
    if (rows_.empty()) {
        return std::nullopt;
    }
    std::swap(rows_[random_.below(rows_.size())], rows_.back());
    std::vector<Index> row(rows_.back().begin(), rows_.back().end());
    rows_.pop_back();
    return row;
}

}  // namespace stillhouse::adapters
