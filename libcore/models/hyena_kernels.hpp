// SPDX-License-Identifier: Apache-2.0
// The loops between the products and the transforms of a mixer: short convolutions, tiles, sums over tokens.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"

#include <algorithm>
#include <vector>

namespace stillhouse::models {

/// y[b, t, c] = bias[c] + sum_{j < taps} weight[c, j] z[b, t - j, c]. Before the first token stand `past`
/// [batch, taps - 1, width], oldest first, or zeros where it is null. taps >= 1; y may not be z.
template <class T>
void short_convolve(ThreadPool& pool, Sequences<const T> z, const T* weight, const T* bias, Index taps, const T* past,
                    Sequences<T> y);

/// dz (overwritten; may not be dy) from dy, sequences that begin with zeros; dweight and dbias are added to, each may
/// be null. Sums over tokens in blocks of 64, those in double in order.
template <class T>
void short_convolve_backward(ThreadPool& pool, Sequences<const T> z, const T* weight, Index taps,
                             Sequences<const T> dy, Sequences<T> dz, T* dweight, T* dbias);

/// out = (y + skip u) gate, row by row: u, gate and out as y, skip one number a column.
template <class T>
void skip_and_gate(ThreadPool& pool, Matrix<const T> y, const T* u, const T* skip, const T* gate, T* out);

/// The backward of skip_and_gate: dgate = d (y + skip u), da = d gate (may be d; may not be dgate).
template <class T>
void skip_and_gate_backward(ThreadPool& pool, Matrix<const T> y, const T* u, const T* skip, const T* gate, const T* d,
                            T* dgate, T* da);

/// du += skip da, and sums[c] += sum over rows of da[r, c] u[r, c], rows in blocks of 64, those in double in order;
/// sums may be null.
template <class T>
void skip_backward(ThreadPool& pool, Matrix<const T> da, const T* u, const T* skip, T* du, double* sums);

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
