// SPDX-License-Identifier: Apache-2.0
// The long-convolution mixer token by token: its state, and one walk for prefill and step.
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_state.hpp"
#include "libcore/models/hyena_strip.hpp"

#include <algorithm>
#include <bit>

namespace stillhouse::models {

namespace {

constexpr Index lanes = systems::lane_count;
constexpr Index longest_scan = systems::LaneRecurrence<float>::longest;
constexpr Index chain_base = 128;     // of N = 1: 64 products a channel and token on average replace seven levels
constexpr Index least_work = 64;      // strips times tokens that are worth a task

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

/// Heads of N channels want blocks within which N^2 products a token are still cheaper than a level of transforms.
Index heads_base(Index width)
{
    Index base = chain_base;
    while (base < 64 * width) {
        base *= 2;
    }
    return base;
}

}  // namespace

Index past_numbers(const NetworkConfig& config, Index layer, Execution execution, Index tokens)
{
    const MixerConfig& mixer = config.mixers.at(static_cast<std::size_t>(layer));
    if (execution == Execution::recurrent || mixer.kind == MixerKind::attention || mixer.kind == MixerKind::linear) {
        return 0;
    }
    const auto power_above = [](Index x) { return static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(x))); };
    const bool wide = mixer.head_width > 1;
    const Index base = wide ? heads_base(mixer.head_width) : chain_base;
    Index rows = std::max(power_above(std::max<Index>(tokens, 1)), base);
    if (execution == Execution::exact_original) {
        rows = std::min(rows, 2 * std::max(base, power_above(mixer.filter_length)));
    }
    const Index n = mixer.channels - static_cast<Index>(mixer.kept_heads.size()) * config.head_dim;
    return wide ? 2 * rows * n + (rows > base ? rows / 2 * n * mixer.head_width : 0) : (mixer.order - 1) * rows * n;
}

template <class T>
std::shared_ptr<const HyenaPlan<T>> HyenaMixer<T>::make_plan(bool recurrent) const
{
    auto plan = std::make_shared<HyenaPlan<T>>();
    const Index strips = (n_ + lanes - 1) / lanes;
    const Index taps = mixer_.short_taps;
    plan->opening = Buffer<T>(static_cast<Index>(gates_.size()) * strips * (1 + taps) * lanes);
    for (std::size_t p = 0; p < gates_.size() && taps > 0; ++p) {
        for (Index c = 0; c < n_; ++c) {
            const Index place = c / lanes * static_cast<Index>(gates_.size()) + static_cast<Index>(p);
            T* const to = plan->opening.data() + place * (1 + taps) * lanes + c % lanes;
            to[0] = gates_[p].short_bias->values[c];
            for (Index j = 0; j < taps; ++j) {
                to[(1 + j) * lanes] = gates_[p].short_weight->values[c * taps + j];
            }
        }
    }
    plan->skips = Buffer<T>(convolutions() * strips * lanes);
    for (Index g = 0; g < convolutions(); ++g) {
        for (Index c = 0; c < n_; ++c) {
            plan->skips[g * strips * lanes + c] = skip(g, c);
        }
    }
    if (!recurrent) {
        return plan;
    }
    const HyenaFilters<T> filters = recurrent_filters(mixer_, layer_, *weights_);
    for (const auto& bank : filters.recurrences) {
        if (wide()) {
            const Index square = mixer_.head_width * mixer_.head_width;
            const Index padded = (square + lanes - 1) / lanes * lanes;   // heads begin with a block of their own
            std::vector<Index> filter_of(static_cast<std::size_t>(head_count() * padded));
            for (std::size_t i = 0; i < filter_of.size(); ++i) {
                filter_of[i] = head_filter_[i / static_cast<std::size_t>(padded)];
            }
            plan->recurrences.push_back(bank.lanes(filter_of));
        } else {
            plan->recurrences.push_back(bank.lanes(filter_of_));
        }
    }
    return plan;
}

