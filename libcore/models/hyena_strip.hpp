// SPDX-License-Identifier: Apache-2.0
// Elementwise loops over strips of sixteen channels, chosen once at run time for the processor; for hyena*.cpp alone.
#pragma once

#include "libcore/base/shape.hpp"
#include "libcore/systems/lane_kernels.hpp"

namespace stillhouse::models {

/// Strip buffers are [length, 16], rows of the network `row` numbers apart. A number's bits depend neither on the
/// length nor on the strip.
template <class T>
struct StripKernels {
    /// out[t] = w[0] + sum_{j < taps} w[1 + j] z[t - j] with rows w of sixteen; taps = 0: out = z. The first `count`
    /// channels of z are there. Before z stand the taps - 1 rows of sixteen of `past`, oldest first; they move on.
    void (*convolve_short)(Index taps, const T* w, T* past, const T* z, Index row, Index count, Index length, T* out);
    /// out = a b, n numbers, a multiple of sixteen
    void (*product)(Index n, const T* a, const T* b, T* out);
    /// y += a b, n numbers, a multiple of sixteen
    void (*add_product)(Index n, const T* a, const T* b, T* y);
    /// out = (y + skip u) gate, skip one row; out may be any of them
    void (*gate)(Index length, const T* y, const T* u, const T* skip, const T* gate, T* out);
    /// y[i] += a x[i], n numbers
    void (*add_scaled)(Index n, T a, const T* x, T* y);
    /// y[i] += sum_j h[j, i] u[-j, i] for i < n, j < rows ascending: rows of h and u `row` apart, u backwards
    void (*near_lags)(Index rows, Index n, const T* h, const T* u, Index row, T* y);
};

template <class T>
const StripKernels<T>& strip_kernels() noexcept;

}  // namespace stillhouse::models
