// SPDX-License-Identifier: Apache-2.0
// Loops of a mixer over tokens and columns: sums over tokens, copies of columns. Gates are in hyena_gates.hpp.
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

/// to[r, first + columns[c]] = from[r, c] for the columns c of `from`; and back: to[r, c] = from[r, first + columns[c]]
template <class T>
void scatter_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                     Matrix<T> to);
template <class T>
void gather_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                    Matrix<T> to);

}  // namespace stillhouse::models
