// SPDX-License-Identifier: Apache-2.0
// Softmax attention forward, over whole sequences and token by token.
#include "libcore/models/attention.hpp"

#include "libcore/models/attention_pairs.hpp"
#include "libcore/models/attention_strip.hpp"
#include "libcore/models/rotary.hpp"

#include <cmath>

namespace stillhouse::models {
namespace {

template <class T>
T score_scale(Index head_dim)
{
    return static_cast<T>(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

// Row by row exp(scale (s - greatest)), zero where nothing is seen; totals[i] is the sum of row i.
template <class T>
void exponentials(const Reach& reach, T scale, T* scores, T* totals, T* statistics)
{
    for (Index i = 0; i < reach.count; ++i) {
        T* row = scores + i * reach.stride();
        const Index begin = reach.row_begin(i);
        const Index n = reach.row_end(i) - begin;
        const T shift = scale * maximum(row + begin, n);
        exp_scaled(row + begin, n, scale, shift);
        totals[i] = sum(row + begin, n);
        clear_unseen(reach, i, row);
        if (statistics != nullptr) {
            statistics[i] = shift + std::log(totals[i]);
        }
    }
}

// y = softmax(q K^T) V of one strip; keys(j) and values(j) give block j, rows of values `v_stride` apart.
template <class T, class Keys, class Values>
void attend_strip(const Reach& reach, const T* q, Index q_stride, Index head_dim, const Keys& keys,
                  const Values& values, Index v_stride, T* scores, T* y, Index y_stride, T* statistics)
{
    T totals[strip_queries];
    score_strip(reach, q, q_stride, head_dim, keys, scores);
    exponentials(reach, score_scale<T>(head_dim), scores, totals, statistics);
    for (Index at = reach.begin; at < reach.end; at += keys_per_block) {
        small_product<T>(reach.count, head_dim, std::min(keys_per_block, reach.end - at), scores + (at - reach.begin),
                         reach.stride(), 1, values(at / keys_per_block), v_stride, y, y_stride, at != reach.begin);
    }
    for (Index i = 0; i < reach.count; ++i) {
        const T inverse = T(1) / totals[i];
        for (Index d = 0; d < head_dim; ++d) {
            y[i * y_stride + d] *= inverse;
        }
    }
}

// Asks for n elements ahead of their use: a step reads its cache once, in pieces too short for the processor to foresee
// (a tenth more tokens a second, 256 sequences of 256 tokens).
template <class T>
void fetch_ahead(const T* data, Index n)
{
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    for (Index i = 0; i < n; i += line) {
        __builtin_prefetch(data + i);
    }
}

// Queries of token t stand at position before + t of the keys and values, which are longer by `before`.
template <class T>
void attend(compute::Operations<T>& ops, const AttentionGeometry& geometry, Sequences<const T> q, Sequences<const T> k,
            Sequences<const T> v, Index before, Sequences<T> y, T* statistics)
{
    if constexpr (std::is_same_v<T, float>) {
        if (const auto* kernels = compute::pair_attention(ops)) {
            attend_in_pairs(ops, *kernels, geometry, q, k, v, before, y, statistics);
            return;
        }
    }
    const Index width = geometry.head_dim;
    for_each_run(ops, q.batch, geometry.heads, q.length, [&](Index b, Index head, Index first, Index last) {
        const Index kv_column = head * geometry.kv_heads / geometry.heads * width;
        const Reach whole(before + first, last - first, geometry.window);
        Scratch<T> packed(packed_size(whole.end - whole.begin, width));
        Scratch<T> scores(strip_queries * std::min(whole.stride(), longest_stride(whole.end, geometry.window)));
        pack_columns(k.token(b, whole.begin) + kv_column, whole.end - whole.begin, k.width, width, packed.data());
        const Index base = whole.begin / keys_per_block;
        const auto keys = [&](Index j) { return packed.data() + (j - base) * keys_per_block * width; };
        const auto values = [&](Index j) { return v.token(b, j * keys_per_block) + kv_column; };
        for (Index t = first; t < last; t += strip_queries) {
            const Reach reach(before + t, std::min(strip_queries, last - t), geometry.window);
            attend_strip<T>(reach, q.token(b, t) + head * width, q.width, width, keys, values, v.width, scores.data(),
                            y.token(b, t) + head * width, y.width,
                            statistics == nullptr ? nullptr
                                                  : statistics + (b * geometry.heads + head) * q.length + t);
        }
    });
}

}  // namespace

template <class T>
SoftmaxAttention<T>::SoftmaxAttention(AttentionGeometry geometry, const Rotary& rotary)
    : geometry_(geometry), frequencies_(rotary_frequencies(rotary))
{
    STILLHOUSE_CHECK(geometry_.heads > 0 && geometry_.kv_heads > 0 && geometry_.heads % geometry_.kv_heads == 0);
    STILLHOUSE_CHECK(geometry_.head_dim > 0 && rotary.dims <= geometry_.head_dim);
}

template <class T>
void SoftmaxAttention<T>::forward(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k, Sequences<const T> v,
                                  Sequences<T> y, T* statistics) const
{
    STILLHOUSE_CHECK(q.width == geometry_.query_width() && k.width == geometry_.key_width() && v.width == k.width);
    STILLHOUSE_CHECK(q.tokens() == k.tokens() && q.tokens() == v.tokens() && y.size() == q.size());
    rotate(ops, frequencies_, geometry_.head_dim, 0, q);
    rotate(ops, frequencies_, geometry_.head_dim, 0, k);
    attend<T>(ops, geometry_, q, k, v, 0, y, statistics);
}

template <class T>
void SoftmaxAttention<T>::prefill(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k, Sequences<const T> v,
                                  AttentionCache<T>& cache, Sequences<T> y) const
{
    STILLHOUSE_CHECK(q.width == geometry_.query_width() && k.width == geometry_.key_width() && v.width == k.width);
    STILLHOUSE_CHECK(q.batch == cache.batch() && y.size() == q.size());
    const Index width = geometry_.head_dim;
    const Index position = cache.common_position();
    rotate(ops, frequencies_, width, position, q);
    rotate(ops, frequencies_, width, position, k);
    if (geometry_.window > 0) {
        const Index before = std::min(position, geometry_.window - 1);
        const Index length = before + q.length;
        Scratch<T> memory(2 * q.batch * length * k.width);
        const Sequences<T> all_k(memory.data(), q.batch, length, k.width);
        const Sequences<T> all_v(memory.data() + all_k.size(), q.batch, length, k.width);
        for (Index b = 0; b < q.batch; ++b) {
            cache.recall(b, before, all_k.token(b, 0), all_v.token(b, 0));
            std::copy_n(k.token(b, 0), k.length * k.width, all_k.token(b, before));
            std::copy_n(v.token(b, 0), v.length * v.width, all_v.token(b, before));
        }
        attend<T>(ops, geometry_, q, all_k, all_v, before, y, nullptr);
        cache.append(ops, k, v);
        return;
    }
    static_assert(AttentionCache<T>::block == keys_per_block);
    cache.append(ops, k, v);
    for_each_run(ops, q.batch, geometry_.heads, q.length, [&](Index b, Index head, Index first, Index last) {
        const Index kv_head = head * geometry_.kv_heads / geometry_.heads;
        Scratch<T> scores(strip_queries * Reach(position + first, last - first, 0).stride());
        const auto keys = [&](Index j) { return cache.keys(j, b, kv_head); };
        const auto values = [&](Index j) { return cache.values(j, b, kv_head); };
        for (Index t = first; t < last; t += strip_queries) {
            const Reach reach(position + t, std::min(strip_queries, last - t), 0);
            attend_strip<T>(reach, q.token(b, t) + head * width, q.width, width, keys, values, width, scores.data(),
                            y.token(b, t) + head * width, y.width, nullptr);
        }
    });
}

template <class T>
void SoftmaxAttention<T>::step(compute::Operations<T>& ops, Matrix<T> q, Matrix<T> k, Matrix<const T> v,
                               AttentionCache<T>& cache, Matrix<T> y) const
{
    STILLHOUSE_CHECK(q.cols == geometry_.query_width() && k.cols == geometry_.key_width() && v.cols == k.cols);
    STILLHOUSE_CHECK(q.rows == cache.batch() && k.rows == q.rows && v.rows == q.rows && y.rows == q.rows);
    STILLHOUSE_CHECK(q.stride == q.cols && k.stride == k.cols && v.stride == v.cols);
    const Index width = geometry_.head_dim;
    const Scratch<Index> positions(q.rows);
    for (Index b = 0; b < q.rows; ++b) {
        positions.data()[b] = cache.position(b);
    }
    rotate_rows(ops, frequencies_, width, positions.data(), q);
    rotate_rows(ops, frequencies_, width, positions.data(), k);
    cache.append(ops, Sequences<const T>(k.data, k.rows, 1, k.cols), Sequences<const T>(v.data, v.rows, 1, v.cols));

    const Index group = geometry_.heads / geometry_.kv_heads;
    const Index slots = cache.slots_per_block();
    const T scale = score_scale<T>(width);
    // A task takes all heads of a sequence, whose keys lie side by side in memory, unless sequences are too few.
    const bool split = q.rows < 2 * ops.pool().threads();
    const Index heads_per_task = split ? 1 : geometry_.kv_heads;
    ops.pool().for_each(q.rows * geometry_.kv_heads / heads_per_task, [&](Index task) {
        const Index b = task * heads_per_task / geometry_.kv_heads;
        const Index first = task * heads_per_task % geometry_.kv_heads;
        T* const query = q.row(b) + first * group * width;
        T* const result = y.row(b) + first * group * width;
        const Index rows = heads_per_task * group;
        const Index seen = geometry_.window > 0 ? std::min(cache.position(b), slots) : cache.position(b);
        Scratch<T> scores(rows * seen);
        const auto fetch_next = [&](Index at, Index head, const auto& part) {
            if (head + 1 < heads_per_task) {
                fetch_ahead(part(at / slots, first + head + 1), width * slots);
            } else if (at + slots < seen) {
                fetch_ahead(part(at / slots + 1, first), width * slots);
            }
        };
        for (Index at = 0; at < seen; at += slots) {
            for (Index head = 0; head < heads_per_task; ++head) {
                fetch_next(at, head, [&](Index j, Index i) { return cache.keys(j, b, i); });
                small_product<T>(group, std::min(slots, seen - at), width, query + head * group * width, width, 1,
                                 cache.keys(at / slots, b, first + head), slots,
                                 scores.data() + head * group * seen + at, seen, false);
            }
        }
        for (Index i = 0; i < rows; ++i) {
            T* row = scores.data() + i * seen;
            exp_scaled(row, seen, scale, scale * maximum(row, seen));
        }
        for (Index at = 0; at < seen; at += slots) {
            for (Index head = 0; head < heads_per_task; ++head) {
                fetch_next(at, head, [&](Index j, Index i) { return cache.values(j, b, i); });
                small_product<T>(group, width, std::min(slots, seen - at), scores.data() + head * group * seen + at,
                                 seen, 1, cache.values(at / slots, b, first + head), width,
                                 result + head * group * width, width, at != 0);
            }
        }
        for (Index i = 0; i < rows; ++i) {
            const T inverse = T(1) / sum(scores.data() + i * seen, seen);
            for (Index d = 0; d < width; ++d) {
                result[i * width + d] *= inverse;
            }
        }
    });
}

template <class T>
void SoftmaxAttention<T>::sum_by_lag(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k,
                                     Matrix<double> lag) const
{
    STILLHOUSE_CHECK(q.width == geometry_.query_width() && k.width == geometry_.key_width());
    STILLHOUSE_CHECK(lag.rows == geometry_.heads && lag.cols == q.length && q.tokens() == k.tokens());
    const Index width = geometry_.head_dim;
    rotate(ops, frequencies_, width, 0, q);
    rotate(ops, frequencies_, width, 0, k);
    ops.pool().for_each(geometry_.heads, [&](Index head) {
        std::fill_n(lag.row(head), lag.cols, 0.0);
        const Index kv_column = head * geometry_.kv_heads / geometry_.heads * width;
        Scratch<T> packed(packed_size(q.length, width));
        Scratch<T> scores(strip_queries * longest_stride(q.length, geometry_.window));
        const auto keys = [&](Index j) { return packed.data() + j * keys_per_block * width; };
        T totals[strip_queries];
        for (Index b = 0; b < q.batch; ++b) {
            pack_columns(k.token(b, 0) + kv_column, q.length, k.width, width, packed.data());
            for (Index t = 0; t < q.length; t += strip_queries) {
                const Reach reach(t, std::min(strip_queries, q.length - t), geometry_.window);
                score_strip<T>(reach, q.token(b, t) + head * width, q.width, width, keys, scores.data());
                exponentials<T>(reach, score_scale<T>(width), scores.data(), totals, nullptr);
                for (Index i = 0; i < reach.count; ++i) {
                    const T* row = scores.data() + i * reach.stride();
                    const double inverse = 1.0 / static_cast<double>(totals[i]);
                    double* const to = lag.row(head) + (t + i - reach.begin);     // lag of key `begin`
                    for (Index s = reach.row_begin(i); s < reach.row_end(i); ++s) {
                        *(to - s) += static_cast<double>(row[s]) * inverse;
                    }
                }
            }
        }
    });
}

template class SoftmaxAttention<float>;
template class SoftmaxAttention<double>;

}  // namespace stillhouse::models
