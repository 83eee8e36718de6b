// SPDX-License-Identifier: Apache-2.0
// The long-convolution mixer token by token: its state, prefill and step, which are one walk with few or many tokens.
#include "libcore/compute/vector.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_state.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::models {

namespace {

constexpr Index strip = 64;            // channels a task steps
constexpr Index first_lags = 256;      // of a response that grows with the sequence

/// The last `count` rows of past ++ next of every sequence become the new past [batch, count, width].
template <class T>
void remember(typename HyenaState<T>::Part& past, Sequences<const T> next, Index count)
{
    const Index width = next.width;
    for (Index b = 0; b < next.batch; ++b) {
        T* const rows = past.of(b);
        const Index kept = std::max<Index>(count - next.length, 0);
        std::copy(rows + (count - kept) * width, rows + count * width, rows);
        const Index taken = count - kept;
        std::copy_n(next.token(b, next.length - taken), taken * width, rows + kept * width);
    }
}

}  // namespace

template <class T>
std::unique_ptr<MixerState> HyenaMixer<T>::start(Index batch, Execution execution) const
{
    auto state = std::make_unique<HyenaState<T>>(execution, batch);
    const Index past = std::max<Index>(mixer_.short_taps - 1, 0);
    for (std::size_t p = 0; p < gates_.size(); ++p) {
        state->past_z.push_back(state->make(past * n_));
    }
    state->past_x = state->make(std::max<Index>(mixer_.taps - 1, 0) * width_);
    state->lines = wide() ? 1 : n_;
    state->pace = wide() ? n_ : 1;
    const bool linear = mixer_.kind == MixerKind::linear;
    if (linear || execution == Execution::recurrent) {
        const Index rings = wide() ? 1 : convolutions();   // N > 1: of k, since the window keeps the v
        for (Index i = 0; i < rings && delay() > 0; ++i) {
            state->late.push_back(state->make(delay() * n_));
        }
    }
    if (linear) {
        state->modes.push_back(state->make(n_ * mixer_.head_width));
    } else if (execution == Execution::recurrent) {
        auto filters = std::make_shared<HyenaFilters<T>>(recurrent_filters(mixer_, layer_, *weights_));
        for (const auto& recurrence : filters->recurrences) {
            state->modes.push_back(state->make(n_ * mixer_.head_width * recurrence.state_size()));
        }
        state->filters = std::move(filters);
    } else {
        const Index histories = wide() ? 2 : convolutions();
        for (Index i = 0; i < histories; ++i) {
            state->history.push_back(state->make(0));
        }
        if (execution == Execution::exact_modes) {
            state->filters = std::make_shared<HyenaFilters<T>>(modal_filters(mixer_, layer_, *weights_));
        } else {
            STILLHOUSE_CHECK(!h_.empty());   // refresh comes first
            state->responses.set(convolutions() * mixer_.filters, mixer_.filter_length, h_.data());
        }
    }
    if (window_) {
        state->window.emplace(window_->geometry(), batch);
    }
    if (kept_) {
        state->kept.emplace(kept_->geometry(), batch);
    }
    return state;
}

/// N = 1 by recurrences: u_1 = k v, a_g = h_g * u_g + skip_g u_g, u_{g+1} = a_g gate_g, c = q a_last.
template <class T>
void HyenaMixer<T>::chain_recurrent(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                    HyenaState<T>& state) const
{
    const Index strips = (n_ + strip - 1) / strip;
    ops.pool().for_each(c.batch * strips, [&](Index task) {
        const Index b = task / strips;
        const Index first = task % strips * strip;
        const Index count = std::min(strip, n_ - first);
        T u[strip];
        T fed[strip];
        T y[strip];
        for (Index t = 0; t < c.length; ++t) {
            const Index base = (b * c.length + t) * n_ + first;
            for (Index i = 0; i < count; ++i) {
                u[i] = signals[1].data()[base + i] * signals[2].data()[base + i];
            }
            for (Index g = 0; g < convolutions(); ++g) {
                const auto at = static_cast<std::size_t>(g);
                if (delay() > 0) {                    // what left the ring is as old as the delay
                    T* const slot = state.late[at].of(b) + (state.position + t) % delay() * n_ + first;
                    std::copy_n(slot, count, fed);
                    std::copy_n(u, count, slot);
                } else {
                    std::copy_n(u, count, fed);
                }
                const auto& recurrence = state.filters->recurrences[at];
                recurrence.step(fed, filter_of_.data() + first, count,
                                state.modes[at].of(b) + first * recurrence.state_size(), y);
                const T* const gate = signals[g + 1 < convolutions() ? 3 + at : 0].data() + base;
                for (Index i = 0; i < count; ++i) {
                    u[i] = (y[i] + skip(g, first + i) * u[i]) * gate[i];
                }
            }
            std::copy_n(u, count, c.data + base);
        }
    });
}

