// SPDX-License-Identifier: Apache-2.0
// Short convolutions and sums over tokens, token-major, vectorised over channels.
#include "libcore/models/hyena_kernels.hpp"

#include "libcore/models/scratch.hpp"

namespace stillhouse::models {

namespace {

constexpr Index block = 64;   // tokens a task

Index blocks_of(Index length)
{
    return (length + block - 1) / block;
}

/// weight[n, taps] as [taps, n]: channels are neighbours, as they are in a token.
template <class T>
Scratch<T> lags_first(const T* weight, Index n, Index taps)
{
    Scratch<T> w(taps * n);
    for (Index c = 0; c < n; ++c) {
        for (Index j = 0; j < taps; ++j) {
            w.data()[j * n + c] = weight[c * taps + j];
        }
    }
    return w;
}

}  // namespace

template <class T>
void short_convolve(ThreadPool& pool, Sequences<const T> z, const T* weight, const T* bias, Index taps, const T* past,
                    Sequences<T> y)
{
    const Index n = z.width;
    const Scratch<T> by_lag = lags_first(weight, n, taps);
    const T* const w = by_lag.data();
    const Index per_sequence = blocks_of(z.length);
    pool.for_each(z.batch * per_sequence, [&](Index task) {
        const Index b = task / per_sequence;
        const Index first = task % per_sequence * block;
        for (Index t = first; t < std::min(first + block, z.length); ++t) {
            T* const out = y.token(b, t);
            const T* const now = z.token(b, t);
            for (Index c = 0; c < n; ++c) {
                out[c] = bias[c] + w[c] * now[c];
            }
            for (Index j = 1; j < taps; ++j) {
                const T* in = nullptr;
                if (t >= j) {
                    in = z.token(b, t - j);
                } else if (past != nullptr) {
                    in = past + (b * (taps - 1) + taps - 1 + t - j) * n;
                } else {
                    break;
                }
                const T* const wj = w + j * n;
                for (Index c = 0; c < n; ++c) {
                    out[c] += wj[c] * in[c];
                }
            }
        }
    });
}

template <class T>
void short_convolve_backward(ThreadPool& pool, Sequences<const T> z, const T* weight, Index taps,
                             Sequences<const T> dy, Sequences<T> dz, T* dweight, T* dbias)
{
    const Index n = z.width;
    const Scratch<T> by_lag = lags_first(weight, n, taps);
    const T* const w = by_lag.data();
    const Index per_sequence = blocks_of(z.length);
    const Index tasks = z.batch * per_sequence;
    Scratch<double> partial(tasks * (taps + 1) * n);
    pool.for_each(tasks, [&](Index task) {
        const Index b = task / per_sequence;
        const Index first = task % per_sequence * block;
        double* const sums = partial.data() + task * (taps + 1) * n;
        std::fill_n(sums, (taps + 1) * n, 0.0);
        for (Index t = first; t < std::min(first + block, z.length); ++t) {
            T* const out = dz.token(b, t);
            const T* const d = dy.token(b, t);
            for (Index c = 0; c < n; ++c) {
                out[c] = w[c] * d[c];
            }
            for (Index j = 1; j < taps && t + j < z.length; ++j) {
                const T* const in = dy.token(b, t + j);
                const T* const wj = w + j * n;
                for (Index c = 0; c < n; ++c) {
                    out[c] += wj[c] * in[c];
                }
            }
            for (Index j = 0; j < taps && j <= t; ++j) {
                const T* const in = z.token(b, t - j);
                double* const sum = sums + j * n;
                for (Index c = 0; c < n; ++c) {
                    sum[c] += static_cast<double>(d[c]) * static_cast<double>(in[c]);
                }
            }
            double* const sum = sums + taps * n;
            for (Index c = 0; c < n; ++c) {
                sum[c] += static_cast<double>(d[c]);
            }
        }
    });
    for (Index task = 1; task < tasks; ++task) {
        const double* const part = partial.data() + task * (taps + 1) * n;
        for (Index i = 0; i < (taps + 1) * n; ++i) {
            partial.data()[i] += part[i];
        }
    }
    for (Index c = 0; c < n && dweight != nullptr; ++c) {
        for (Index j = 0; j < taps; ++j) {
            dweight[c * taps + j] += static_cast<T>(partial.data()[j * n + c]);
        }
    }
    for (Index c = 0; c < n && dbias != nullptr; ++c) {
        dbias[c] += static_cast<T>(partial.data()[taps * n + c]);
    }
}

template <class T>
void add_column_sums(ThreadPool& pool, Matrix<const T> x, T* sums)
{
    constexpr Index rows = 256;
    const Index tasks = (x.rows + rows - 1) / rows;
    Scratch<double> partial(tasks * x.cols);
    pool.for_each(tasks, [&](Index task) {
        double* const sum = partial.data() + task * x.cols;
        std::fill_n(sum, x.cols, 0.0);
        for (Index r = task * rows; r < std::min((task + 1) * rows, x.rows); ++r) {
            const T* const row = x.row(r);
            for (Index c = 0; c < x.cols; ++c) {
                sum[c] += static_cast<double>(row[c]);
            }
        }
    });
    for (Index c = 0; c < x.cols; ++c) {
        double sum = 0.0;
        for (Index task = 0; task < tasks; ++task) {
            sum += partial.data()[task * x.cols + c];
        }
        sums[c] += static_cast<T>(sum);
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
    template void short_convolve<T>(ThreadPool&, Sequences<const T>, const T*, const T*, Index, const T*,             \
                                    Sequences<T>);                                                                    \
    template void short_convolve_backward<T>(ThreadPool&, Sequences<const T>, const T*, Index, Sequences<const T>,    \
                                             Sequences<T>, T*, T*);                                                   \
    template void add_column_sums<T>(ThreadPool&, Matrix<const T>, T*);                                               \
    template void scatter_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);      \
    template void gather_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
