// SPDX-License-Identifier: Apache-2.0
// Short convolutions and gates of a mixer: tasks of 64 tokens of one sequence, row by row.
#include "libcore/models/hyena_gates.hpp"

#include "libcore/compute/vector.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <vector>

namespace stillhouse::models {

namespace {

using compute::RowFunctions;

/// Tasks of token_block tokens of one sequence.
struct Blocks {
    Index batch, length;

    Index per_sequence() const { return (length + token_block - 1) / token_block; }
    Index count() const { return batch * per_sequence(); }

    /// body(task, sequence, first token, last token + 1)
    template <class Body>
    void for_each(ThreadPool& pool, const Body& body) const
    {
        pool.for_each(count(), [&](Index task) {
            const Index first = task % per_sequence() * token_block;
            body(task, task / per_sequence(), first, std::min(first + token_block, length));
        });
    }
};

/// A signal with its weights as [taps, n]: channels are neighbours, as they are in a token.
template <class T>
class ShortRows {
public:
    explicit ShortRows(const ShortSignal<T>& signal)
        : signal_(signal), n_(signal.z.cols), by_lag_(signal.taps * n_)
    {
        for (Index c = 0; c < n_; ++c) {
            for (Index j = 0; j < signal.taps; ++j) {
                by_lag_.data()[j * n_ + c] = signal.weight[c * signal.taps + j];
            }
        }
    }

    Index taps() const { return signal_.taps; }
    Index width() const { return n_; }
    const T* weights() const { return by_lag_.data(); }
    const T* bias() const { return signal_.bias; }
    Index length() const { return signal_.length; }
    const T* token(Index b, Index t) const { return signal_.z.row(b * signal_.length + t); }

    /// Tokens t, t - 1, ... of sequence b that the convolution reads at t.
    Index reach(Index b, Index t, std::vector<const T*>& rows) const
    {
        const Index count = std::min(signal_.taps, t + 1);
        for (Index j = 0; j < count; ++j) {
            rows[static_cast<std::size_t>(j)] = token(b, t - j);
        }
        return count;
    }

private:
    const ShortSignal<T>& signal_;
    Index n_;
    Scratch<T> by_lag_;
};

/// s(z) of one sequence, a row at a time, for one task.
template <class T>
class ShortReader {
public:
    ShortReader(const ShortRows<T>& signal, Index b)
        : signal_(signal), b_(b), rows_(static_cast<std::size_t>(signal.taps())),
          room_(signal.taps() > 0 ? signal.width() : 0)
    {
    }

    /// Where it stands; the next call may overwrite it.
    const T* row(Index t)
    {
        if (signal_.taps() == 0) {
            return signal_.token(b_, t);
        }
        write(t, room_.data());
        return room_.data();
    }

    void write(Index t, T* to)
    {
        if (signal_.taps() == 0) {
            std::copy_n(signal_.token(b_, t), signal_.width(), to);
            return;
        }
        const Index count = signal_.reach(b_, t, rows_);
        functions_.weigh(rows_.data(), count, signal_.weights(), signal_.bias(), signal_.width(), to);
    }

private:
    const RowFunctions<T>& functions_ = compute::row_functions<T>();
    const ShortRows<T>& signal_;
    Index b_;
    std::vector<const T*> rows_;
    Scratch<T> room_;
};

/// The sums over tokens that a gradient wants, one row of [taps + 1, n] a task.
template <class T>
class ShortSums {
public:
    ShortSums(const ShortSignal<T>& signal, const ShortGradient<T>& gradient, Index tasks)
        : n_(signal.z.cols), taps_(signal.taps), tasks_(tasks), gradient_(gradient),
          partial_(wanted() ? tasks * each() : 0)
    {
    }

    bool wanted() const { return taps_ > 0 && (gradient_.dweight != nullptr || gradient_.dbias != nullptr); }

    /// Zeros for a task; null where none are wanted.
    T* begin(Index task)
    {
        if (!wanted()) {
            return nullptr;
        }
        T* const sums = partial_.data() + task * each();
        std::fill_n(sums, each(), T(0));
        return sums;
    }

    void finish(ThreadPool& pool)
    {
        if (!wanted()) {
            return;
        }
        Scratch<double> total(each());
        add_blocks(pool, partial_.data(), tasks_, each(), total.data());
        for (Index c = 0; c < n_ && gradient_.dweight != nullptr; ++c) {
            for (Index j = 0; j < taps_; ++j) {
                gradient_.dweight[c * taps_ + j] += static_cast<T>(total.data()[j * n_ + c]);
            }
        }
        for (Index c = 0; c < n_ && gradient_.dbias != nullptr; ++c) {
            gradient_.dbias[c] += static_cast<T>(total.data()[taps_ * n_ + c]);
        }
    }

private:
    Index each() const { return (taps_ + 1) * n_; }

