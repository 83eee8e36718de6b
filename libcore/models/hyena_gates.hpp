// SPDX-License-Identifier: Apache-2.0
// Short convolutions and gates of a mixer, and their backward, each in one pass over memory: what lies between the
// products and the transforms is bound by it. Rows are taken a token at a time while they are in the first cache.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"

namespace stillhouse::models {

/// What a gate is made of: s(z)[b, t, c] = bias[c] + sum_{j < taps} weight[c, j] z[b, t - j, c], zeros before the first
/// token of a sequence of `length` rows of z; z itself where taps = 0.
template <class T>
struct ShortSignal {
    Matrix<const T> z;
    Index length = 0;
    const T* weight = nullptr;
    const T* bias = nullptr;
    Index taps = 0;
};

/// dz is overwritten; dweight and dbias are added to, each may be null. Sums over tokens in blocks of 64, those in
/// double in order.
template <class T>
struct ShortGradient {
    Matrix<T> dz;
    T* dweight = nullptr;
    T* dbias = nullptr;
};

/// y = s(z); y may not be z.
template <class T>
void short_convolve(ThreadPool& pool, const ShortSignal<T>& z, Sequences<T> y);
template <class T>
void short_convolve_backward(ThreadPool& pool, const ShortSignal<T>& z, Sequences<const T> dy,
                             const ShortGradient<T>& gradient);

/// out = s(a) s(b)
template <class T>
void short_product(ThreadPool& pool, const ShortSignal<T>& a, const ShortSignal<T>& b, Sequences<T> out);

/// The backward of short_product for d = du + skip da, skip one number a channel. more_b, which may be null, is
/// added to the gradient of s(b). Both have the same number of taps.
template <class T>
void short_product_backward(ThreadPool& pool, const ShortSignal<T>& a, const ShortSignal<T>& b, const T* du,
                            const T* skip, const T* da, const T* more_b, const ShortGradient<T>& gradient_a,
                            const ShortGradient<T>& gradient_b);

/// du += skip da: what a convolution with a skip hands back to its input (short_product_backward adds it itself).
template <class T>
void add_skipped(ThreadPool& pool, const T* skip, const T* da, Sequences<T> du);

/// out = (y + skip u) s(gate): y and u as the gate.
template <class T>
void skip_and_gate(ThreadPool& pool, const T* y, const T* u, const T* skip, const ShortSignal<T>& gate,
                   Sequences<T> out);

/// The backward of skip_and_gate: da = d s(gate), of y + skip u; dskip[c] += sum of da[:, c] u[:, c], may be null. da
/// may not be d.
template <class T>
void skip_and_gate_backward(ThreadPool& pool, const T* y, const T* u, const T* skip, const ShortSignal<T>& gate,
                            const T* d, T* da, const ShortGradient<T>& gradient, double* dskip);

}  // namespace stillhouse::models
