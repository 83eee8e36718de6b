// SPDX-License-Identifier: Apache-2.0
// Elementwise kernels over contiguous spans, chosen once at run time for the processor (AVX-512, AVX2, plain).
#pragma once

#include "libcore/base/shape.hpp"

namespace stillhouse::compute {

/// f32: at most 2 ulp (sigmoid 2.5) of the exact value over the normal range; f64: the C library.
/// Single-threaded: for use inside tasks. y may be x. The same bits whatever n and alignment (tails go through the same
/// arithmetic).
template <class T> void vector_exp(const T* x, Index n, T* y);
template <class T> void vector_erf(const T* x, Index n, T* y);
template <class T> void vector_tanh(const T* x, Index n, T* y);
template <class T> void vector_sin(const T* x, Index n, T* y);
template <class T> void vector_cos(const T* x, Index n, T* y);
template <class T> void vector_sigmoid(const T* x, Index n, T* y);

/// sum_i x_i y_i in a fixed order, accumulated in T in 16 lanes.
template <class T> T dot(const T* x, const T* y, Index n);
/// y += a x
template <class T> void axpy(T a, const T* x, Index n, T* y);

/// sum_i x_i^2 in double, 16 lanes in a fixed order.
template <class T> double sum_of_squares(const T* x, Index n);
/// One step of AdamW over n weights: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// w = keep w - scale m / (sqrt(v) root + epsilon).
template <class T>
struct AdamWFactors {
    T beta1, beta2, keep, scale, root, epsilon;
};
template <class T> void adamw_update(const AdamWFactors<T>& factors, const T* g, Index n, T* m, T* v, T* w);

/// Functions of rows of n numbers; a row that is written is none of those that are read. No fused operations: the same
/// bits at every level.
template <class T>
struct RowFunctions {
    /// out = bias + sum_{j < count} weights[j, :] rows[j], in order of j; bias may be null; count >= 1
    void (*weigh)(const T* const* rows, Index count, const T* weights, const T* bias, Index n, T* out);
    /// sums[j, :] += d rows[j], j < count
    void (*add_products)(const T* d, const T* const* rows, Index count, Index n, T* sums);
    void (*add)(const T* x, Index n, T* sums);                                       // sums += x
    void (*multiply)(const T* a, const T* b, Index n, T* out);                       // out = a b
    void (*add_product)(const T* x, const T* a, const T* b, Index n, T* out);        // out = x + a b
};
template <class T> const RowFunctions<T>& row_functions() noexcept;

/// "avx512", "avx2" or "plain": what this process runs.
const char* vector_level() noexcept;

}  // namespace stillhouse::compute
