// SPDX-License-Identifier: Apache-2.0
// Marks of shards (stillhouse-stream(5), Shards): what tools set and `tensor-stream cat` takes away.
#pragma once

#include "formats/stream/tensor.hpp"

#include <optional>

namespace stillhouse::formats {

/// How a tool with --shard K/N marks its output, for N > 1 (with N = 1 nothing is marked, so that 1/1 is the whole):
///   1. `mark_shard(info, K, N)` on the StreamInfo that it writes; it refuses a stream that is another shard.
///   2. What the tool does not work on is passed through (copy_to), marks included.
///   3. Work items are numbered over the whole, and shard K takes `share_of(items, K, N)`. Each result that belongs to
///      one item alone is a whole tensor with `mark_owned`, written where the unsharded run writes it; batches are
///      called `batches.n.` by their number in the whole. A note gets the key `owned` = true.
///   4. Where one tensor is all there is to work on, its rows are the items: every result is written with its own rows
///      only and `mark_rows(header, first, total)`; a part without rows writes a tensor of no rows.
///   5. What every shard writes in the same way (weights, config) bears no mark and must not differ.
struct ShardMark {
    Index part = 1, parts = 1;           // K of N, from 1
    bool operator==(const ShardMark&) const = default;
};

/// Error{bad_data}: a mark that is none, or, in `mark_shard`, that of another shard.
std::optional<ShardMark> shard_of(const StreamInfo& info);
void mark_shard(StreamInfo& info, Index part, Index parts);
void remove_shard_mark(StreamInfo& info);

struct RowRange {
    Index first = 0, total = 0;
};
bool is_owned(const TensorHeader& header);
std::optional<RowRange> rows_of(const TensorHeader& header);     // Error{bad_data}: does not fit the shape
void mark_owned(TensorHeader& header);
void mark_rows(TensorHeader& header, Index first, Index total);
void remove_marks(TensorHeader& header);                         // owned and rows

/// Part K of N of `items`: floor((K-1) items / N) to floor(K items / N) - 1.
struct Share {
    Index first = 0, count = 0;
};
Share share_of(Index items, Index part, Index parts);

}  // namespace stillhouse::formats
