// SPDX-License-Identifier: Apache-2.0
// The loop of teacher-dump: batches of tokens, numbered over the whole, through the model into the stream.
#pragma once

#include "tools/adapters/activations.hpp"
#include "tools/adapters/samples.hpp"

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
/// What is left after `skip` batches of `total` (-1: unknown, then parts must be 1), the part-th of so many parts.
BatchRange batch_range(Index total, Index skip, Index part, Index parts);

/// Those of a range that the model draws itself.
template <class T>
NextBatch sampled(const SampledRows<T>& rows, const RowPlan& plan, BatchRange range, const Control& control);

struct DumpTotals {
    Index batches = 0;
    Index tokens = 0;
};
/// Writes every batch; `network` may be null when only tokens are shown. Error{bad_data}: no tokens at all, ids outside
/// the vocabulary.
template <class T>
DumpTotals dump(const models::Network<T>* network, const models::NetworkConfig& config, const Shown& shown,
                const NextBatch& next, formats::StreamWriter& writer, const Control& control);

}  // namespace stillhouse::adapters
