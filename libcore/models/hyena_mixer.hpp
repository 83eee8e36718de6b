// SPDX-License-Identifier: Apache-2.0
// The class behind make_hyena_mixer; for hyena*.cpp alone.
#pragma once

#include "libcore/models/attention.hpp"
#include "libcore/models/filter.hpp"
#include "libcore/models/hyena_gates.hpp"
#include "libcore/models/hyena_heads.hpp"
#include "libcore/models/projection.hpp"
#include "libcore/models/scratch.hpp"
#include "libcore/systems/lane_kernels.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::models {

/// A projection and the short convolution after it, as `layers.i.mixer.{q,k,v,gate.g}`.
template <class T>
struct HyenaGate {
    Projection<T> projection;
    const typename Parameters<T>::Entry* short_weight = nullptr;   // null without short taps
    const typename Parameters<T>::Entry* short_bias = nullptr;
};

/// Softmax attention beside the convolution: the window, or the kept heads.
template <class T>
struct HyenaAttentionTape {
    Scratch<T> q, k, v, statistics;           // q, k turned; v of kept heads alone
};

template <class T>
struct HyenaTape final : MixerTape {
    Scratch<T> z;                             // [tokens, gates, n]: before their short convolutions, q, k, v, gates
    std::vector<Scratch<T>> u, y;             // N = 1: input and output of each long convolution, [tokens, n]
    Scratch<T> features;                      // [tokens, feature columns of W_o]
    HyenaAttentionTape<T> window, kept;
};

template <class T>
class HyenaState;
template <class T>
struct HyenaPlan;
template <class T>
struct HyenaExact;
template <class T>
struct HyenaHandOver;

/// Width of the layer D, channels E of c, of which n are convolved and the rest are kept heads; heads of width N.
template <class T>
class HyenaMixer final : public Mixer<T> {
public:
    using Entry = typename Parameters<T>::Entry;
    using Operations = compute::Operations<T>;

    HyenaMixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights);

    void refresh(Operations& ops) override;
    void forward(Operations& ops, Sequences<const T> x, Sequences<T> y,
                 std::unique_ptr<MixerTape>* tape) const override;
    void backward(Operations& ops, const MixerTape& tape, Sequences<const T> x, Sequences<const T> dy, Sequences<T> dx,
                  Parameters<T>& gradient) const override;
    std::unique_ptr<MixerState> start(Index batch, Execution execution) const override;
    void mix(Operations& ops, Sequences<const T> x, T* z, MixerState& state, bool decode,
             T* features) const override;
    std::unique_ptr<MixerState> hand_over(Operations& ops, const MixerState& exact) const override;
    Index feature_width() const override;
    void features(Operations& ops, Sequences<const T> x, Matrix<T> out) const override;

