// SPDX-License-Identifier: Apache-2.0
// Filters over all past inputs token by token: relaxed multiplication (online_convolution.hpp).
#include "libcore/compute/block_convolution.hpp"
#include "libcore/compute/vector.hpp"
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_state.hpp"
#include "libcore/models/hyena_strip.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::models {

namespace {

constexpr Index strip = 64;             // channels a task sums directly
constexpr Index direct_tokens = 32;     // of a piece: below that sums are cheaper than transforms

}  // namespace

/// The first lags of convolution g, which are the same whatever the length of its responses h, as rows of all channels.
template <class T>
void HyenaMixer<T>::keep_near_lags(HyenaExact<T>& exact, Index g, Matrix<const T> h) const
{
    if (wide() || static_cast<Index>(exact.near_lags.size()) > g) {
        return;
    }
    const Index base = exact.online[static_cast<std::size_t>(g)].base();
    Buffer<T> rows(base * n_);
    for (Index lag = 0; lag < std::min(base, h.cols); ++lag) {
        for (Index c = 0; c < n_; ++c) {
            rows[lag * n_ + c] = h(filter_of_[static_cast<std::size_t>(c)], lag);
        }
    }
    exact.near_lags.push_back(std::move(rows));
}

/// Responses that reach as far as `tokens` tokens need.
template <class T>
void HyenaMixer<T>::extend_responses(Operations& ops, Index tokens, HyenaState<T>& state) const
{
    if (state.execution() != Execution::exact_modes) {
        return;
    }
    Index lags = state.online.front().responses().cols;
    if (lags >= tokens) {
        return;
    }
    lags = std::max(2 * state.online.front().base(), lags);
    while (lags < tokens) {
        lags *= 2;
    }
    HyenaExact<T>& exact = *state.exact;
    const std::lock_guard lock(exact.lock);
    Buffer<T>& h = exact.responses[lags];
    const Index all = convolutions() * mixer_.filters;
    if (h.empty()) {
        Buffer<T> made(all * lags);
        modal_responses(exact.filters, ops.pool(), Matrix<T>(made.data(), all, lags));
        h = std::move(made);
    }
    for (Index g = 0; g < convolutions(); ++g) {
        const Matrix<const T> rows(h.data() + g * mixer_.filters * lags, mixer_.filters, lags);
        state.online[static_cast<std::size_t>(g)].set_responses(rows, false);
        keep_near_lags(exact, g, rows);
    }
}

/// Adds what the last inputs of a sequence, at a token where a block begins, do to the next outputs of convolution g.
template <class T>
void HyenaMixer<T>::look_ahead(Operations& ops, Index g, Index b, Index now, HyenaState<T>& state) const
{
    const OnlineFilters<T>& online = state.online[static_cast<std::size_t>(g)];
    const Index reach = online.reach(now);
    const Index channels = compute::block_channels<T>();
    const bool fresh = reach == now || 2 * reach == online.most_rows();   // nobody has added to those outputs before
    auto& to = state.history[wide() ? 2 : static_cast<std::size_t>(g)];
    const Index width = mixer_.head_width;
    ops.pool().for_each(online.blocks(), [&](Index i) {
        const auto& block = online.block(i);
        Scratch<T> u(reach * channels);
        if (block.count < channels) {
            std::fill_n(u.data(), reach * channels, T(0));
        }
        if (wide()) {
            const Index head = block.first / (width * width) * width;
            const Index first = block.first % (width * width);
            for (Index t = 0; t < reach; ++t) {
                const T* const k = state.history[0].row(b, now - reach + t) + head;
                const T* const v = state.history[1].row(b, now - reach + t) + head;
                for (Index l = 0; l < block.count; ++l) {
                    u.data()[t * channels + l] = k[(first + l) / width] * v[(first + l) % width];
                }
            }
        } else {
            for (Index t = 0; t < reach; ++t) {
                std::copy_n(to.row(b, now - reach + t) + block.first, block.count, u.data() + t * channels);
            }
        }
        online.fill(i, reach, u.data());
        for (Index t = 0; t < reach; ++t) {
            T* const row = to.row(b, now + t) + block.first;
            const T* const more = u.data() + t * channels;
            if (fresh) {
                std::copy_n(more, block.count, row);
            } else {
                for (Index l = 0; l < block.count; ++l) {
                    row[l] += more[l];
                }
            }
        }
    });
}

