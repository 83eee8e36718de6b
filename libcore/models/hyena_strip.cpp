// SPDX-License-Identifier: Apache-2.0
// One body for each loop, compiled for each level of vector instructions.
// This file is compiled with -ffp-contract=fast: its vectors are written out, so which product is fused with which sum
// does not depend on how the compiler vectorises.
#include "libcore/models/hyena_strip.hpp"

#include "libcore/compute/registers.hpp"
#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace stillhouse::models {
namespace {

constexpr Index width = systems::lane_count;

template <class T, int Bytes>
struct Strip : compute::Register<T, Bytes> {
    using typename compute::Register<T, Bytes>::V;
    using compute::Register<T, Bytes>::lanes;
    using compute::Register<T, Bytes>::load;
    using compute::Register<T, Bytes>::store;

    /// Sums of one row: rows of sixteen, from(j) that of lag j.
    template <class From>
    STILLHOUSE_INLINE static void sum_lags(Index taps, const T* w, const From& from, T* to)
    {
        V sums[width / lanes];
#pragma GCC unroll 8
        for (Index v = 0; v < width / lanes; ++v) {
            sums[v] = load(w + v * lanes);
        }
        for (Index j = 0; j < taps; ++j) {
            const T* const row = from(j);
#pragma GCC unroll 8
            for (Index v = 0; v < width / lanes; ++v) {
                sums[v] = load(w + (1 + j) * width + v * lanes) * load(row + v * lanes) + sums[v];
            }
        }
#pragma GCC unroll 8
        for (Index v = 0; v < width / lanes; ++v) {
            store(to + v * lanes, sums[v]);
        }
    }

    STILLHOUSE_INLINE static void copy_row(const T* from, T* to)
    {
        V row[width / lanes];
        std::memcpy(row, from, sizeof(row));
        std::memcpy(to, row, sizeof(row));
    }

    /// The whole strip is there.
    STILLHOUSE_INLINE static void convolve_whole(Index taps, const T* w, T* past, const T* z, Index row, Index length,
                                                 T* out)
    {
        for (Index t = 0; t < length; ++t) {
            if (taps == 0) {
                copy_row(z + t * row, out + t * width);
            } else if (t + 1 >= taps) {
                const T* const now = z + t * row;
                sum_lags(taps, w, [=](Index j) [[gnu::always_inline]] { return now - j * row; }, out + t * width);
            } else {
                const auto from = [=](Index j) [[gnu::always_inline]] {
                    return t >= j ? z + (t - j) * row : past + (taps - 1 + t - j) * width;
                };
                sum_lags(taps, w, from, out + t * width);
            }
        }
        for (Index r = 0; r + 1 < taps; ++r) {
            const Index from = length - (taps - 1) + r;
            copy_row(from >= 0 ? z + from * row : past + (length + r) * width, past + r * width);
        }
    }

    /// Rows of a narrow strip are widened first, one token at a time.
    STILLHOUSE_INLINE static void convolve_short(Index taps, const T* w, T* past, const T* z, Index row, Index count,
                                                 Index length, T* out)
    {
        if (count == width) {
            convolve_whole(taps, w, past, z, row, length, out);
            return;
        }
        alignas(64) T wide[width] = {};
        for (Index t = 0; t < length; ++t) {
            T* const to = out + t * width;
            if (taps == 0) {
                std::copy_n(z + t * row, count, wide);
                copy_row(wide, to);
                continue;
            }
            const auto from = [&](Index j) [[gnu::always_inline]] {
                if (t < j) {
                    return static_cast<const T*>(past + (taps - 1 + t - j) * width);
                }
                std::copy_n(z + (t - j) * row, count, wide);
                return static_cast<const T*>(wide);
            };
            sum_lags(taps, w, from, to);
        }
        for (Index r = 0; r + 1 < taps; ++r) {
            const Index from = length - (taps - 1) + r;
            std::copy_n(from >= 0 ? z + from * row : past + (length + r) * width, count, past + r * width);
        }
    }

    STILLHOUSE_INLINE static void product(Index n, const T* a, const T* b, T* out)
    {
        for (Index i = 0; i < n; i += lanes) {
            store(out + i, load(a + i) * load(b + i));
        }
    }

    STILLHOUSE_INLINE static void add_product(Index n, const T* a, const T* b, T* y)
    {
        for (Index i = 0; i < n; i += lanes) {
            store(y + i, load(a + i) * load(b + i) + load(y + i));
        }
    }

    STILLHOUSE_INLINE static void gate(Index length, const T* y, const T* u, const T* skip, const T* gate, T* out)
    {
        for (Index l = 0; l < width; l += lanes) {
            const V s = load(skip + l);
            for (Index i = l; i < length * width; i += width) {
                store(out + i, (s * load(u + i) + load(y + i)) * load(gate + i));
            }
        }
    }

