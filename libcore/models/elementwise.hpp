// SPDX-License-Identifier: Apache-2.0
// Sums and products of whole arrays, cut into pieces for the pool.
#pragma once

#include "libcore/base/parallel.hpp"

#include <algorithm>

namespace stillhouse::models {

/// body(begin, end) over pieces of 0..n.
template <class Body>
void for_pieces(ThreadPool& pool, Index n, const Body& body)
{
    constexpr Index piece = 16384;
    pool.for_each((n + piece - 1) / piece,
                  [&](Index task) { body(task * piece, std::min(n, (task + 1) * piece)); });
}

/// out = a + b; out may be either.
template <class T>
void add(ThreadPool& pool, const T* a, const T* b, Index n, T* out)
{
    for_pieces(pool, n, [=](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            out[i] = a[i] + b[i];
        }
    });
}

/// out = (a + b) + c; out may be any of them.
template <class T>
void add_three(ThreadPool& pool, const T* a, const T* b, const T* c, Index n, T* out)
{
    for_pieces(pool, n, [=](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            out[i] = (a[i] + b[i]) + c[i];
        }
    });
}

/// out = a b, element by element; out may be either.
template <class T>
void multiply(ThreadPool& pool, const T* a, const T* b, Index n, T* out)
{
    for_pieces(pool, n, [=](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            out[i] = a[i] * b[i];
        }
    });
}

}  // namespace stillhouse::models
