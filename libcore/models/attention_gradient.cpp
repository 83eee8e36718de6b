// SPDX-License-Identifier: Apache-2.0
// The backward of softmax attention, which makes the attention weights again strip by strip.
#include "libcore/compute/vector.hpp"
#include "libcore/models/attention.hpp"
#include "libcore/models/attention_strip.hpp"
#include "libcore/models/rotary.hpp"

#include <cmath>

namespace stillhouse::models {

// With A the weights, P_i = sum_j A_ij (dy_i . v_j):
//     dv_j = sum_i A_ij dy_i,   ds_ij = A_ij (dy_i . v_j - P_i) / sqrt(head_dim),
//     dq_i = sum_j ds_ij k_j,   dk_j = sum_i ds_ij q_i.
// P_i is y_i . dy_i, and the forward's statistics would make A; but where the forward rounds to bf16 neither belongs to
// these A, and sum_j ds_ij would not be 0: a gradient for what moves all scores of a row alike, the bias of k, the norm
// before it. AdamW follows it, however small: students of KL 0.02 went to 0.05 over some thousand steps.
template <class T>
void SoftmaxAttention<T>::backward(compute::Operations<T>& ops, Sequences<const T> q, Sequences<const T> k,
                                   Sequences<const T> v, const T* statistics, Sequences<const T> dy,
                                   Sequences<T> dq, Sequences<T> dk, Sequences<T> dv) const
{
    STILLHOUSE_CHECK(q.width == geometry_.query_width() && k.width == geometry_.key_width() && v.width == k.width);
    STILLHOUSE_CHECK(dq.size() == q.size() && dk.size() == k.size() && dv.size() == v.size() && statistics != nullptr);
    const Index width = geometry_.head_dim;
    const Index group = geometry_.heads / geometry_.kv_heads;
    const T scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(width)));
    ops.pool().for_each(q.batch * geometry_.kv_heads, [&](Index task) {
        const Index b = task / geometry_.kv_heads;
        const Index kv_column = task % geometry_.kv_heads * width;
        const Index longest = longest_stride(q.length, geometry_.window);
        Scratch<T> packed_k(packed_size(q.length, width));
        Scratch<T> packed_v(packed_size(q.length, width));
        Scratch<T> weights(strip_queries * longest);
        Scratch<T> changes(strip_queries * longest);
        pack_columns(k.token(b, 0) + kv_column, q.length, k.width, width, packed_k.data());
        pack_columns(v.token(b, 0) + kv_column, q.length, v.width, width, packed_v.data());
        const auto key_block = [&](Index j) { return packed_k.data() + j * keys_per_block * width; };
        const auto value_block = [&](Index j) { return packed_v.data() + j * keys_per_block * width; };
        for (Index t = 0; t < q.length; ++t) {
            std::fill_n(dk.token(b, t) + kv_column, width, T(0));
            std::fill_n(dv.token(b, t) + kv_column, width, T(0));
        }
        for (Index head = task % geometry_.kv_heads * group, end = head + group; head < end; ++head) {
            const Index column = head * width;
            const T* statistic = statistics + (b * geometry_.heads + head) * q.length;
            for (Index t = 0; t < q.length; t += strip_queries) {
                const Reach reach(t, std::min(strip_queries, q.length - t), geometry_.window);
                const Index stride = reach.stride();
                const Index keys = reach.end - reach.begin;
                score_strip<T>(reach, q.token(b, t) + column, q.width, width, key_block, weights.data());
                score_strip<T>(reach, dy.token(b, t) + column, dy.width, width, value_block, changes.data());
                for (Index i = 0; i < reach.count; ++i) {
                    T* weight = weights.data() + i * stride;
                    T* change = changes.data() + i * stride;
                    const Index from = reach.row_begin(i);
                    const Index seen = reach.row_end(i) - from;
                    exp_scaled(weight + from, seen, scale, statistic[t + i]);
                    const T inverse = T(1) / sum(weight + from, seen);
                    const T mean = inverse * compute::dot(weight + from, change + from, seen);
                    for (Index s = from; s < reach.row_end(i); ++s) {
                        weight[s] *= inverse;
                        change[s] = weight[s] * (change[s] - mean) * scale;
                    }
                    clear_unseen(reach, i, weight);
                    clear_unseen(reach, i, change);
                }
                small_product<T>(reach.count, width, keys, changes.data(), stride, 1,
                                 k.token(b, reach.begin) + kv_column, k.width, dq.token(b, t) + column, dq.width,
                                 false);
                small_product<T>(keys, width, reach.count, changes.data(), 1, stride, q.token(b, t) + column, q.width,
                                 dk.token(b, reach.begin) + kv_column, dk.width, true);
                small_product<T>(keys, width, reach.count, weights.data(), 1, stride, dy.token(b, t) + column,
                                 dy.width, dv.token(b, reach.begin) + kv_column, dv.width, true);
            }
        }
    });
    rotate(ops, frequencies_, width, 0, dq, true);
    rotate(ops, frequencies_, width, 0, dk, true);
}

template void SoftmaxAttention<float>::backward(compute::Operations<float>&, Sequences<const float>,
                                                Sequences<const float>, Sequences<const float>, const float*,
                                                Sequences<const float>, Sequences<float>, Sequences<float>,
                                                Sequences<float>) const;
template void SoftmaxAttention<double>::backward(compute::Operations<double>&, Sequences<const double>,
                                                 Sequences<const double>, Sequences<const double>, const double*,
                                                 Sequences<const double>, Sequences<double>, Sequences<double>,
                                                 Sequences<double>) const;

}  // namespace stillhouse::models
