// SPDX-License-Identifier: Apache-2.0
// Kernels of softmax attention whose products multiply pairs of bf16 numbers and add in f32, for use inside tasks.
#pragma once

#include "libcore/compute/backend.hpp"

#include <cstdint>

namespace stillhouse::compute {

/// Two bf16 numbers, neighbours along the axis that a product sums, the first one low.
using Pair = std::uint32_t;

/// The keys begin ... end that a strip of queries is compared with; query i stands at position first + i and sees the
/// keys up to its own, with a window only the last `window` of them.
struct StripKeys {
    Index first = 0;
    Index window = 0;
    Index begin = 0;
    Index end = 0;
};

/// Scores lie with keys as rows and the queries of a strip as columns: neither keys nor values are ever transposed, and
/// a vector holds a score of 16 queries. Each number is one chain of sums over ascending p, whatever surrounds it.
struct PairAttention {
    static constexpr Index queries = 48;         // columns of a strip
    static constexpr Index keys_at_once = 8;     // rows of keys and of scores come in whole groups of so many

    /// to[rows, (width + 1) / 2] = (x0, x1), (x2, x3), ... of each row of x[rows, width]
    void (*pair_along)(const float* x, Index stride, Index rows, Index width, Pair* to);
    /// to[(rows + 1) / 2, padded] = rows 2p and 2p + 1 of x[rows, width]; zeros behind them
    void (*pair_rows)(const float* x, Index stride, Index rows, Index width, Pair* to, Index padded);
    /// to[steps, queries] = lines[count, steps] transposed, zeros behind `count`
    void (*turn)(const Pair* lines, Index count, Index steps, Pair* to);
    /// scores[keys, queries] = keys[keys, steps] times queries[steps, queries], and the greatest that each query sees
    void (*score)(const StripKeys& strip, const Pair* keys, const Pair* queries, Index steps, float* scores,
                  float* greatest);
    /// weights[pairs of keys, queries] = 2^(scale (score - greatest)), 0 where nothing is seen; totals: of each query
    /// the sum of what its weights were rounded to
    void (*weigh)(const StripKeys& strip, float scale, const float* scores, const float* greatest, Pair* weights,
                  float* totals);
    /// y[count, width] = weights[steps, queries]^T values[steps, width] / totals
    void (*mix)(Index count, Index width, Index steps, const Pair* weights, const Pair* values, Index v_stride,
                const float* totals, float* y, Index y_stride);
};

/// Null unless products of `ops` round their operands to bf16 and this processor multiplies such pairs.
const PairAttention* pair_attention(const Operations<float>& ops);

}  // namespace stillhouse::compute
