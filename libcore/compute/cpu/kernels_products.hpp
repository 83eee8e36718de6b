// SPDX-License-Identifier: Apache-2.0
// Panel and dot-product kernels over Lanes<T>, included once a level after its lanes.
#pragma once

#include "libcore/compute/cpu/kernels.hpp"

// Everything here has internal linkage: two files compiled for different processors must share no inline function.
namespace {

using stillhouse::Index;
using stillhouse::compute::cpu::Finish;

constexpr int panel_vectors = 2;

/// A whole tile from its registers: c = S, or S + c, and bias.
template <class T, int Rows>
inline void store_tile(const typename Lanes<T>::V (&sum)[Rows][panel_vectors], T* c, Index c_row,
                       const Finish<T>& finish)
{
    using L = Lanes<T>;
    const bool adds = finish.beta != T(0);
#pragma GCC unroll 2
    for (int v = 0; v < panel_vectors; ++v) {
        const auto bias = finish.bias == nullptr ? L::zero() : L::load(finish.bias + v * L::count);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            T* const out = c + r * c_row + v * L::count;
            auto value = sum[r][v];
            if (adds) {
                value = L::add(value, L::load(out));
            }
            if (finish.bias != nullptr) {
                value = L::add(value, bias);
            }
            L::store(out, value);
        }
    }
}

template <class L, int Rows>
void multiply_rows(Index cols, Index k, const typename L::Element* a, Index a_row, Index a_step,
                   const typename L::Element* b, typename L::Sum* c, Index c_row, Finish<typename L::Sum> finish)
{
    using Sum = typename L::Sum;
    using V = typename L::V;
    constexpr int width = panel_vectors * L::count;
    V sum[Rows][panel_vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < panel_vectors; ++v) {
            sum[r][v] = L::zero();
        }
        // Where the sums will go, fetched while they are made.
        __builtin_prefetch(c + r * c_row, 1);
        __builtin_prefetch(c + r * c_row + width - 1, 1);
    }
    for (Index p = 0; p < k; ++p) {
        const V b0 = L::load(b);
        const V b1 = L::load(b + L::count);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const V x = L::all(a[r * a_row]);
            sum[r][0] = L::multiply_add(x, b0, sum[r][0]);
            sum[r][1] = L::multiply_add(x, b1, sum[r][1]);
        }
        a += a_step;
        b += width;
    }
    if (cols == width && finish.alpha == Sum(1) && (finish.beta == Sum(0) || finish.beta == Sum(1))) {
        store_tile<Sum, Rows>(sum, c, c_row, finish);
        return;
    }
    alignas(64) Sum line[width];
    for (int r = 0; r < Rows; ++r) {
        L::store(line, sum[r][0]);
        L::store(line + L::count, sum[r][1]);
        Sum* out = c + r * c_row;
        // One expression for all columns, that of store_tile, so that an element's bits do not depend on its place.
        if (finish.alpha != Sum(1)) {
            for (Index j = 0; j < width; ++j) {
                line[j] *= finish.alpha;
            }
        }
        if (finish.beta == Sum(1)) {
            for (Index j = 0; j < cols; ++j) {
                line[j] += out[j];
            }
        } else if (finish.beta != Sum(0)) {
            for (Index j = 0; j < cols; ++j) {
                line[j] += finish.beta * out[j];
            }
        }
        if (finish.bias != nullptr) {
            for (Index j = 0; j < cols; ++j) {
                line[j] += finish.bias[j];
            }
        }
        for (Index j = 0; j < cols; ++j) {
            out[j] = line[j];
        }
    }
}

/// Calls the kernel for `rows` rows: a ladder of instantiations from the largest down.
template <class L, int Rows>
void multiply_panel(Index rows, Index cols, Index k, const typename L::Element* a, Index a_row, Index a_step,
                    const typename L::Element* b, typename L::Sum* c, Index c_row, Finish<typename L::Sum> finish)
{
    if (rows == Rows) {
        multiply_rows<L, Rows>(cols, k, a, a_row, a_step, b, c, c_row, finish);
    } else if constexpr (Rows > 1) {
        multiply_panel<L, Rows - 1>(rows, cols, k, a, a_row, a_step, b, c, c_row, finish);
    }
}

