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
template <class T> void vector_sigmoid(const T* x, Index n, T* y);

/// sum_i x_i y_i in a fixed order, accumulated in T in 16 lanes.
template <class T> T dot(const T* x, const T* y, Index n);
/// y += a x
template <class T> void axpy(T a, const T* x, Index n, T* y);

/// "avx512", "avx2" or "plain": what this process runs.
const char* vector_level() noexcept;

}  // namespace stillhouse::compute