template <class T>
std::unique_ptr<MixerState> HyenaMixer<T>::start(Index batch, Execution execution) const
{
    auto state = std::make_unique<HyenaState<T>>(execution, batch);
    const Index past = std::max<Index>(mixer_.short_taps - 1, 0);
    state->past_z = state->make(static_cast<Index>(gates_.size()) * past * padded());
    state->past_x = state->make(std::max<Index>(mixer_.taps - 1, 0) * width_);
    const bool linear = mixer_.kind == MixerKind::linear;
    const bool recurrent = !linear && execution == Execution::recurrent;
    {
        const std::lock_guard lock(derived_);
        auto& plan = plans_[recurrent ? 1 : 0];
        if (plan == nullptr) {
            plan = make_plan(recurrent);
        }
        state->plan = plan;
    }
    if (linear || recurrent) {
        const Index rings = wide() ? 1 : convolutions();   // N > 1: of k, since the window keeps the v
        for (Index i = 0; i < rings && delay() > 0; ++i) {
            state->late.push_back(state->make(delay() * n_));
        }
    }
    if (linear) {
        state->modes.push_back(state->make(n_ * mixer_.head_width));
    }
    for (const auto& recurrence : state->plan->recurrences) {
        state->modes.push_back(state->make(recurrence.blocks() * recurrence.state_size()));
    }
    if (!linear && !recurrent) {
        start_exact(*state);
    }
    if (window_) {
        state->window.emplace(window_->geometry(), batch);
    }
    if (kept_) {
        state->kept.emplace(kept_->geometry(), batch);
    }
    return state;
}

template <class T>
std::shared_ptr<HyenaExact<T>> HyenaMixer<T>::make_exact(Execution execution) const
{
    auto exact = std::make_shared<HyenaExact<T>>();
    const Index width = mixer_.head_width;
    if (wide()) {
        std::vector<Index> filter_of(static_cast<std::size_t>(n_ * width));
        for (std::size_t i = 0; i < filter_of.size(); ++i) {
            filter_of[i] = head_filter_[i / static_cast<std::size_t>(width * width)];
        }
        exact->online.emplace_back(filter_of, width * width, heads_base(width));
    } else {
        for (Index g = 0; g < convolutions(); ++g) {
            exact->online.emplace_back(filter_of_, n_, chain_base);
        }
    }
    if (execution == Execution::exact_modes) {
        exact->filters = modal_filters(mixer_, layer_, *weights_);
        return exact;                                        // responses grow with the sequence
    }
    for (Index g = 0; g < convolutions(); ++g) {
        const Matrix<const T> h = filters(g, mixer_.filter_length);
        exact->online[static_cast<std::size_t>(g)].set_responses(h, true);
        keep_near_lags(*exact, g, h);
    }
    return exact;
}

template <class T>
void HyenaMixer<T>::start_exact(HyenaState<T>& state) const
{
    {
        const std::lock_guard lock(derived_);
        auto& exact = exact_[state.execution() == Execution::exact_modes ? 1 : 0];
        if (exact == nullptr) {
            exact = make_exact(state.execution());
        }
        state.exact = exact;
    }
    state.online = state.exact->online;
    const std::size_t inputs = wide() ? 2 : state.online.size();
    for (std::size_t i = 0; i < inputs; ++i) {
        state.history.push_back({state.make(0), n_, 0, false});
    }
    if (wide()) {
        state.history.push_back({state.make(0), n_ * mixer_.head_width, 0, true});
    }
}

/// Strips of channels of sequences, handed out so that each task reads long runs: body(first strip, end, first
/// sequence, end).
template <class T>
template <class Body>
void HyenaMixer<T>::for_strips(ThreadPool& pool, Index batch, Index length, const Body& body) const
{
    const Index strips = (n_ + lanes - 1) / lanes;
    const Index wanted = std::clamp<Index>(strips * batch * length / least_work, 1, 4 * pool.threads());
    const Index by_sequence = std::min(batch, wanted);
    const Index by_strip = std::min(strips, (wanted + by_sequence - 1) / by_sequence);
    pool.for_each(by_strip * by_sequence, [&](Index task) {
        const Index s = task / by_sequence;
        const Index b = task % by_sequence;
        body(strips * s / by_strip, strips * (s + 1) / by_strip, batch * b / by_sequence,
             batch * (b + 1) / by_sequence);
    });
}