/// v of a channel W tokens before token `now`, as the window's ring has it until that token is put there.
template <class T>
T HyenaMixer<T>::window_value(const HyenaState<T>& state, Index sequence, Index now, Index channel) const
{
    if (now < delay()) {
        return T(0);
    }
    const Index width = window_->geometry().head_dim;
    return state.window->values(0, sequence, channel / width)[now % delay() * width + channel % width];
}

/// N > 1 by recurrences of all k_i v_j, or for `linear` their sums; the inputs come `delay` tokens late.
template <class T>
void HyenaMixer<T>::heads_recurrent(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                    HyenaState<T>& state) const
{
    const Index width = mixer_.head_width;
    const Index square = width * width;
    const bool linear = mixer_.kind == MixerKind::linear;
    ops.pool().for_each(c.batch * head_count(), [&](Index task) {
        const Index b = task / head_count();
        const Index m = task % head_count();
        const Index states = linear ? 1 : state.filters->recurrences[0].state_size();
        const std::vector<Index> filter_of(static_cast<std::size_t>(square),
                                           head_filter_[static_cast<std::size_t>(m)]);
        T* const memory = state.modes[0].of(b) + m * square * states;
        Scratch<T> u(square);
        Scratch<T> y(square);
        std::vector<T> late(static_cast<std::size_t>(2 * width));
        const T s = skip(0, m * width);
        for (Index t = 0; t < c.length; ++t) {
            const Index base = (b * c.length + t) * n_ + m * width;
            const T* const q = signals[0].data() + base;
            const T* const k = signals[1].data() + base;
            const T* const v = signals[2].data() + base;
            const T* fed_k = k;
            const T* fed_v = v;
            if (delay() > 0) {
                T* const slot = state.late[0].of(b) + (state.position + t) % delay() * n_ + m * width;
                for (Index i = 0; i < width; ++i) {
                    late[static_cast<std::size_t>(i)] = std::exchange(slot[i], k[i]);
                    late[static_cast<std::size_t>(width + i)] =
                        t >= delay() ? v[i - delay() * n_] : window_value(state, b, state.position + t, m * width + i);
                }
                fed_k = late.data();
                fed_v = late.data() + width;
            }
            for (Index i = 0; i < width; ++i) {
                for (Index j = 0; j < width; ++j) {
                    u.data()[i * width + j] = fed_k[i] * fed_v[j];
                }
            }
            const T* sums = y.data();
            if (linear) {
                for (Index i = 0; i < square; ++i) {
                    memory[i] += u.data()[i];
                }
                sums = memory;
            } else {
                state.filters->recurrences[0].step(u.data(), filter_of.data(), square, memory, y.data());
            }
            T* const out = c.data + base;
            std::fill_n(out, width, T(0));
            for (Index i = 0; i < width; ++i) {
                for (Index j = 0; j < width; ++j) {
                    out[j] += q[i] * (sums[i * width + j] + s * (k[i] * v[j]));
                }
            }
        }
    });
}

/// Responses that reach as far as `tokens` tokens need.
template <class T>
void HyenaMixer<T>::extend_responses(Operations& ops, Index tokens, HyenaState<T>& state) const
{
    if (state.execution() != Execution::exact_modes || state.responses.lags >= tokens) {
        return;
    }
    const Index lags = std::max({tokens, 2 * state.responses.lags, first_lags});
    const Index filters = convolutions() * mixer_.filters;
    Buffer<T> h(filters * lags);
    modal_responses(*state.filters, ops.pool(), Matrix<T>(h.data(), filters, lags));
    state.responses.set(filters, lags, h.data());
}

