// SPDX-License-Identifier: Apache-2.0
// Small dense kernels of attention, for use inside pool tasks, chosen once at run time for the processor.
#pragma once

#include "libcore/base/shape.hpp"

namespace stillhouse::models {

/// C[i, j] (+)= sum_p A(i, p) B[p, j] for i < m, j < n, p < k, with A(i, p) at a[i * a_row + p * a_col], rows of B and
/// C at b_row and c_row elements. Each C[i, j] is one chain of sums over ascending p (fused where the processor can),
/// so its bits depend neither on m and n nor on where the sum is cut by `add` calls.
template <class T>
void small_product(Index m, Index n, Index k, const T* a, Index a_row, Index a_col, const T* b, Index b_row, T* c,
                   Index c_row, bool add);

/// x <- exp(scale * x - shift), n elements.
template <class T>
void exp_scaled(T* x, Index n, T scale, T shift);

template <class T>
T maximum(const T* x, Index n);   // n >= 1

/// Sum in 16 lanes, in an order that depends on n alone.
template <class T>
T sum(const T* x, Index n);

}  // namespace stillhouse::models