/// to[c * to_step + r] = from[r * from_row + c] for r, c < 8: pairs, quads, then halves of rows change places.
template <class E>
inline void transpose_eight(const E* from, Index from_row, E* to, Index to_step)
{
    typedef E V [[gnu::vector_size(8 * sizeof(E))]];
    V row[8];
    V next[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
        __builtin_memcpy(&row[r], from + r * from_row, sizeof(V));
    }
#pragma GCC unroll 4
    for (int r = 0; r < 8; r += 2) {
        next[r] = __builtin_shufflevector(row[r], row[r + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        next[r + 1] = __builtin_shufflevector(row[r], row[r + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 2
    for (int r = 0; r < 8; r += 4) {
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s) {
            row[r + 2 * s] = __builtin_shufflevector(next[r + s], next[r + s + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            row[r + 2 * s + 1] = __builtin_shufflevector(next[r + s], next[r + s + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
        next[r] = __builtin_shufflevector(row[r], row[r + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        next[r + 4] = __builtin_shufflevector(row[r], row[r + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
        __builtin_memcpy(to + r * to_step, &next[r], sizeof(V));
    }
}

template <class E>
void transpose(const E* from, Index from_row, Index rows, Index cols, E* to, Index to_step)
{
    Index i = 0;
    for (; i + 8 <= rows; i += 8) {
        const E* source = from + i * from_row;
        Index j = 0;
        for (; j + 8 <= cols; j += 8) {
            transpose_eight(source + j, from_row, to + j * to_step + i, to_step);
        }
        for (; j < cols; ++j) {
            for (int r = 0; r < 8; ++r) {
                to[j * to_step + i + r] = source[r * from_row + j];
            }
        }
    }
    for (; i < rows; ++i) {
        for (Index j = 0; j < cols; ++j) {
            to[j * to_step + i] = from[i * from_row + j];
        }
    }
}

template <class E, int Cols>
void copy_fixed(const E* from, Index from_row, Index rows, E* to, Index to_step)
{
    for (Index i = 0; i < rows; ++i) {
        __builtin_memcpy(to + i * to_step, from + i * from_row, Cols * sizeof(E));
    }
}

template <class E, int Width>
void copy_block(const E* from, Index from_row, Index rows, Index cols, E* to, Index to_step)
{
    if (cols == Width) {
        copy_fixed<E, Width>(from, from_row, rows, to, to_step);
    } else if (cols == tile_rows) {
        copy_fixed<E, tile_rows>(from, from_row, rows, to, to_step);
    } else {
        for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < cols; ++j) {
                to[i * to_step + j] = from[i * from_row + j];
            }
        }
    }
}

/// The last k % count elements of a row, with zeros behind them.
template <class L>
typename L::V load_tail(const typename L::Element* from, Index n)
{
    alignas(64) typename L::Element tail[L::count] = {};
    for (Index i = 0; i < n; ++i) {
        tail[i] = from[i];
    }
    return L::load(tail);
}

/// Rows x (4 Quads) dot products of length k.
template <class T, int Rows, int Quads>
void dot_block(const T* x, Index x_row, const T* w, Index w_row, Index k, const T* bias, T* y, Index y_row)
{
    using L = Lanes<T>;
    using V = typename L::V;
    constexpr int cols = 4 * Quads;
    V sum[Rows][cols];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < cols; ++c) {
            sum[r][c] = L::zero();
        }
    }
    Index p = 0;
    for (; p + L::count <= k; p += L::count) {
        V left[Rows];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
            left[r] = L::load(x + r * x_row + p);
        }
#pragma GCC unroll 8
        for (int c = 0; c < cols; ++c) {
            const V right = L::load(w + c * w_row + p);
#pragma GCC unroll 8
            for (int r = 0; r < Rows; ++r) {
                sum[r][c] = L::multiply_add(left[r], right, sum[r][c]);
            }
        }
    }
    if (p < k) {
        for (int c = 0; c < cols; ++c) {
            const V right = load_tail<L>(w + c * w_row + p, k - p);
            for (int r = 0; r < Rows; ++r) {
                sum[r][c] = L::multiply_add(load_tail<L>(x + r * x_row + p, k - p), right, sum[r][c]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int q = 0; q < Quads; ++q) {
            T total[4];
            L::sums(sum[r][4 * q], sum[r][4 * q + 1], sum[r][4 * q + 2], sum[r][4 * q + 3], total);
            for (int c = 0; c < 4; ++c) {
                y[r * y_row + 4 * q + c] = bias == nullptr ? total[c] : total[c] + bias[4 * q + c];
            }
        }
    }
}

template <class T, int Rows>
void dot_single(const T* x, Index x_row, const T* w, Index k, const T* bias, T* y, Index y_row)
{
    using L = Lanes<T>;
    for (int r = 0; r < Rows; ++r) {
        typename L::V sum = L::zero();
        Index p = 0;
        for (; p + L::count <= k; p += L::count) {
            sum = L::multiply_add(L::load(x + r * x_row + p), L::load(w + p), sum);
        }
        if (p < k) {
            sum = L::multiply_add(load_tail<L>(x + r * x_row + p, k - p), load_tail<L>(w + p, k - p), sum);
        }
        T total[4];
        L::sums(sum, L::zero(), L::zero(), L::zero(), total);
        y[r * y_row] = bias == nullptr ? total[0] : total[0] + bias[0];
    }
}

template <class T, int Rows>
void dot_strip(const T* x, Index x_row, const T* w, Index w_row, Index n, Index k, const T* bias, T* y, Index y_row)
{
    constexpr int quads = Rows * 8 <= dot_rows * 4 ? 2 : 1;
    const auto offset = [bias](Index j) { return bias == nullptr ? nullptr : bias + j; };
    Index j = 0;
    for (; j + 4 * quads <= n; j += 4 * quads) {
        dot_block<T, Rows, quads>(x, x_row, w + j * w_row, w_row, k, offset(j), y + j, y_row);
    }
    for (; j + 4 <= n; j += 4) {
        dot_block<T, Rows, 1>(x, x_row, w + j * w_row, w_row, k, offset(j), y + j, y_row);
    }
    for (; j < n; ++j) {
        dot_single<T, Rows>(x, x_row, w + j * w_row, k, offset(j), y + j, y_row);
    }
}

template <class T, int Rows>
void dot_ladder(Index rows, const T* x, Index x_row, const T* w, Index w_row, Index n, Index k, const T* bias, T* y,
                Index y_row)
{
    if (rows == Rows) {
        dot_strip<T, Rows>(x, x_row, w, w_row, n, k, bias, y, y_row);
    } else if constexpr (Rows > 1) {
        dot_ladder<T, Rows - 1>(rows, x, x_row, w, w_row, n, k, bias, y, y_row);
    }
}

template <class T>
void dots(const T* x, Index x_row, Index rows, const T* w, Index w_row, Index n, Index k, const T* bias, T* y,
          Index y_row)
{
    for (Index i = 0; i < rows; i += dot_rows) {
        const Index now = rows - i < dot_rows ? rows - i : dot_rows;
        dot_ladder<T, dot_rows>(now, x + i * x_row, x_row, w, w_row, n, k, bias, y + i * y_row, y_row);
    }
}

/// y[i] += sum_j a[j] x[j * x_row + i] for Rows rows: y is read and written once for all of them.
template <class T, int Rows>
void combine_block(const T* a, const T* x, Index x_row, Index n, T* y)
{
    using L = Lanes<T>;
    typename L::V factor[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
        factor[r] = L::all(a[r]);
    }
    Index i = 0;
    for (; i + L::count <= n; i += L::count) {
        typename L::V sum = L::load(y + i);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
            sum = L::multiply_add(factor[r], L::load(x + r * x_row + i), sum);
        }
        L::store(y + i, sum);
    }
    if (i < n) {
        typename L::V sum = load_tail<L>(y + i, n - i);
        for (int r = 0; r < Rows; ++r) {
            sum = L::multiply_add(factor[r], load_tail<L>(x + r * x_row + i, n - i), sum);
        }
        alignas(64) T tail[L::count];
        L::store(tail, sum);
        for (Index k = i; k < n; ++k) {
            y[k] = tail[k - i];
        }
    }
}

template <class T>
void combine_rows(const T* a, const T* x, Index x_row, Index rows, Index n, T* y)
{
    Index j = 0;
    for (; j + 8 <= rows; j += 8) {
        combine_block<T, 8>(a + j, x + j * x_row, x_row, n, y);
    }
    for (; j + 4 <= rows; j += 4) {
        combine_block<T, 4>(a + j, x + j * x_row, x_row, n, y);
    }
    for (; j < rows; ++j) {
        combine_block<T, 1>(a + j, x + j * x_row, x_row, n, y);
    }
}

}  // namespace
