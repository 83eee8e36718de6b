// SPDX-License-Identifier: Apache-2.0
// The operations of the CPU backend as free functions over a pool; backend.cpp gathers them in the interface.
#pragma once

#include "libcore/compute/backend.hpp"

namespace stillhouse::compute::cpu {

/// How the operands of products are rounded before they are multiplied.
enum class Operands { as_they_are, bf16 };

template <class T>
void gemm(ThreadPool& pool, Operands operands, T alpha, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
          Transpose op_b, T beta, Matrix<T> c);
template <class T>
void linear(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y);
template <class T>
void linear_decode(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias,
                   Matrix<T> y);

PackedMatrix pack(ThreadPool& pool, Matrix<const float> w, WeightFormat format);
void linear_packed(ThreadPool& pool, std::span<const PackedLinear<float>> maps);

template <class T>
void convolve(ThreadPool& pool, Matrix<const T> u, Matrix<const T> h, const Index* filter_of, Matrix<T> y);
template <class T>
void convolve_adjoint(ThreadPool& pool, Matrix<const T> dy, Matrix<const T> h, const Index* filter_of, Matrix<T> du);
template <class T>
void correlate(ThreadPool& pool, Matrix<const T> dy, Matrix<const T> u, const Index* filter_of, Matrix<T> dh);

template <class T>
void convolve_tokens(ThreadPool& pool, Sequences<const T> u, Matrix<const T> h, const Index* filter_of,
                     Sequences<T> y);
template <class T>
void convolve_tokens_backward(ThreadPool& pool, Sequences<const T> dy, Sequences<const T> u, Matrix<const T> h,
                              const Index* filter_of, Sequences<T> du, Matrix<T> dh);

template <class T>
void layer_norm(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* bias, T eps, Matrix<T> y,
                T* statistics);
template <class T>
void layer_norm_backward(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* statistics,
                         Matrix<const T> dy, Matrix<T> dx, T* dweight, T* dbias);
template <class T>
void rms_norm(ThreadPool& pool, Matrix<const T> x, const T* weight, T eps, Matrix<T> y, T* statistics);
template <class T>
void rms_norm_backward(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy,
                       Matrix<T> dx, T* dweight);
template <class T>
void activate(ThreadPool& pool, Activation f, const T* x, Index n, T* y);
template <class T>
void activate_backward(ThreadPool& pool, Activation f, const T* x, const T* dy, Index n, T* dx);
/// Elements worked on while they are in the first cache.
inline constexpr Index activation_piece = 512;
/// n <= activation_piece elements on the calling thread.
template <class T>
void activate_block(Activation f, const T* x, Index n, T* y);
template <class T>
void softmax(ThreadPool& pool, Matrix<const T> x, T scale, Index first, Matrix<T> y);
template <class T>
void log_sum_exp(ThreadPool& pool, Matrix<const T> x, double* result);

}  // namespace stillhouse::compute::cpu
