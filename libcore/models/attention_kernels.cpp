// SPDX-License-Identifier: Apache-2.0
// One body for each kernel, compiled for each level of vector instructions.
// This file alone is compiled with -ffp-contract=fast: its vectors are written out, so which product is fused with
// which sum does not depend on how the compiler vectorises.
#include "libcore/models/attention_kernels.hpp"

#include "libcore/compute/registers.hpp"
#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace stillhouse::models {
namespace {

using compute::Register;

// Rows x Vectors accumulators in registers.
template <class T, int Bytes, int Rows, int Vectors>
STILLHOUSE_INLINE void tile(Index k, const T* a, Index a_row, Index a_col, const T* b, Index b_row, T* c, Index c_row,
                            bool add)
{
    using R = Register<T, Bytes>;
    using V = typename R::V;
    constexpr Index lanes = R::lanes;
    V sums[Rows][Vectors];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            if (add) {
                sums[r][v] = R::load(c + r * c_row + v * lanes);
            } else {
                sums[r][v] = V{};
            }
        }
    }
    for (Index p = 0; p < k; ++p) {
        V row[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            row[v] = R::load(b + p * b_row + v * lanes);
        }
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
            const T factor = a[r * a_row + p * a_col];
#pragma GCC unroll 8
            for (int v = 0; v < Vectors; ++v) {
                sums[r][v] += factor * row[v];
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            R::store(c + r * c_row + v * lanes, sums[r][v]);
        }
    }
}

// A panel of Vectors vectors of columns, all rows.
template <class T, int Bytes, int Vectors>
STILLHOUSE_INLINE void panel(Index m, Index k, const T* a, Index a_row, Index a_col, const T* b, Index b_row, T* c,
                             Index c_row, bool add)
{
    constexpr int rows = 6;
    Index i = 0;
    for (; i + rows <= m; i += rows) {
        tile<T, Bytes, rows, Vectors>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, add);
    }
    for (; i + 2 <= m; i += 2) {
        tile<T, Bytes, 2, Vectors>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, add);
    }
    for (; i < m; ++i) {
        tile<T, Bytes, 1, Vectors>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, add);
    }
}

// Widest: vectors in the widest panel; Bytes: the widest vectors, narrower ones take what they leave over.
template <class T, int Bytes, int Widest>
STILLHOUSE_INLINE void product(Index m, Index n, Index k, const T* a, Index a_row, Index a_col, const T* b, Index b_row,
                               T* c, Index c_row, bool add)
{
    constexpr Index lanes = Register<T, Bytes>::lanes;
    Index j = 0;
    for (; j + Widest * lanes <= n; j += Widest * lanes) {
        panel<T, Bytes, Widest>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, add);
    }
    if constexpr (Widest > 2) {
        for (; j + 2 * lanes <= n; j += 2 * lanes) {
            panel<T, Bytes, 2>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, add);
        }
    }
    for (; j + lanes <= n; j += lanes) {
        panel<T, Bytes, 1>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, add);
    }
    if constexpr (Bytes > static_cast<int>(sizeof(T))) {
        if (j < n) {
            product<T, Bytes / 2, 1>(m, n - j, k, a, a_row, a_col, b + j, b_row, c + j, c_row, add);
        }
    }
}

template <class T, int Bytes>
STILLHOUSE_INLINE void affine(T* x, Index n, T scale, T shift)
{
    using R = Register<T, Bytes>;
    constexpr Index lanes = R::lanes;
    Index i = 0;
    for (; i + lanes <= n; i += lanes) {
        R::store(x + i, R::load(x + i) * scale - shift);
    }
    // The rest goes through the same vector arithmetic, so that an element's bits do not depend on its place.
    if (i < n) {
        T rest[lanes] = {};
        std::copy_n(x + i, n - i, rest);
        R::store(rest, R::load(rest) * scale - shift);
        std::copy_n(rest, n - i, x + i);
    }
}

template <class T, int Bytes>
STILLHOUSE_INLINE T greatest(const T* x, Index n)
{
    using R = Register<T, Bytes>;
    using V = typename R::V;
    constexpr Index lanes = R::lanes;
    T best = x[0];
    Index i = 0;
    if (n >= lanes) {
        V bests = R::load(x);
        for (i = lanes; i + lanes <= n; i += lanes) {
            const V v = R::load(x + i);
            bests = v > bests ? v : bests;
        }
        for (Index l = 0; l < lanes; ++l) {
            best = std::max(best, bests[l]);
        }
    }
    for (; i < n; ++i) {
        best = std::max(best, x[i]);
    }
    return best;
}