/// y[length, n] of convolution g for the next inputs u of one sequence, which the history takes.
template <class T>
void HyenaMixer<T>::convolve_piece(Operations& ops, Index g, Index b, Index now, Matrix<const T> u, T* y,
                                   HyenaState<T>& state) const
{
    const OnlineFilters<T>& online = state.online[static_cast<std::size_t>(g)];
    auto& history = state.history[static_cast<std::size_t>(g)];
    const Index length = u.rows;
    const Index within = now % online.base();
    if (within == 0 && now > 0) {
        look_ahead(ops, g, b, now, state);
    }
    const bool looked = now >= online.base();
    if (within == 0 && length > direct_tokens) {
        const Matrix<const T> h = online.responses();
        ops.convolve_tokens(Sequences<const T>(u.data, 1, length, n_),
                            Matrix<const T>(h.data, h.rows, std::min(h.cols, length), h.stride), filter_of_.data(),
                            Sequences<T>(y, 1, length, n_));
        ops.pool().for_each(length, [&](Index t) {
            T* const row = history.row(b, now + t);
            for (Index c = 0; c < n_ && looked; ++c) {
                y[t * n_ + c] += row[c];
            }
            std::copy_n(u.row(t), n_, row);
        });
        return;
    }
    const StripKernels<T>& kernels = strip_kernels<T>();
    const T* const lags = state.exact->near_lags[static_cast<std::size_t>(g)].data();
    const Index strips = (n_ + strip - 1) / strip;
    const Index tasks = std::clamp<Index>(strips * length * (within + length) / 256, 1, strips);
    ops.pool().for_each(tasks, [&](Index task) {
        const Index first = strips * task / tasks * strip;
        const Index count = std::min(strips * (task + 1) / tasks * strip, n_) - first;
        for (Index t = 0; t < length; ++t) {
            T* const row = history.row(b, now + t) + first;
            T* const out = y + t * n_ + first;
            if (looked) {
                std::copy_n(row, count, out);
            } else {
                std::fill_n(out, count, T(0));
            }
            std::copy_n(u.row(t) + first, count, row);
            kernels.near_lags(within + t + 1, count, lags + first, row, n_, out);
        }
    });
}

/// N = 1, one sequence.
template <class T>
void HyenaMixer<T>::chain_exact(Operations& ops, Index b, const T* z, Sequences<T> c, HyenaState<T>& state) const
{
    Scratch<T> memory;
    for (Index first = 0; first < c.length;) {
        const Index now = state.position(b) + first;
        const Index length = state.online.front().piece(now, c.length - first);
        const Index size = length * n_;
        if (memory.size() < 3 * size) {
            memory = Scratch<T>(3 * size);
        }
        T* u = memory.data();
        T* next = u + size;
        T* const y = next + size;
        const auto signal = [&](Index p) { return z + ((p * c.batch + b) * c.length + first) * n_; };
        multiply<T>(ops.pool(), signal(1), signal(2), size, u);
        for (Index g = 0; g < convolutions(); ++g) {
            convolve_piece(ops, g, b, now, Matrix<const T>(u, length, n_), y, state);
            const bool last = g + 1 == convolutions();
            const ShortSignal<T> gate{Matrix<const T>(signal(last ? 0 : 3 + g), length, n_), length};
            skip_and_gate<T>(ops.pool(), y, u, state.plan->skips.data() + g * padded(), gate,
                             Sequences<T>(last ? c.token(b, first) : next, 1, length, n_));
            std::swap(u, next);
        }
        first += length;
    }
}

