// SPDX-License-Identifier: Apache-2.0
// Loops of a mixer over tokens and columns: tiles, sums over tokens, columns elsewhere. Gates are in hyena_gates.hpp.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"

#include <algorithm>
#include <vector>

namespace stillhouse::models {

/// Tokens of a task, and of a block whose sums are made in T before the blocks' are added in double.
constexpr Index token_block = 64;

/// total[i] = sum over the blocks of partial[blocks, n], in double and in order.
template <class T>
void add_blocks(ThreadPool& pool, const T* partial, Index blocks, Index n, double* total);

/// sums[c] += sum over rows of x[r, c], rows in blocks of 64, those in double in order.
template <class T>
void add_column_sums(ThreadPool& pool, Matrix<const T> x, T* sums);

/// Calls body(b, c0, c1, t0, t1) for tiles of 16 channels by up to 64 tokens that cover batch x width x length; the
/// tiles of one strip of channels of one sequence run in order of t on one thread, so a body may sum along t.
template <class Body>
void for_tiles(ThreadPool& pool, Index batch, Index width, Index length, const Body& body)
{
    constexpr Index channels = 16;
    constexpr Index tokens = 64;
    const Index strips = (width + channels - 1) / channels;
    pool.for_each(batch * strips, [&](Index task) {
        const Index b = task / strips;
        const Index c0 = task % strips * channels;
        const Index c1 = std::min(c0 + channels, width);
        for (Index t0 = 0; t0 < length; t0 += tokens) {
            body(b, c0, c1, t0, std::min(t0 + tokens, length));
        }
    });
}

/// to[r, first + columns[c]] = from[r, c] for the columns c of `from`; and back: to[r, c] = from[r, first + columns[c]]
template <class T>
void scatter_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                     Matrix<T> to);
template <class T>
void gather_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                    Matrix<T> to);

}  // namespace stillhouse::models