    Index n_, taps_, tasks_;
    const ShortGradient<T>& gradient_;
    Scratch<T> partial_;
};

/// The adjoint of one short convolution over the tokens first .. last of a task. Gradients of its output come token by
/// token, from first to end() (whatever lies behind the sequence is zero), into row(t); after each, took(t) writes the
/// dz that became known. Only the last `taps` rows are held.
template <class T>
class ShortAdjoint {
public:
    ShortAdjoint(const ShortRows<T>& signal, const ShortGradient<T>& gradient, Index b, Index first, Index last,
                 T* sums)
        : signal_(signal), gradient_(gradient), b_(b), first_(first), last_(last),
          held_(std::max<Index>(1, signal.taps())), rows_(static_cast<std::size_t>(held_)),
          ring_(held_ * signal.width()), sums_(sums)
    {
    }

    /// One past the last token whose gradient is wanted.
    Index end() const { return last_ + held_ - 1; }

    T* row(Index t) const { return ring_.data() + t % held_ * signal_.width(); }

    void took(Index t)
    {
        const Index n = signal_.width();
        if (signal_.taps() == 0) {
            std::copy_n(row(t), n, dz(t));
            return;
        }
        if (t >= signal_.length()) {
            std::fill_n(row(t), n, T(0));
        } else if (t < last_ && sums_ != nullptr) {
            const Index count = signal_.reach(b_, t, rows_);
            functions_.add_products(row(t), rows_.data(), count, n, sums_);
            functions_.add(row(t), n, sums_ + signal_.taps() * n);
        }
        const Index done = t - held_ + 1;
        if (done >= first_) {
            for (Index j = 0; j < held_; ++j) {
                rows_[static_cast<std::size_t>(j)] = row(done + j);
            }
            functions_.weigh(rows_.data(), held_, signal_.weights(), nullptr, n, dz(done));
        }
    }

private:
    T* dz(Index t) const { return gradient_.dz.row(b_ * signal_.length() + t); }