/// N > 1, one sequence: within a block c_t[j] = sum_s (h[t - s] + skip [s = t]) (q_t . k_s) v_s[j], and of what lies
/// before it sum_i q_t[i] outlook_t[i, j].
template <class T>
void HyenaMixer<T>::heads_exact(Operations& ops, Index b, const T* z, Sequences<T> c, HyenaState<T>& state) const
{
    const OnlineFilters<T>& online = state.online.front();
    const StripKernels<T>& kernels = strip_kernels<T>();
    const Index width = mixer_.head_width;
    const Matrix<const T> h = online.responses();
    for (Index first = 0; first < c.length;) {
        const Index now = state.position(b) + first;
        const Index length = online.piece(now, c.length - first);
        const Index within = now % online.base();
        if (within == 0 && now > 0) {
            look_ahead(ops, 0, b, now, state);
        }
        const auto signal = [&](Index p) { return z + ((p * c.batch + b) * c.length + first) * n_; };
        for (Index t = 0; t < length; ++t) {
            std::copy_n(signal(1) + t * n_, n_, state.history[0].row(b, now + t));
            std::copy_n(signal(2) + t * n_, n_, state.history[1].row(b, now + t));
        }
        const bool whole = within == 0 && length > direct_tokens;
        if (whole) {
            const auto part = [&](Index p) { return Sequences<const T>(signal(p), 1, length, n_); };
            HeadFilters<T> filters{head_count(), width, h, head_filter_.data(),
                                   skip_ != nullptr ? skip_->values.data() : nullptr};
            heads_forward<T>(ops, filters, part(0), part(1), part(2), Sequences<T>(c.token(b, first), 1, length, n_));
        }
        ops.pool().for_each(head_count(), [&](Index m) {
            const T* const lags = h.row(head_filter_[static_cast<std::size_t>(m)]);
            const T s0 = skip(0, m * width);
            for (Index t = 0; t < length; ++t) {
                const T* const q = signal(0) + t * n_ + m * width;
                T* const out = c.token(b, first + t) + m * width;
                if (!whole) {
                    std::fill_n(out, width, T(0));
                    for (Index lag = std::min(within + t, h.cols - 1); lag >= 0; --lag) {
                        const T* const k = state.history[0].row(b, now + t - lag) + m * width;
                        const T* const v = state.history[1].row(b, now + t - lag) + m * width;
                        const T weight = lag == 0 ? lags[0] + s0 : lags[lag];
                        compute::axpy(weight * compute::dot(q, k, width), v, width, out);
                    }
                }
                for (Index i = 0; i < width && now >= online.base(); ++i) {
                    kernels.add_scaled(width, q[i], state.history[2].row(b, now + t) + (m * width + i) * width, out);
                }
            }
        });
        first += length;
    }
}

/// The exact convolutions of all sequences, each of which takes its own pieces.
template <class T>
void HyenaMixer<T>::convolve_exactly(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const
{
    const Index total = state.longest() + c.length;
    extend_responses(ops, total, state);
    state.reserve(total);
    for (const Index position : state.positions) {
        for (Index now = position; now < position + c.length;) {
            const OnlineFilters<T>& any = state.online.front();
            if (now > 0 && now % any.base() == 0) {
                const Index reach = any.reach(now);
                for (OnlineFilters<T>& online : state.online) {
                    online.prepare(ops.pool(), reach);
                }
            }
            now += any.piece(now, position + c.length - now);
        }
    }
    const auto one = [&](Index b) {
        wide() ? heads_exact(ops, b, z, c, state) : chain_exact(ops, b, z, c, state);
    };
    if (c.batch >= 2 * ops.pool().threads()) {
        ops.pool().for_each(c.batch, one);
        return;
    }
    for (Index b = 0; b < c.batch; ++b) {
        one(b);
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void HyenaMixer<T>::keep_near_lags(HyenaExact<T>&, Index, Matrix<const T>) const;                        \
    template void HyenaMixer<T>::convolve_exactly(Operations&, const T*, Sequences<T>, HyenaState<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
