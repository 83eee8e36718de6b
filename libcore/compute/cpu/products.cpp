// SPDX-License-Identifier: Apache-2.0
// Matrix products in tiles of fixed shape.
#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/operations.hpp"

#include <algorithm>
#include <type_traits>

namespace stillhouse::compute::cpu {

namespace {

constexpr Index tile_rows = 64;
constexpr Index tile_cols = 64;
constexpr Index panel = 16;
constexpr Index step = 4;

template <class T>
T rounded(T value, Operands operands)
{
    if constexpr (std::is_same_v<T, float>) {
        return operands == Operands::bf16 ? from_bf16(to_bf16(value)) : value;
    } else {
        return value;
    }
}

}  // namespace

template <class T>
void gemm(ThreadPool& pool, Operands operands, T alpha, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
          Transpose op_b, T beta, Matrix<T> c)
{
    const Index m = c.rows;
    const Index n = c.cols;
    const Index k = op_a == Transpose::no ? a.cols : a.rows;
    STILLHOUSE_CHECK((op_a == Transpose::no ? a.rows : a.cols) == m);
    STILLHOUSE_CHECK((op_b == Transpose::no ? b.rows : b.cols) == k);
    STILLHOUSE_CHECK((op_b == Transpose::no ? b.cols : b.rows) == n);
    const Index across = (n + tile_cols - 1) / tile_cols;
    const Index down = (m + tile_rows - 1) / tile_rows;
    pool.for_each(across * down, [&](Index tile) {
        const Index i0 = tile / across * tile_rows;
        const Index j0 = tile % across * tile_cols;
        const Index rows = std::min(tile_rows, m - i0);
        const Index cols = std::min(tile_cols, n - j0);
        Buffer<T> pa(k * tile_rows);   // [row block][k][step]
        Buffer<T> pb(k * tile_cols);   // [panel][k][16]
        for (Index i = 0; i < rows; ++i) {
            for (Index p = 0; p < k; ++p) {
                const T value = op_a == Transpose::no ? a(i0 + i, p) : a(p, i0 + i);
                pa[(i / step * k + p) * step + i % step] = rounded(value, operands);
            }
        }
        for (Index j = 0; j < cols; ++j) {
            for (Index p = 0; p < k; ++p) {
                const T value = op_b == Transpose::no ? b(p, j0 + j) : b(j0 + j, p);
                pb[(j / panel * k + p) * panel + j % panel] = rounded(value, operands);
            }
        }
        for (Index j = 0; j < cols; j += panel) {
            for (Index i = 0; i < rows; i += step) {
                T sum[step][panel] = {};
                const T* left = pa.data() + i * k;
                const T* right = pb.data() + j * k;
                for (Index p = 0; p < k; ++p, left += step, right += panel) {
                    for (Index r = 0; r < step; ++r) {
                        for (Index s = 0; s < panel; ++s) {
                            sum[r][s] += left[r] * right[s];
                        }
                    }
                }
                for (Index r = 0; r < std::min(step, rows - i); ++r) {
                    for (Index s = 0; s < std::min(panel, cols - j); ++s) {
                        T& out = c(i0 + i + r, j0 + j + s);
                        out = beta == T(0) ? alpha * sum[r][s] : alpha * sum[r][s] + beta * out;
                    }
                }
            }
        }
    });
}

template <class T>
void linear(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y)
{
    gemm(pool, operands, T(1), x, Transpose::no, w, Transpose::yes, T(0), y);
    if (bias != nullptr) {
        pool.for_each((y.rows + 63) / 64, [&](Index block) {
            for (Index i = block * 64; i < std::min(y.rows, block * 64 + 64); ++i) {
                for (Index j = 0; j < y.cols; ++j) {
                    y(i, j) += bias[j];
                }
            }
        });
    }
}

template <class T>
void linear_decode(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias,
                   Matrix<T> y)
{
    linear(pool, operands, x, w, bias, y);
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                   \
    template void gemm<T>(ThreadPool&, Operands, T, Matrix<const T>, Transpose, Matrix<const T>, Transpose, T,      \
                          Matrix<T>);                                                                               \
    template void linear<T>(ThreadPool&, Operands, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>);          \
    template void linear_decode<T>(ThreadPool&, Operands, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute::cpu
