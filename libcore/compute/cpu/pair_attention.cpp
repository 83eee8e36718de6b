// SPDX-License-Identifier: Apache-2.0
// Kernels of attention in pairs of bf16, compiled for AVX-512 with products of such pairs.
#include "libcore/compute/pair_attention.hpp"

#include "libcore/compute/cpu/bf16_pairs.hpp"

namespace stillhouse::compute::cpu {

namespace {

constexpr Index vector = 16;
constexpr Index strip_queries = PairAttention::queries;
constexpr Index query_vectors = strip_queries / vector;
constexpr Index keys_at_once = PairAttention::keys_at_once;
constexpr Index queries_at_once = 6;
constexpr Index keys_per_sum = 64;
static_assert(strip_queries % vector == 0 && strip_queries % queries_at_once == 0);

// No function of the standard library here: what is inlined must not be shared with files for other processors.
inline Index least(Index a, Index b)
{
    return a < b ? a : b;
}
inline Index between(Index x, Index low, Index high)
{
    return x < low ? low : x > high ? high : x;
}

inline __m512 load_first(const float* x, Index n)
{
    return n > 0 ? _mm512_maskz_loadu_ps(first_lanes(n), x) : _mm512_setzero_ps();
}

/// Rows (x0, x1), (x2, x3), ... of x[rows, width].
void pair_along(const float* x, Index stride, Index rows, Index width, Pair* to)
{
    const Index steps = (width + 1) / 2;
    for (Index r = 0; r < rows; ++r) {
        for (Index i = 0; i < width; i += 2 * vector) {
            const __m512 low = load_first(x + r * stride + i, width - i);
            const __m512 high = load_first(x + r * stride + i + vector, width - i - vector);
            _mm512_mask_storeu_epi32(to + r * steps + i / 2, first_lanes(steps - i / 2),
                                     (__m512i)_mm512_cvtne2ps_pbh(high, low));
        }
    }
}

inline __m512i pairs_of(__m512 first, __m512 second)
{
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/// lines[count, steps] as [steps, strip_queries], zeros behind `count`.
void turn(const Pair* lines, Index count, Index steps, Pair* to)
{
    constexpr Index block = 8;
    Index i = 0;
    for (; i + block <= count; i += block) {
        for (Index p = 0; p < steps; ++p) {
            for (Index r = 0; r < block; ++r) {
                to[p * strip_queries + i + r] = lines[(i + r) * steps + p];
            }
        }
    }
    for (Index p = 0; p < steps && i < strip_queries; ++p) {
        for (Index r = i; r < strip_queries; ++r) {
            to[p * strip_queries + r] = r < count ? lines[r * steps + p] : 0;
        }
    }
}

using Queries = unsigned long long;

/// Bit i: query i of the strip sees the key at this position.
Queries seen_by(const StripKeys& reach, Index key)
{
    const Index from = between(key - reach.first, 0, strip_queries);
    const Index to = reach.window > 0 ? between(key - reach.first + reach.window, 0, strip_queries)
                                      : strip_queries;
    const auto below = [](Index n) { return (Queries{1} << n) - 1; };
    return below(to) & ~below(from);
}
constexpr Queries all_queries = (Queries{1} << strip_queries) - 1;

inline __mmask16 lanes_of(Queries seen, int v)
{
    return static_cast<__mmask16>(seen >> (vector * v));
}

/// scores[keys, strip_queries] and the greatest one that each query sees.
void score_keys(const StripKeys& reach, const Pair* keys, const Pair* queries, Index steps, float* scores,
                                 float* greatest)
{
    __m512 most[query_vectors];
    for (int v = 0; v < query_vectors; ++v) {
        most[v] = _mm512_set1_ps(-__builtin_huge_valf());
    }
    for (Index s = 0; s < reach.end - reach.begin; s += keys_at_once, keys += keys_at_once * steps) {
        __m512 sum[keys_at_once][query_vectors];
#pragma GCC unroll 8
        for (int r = 0; r < keys_at_once; ++r) {
#pragma GCC unroll 3
            for (int v = 0; v < query_vectors; ++v) {
                sum[r][v] = _mm512_setzero_ps();
            }
        }
        for (Index p = 0; p < steps; ++p) {
            __m512bh q[query_vectors];
#pragma GCC unroll 3
            for (int v = 0; v < query_vectors; ++v) {
                q[v] = (__m512bh)_mm512_loadu_si512(queries + p * strip_queries + v * vector);
            }
#pragma GCC unroll 8
            for (int r = 0; r < keys_at_once; ++r) {
                const auto k = (__m512bh)_mm512_set1_epi32(static_cast<int>(keys[r * steps + p]));
#pragma GCC unroll 3
                for (int v = 0; v < query_vectors; ++v) {
                    sum[r][v] = _mm512_dpbf16_ps(sum[r][v], k, q[v]);
                }
            }
        }
        const bool whole = (seen_by(reach, reach.begin + s) & seen_by(reach, reach.begin + s + keys_at_once - 1)) ==
                           all_queries;
#pragma GCC unroll 8
        for (int r = 0; r < keys_at_once; ++r) {
            const Queries seen = whole ? all_queries : seen_by(reach, reach.begin + s + r);
#pragma GCC unroll 3
            for (int v = 0; v < query_vectors; ++v) {
                most[v] = _mm512_mask_max_ps(most[v], lanes_of(seen, v), most[v], sum[r][v]);
                _mm512_storeu_ps(scores + (s + r) * strip_queries + v * vector, sum[r][v]);
            }
        }
    }
    for (int v = 0; v < query_vectors; ++v) {
        _mm512_storeu_ps(greatest + v * vector, most[v]);
    }
}

/// 2^x, to 2e-7 relative.
inline __m512 power_of_two(__m512 x)
{
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(1.32647272e-3F);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.67151264e-3F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55073374e-2F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240222421F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693146978F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    return _mm512_scalef_ps(p, whole);
}

/// weights[pairs of keys, strip_queries] = 2^(scale (score - greatest)), zero where nothing is seen; totals[query] the
/// sum of what they were rounded to, in blocks of 64 keys.
void weigh_keys(const StripKeys& reach, float scale, const float* scores, const float* greatest,
                                 Pair* weights, float* totals)
{
    const Index n = reach.end - reach.begin;
    __m512 total[query_vectors];
    __m512 shift[query_vectors];
    for (int v = 0; v < query_vectors; ++v) {
        total[v] = _mm512_setzero_ps();
        shift[v] = _mm512_mul_ps(_mm512_set1_ps(scale), _mm512_loadu_ps(greatest + v * vector));
    }
    for (Index block = 0; block < n; block += keys_per_sum) {
        __m512 sum[query_vectors];
        for (int v = 0; v < query_vectors; ++v) {
            sum[v] = _mm512_setzero_ps();
        }
        for (Index s = block; s < least(n, block + keys_per_sum); s += 2) {
            const Queries first = seen_by(reach, reach.begin + s);
            const Queries second = s + 1 < n ? seen_by(reach, reach.begin + s + 1) : 0;
#pragma GCC unroll 3
            for (int v = 0; v < query_vectors; ++v) {
                const float* at = scores + s * strip_queries + v * vector;
                const __m512 a = _mm512_fmsub_ps(_mm512_loadu_ps(at), _mm512_set1_ps(scale), shift[v]);
                const __m512 b = _mm512_fmsub_ps(_mm512_loadu_ps(at + strip_queries), _mm512_set1_ps(scale), shift[v]);
                const __m512i pair = pairs_of(_mm512_maskz_mov_ps(lanes_of(first, v), power_of_two(a)),
                                              _mm512_maskz_mov_ps(lanes_of(second, v), power_of_two(b)));
                _mm512_storeu_si512(weights + s / 2 * strip_queries + v * vector, pair);
                const __m512i high = _mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
                sum[v] = _mm512_add_ps(sum[v], (__m512)_mm512_slli_epi32(pair, 16));
                sum[v] = _mm512_add_ps(sum[v], (__m512)high);
            }
        }
        for (int v = 0; v < query_vectors; ++v) {
            total[v] = _mm512_add_ps(total[v], sum[v]);
        }
    }
    for (int v = 0; v < query_vectors; ++v) {
        _mm512_storeu_ps(totals + v * vector, total[v]);
    }
}

/// y[count, width <= 16 Vectors] = weights^T values / totals.
template <int Vectors>
inline void mix_columns(Index count, Index width, Index steps, const Pair* weights,
                                         const Pair* values, Index v_stride, const float* totals, float* y,
                                         Index y_stride)
{
    for (Index i = 0; i < count; i += queries_at_once) {
        __m512 sum[queries_at_once][Vectors];
#pragma GCC unroll 8
        for (int r = 0; r < queries_at_once; ++r) {
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
                sum[r][v] = _mm512_setzero_ps();
            }
        }
        for (Index p = 0; p < steps; ++p) {
            __m512bh row[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
                row[v] = (__m512bh)_mm512_loadu_si512(values + p * v_stride + v * vector);
            }
#pragma GCC unroll 8
            for (int r = 0; r < queries_at_once; ++r) {
                const auto w = (__m512bh)_mm512_set1_epi32(static_cast<int>(weights[p * strip_queries + i + r]));
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) {
                    sum[r][v] = _mm512_dpbf16_ps(sum[r][v], w, row[v]);
                }
            }
        }
        for (int r = 0; r < queries_at_once && i + r < count; ++r) {
            const __m512 inverse = _mm512_set1_ps(1.0F / totals[i + r]);
            for (int v = 0; v < Vectors; ++v) {
                _mm512_mask_storeu_ps(y + (i + r) * y_stride + v * vector, first_lanes(width - v * vector),
                                      _mm512_mul_ps(sum[r][v], inverse));
            }
        }
    }
}

void mix_values(Index count, Index width, Index steps, const Pair* weights, const Pair* values,
                                 Index v_stride, const float* totals, float* y, Index y_stride)
{
    Index j = 0;
    for (; width - j > 3 * vector; j += 4 * vector) {
        mix_columns<4>(count, width - j, steps, weights, values + j, v_stride, totals, y + j, y_stride);
    }
    if (width - j > 2 * vector) {
        mix_columns<3>(count, width - j, steps, weights, values + j, v_stride, totals, y + j, y_stride);
    } else if (width - j > vector) {
        mix_columns<2>(count, width - j, steps, weights, values + j, v_stride, totals, y + j, y_stride);
    } else if (width > j) {
        mix_columns<1>(count, width - j, steps, weights, values + j, v_stride, totals, y + j, y_stride);
    }
}

}  // namespace

extern const PairAttention pair_attention_avx512;
const PairAttention pair_attention_avx512{pair_along, pair_bf16_rows, turn, score_keys, weigh_keys, mix_values};

}  // namespace stillhouse::compute::cpu