    const RowFunctions<T>& functions_ = compute::row_functions<T>();
    const ShortRows<T>& signal_;
    const ShortGradient<T>& gradient_;
    Index b_, first_, last_, held_;
    std::vector<const T*> rows_;
    Scratch<T> ring_;
    T* sums_;
};

}  // namespace

template <class T>
void short_convolve(ThreadPool& pool, const ShortSignal<T>& z, Sequences<T> y)
{
    const ShortRows<T> rows(z);
    Blocks{y.batch, y.length}.for_each(pool, [&](Index, Index b, Index first, Index last) {
        ShortReader<T> read(rows, b);
        for (Index t = first; t < last; ++t) {
            read.write(t, y.token(b, t));
        }
    });
}

template <class T>
void short_convolve_backward(ThreadPool& pool, const ShortSignal<T>& z, Sequences<const T> dy,
                             const ShortGradient<T>& gradient)
{
    const ShortRows<T> rows(z);
    const Blocks blocks{dy.batch, dy.length};
    ShortSums<T> sums(z, gradient, blocks.count());
    blocks.for_each(pool, [&](Index task, Index b, Index first, Index last) {
        ShortAdjoint<T> adjoint(rows, gradient, b, first, last, sums.begin(task));
        for (Index t = first; t < adjoint.end(); ++t) {
            if (t < dy.length) {
                std::copy_n(dy.token(b, t), dy.width, adjoint.row(t));
            }
            adjoint.took(t);
        }
    });
    sums.finish(pool);
}

template <class T>
void short_product(ThreadPool& pool, const ShortSignal<T>& a, const ShortSignal<T>& b, Sequences<T> out)
{
    const auto& functions = compute::row_functions<T>();
    const ShortRows<T> rows_a(a);
    const ShortRows<T> rows_b(b);
    Blocks{out.batch, out.length}.for_each(pool, [&](Index, Index sequence, Index first, Index last) {
        ShortReader<T> read_a(rows_a, sequence);
        ShortReader<T> read_b(rows_b, sequence);
        for (Index t = first; t < last; ++t) {
            functions.multiply(read_a.row(t), read_b.row(t), out.width, out.token(sequence, t));
        }
    });
}

template <class T>
void short_product_backward(ThreadPool& pool, const ShortSignal<T>& a, const ShortSignal<T>& b, const T* du,
                            const T* skip, const T* da, const T* more_b, const ShortGradient<T>& gradient_a,
                            const ShortGradient<T>& gradient_b)
{
    STILLHOUSE_CHECK(a.taps == b.taps);
    const auto& functions = compute::row_functions<T>();
    const ShortRows<T> rows_a(a);
    const ShortRows<T> rows_b(b);
    const Blocks blocks{a.z.rows / a.length, a.length};
    const Index n = a.z.cols;
    ShortSums<T> sums_a(a, gradient_a, blocks.count());
    ShortSums<T> sums_b(b, gradient_b, blocks.count());
    blocks.for_each(pool, [&](Index task, Index sequence, Index first, Index last) {
        Scratch<T> d(n);
        ShortReader<T> read_a(rows_a, sequence);
        ShortReader<T> read_b(rows_b, sequence);
        ShortAdjoint<T> adjoint_a(rows_a, gradient_a, sequence, first, last, sums_a.begin(task));
        ShortAdjoint<T> adjoint_b(rows_b, gradient_b, sequence, first, last, sums_b.begin(task));
        for (Index t = first; t < adjoint_a.end(); ++t) {
            if (t < a.length) {
                const Index at = (sequence * a.length + t) * n;
                functions.add_product(du + at, skip, da + at, n, d.data());
                functions.multiply(d.data(), read_b.row(t), n, adjoint_a.row(t));
                functions.multiply(d.data(), read_a.row(t), n, adjoint_b.row(t));
                if (more_b != nullptr) {
                    functions.add(more_b + at, n, adjoint_b.row(t));
                }
            }
            adjoint_a.took(t);
            adjoint_b.took(t);
        }
    });
    sums_a.finish(pool);
    sums_b.finish(pool);
}

template <class T>
void add_skipped(ThreadPool& pool, const T* skip, const T* da, Sequences<T> du)
{
    const auto& functions = compute::row_functions<T>();
    const Index n = du.width;
    Blocks{du.batch, du.length}.for_each(pool, [&](Index, Index b, Index first, Index last) {
        for (Index t = first; t < last; ++t) {
            const T* const row = da + (b * du.length + t) * n;
            functions.add_products(skip, &row, 1, n, du.token(b, t));
        }
    });
}

template <class T>
void skip_and_gate(ThreadPool& pool, const T* y, const T* u, const T* skip, const ShortSignal<T>& gate,
                   Sequences<T> out)
{
    const auto& functions = compute::row_functions<T>();
    const ShortRows<T> rows(gate);
    const Index n = out.width;
    Blocks{out.batch, out.length}.for_each(pool, [&](Index, Index b, Index first, Index last) {
        Scratch<T> skipped(n);
        ShortReader<T> read(rows, b);
        for (Index t = first; t < last; ++t) {
            const Index at = (b * out.length + t) * n;
            functions.add_product(y + at, skip, u + at, n, skipped.data());
            functions.multiply(skipped.data(), read.row(t), n, out.token(b, t));
        }
    });
}

template <class T>
void skip_and_gate_backward(ThreadPool& pool, const T* y, const T* u, const T* skip, const ShortSignal<T>& gate,
                            const T* d, T* da, const ShortGradient<T>& gradient, double* dskip)
{
    const auto& functions = compute::row_functions<T>();
    const ShortRows<T> rows(gate);
    const Blocks blocks{gate.z.rows / gate.length, gate.length};
    const Index n = gate.z.cols;
    ShortSums<T> sums(gate, gradient, blocks.count());
    Scratch<T> skips(dskip != nullptr ? blocks.count() * n : 0);
    blocks.for_each(pool, [&](Index task, Index b, Index first, Index last) {
        Scratch<T> skipped(n);
        T* const skip_sums = skips.data() + task * n;
        if (dskip != nullptr) {
            std::fill_n(skip_sums, n, T(0));
        }
        ShortReader<T> read(rows, b);
        ShortAdjoint<T> adjoint(rows, gradient, b, first, last, sums.begin(task));
        for (Index t = first; t < adjoint.end(); ++t) {
            if (t < gate.length) {
                const Index at = (b * gate.length + t) * n;
                if (t < last) {
                    functions.multiply(d + at, read.row(t), n, da + at);
                    if (dskip != nullptr) {
                        const T* const in = u + at;
                        functions.add_products(da + at, &in, 1, n, skip_sums);
                    }
                }
                functions.add_product(y + at, skip, u + at, n, skipped.data());
                functions.multiply(d + at, skipped.data(), n, adjoint.row(t));
            }
            adjoint.took(t);
        }
    });
    sums.finish(pool);
    if (dskip != nullptr) {
        Scratch<double> total(n);
        add_blocks(pool, skips.data(), blocks.count(), n, total.data());
        for (Index c = 0; c < n; ++c) {
            dskip[c] += total.data()[c];
        }
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void short_convolve<T>(ThreadPool&, const ShortSignal<T>&, Sequences<T>);                                \
    template void short_convolve_backward<T>(ThreadPool&, const ShortSignal<T>&, Sequences<const T>,                  \
                                             const ShortGradient<T>&);                                                \
    template void short_product<T>(ThreadPool&, const ShortSignal<T>&, const ShortSignal<T>&, Sequences<T>);          \
    template void short_product_backward<T>(ThreadPool&, const ShortSignal<T>&, const ShortSignal<T>&, const T*,      \
                                            const T*, const T*, const T*, const ShortGradient<T>&,                    \
                                            const ShortGradient<T>&);                                                 \
    template void add_skipped<T>(ThreadPool&, const T*, const T*, Sequences<T>);                                      \
    template void skip_and_gate<T>(ThreadPool&, const T*, const T*, const T*, const ShortSignal<T>&, Sequences<T>);   \
    template void skip_and_gate_backward<T>(ThreadPool&, const T*, const T*, const T*, const ShortSignal<T>&,         \
                                            const T*, T*, const ShortGradient<T>&, double*);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
