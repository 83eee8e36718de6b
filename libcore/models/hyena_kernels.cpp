// SPDX-License-Identifier: Apache-2.0
// Sums over tokens and copies of columns, token-major.
#include "libcore/models/hyena_kernels.hpp"

#include "libcore/compute/vector.hpp"
#include "libcore/models/scratch.hpp"

namespace stillhouse::models {

namespace {

constexpr Index block = token_block;

Index blocks_of(Index length)
{
    return (length + block - 1) / block;
}

}  // namespace

template <class T>
void add_blocks(ThreadPool& pool, const T* partial, Index blocks, Index n, double* total)
{
    constexpr Index piece = 512;
    pool.for_each((n + piece - 1) / piece, [&](Index task) {
        const Index end = std::min(n, (task + 1) * piece);
        std::fill(total + task * piece, total + end, 0.0);
        for (Index b = 0; b < blocks; ++b) {
            const T* const part = partial + b * n;
            for (Index i = task * piece; i < end; ++i) {
                total[i] += static_cast<double>(part[i]);
            }
        }
    });
}

template <class T>
void add_column_sums(ThreadPool& pool, Matrix<const T> x, T* sums)
{
    const auto& functions = compute::row_functions<T>();
    const Index tasks = blocks_of(x.rows);
    Scratch<T> partial(tasks * x.cols);
    pool.for_each(tasks, [&](Index task) {
        T* const sum = partial.data() + task * x.cols;
        std::fill_n(sum, x.cols, T(0));
        for (Index r = task * block; r < std::min((task + 1) * block, x.rows); ++r) {
            functions.add(x.row(r), x.cols, sum);
        }
    });
    Scratch<double> total(x.cols);
    add_blocks(pool, partial.data(), tasks, x.cols, total.data());
    for (Index c = 0; c < x.cols; ++c) {
        sums[c] += static_cast<T>(total.data()[c]);
    }
}

template <class T>
void scatter_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                     Matrix<T> to)
{
    pool.for_each((from.rows + block - 1) / block, [&](Index task) {
        for (Index r = task * block; r < std::min((task + 1) * block, from.rows); ++r) {
            const T* const in = from.row(r);
            T* const out = to.row(r) + first;
            for (Index c = 0; c < from.cols; ++c) {
                out[columns[static_cast<std::size_t>(c)]] = in[c];
            }
        }
    });
}

template <class T>
void gather_columns(ThreadPool& pool, Matrix<const T> from, const std::vector<Index>& columns, Index first,
                    Matrix<T> to)
{
    pool.for_each((to.rows + block - 1) / block, [&](Index task) {
        for (Index r = task * block; r < std::min((task + 1) * block, to.rows); ++r) {
            const T* const in = from.row(r) + first;
            T* const out = to.row(r);
            for (Index c = 0; c < to.cols; ++c) {
                out[c] = in[columns[static_cast<std::size_t>(c)]];
            }
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void add_blocks<T>(ThreadPool&, const T*, Index, Index, double*);                                        \
    template void add_column_sums<T>(ThreadPool&, Matrix<const T>, T*);                                               \
    template void scatter_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);      \
    template void gather_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
