// SPDX-License-Identifier: Apache-2.0
// A strip of queries of one head against its keys: what forward, prefill and backward of attention share.
#pragma once

#include "libcore/models/attention.hpp"
#include "libcore/models/attention_kernels.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>

namespace stillhouse::models {

inline constexpr Index strip_queries = 48;        // rows of the matrix A that exist at a time
inline constexpr Index keys_per_block = 64;
inline constexpr Index strips_per_task = 5;       // where sequences and heads alone are too few tasks

/// x[n, head_dim] (rows `stride` apart) as blocks [head_dim, 64] of columns; columns beyond n are zero.
template <class T>
void pack_columns(const T* x, Index n, Index stride, Index head_dim, T* blocks)
{
    for (Index first = 0; first < n; first += keys_per_block, blocks += head_dim * keys_per_block) {
        const Index count = std::min(keys_per_block, n - first);
        if (count < keys_per_block) {
            std::fill_n(blocks, head_dim * keys_per_block, T(0));
        }
        for (Index s = 0; s < count; ++s) {
            const T* row = x + (first + s) * stride;
            for (Index d = 0; d < head_dim; ++d) {
                blocks[d * keys_per_block + s] = row[d];
            }
        }
    }
}

inline Index packed_size(Index n, Index head_dim)
{
    return (n + keys_per_block - 1) / keys_per_block * keys_per_block * head_dim;
}

/// The keys that a strip of `count` queries from position `first` on can see, cut at the borders of blocks.
struct Reach {
    Index first;             // query position of the strip's first row
    Index count;             // rows
    Index window;
    Index begin;             // first key, a multiple of 64
    Index end;               // one past the last key

    Reach(Index first_query, Index rows, Index window_) : first(first_query), count(rows), window(window_)
    {
        begin = window > 0 ? std::max<Index>(0, first - window + 1) / keys_per_block * keys_per_block : 0;
        end = first + count;
    }
    Index stride() const { return (end - begin + keys_per_block - 1) / keys_per_block * keys_per_block; }
    /// Of row i, relative to `begin`: the first key it sees and one past the last.
    Index row_begin(Index i) const
    {
        return window > 0 ? std::max<Index>(0, first + i - window + 1) - begin : 0;
    }
    Index row_end(Index i) const { return first + i + 1 - begin; }
};

/// The longest row that any strip of a sequence of `length` needs.
inline Index longest_stride(Index length, Index window)
{
    const Index all = Reach(0, length, 0).stride();
    return window > 0 ? std::min(all, Reach(0, window + strip_queries + keys_per_block, 0).stride()) : all;
}

/// scores[count, stride] = q K^T for the blocks of a reach; block(j) gives the packed keys of block j.
template <class T, class Block>
void score_strip(const Reach& reach, const T* q, Index q_stride, Index head_dim, const Block& block, T* scores)
{
    for (Index at = reach.begin; at < reach.end; at += keys_per_block) {
        small_product<T>(reach.count, keys_per_block, head_dim, q, q_stride, 1, block(at / keys_per_block),
                         keys_per_block, scores + (at - reach.begin), reach.stride(), false);
    }
}

/// Clears what row i does not see, up to the end of the strip's keys.
template <class T>
void clear_unseen(const Reach& reach, Index i, T* row)
{
    std::fill(row, row + reach.row_begin(i), T(0));
    std::fill(row + reach.row_end(i), row + reach.stride(), T(0));
}

/// Calls body(b, head, first, last) for runs of strips of queries, the longest rows first.
template <class T, class Body>
void for_each_run(compute::Operations<T>& ops, Index batch, Index heads, Index length, const Body& body)
{
    const bool many = batch * heads >= 4 * ops.pool().threads();
    const Index run = many ? length : strips_per_task * strip_queries;
    const Index runs = (length + run - 1) / run;
    ops.pool().for_each(runs * batch * heads, [&](Index task) {
        const Index first = (runs - 1 - task / (batch * heads)) * run;
        const Index rest = task % (batch * heads);
        body(rest / heads, rest % heads, first, std::min(length, first + run));
    });
}

}  // namespace stillhouse::models