template <class T, int Bytes>
STILLHOUSE_INLINE T total(const T* x, Index n)
{
    using R = Register<T, Bytes>;
    using V = typename R::V;
    constexpr Index lanes = R::lanes;
    constexpr Index vectors = 16 / lanes;
    V sums[vectors] = {};
    Index i = 0;
    for (; i + 16 <= n; i += 16) {
        for (Index v = 0; v < vectors; ++v) {
            sums[v] += R::load(x + i + v * lanes);
        }
    }
    T lane[16];
    std::memcpy(lane, sums, sizeof(lane));
    for (; i < n; ++i) {
        lane[i % 16] += x[i];
    }
    for (int width = 8; width > 0; width /= 2) {
        for (int l = 0; l < width; ++l) {
            lane[l] += lane[l + width];
        }
    }
    return lane[0];
}

template <class T>
struct Kernels {
    void (*product)(Index, Index, Index, const T*, Index, Index, const T*, Index, T*, Index, bool);
    void (*affine)(T*, Index, T, T);
    T (*maximum)(const T*, Index);
    T (*sum)(const T*, Index);
};

#define STILLHOUSE_LEVEL(level, target_text, bytes, widest, T)                                                         \
    target_text void product_##level##_##T(Index m, Index n, Index k, const T* a, Index a_row, Index a_col,           \
                                           const T* b, Index b_row, T* c, Index c_row, bool add)                      \
    {                                                                                                                 \
        product<T, bytes, widest>(m, n, k, a, a_row, a_col, b, b_row, c, c_row, add);                                 \
    }                                                                                                                 \
    target_text void affine_##level##_##T(T* x, Index n, T scale, T shift) { affine<T, bytes>(x, n, scale, shift); }  \
    target_text T maximum_##level##_##T(const T* x, Index n) { return greatest<T, bytes>(x, n); }                     \
    target_text T sum_##level##_##T(const T* x, Index n) { return total<T, bytes>(x, n); }                            \
    constexpr Kernels<T> level##_##T = {product_##level##_##T, affine_##level##_##T, maximum_##level##_##T,           \
                                        sum_##level##_##T};

STILLHOUSE_LEVEL(plain, , 16, 2, float)
STILLHOUSE_LEVEL(plain, , 16, 2, double)
#if defined(__x86_64__)
#define STILLHOUSE_AVX2 [[gnu::target("avx2,fma")]]
#define STILLHOUSE_AVX512 [[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]]
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, 2, float)
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, 2, double)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, 4, float)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, 4, double)
#endif

template <class T>
const Kernels<T>& kernels()
{
    static const Kernels<T> chosen = [] {
        [[maybe_unused]] const std::string_view level = compute::vector_level();
#if defined(__x86_64__)
        if (level == "avx512") {
            if constexpr (sizeof(T) == 4) {
                return avx512_float;
            } else {
                return avx512_double;
            }
        }
        if (level == "avx2") {
            if constexpr (sizeof(T) == 4) {
                return avx2_float;
            } else {
                return avx2_double;
            }
        }
#endif
        if constexpr (sizeof(T) == 4) {
            return plain_float;
        } else {
            return plain_double;
        }
    }();
    return chosen;
}

}  // namespace

template <class T>
void small_product(Index m, Index n, Index k, const T* a, Index a_row, Index a_col, const T* b, Index b_row, T* c,
                   Index c_row, bool add)
{
    kernels<T>().product(m, n, k, a, a_row, a_col, b, b_row, c, c_row, add);
}

template <class T>
void exp_scaled(T* x, Index n, T scale, T shift)
{
    kernels<T>().affine(x, n, scale, shift);
    compute::vector_exp(x, n, x);
}

template <class T>
T maximum(const T* x, Index n)
{
    return kernels<T>().maximum(x, n);
}

template <class T>
T sum(const T* x, Index n)
{
    return kernels<T>().sum(x, n);
}

template void small_product(Index, Index, Index, const float*, Index, Index, const float*, Index, float*, Index, bool);
template void small_product(Index, Index, Index, const double*, Index, Index, const double*, Index, double*, Index,
                            bool);
template void exp_scaled(float*, Index, float, float);
template void exp_scaled(double*, Index, double, double);
template float maximum(const float*, Index);
template double maximum(const double*, Index);
template float sum(const float*, Index);
template double sum(const double*, Index);

}  // namespace stillhouse::models