/// Asks memory for what a strip will read: too little lies side by side for the processor to see the pattern.
template <class T>
void HyenaMixer<T>::fetch_strip(const T* z, Sequences<const T> x, const HyenaState<T>& state, Index strip, Index b,
                                Index first, Index length) const
{
    const auto fetch = [](const T* from, Index numbers) {
        for (Index i = 0; i < numbers; i += static_cast<Index>(64 / sizeof(T))) {
            __builtin_prefetch(from + i);
        }
    };
    for (Index p = 0; p < static_cast<Index>(gates_.size()); ++p) {
        const T* const rows = z + ((p * x.batch + b) * x.length + first) * n_ + strip * lanes;
        for (Index t = 0; t < length; ++t) {
            fetch(rows + t * n_, lanes);
        }
    }
    if (length > 1) {
        return;                                          // states and coefficients are a small part of what it does
    }
    for (std::size_t g = 0; g < state.modes.size(); ++g) {
        const Index size = state.plan->recurrences[g].state_size();
        fetch(state.modes[g].of(b) + strip * size, size);
    }
    const Index strips = padded() / lanes;
    const Index past = state.past_z.each / strips;
    fetch(state.past_z.of(b) + strip * past, past);
    const Index opening = state.plan->opening.size() / strips;
    fetch(state.plan->opening.data() + strip * opening, opening);
}

/// Short convolutions of a block of tokens of one strip, all gates: out [gates, longest_scan, 16].
template <class T>
void HyenaMixer<T>::open_block(const T* z, Sequences<const T> x, HyenaState<T>& state, Index strip, Index b,
                               Index first, Index length, T* out) const
{
    const StripKernels<T>& kernels = strip_kernels<T>();
    const auto gates = static_cast<Index>(gates_.size());
    const Index taps = mixer_.short_taps;
    const Index column = strip * lanes;
    const T* const w = state.plan->opening.data() + strip * gates * (1 + taps) * lanes;
    const Index kept = std::max<Index>(taps - 1, 0) * lanes;
    T* const past = kept > 0 ? state.past_z.of(b) + strip * gates * kept : nullptr;
    for (Index p = 0; p < gates; ++p) {
        kernels.convolve_short(taps, w + p * (1 + taps) * lanes, kept > 0 ? past + p * kept : nullptr,
                               z + ((p * x.batch + b) * x.length + first) * n_ + column, n_,
                               std::min(lanes, n_ - column), length, out + p * longest_scan * lanes);
    }
}

/// Columns of a strip, [length, 16], among those of the network.
template <class T>
void HyenaMixer<T>::put_block(const T* block, Index strip, Index length, T* to) const
{
    const Index count = std::min(lanes, n_ - strip * lanes);
    for (Index t = 0; t < length; ++t) {
        std::copy_n(block + t * lanes, count, to + t * n_ + strip * lanes);
    }
}

/// z <- the opened signals.
template <class T>
void HyenaMixer<T>::open_gates_in_place(Operations& ops, Sequences<const T> x, T* z, HyenaState<T>& state) const
{
    const auto gates = static_cast<Index>(gates_.size());
    for_strips(ops.pool(), x.batch, x.length, [&](Index s0, Index s1, Index b0, Index b1) {
        Scratch<T> memory(gates * longest_scan * lanes);
        for (Index first = 0; first < x.length; first += longest_scan) {
            const Index length = std::min(longest_scan, x.length - first);
            for (Index b = b0; b < b1; ++b) {
                for (Index s = s0; s < s1; ++s) {
                    open_block(z, x, state, s, b, first, length, memory.data());
                    for (Index p = 0; p < gates; ++p) {
                        put_block(memory.data() + p * longest_scan * lanes, s, length,
                                  z + ((p * x.batch + b) * x.length + first) * n_);
                    }
                }
            }
        }
    });
}