private:
    // hyena.cpp
    Index convolutions() const { return mixer_.order - 1; }
    Index head_count() const { return n_ / mixer_.head_width; }
    /// Channels rounded up to whole strips.
    Index padded() const { return (n_ + systems::lane_count - 1) / systems::lane_count * systems::lane_count; }
    bool wide() const { return mixer_.head_width > 1 || mixer_.kind == MixerKind::linear; }
    Index delay() const { return mixer_.kind == MixerKind::linear ? mixer_.window : mixer_.delay; }
    /// Rows of the filters of convolution g, at most `length` lags.
    Matrix<const T> filters(Index g, Index length) const;
    HeadFilters<T> head_filters(Index length, Scratch<T>& ones) const;
    T skip(Index g, Index channel) const
    {
        const Index row = g * mixer_.filters + filter_of_[static_cast<std::size_t>(channel)];
        return skip_ == nullptr ? T(0) : skip_->values[row];
    }

    // hyena_forward.cpp
    void run(Operations& ops, Sequences<const T> x, HyenaTape<T>& tape) const;
    ShortSignal<T> signal(const HyenaTape<T>& tape, std::size_t p, Index batch, Index length) const;
    Stacked<T> projections() const;
    Scratch<T> open_gate(Operations& ops, const HyenaTape<T>& tape, std::size_t p, Index batch, Index length) const;
    Scratch<T> channel_skips(Index g) const;
    void convolve_chain(Operations& ops, Sequences<T> c, HyenaTape<T>& tape) const;
    void copy_lags(Sequences<const T> x, Index r, T* to) const;
    void add_taps(Operations& ops, Sequences<const T> x, Sequences<T> y) const;

    // hyena_backward.cpp
    void chain_backward(Operations& ops, Sequences<const T> dc, const T* more_v, const HyenaTape<T>& tape,
                        const std::vector<ShortGradient<T>>& gradients, Matrix<T> dh, T* dskip) const;

    // hyena_decode.cpp
    std::shared_ptr<const HyenaPlan<T>> make_plan(bool recurrent) const;
    std::shared_ptr<HyenaExact<T>> make_exact(Execution execution) const;
    void start_exact(HyenaState<T>& state) const;
    template <class Body>
    void for_strips(ThreadPool& pool, Index batch, Index length, const Body& body) const;
    void fetch_strip(const T* z, Sequences<const T> x, const HyenaState<T>& state, Index strip, Index b, Index first,
                     Index length) const;
    void open_block(const T* z, Sequences<const T> x, HyenaState<T>& state, Index strip, Index b, Index first,
                    Index length, T* out) const;
    void put_block(const T* block, Index strip, Index length, T* to) const;
    void open_gates_in_place(Operations& ops, Sequences<const T> x, T* z, HyenaState<T>& state) const;
    void chain_recurrent(Operations& ops, Sequences<const T> x, T* z, Sequences<T> c, HyenaState<T>& state) const;
    void attend(Operations& ops, Sequences<const T> x, T* z, const T* v, HyenaState<T>& state, bool decode,
                Matrix<T> features) const;

    // hyena_heads_decode.cpp
    T window_value(const HyenaState<T>& state, Index sequence, Index now, Index channel) const;
    void feed_head(const T* z, Sequences<const T> c, HyenaState<T>& state, Index b, Index m, Index first, Index length,
                   T* fed_k, T* fed_v) const;
    void heads_recurrent(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const;
    void heads_linear(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const;

    // hyena_exact.cpp
    void keep_near_lags(HyenaExact<T>& exact, Index g, Matrix<const T> h) const;
    void extend_responses(Operations& ops, Index tokens, HyenaState<T>& state) const;
    void look_ahead(Operations& ops, Index g, Index b, Index now, HyenaState<T>& state) const;
    void convolve_piece(Operations& ops, Index g, Index b, Index now, Matrix<const T> u, T* y,
                        HyenaState<T>& state) const;
    void chain_exact(Operations& ops, Index b, const T* z, Sequences<T> c, HyenaState<T>& state) const;
    void heads_exact(Operations& ops, Index b, const T* z, Sequences<T> c, HyenaState<T>& state) const;
    void convolve_exactly(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const;

    // hyena_hand_over.cpp
    std::shared_ptr<const HyenaHandOver<T>> make_hand_over(Operations& ops, const HyenaPlan<T>& plan) const;

    Index layer_;
    Index width_;                             // D
    Index n_;                                 // convolved channels
    MixerConfig mixer_;
    const Parameters<T>* weights_;
    std::vector<Index> columns_;              // of c and w in W_o: where the convolved channels stand among E
    std::vector<Index> kept_columns_;
    std::vector<Index> filter_of_;            // of each convolved channel, within one convolution
    std::vector<Index> head_filter_;          // of each head
    std::vector<HyenaGate<T>> gates_;         // q, k, v, gate.1, ...
    const Entry* skip_ = nullptr;
    const Entry* taps_ = nullptr;
    Projection<T> out_, all_taps_;
    Projection<T> window_q_, window_k_;
    Projection<T> kept_q_, kept_k_, kept_v_;
    std::optional<SoftmaxAttention<T>> window_, kept_;
    std::unique_ptr<Filter<T>> filter_;
    Buffer<T> h_;                             // [(order - 1) * filters, filter_length]
    // Until refresh, shared by the states of all prompts: made when the first asks.
    mutable std::mutex derived_;
    mutable std::shared_ptr<const HyenaPlan<T>> plans_[2];      // of exact and recurrent executions
    mutable std::shared_ptr<HyenaExact<T>> exact_[2];           // of exact_original and exact_modes
    mutable std::shared_ptr<const HyenaHandOver<T>> hand_over_;
};

}  // namespace stillhouse::models