/// N = 1 over all past inputs, which the state keeps: by FFT for many new tokens, by one dot product for a single one.
template <class T>
void HyenaMixer<T>::chain_exact(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                HyenaState<T>& state) const
{
    const Index total = state.position + c.length;
    const Index rows = c.batch * n_;
    const HyenaResponses<T>& responses = state.responses;
    const Index lags = std::min(responses.lags, total);
    std::vector<Index> filter_of(static_cast<std::size_t>(rows));
    for (Index r = 0; r < rows; ++r) {
        filter_of[static_cast<std::size_t>(r)] = filter_of_[static_cast<std::size_t>(r % n_)];
    }
    Scratch<T> y(c.length > 1 ? rows * total : rows);
    const Index pitch = c.length > 1 ? total : 1;
    for (Index g = 0; g < convolutions(); ++g) {
        const auto at = static_cast<std::size_t>(g);
        T* const u = state.history[at].data.data();
        const Index shift = g * mixer_.filters;
        if (g == 0) {
            for_tiles(ops.pool(), c.batch, n_, c.length, [&](Index b, Index c0, Index c1, Index t0, Index t1) {
                for (Index i = c0; i < c1; ++i) {
                    for (Index t = t0; t < t1; ++t) {
                        const Index token = (b * c.length + t) * n_ + i;
                        u[(b * n_ + i) * state.capacity + state.position + t] =
                            signals[1].data()[token] * signals[2].data()[token];
                    }
                }
            });
        }
        if (c.length > 1) {
            ops.convolve(Matrix<const T>(u, rows, total, state.capacity),
                         Matrix<const T>(responses.forward.data() + shift * responses.lags, mixer_.filters, lags,
                                         responses.lags),
                         filter_of.data(), Matrix<T>(y.data(), rows, total));
        } else {
            ops.pool().for_each((rows + strip - 1) / strip, [&](Index task) {
                for (Index r = task * strip; r < std::min((task + 1) * strip, rows); ++r) {
                    const T* const h = responses.reversed.data() +
                                       (shift + filter_of[static_cast<std::size_t>(r)] + 1) * responses.lags - lags;
                    y.data()[r] = compute::dot(h, u + r * state.capacity + total - lags, lags);
                }
            });
        }
        T* const next = g + 1 < convolutions() ? state.history[at + 1].data.data() : nullptr;
        const T* const gate = signals[next != nullptr ? 3 + at : 0].data();
        for_tiles(ops.pool(), c.batch, n_, c.length, [&](Index b, Index c0, Index c1, Index t0, Index t1) {
            for (Index i = c0; i < c1; ++i) {
                const Index row = b * n_ + i;
                for (Index t = t0; t < t1; ++t) {
                    const Index token = (b * c.length + t) * n_ + i;
                    const Index place = row * state.capacity + state.position + t;
                    const T a = y.data()[row * pitch + pitch - c.length + t] + skip(g, i) * u[place];
                    (next != nullptr ? next[place] : c.data[token]) = a * gate[token];
                }
            }
        });
    }
}

/// N > 1 over all past k and v: c_t[j] = sum_s (h[t - s] + skip [s = t]) (q_t . k_s) v_s[j].
template <class T>
void HyenaMixer<T>::heads_exact(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                HyenaState<T>& state) const
{
    const Index width = mixer_.head_width;
    const HyenaResponses<T>& responses = state.responses;
    for (std::size_t part = 0; part < 2; ++part) {       // [token, n] within a sequence
        for (Index b = 0; b < c.batch; ++b) {
            std::copy_n(signals[1 + part].data() + b * c.length * n_, c.length * n_,
                        state.history[part].of(b) + state.position * n_);
        }
    }
    ops.pool().for_each(c.batch * head_count(), [&](Index task) {
        const Index b = task / head_count();
        const Index m = task % head_count();
        const T* const h = responses.forward.data() + head_filter_[static_cast<std::size_t>(m)] * responses.lags;
        const T* const k = state.history[0].of(b) + m * width;
        const T* const v = state.history[1].of(b) + m * width;
        const T s0 = skip(0, m * width);
        for (Index t = 0; t < c.length; ++t) {
            const Index now = state.position + t;
            const Index token = (b * c.length + t) * n_ + m * width;
            T* const out = c.data + token;
            std::fill_n(out, width, T(0));
            for (Index s = std::max<Index>(0, now - responses.lags + 1); s <= now; ++s) {
                const T weight = s == now ? h[0] + s0 : h[now - s];
                if (weight != T(0)) {
                    compute::axpy(weight * compute::dot(signals[0].data() + token, k + s * n_, width), v + s * n_,
                                  width, out);
                }
            }
        }
    });
}