    STILLHOUSE_INLINE static void add_scaled(Index n, T a, const T* x, T* y)
    {
        Index i = 0;
        for (; i + lanes <= n; i += lanes) {
            store(y + i, a * load(x + i) + load(y + i));
        }
        if constexpr (Bytes > static_cast<int>(sizeof(T))) {
            if (i < n) {
                Strip<T, Bytes / 2>::add_scaled(n - i, a, x + i, y + i);
            }
        }
    }

    template <int Vectors>
    STILLHOUSE_INLINE static void near_columns(Index rows, const T* h, const T* u, Index row, T* y)
    {
        V sums[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            sums[v] = load(y + v * lanes);
        }
        for (Index j = 0; j < rows; ++j) {
#pragma GCC unroll 8
            for (int v = 0; v < Vectors; ++v) {
                sums[v] = load(h + j * row + v * lanes) * load(u - j * row + v * lanes) + sums[v];
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            store(y + v * lanes, sums[v]);
        }
    }

    STILLHOUSE_INLINE static void near_lags(Index rows, Index n, const T* h, const T* u, Index row, T* y)
    {
        Index i = 0;
        for (; i + 8 * lanes <= n; i += 8 * lanes) {
            near_columns<8>(rows, h + i, u + i, row, y + i);
        }
        for (; i + lanes <= n; i += lanes) {
            near_columns<1>(rows, h + i, u + i, row, y + i);
        }
        if constexpr (Bytes > static_cast<int>(sizeof(T))) {
            if (i < n) {
                Strip<T, Bytes / 2>::near_lags(rows, n - i, h + i, u + i, row, y + i);
            }
        }
    }
};

#define STILLHOUSE_LEVEL(level, target_text, bytes, T)                                                                \
    target_text void short_##level##_##T(Index taps, const T* w, T* past, const T* z, Index row, Index count,         \
                                        Index length, T* out)                                                         \
    {                                                                                                                 \
        Strip<T, bytes>::convolve_short(taps, w, past, z, row, count, length, out);                                   \
    }                                                                                                                 \
    target_text void product_##level##_##T(Index n, const T* a, const T* b, T* out)                                   \
    {                                                                                                                 \
        Strip<T, bytes>::product(n, a, b, out);                                                                       \
    }                                                                                                                 \
    target_text void sum_##level##_##T(Index n, const T* a, const T* b, T* y)                                         \
    {                                                                                                                 \
        Strip<T, bytes>::add_product(n, a, b, y);                                                                     \
    }                                                                                                                 \
    target_text void gate_##level##_##T(Index length, const T* y, const T* u, const T* skip, const T* gate, T* out)   \
    {                                                                                                                 \
        Strip<T, bytes>::gate(length, y, u, skip, gate, out);                                                         \
    }                                                                                                                 \
    target_text void add_##level##_##T(Index n, T a, const T* x, T* y) { Strip<T, bytes>::add_scaled(n, a, x, y); }   \
    target_text void near_##level##_##T(Index rows, Index n, const T* h, const T* u, Index row, T* y)                 \
    {                                                                                                                 \
        Strip<T, bytes>::near_lags(rows, n, h, u, row, y);                                                            \
    }                                                                                                                 \
    constexpr StripKernels<T> level##_##T = {short_##level##_##T, product_##level##_##T, sum_##level##_##T,           \
                                             gate_##level##_##T, add_##level##_##T, near_##level##_##T};

STILLHOUSE_LEVEL(plain, , 16, float)
STILLHOUSE_LEVEL(plain, , 16, double)
#if defined(__x86_64__)
#define STILLHOUSE_AVX2 [[gnu::target("avx2,fma")]]
#define STILLHOUSE_AVX512 [[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]]
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, float)
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, double)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, float)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, double)
#endif

template <class T>
const StripKernels<T>& of(const StripKernels<float>& single, const StripKernels<double>& real)
{
    if constexpr (sizeof(T) == sizeof(float)) {
        return single;
    } else {
        return real;
    }
}

}  // namespace

template <class T>
const StripKernels<T>& strip_kernels() noexcept
{
#if defined(__x86_64__)
    static const std::string_view level = compute::vector_level();
    if (level == "avx512") {
        return of<T>(avx512_float, avx512_double);
    }
    if (level == "avx2") {
        return of<T>(avx2_float, avx2_double);
    }
#endif
    return of<T>(plain_float, plain_double);
}

template const StripKernels<float>& strip_kernels() noexcept;
template const StripKernels<double>& strip_kernels() noexcept;

}  // namespace stillhouse::models
