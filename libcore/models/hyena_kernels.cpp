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

/// total[i] = sum over the blocks of partial[blocks, n], in double and in order.
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
            T* const __restrict out = y.token(b, t);
            const T* const now = z.token(b, t);
            if (taps == 3 && t >= 2) {
                const T* const one = z.token(b, t - 1);
                const T* const two = z.token(b, t - 2);
                for (Index c = 0; c < n; ++c) {
                    out[c] = bias[c] + w[c] * now[c] + w[n + c] * one[c] + w[2 * n + c] * two[c];
                }
                continue;
            }
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
    Scratch<T> partial(tasks * (taps + 1) * n);
    pool.for_each(tasks, [&](Index task) {
        const Index b = task / per_sequence;
        const Index first = task % per_sequence * block;
        T* const sums = partial.data() + task * (taps + 1) * n;
        std::fill_n(sums, (taps + 1) * n, T(0));
        for (Index t = first; t < std::min(first + block, z.length); ++t) {
            T* const __restrict out = dz.token(b, t);
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
                T* const __restrict sum = sums + j * n;
                for (Index c = 0; c < n; ++c) {
                    sum[c] += d[c] * in[c];
                }
            }
            T* const __restrict sum = sums + taps * n;
            for (Index c = 0; c < n; ++c) {
                sum[c] += d[c];
            }
        }
    });
    Scratch<double> total((taps + 1) * n);
    add_blocks(pool, partial.data(), tasks, (taps + 1) * n, total.data());
    for (Index c = 0; c < n && dweight != nullptr; ++c) {
        for (Index j = 0; j < taps; ++j) {
            dweight[c * taps + j] += static_cast<T>(total.data()[j * n + c]);
        }
    }
    for (Index c = 0; c < n && dbias != nullptr; ++c) {
        dbias[c] += static_cast<T>(total.data()[taps * n + c]);
    }
}

template <class T>
void add_column_sums(ThreadPool& pool, Matrix<const T> x, T* sums)
{
    const Index tasks = blocks_of(x.rows);
    Scratch<T> partial(tasks * x.cols);
    pool.for_each(tasks, [&](Index task) {
        T* const __restrict sum = partial.data() + task * x.cols;
        std::fill_n(sum, x.cols, T(0));
        for (Index r = task * block; r < std::min((task + 1) * block, x.rows); ++r) {
            const T* const row = x.row(r);
            for (Index c = 0; c < x.cols; ++c) {
                sum[c] += row[c];
            }
        }
    });
    Scratch<double> total(x.cols);
    add_blocks(pool, partial.data(), tasks, x.cols, total.data());
    for (Index c = 0; c < x.cols; ++c) {
        sums[c] += static_cast<T>(total.data()[c]);
    }
}

template <class T>
void skip_and_gate(ThreadPool& pool, Matrix<const T> y, const T* u, const T* skip, const T* gate, T* out)
{
    const Index n = y.cols;
    pool.for_each(blocks_of(y.rows), [&](Index task) {
        for (Index r = task * block; r < std::min((task + 1) * block, y.rows); ++r) {
            const T* const from = y.row(r);
            const T* const in = u + r * n;
            const T* const by = gate + r * n;
            T* const __restrict to = out + r * n;
            for (Index c = 0; c < n; ++c) {
                to[c] = (from[c] + skip[c] * in[c]) * by[c];
            }
        }
    });
}

template <class T>
void skip_and_gate_backward(ThreadPool& pool, Matrix<const T> y, const T* u, const T* skip, const T* gate, const T* d,
                            T* dgate, T* da)
{
    const Index n = y.cols;
    pool.for_each(blocks_of(y.rows), [&](Index task) {
        for (Index r = task * block; r < std::min((task + 1) * block, y.rows); ++r) {
            const T* const from = y.row(r);
            const T* const in = u + r * n;
            const T* const by = gate + r * n;
            const T* const now = d + r * n;
            T* const __restrict gated = dgate + r * n;
            T* const passed = da + r * n;
            for (Index c = 0; c < n; ++c) {
                gated[c] = now[c] * (from[c] + skip[c] * in[c]);
            }
            for (Index c = 0; c < n; ++c) {
                passed[c] = now[c] * by[c];
            }
        }
    });
}

template <class T>
void skip_backward(ThreadPool& pool, Matrix<const T> da, const T* u, const T* skip, T* du, double* sums)
{
    const Index n = da.cols;
    const Index tasks = blocks_of(da.rows);
    Scratch<T> partial(sums != nullptr ? tasks * n : 0);
    pool.for_each(tasks, [&](Index task) {
        for (Index r = task * block; r < std::min((task + 1) * block, da.rows); ++r) {
            const T* const d = da.row(r);
            T* const __restrict to = du + r * n;
            for (Index c = 0; c < n; ++c) {
                to[c] += skip[c] * d[c];
            }
        }
        if (sums == nullptr) {
            return;
        }
        T* const __restrict sum = partial.data() + task * n;
        std::fill_n(sum, n, T(0));
        for (Index r = task * block; r < std::min((task + 1) * block, da.rows); ++r) {
            const T* const d = da.row(r);
            const T* const in = u + r * n;
            for (Index c = 0; c < n; ++c) {
                sum[c] += d[c] * in[c];
            }
        }
    });
    if (sums != nullptr) {
        Scratch<double> total(n);
        add_blocks(pool, partial.data(), tasks, n, total.data());
        for (Index c = 0; c < n; ++c) {
            sums[c] += total.data()[c];
        }
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
    template void skip_and_gate<T>(ThreadPool&, Matrix<const T>, const T*, const T*, const T*, T*);                   \
    template void skip_and_gate_backward<T>(ThreadPool&, Matrix<const T>, const T*, const T*, const T*, const T*, T*, \
                                            T*);                                                                      \
    template void skip_backward<T>(ThreadPool&, Matrix<const T>, const T*, const T*, T*, double*);                    \
    template void scatter_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);      \
    template void gather_columns<T>(ThreadPool&, Matrix<const T>, const std::vector<Index>&, Index, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