/// Window and kept heads into their columns; z from their projections on.
template <class T>
void HyenaMixer<T>::attend(Operations& ops, Sequences<const T> x, T* z, const Scratch<T>& v, HyenaState<T>& state,
                           bool decode, Matrix<T> features) const
{
    const Index tokens = x.tokens();
    const auto attend_with = [&](const SoftmaxAttention<T>& attention, T* q, T* k, const T* values,
                                 AttentionCache<T>& cache, const std::vector<Index>& columns, Index first) {
        const auto width = static_cast<Index>(columns.size());
        Scratch<T> y(tokens * width);
        const auto shaped = [&](auto* data) { return Sequences(data, x.batch, x.length, width); };
        if (decode) {
            attention.step(ops, shaped(q).rows(), shaped(k).rows(), Matrix<const T>(values, tokens, width), cache,
                           shaped(y.data()).rows());
        } else {
            attention.prefill(ops, shaped(q), shaped(k), shaped(values), cache, shaped(y.data()));
        }
        scatter_columns(ops.pool(), Matrix<const T>(y.data(), tokens, width), columns, first, features);
    };
    if (window_) {
        attend_with(*window_, z, z + tokens * n_, v.data(), *state.window, columns_, mixer_.channels);
        z += 2 * tokens * n_;
    }
    if (kept_) {
        const Index part = tokens * static_cast<Index>(kept_columns_.size());
        attend_with(*kept_, z, z + part, z + 2 * part, *state.kept, kept_columns_, 0);
    }
}

template <class T>
void HyenaMixer<T>::mix(Operations& ops, Sequences<const T> x, T* z, MixerState& mixer_state, bool decode,
                        T* features_data) const
{
    auto& state = dynamic_cast<HyenaState<T>&>(mixer_state);
    STILLHOUSE_CHECK(x.width == width_ && x.batch == state.batch());
    const Index tokens = x.tokens();
    const Index total = state.position + x.length;
    const auto shaped = [&](T* data) { return Sequences<T>(data, x.batch, x.length, n_); };

    std::vector<Scratch<T>> signals;
    for (std::size_t p = 0; p < gates_.size(); ++p) {
        const Sequences<T> own = shaped(z + static_cast<Index>(p) * tokens * n_);
        signals.emplace_back(tokens * n_);
        shorten(ops, gates_[p], own, state.past_z[p].data.data(), shaped(signals.back().data()));
        if (mixer_.short_taps > 1) {
            remember<T>(state.past_z[p], own, mixer_.short_taps - 1);
        }
    }

    const Index columns = out_.in();
    const Matrix<T> features(features_data, tokens, columns);
    const bool direct = columns == n_;
    if (!kept_columns_.empty()) {
        std::fill_n(features.data, tokens * columns, T(0));
    }
    const Sequences<T> c = shaped(direct ? features.data : z);   // that z has served
    if (mixer_.kind == MixerKind::linear || (wide() && state.execution() == Execution::recurrent)) {
        heads_recurrent(ops, signals, c, state);
    } else if (state.execution() == Execution::recurrent) {
        chain_recurrent(ops, signals, c, state);
    } else {
        extend_responses(ops, total, state);
        state.reserve(total);
        if (wide()) {
            heads_exact(ops, signals, c, state);
        } else {
            chain_exact(ops, signals, c, state);
        }
    }
    if (!direct) {
        scatter_columns(ops.pool(), Matrix<const T>(c.rows()), columns_, 0, features);
        attend(ops, x, z + static_cast<Index>(gates_.size()) * tokens * n_, signals[2], state, decode, features);
    }
    if (taps_ != nullptr) {
        const Index lags = mixer_.taps;
        T* const wide_x = features_data + tokens * columns;
        for (Index b = 0; b < x.batch; ++b) {
            for (Index t = 0; t < x.length; ++t) {
                for (Index j = 0; j < lags; ++j) {
                    const T* const from = t >= j ? x.token(b, t - j) : state.past_x.of(b) + (lags - 1 + t - j) * width_;
                    std::copy_n(from, width_, wide_x + ((b * x.length + t) * lags + j) * width_);
                }
            }
        }
        if (lags > 1) {
            remember<T>(state.past_x, x, lags - 1);
        }
    }
    state.position = total;
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::unique_ptr<MixerState> HyenaMixer<T>::start(Index, Execution) const;                                \
    template void HyenaMixer<T>::mix(Operations&, Sequences<const T>, T*, MixerState&, bool, T*) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