/// N = 1 by recurrences, block of tokens after block, strip after strip of channels: z is opened, u_1 = k v,
/// a_g = h_g * u_g + skip_g u_g, u_{g+1} = a_g gate_g, c = q a_last, all in the first cache. v stays in z for a window.
template <class T>
void HyenaMixer<T>::chain_recurrent(Operations& ops, Sequences<const T> x, T* z, Sequences<T> c,
                                    HyenaState<T>& state) const
{
    const StripKernels<T>& kernels = strip_kernels<T>();
    const auto gates = static_cast<Index>(gates_.size());
    const Index strips = (n_ + lanes - 1) / lanes;
    constexpr Index size = longest_scan * lanes;
    for_strips(ops.pool(), x.batch, x.length, [&](Index s0, Index s1, Index b0, Index b1) {
        Scratch<T> memory((gates + 2) * size);
        T* const open = memory.data();
        T* const fed = open + gates * size;
        T* const y = fed + size;
        for (Index first = 0; first < x.length; first += longest_scan) {
            const Index length = std::min(longest_scan, x.length - first);
            for (Index b = b0; b < b1; ++b) {            // a sequence's states are one run of memory
                for (Index s = s0; s < s1; ++s) {
                    const Index column = s * lanes;
                    const Index count = std::min(lanes, n_ - column);
                    if (s + 1 < s1) {
                        fetch_strip(z, x, state, s + 1, b, first, length);
                    }
                    open_block(z, x, state, s, b, first, length, open);
                    T* const u = open + size;
                    kernels.product(length * lanes, u, open + 2 * size, u);
                    if (window_) {
                        put_block(open + 2 * size, s, length, z + ((2 * x.batch + b) * x.length + first) * n_);
                    }
                    for (Index g = 0; g < convolutions(); ++g) {
                        const auto at = static_cast<std::size_t>(g);
                        for (Index t = 0; t < length && delay() > 0; ++t) {   // what leaves the ring is of that age
                            T* const slot = state.late[at].of(b) +
                                            (state.position(b) + first + t) % delay() * n_ + column;
                            std::fill_n(fed + t * lanes + count, lanes - count, T(0));
                            std::copy_n(slot, count, fed + t * lanes);
                            std::copy_n(u + t * lanes, count, slot);
                        }
                        const auto& recurrence = state.plan->recurrences[at];
                        recurrence.scan(s, delay() > 0 ? fed : u, length,
                                        state.modes[at].of(b) + s * recurrence.state_size(), y);
                        kernels.gate(length, y, u, state.plan->skips.data() + (g * strips + s) * lanes,
                                     open + (g + 1 < convolutions() ? 3 + g : 0) * size, u);
                    }
                    put_block(u, s, length, c.token(b, first));
                }
            }
        }
    });
}

/// Window and kept heads into their columns; z from their projections on.
template <class T>
void HyenaMixer<T>::attend(Operations& ops, Sequences<const T> x, T* z, const T* v, HyenaState<T>& state, bool decode,
                           Matrix<T> features) const
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
        attend_with(*window_, z, z + tokens * n_, v, *state.window, columns_, mixer_.channels);
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
    const Index columns = out_.in();
    const Matrix<T> features(features_data, tokens, columns);
    const bool direct = columns == n_;
    if (!kept_columns_.empty()) {
        std::fill_n(features.data, tokens * columns, T(0));
    }
    const Scratch<T> narrow(direct ? 0 : tokens * n_);
    const Sequences<T> c(direct ? features.data : narrow.data(), x.batch, x.length, n_);
    const bool recurrent = state.execution() == Execution::recurrent;
    if (recurrent && !wide()) {
        chain_recurrent(ops, x, z, c, state);
    } else {
        open_gates_in_place(ops, x, z, state);
        if (mixer_.kind == MixerKind::linear) {
            heads_linear(ops, z, c, state);
        } else if (recurrent) {
            heads_recurrent(ops, z, c, state);
        } else {
            convolve_exactly(ops, z, c, state);
        }
    }
    if (!direct) {
        scatter_columns(ops.pool(), Matrix<const T>(c.rows()), columns_, 0, features);
        attend(ops, x, z + static_cast<Index>(gates_.size()) * tokens * n_, z + 2 * tokens * n_, state, decode,
               features);
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
    for (Index& position : state.positions) {
        position += x.length;
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::unique_ptr<MixerState> HyenaMixer<T>::start(Index, Execution) const;                                \
    template void HyenaMixer<T>::mix(Operations&, Sequences<const T>, T*, MixerState&, bool, T*) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
