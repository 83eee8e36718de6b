// SPDX-License-Identifier: Apache-2.0
// Softmax attention in pairs of bf16: the loop over strips of queries.
#include "libcore/models/attention_pairs.hpp"

#include "libcore/models/attention_strip.hpp"

#include <cmath>

namespace stillhouse::models {

namespace {

using Kernels = compute::PairAttention;
using Pair = compute::Pair;
static_assert(Kernels::queries == strip_queries && keys_per_block % Kernels::keys_at_once == 0);

Index round_up(Index n, Index to)
{
    return (n + to - 1) / to * to;
}

}  // namespace

void attend_in_pairs(compute::Operations<float>& ops, const compute::PairAttention& kernels,
                     const AttentionGeometry& geometry, Sequences<const float> q, Sequences<const float> k,
                     Sequences<const float> v, Index before, Sequences<float> y, float* statistics)
{
    const Index width = geometry.head_dim;
    const Index steps = (width + 1) / 2;
    const Index padded = round_up(width, Index{16});
    const double natural = 1.0 / std::sqrt(static_cast<double>(width));
    const auto scale = static_cast<float>(natural / std::log(2.0));
    for_each_run(ops, q.batch, geometry.heads, q.length, [&](Index b, Index head, Index first, Index last) {
        const Index kv_column = head * geometry.kv_heads / geometry.heads * width;
        const Reach whole(before + first, last - first, geometry.window);
        const Index n = whole.end - whole.begin;
        const Index rows = round_up(n, Kernels::keys_at_once);
        const Index longest = round_up(std::min(n, longest_stride(whole.end, geometry.window)), Kernels::keys_at_once);
        Scratch<Pair> keys(rows * steps);
        Scratch<Pair> values((n + 1) / 2 * padded);
        Scratch<Pair> lines(strip_queries * steps);
        Scratch<Pair> queries(strip_queries * steps);
        Scratch<float> scores(longest * strip_queries);
        Scratch<Pair> weights((longest + 1) / 2 * strip_queries);
        kernels.pair_along(k.token(b, whole.begin) + kv_column, k.width, n, width, keys.data());
        std::fill(keys.data() + n * steps, keys.data() + rows * steps, Pair{0});
        kernels.pair_rows(v.token(b, whole.begin) + kv_column, v.width, n, width, values.data(), padded);
        for (Index t = first; t < last; t += strip_queries) {
            const Reach reach(before + t, std::min(strip_queries, last - t), geometry.window);
            const compute::StripKeys strip{reach.first, reach.window, reach.begin, reach.end};
            const Index skipped = reach.begin - whole.begin;       // a multiple of 64
            float greatest[strip_queries];
            float totals[strip_queries];
            kernels.pair_along(q.token(b, t) + head * width, q.width, reach.count, width, lines.data());
            kernels.turn(lines.data(), reach.count, steps, queries.data());
            kernels.score(strip, keys.data() + skipped * steps, queries.data(), steps, scores.data(), greatest);
            kernels.weigh(strip, scale, scores.data(), greatest, weights.data(), totals);
            kernels.mix(reach.count, width, (reach.end - reach.begin + 1) / 2, weights.data(),
                       values.data() + skipped / 2 * padded, padded, totals, y.token(b, t) + head * width, y.width);
            for (Index i = 0; i < reach.count && statistics != nullptr; ++i) {
                statistics[(b * geometry.heads + head) * q.length + t + i] =
                    static_cast<float>(natural) * greatest[i] + std::log(totals[i]);
            }
        }
    });
}

}  // namespace stillhouse::models
