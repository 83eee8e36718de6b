// SPDX-License-Identifier: Apache-2.0
// The long convolution of heads of width N > 1: N x N convolutions a head, or the same as masked products of tokens.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/compute/backend.hpp"

namespace stillhouse::models {

/// With c, q, k, v [batch, length, heads * width], channel m * width + i of head m:
///     c_t[j] = sum_i q_t[i] (sum_{s <= t} h[t - s] k_s[i] v_s[j] + skip k_t[i] v_t[j])
///            = sum_{s <= t} (h[t - s] + skip [s = t]) (q_t . k_s) v_s[j]
template <class T>
struct HeadFilters {
    Index heads = 0;
    Index width = 0;                     // N
    Matrix<const T> h;                   // [filters, lags]; zero beyond
    const Index* filter_of = nullptr;    // of each head
    const T* skip = nullptr;             // of each filter, or null
};

/// products: 4 N operations for a pair of tokens, as matrix products in strips of 64 queries; transforms: N^2 FFT
/// convolutions a head through `ops.convolve`, in blocks that take at most 64 MiB. Automatic takes the cheaper one: it
/// depends on N and the length alone.
enum class HeadMethod { automatic, products, transforms };

template <class T>
void heads_forward(compute::Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                   Sequences<const T> k, Sequences<const T> v, Sequences<T> c,
                   HeadMethod method = HeadMethod::automatic);

/// dq, dk, dv (overwritten) from dc; dh[filters, lags] and dskip[filters] are added to where they are not null.
template <class T>
void heads_backward(compute::Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                    Sequences<const T> k, Sequences<const T> v, Sequences<const T> dc, Sequences<T> dq,
                    Sequences<T> dk, Sequences<T> dv, Matrix<T> dh, T* dskip,
                    HeadMethod method = HeadMethod::automatic);

}  // namespace stillhouse::models
