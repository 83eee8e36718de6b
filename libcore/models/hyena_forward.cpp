// SPDX-License-Identifier: Apache-2.0
// The forward pass of the long-convolution mixer over whole sequences.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_mixer.hpp"

#include <algorithm>

namespace stillhouse::models {

using compute::Transpose;

template <class T>
void HyenaMixer<T>::shorten(Operations& ops, const HyenaGate<T>& gate, Sequences<const T> z, const T* past,
                            Sequences<T> out) const
{
    if (gate.short_weight == nullptr) {
        std::copy_n(z.data, z.size(), out.data);
        return;
    }
    short_convolve(ops.pool(), z, gate.short_weight->values.data(), gate.short_bias->values.data(), mixer_.short_taps,
                   past, out);
}

/// q, k, v and the gates of higher orders, token-major, from the projections on the tape.
template <class T>
std::vector<Scratch<T>> HyenaMixer<T>::open_gates(Operations& ops, const HyenaTape<T>& tape, Index batch,
                                                  Index length) const
{
    std::vector<Scratch<T>> result;
    for (std::size_t p = 0; p < gates_.size(); ++p) {
        result.emplace_back(batch * length * n_);
        shorten(ops, gates_[p], Sequences<const T>(tape.z[p].data(), batch, length, n_), nullptr,
                Sequences<T>(result.back().data(), batch, length, n_));
    }
    return result;
}

/// The skips of convolution g, one a convolved channel.
template <class T>
Scratch<T> HyenaMixer<T>::channel_skips(Index g) const
{
    Scratch<T> skips(n_);
    for (Index i = 0; i < n_; ++i) {
        skips.data()[i] = skip(g, i);
    }
    return skips;
}

/// N = 1: u_1 = k v, a_g = h_g * u_g + skip_g u_g, u_{g+1} = a_g gate_g, c = q a_last.
template <class T>
void HyenaMixer<T>::convolve_chain(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                   HyenaTape<T>& tape) const
{
    const Index size = c.size();
    for (Index g = 0; g < convolutions(); ++g) {
        tape.u.emplace_back(size);
        T* const u = tape.u.back().data();
        if (g == 0) {
            multiply<T>(ops.pool(), signals[1].data(), signals[2].data(), size, u);
        } else {
            const auto before = static_cast<std::size_t>(g - 1);
            skip_and_gate<T>(ops.pool(), Matrix<const T>(tape.y[before].data(), c.tokens(), n_), tape.u[before].data(),
                             channel_skips(g - 1).data(), signals[static_cast<std::size_t>(2 + g)].data(), u);
        }
        tape.y.emplace_back(size);
        ops.convolve_tokens(Sequences<const T>(u, c.batch, c.length, n_), filters(g, c.length), filter_of_.data(),
                            Sequences<T>(tape.y.back().data(), c.batch, c.length, n_));
    }
    skip_and_gate<T>(ops.pool(), Matrix<const T>(tape.y.back().data(), c.tokens(), n_), tape.u.back().data(),
                     channel_skips(convolutions() - 1).data(), signals[0].data(), c.data);
}

/// Everything up to the output projection: tape.features.
template <class T>
void HyenaMixer<T>::run(Operations& ops, Sequences<const T> x, HyenaTape<T>& tape) const
{
    STILLHOUSE_CHECK(x.width == width_ && x.length > 0);
    const Index batch = x.batch;
    const Index length = x.length;
    const Index tokens = x.tokens();
    const auto project = [&](const Projection<T>& projection, Scratch<T>& to) {
        to = Scratch<T>(tokens * projection.out());
        projection.forward(ops, x.rows(), Matrix<T>(to.data(), tokens, projection.out()));
    };
    for (const HyenaGate<T>& gate : gates_) {
        tape.z.emplace_back();
        project(gate.projection, tape.z.back());
    }
    const std::vector<Scratch<T>> signals = open_gates(ops, tape, batch, length);
    const auto sequences = [&](const Scratch<T>& s, Index width) {
        return Sequences<T>(s.data(), batch, length, width);
    };

    const Index columns = mixer_.channels * (window_ ? 2 : 1);
    tape.features = Scratch<T>(tokens * columns);
    const Matrix<T> features(tape.features.data(), tokens, columns);
    const bool direct = columns == n_;
    Scratch<T> narrow(direct ? 0 : tokens * n_);
    const Sequences<T> c(direct ? features.data : narrow.data(), batch, length, n_);
    if (wide()) {
        Scratch<T> ones;
        heads_forward<T>(ops, head_filters(length, ones), sequences(signals[0], n_), sequences(signals[1], n_),
                         sequences(signals[2], n_), c);
    } else {
        convolve_chain(ops, signals, c, tape);
    }
    if (direct) {
        return;
    }
    scatter_columns(ops.pool(), Matrix<const T>(c.rows()), columns_, 0, features);
    if (window_) {
        HyenaAttentionTape<T>& a = tape.window;
        project(window_q_, a.q);
        project(window_k_, a.k);
        a.y = Scratch<T>(tokens * n_);
        a.statistics = Scratch<T>(batch * window_->geometry().heads * length);
        window_->forward(ops, sequences(a.q, n_), sequences(a.k, n_), sequences(signals[2], n_), sequences(a.y, n_),
                         a.statistics.data());
        scatter_columns(ops.pool(), Matrix<const T>(a.y.data(), tokens, n_), columns_, mixer_.channels, features);
    }
    if (kept_) {
        HyenaAttentionTape<T>& a = tape.kept;
        const auto width = static_cast<Index>(kept_columns_.size());
        project(kept_q_, a.q);
        project(kept_k_, a.k);
        project(kept_v_, a.v);
        a.y = Scratch<T>(tokens * width);
        a.statistics = Scratch<T>(batch * kept_->geometry().heads * length);
        kept_->forward(ops, sequences(a.q, width), sequences(a.k, width), sequences(a.v, width),
                       sequences(a.y, width), a.statistics.data());
        scatter_columns(ops.pool(), Matrix<const T>(a.y.data(), tokens, width), kept_columns_, 0, features);
        if (window_) {
            Scratch<T> zeros(tokens * width);
            std::fill_n(zeros.data(), tokens * width, T(0));
            scatter_columns(ops.pool(), Matrix<const T>(zeros.data(), tokens, width), kept_columns_, mixer_.channels,
                            features);
        }
    }
}

/// y[t] += sum_j W_j x[t - j], W_j the columns j D .. of taps.weight.
template <class T>
void HyenaMixer<T>::add_taps(Operations& ops, Sequences<const T> x, Sequences<T> y) const
{
    for (Index j = 0; j < std::min(mixer_.taps, x.length); ++j) {
        const Matrix<const T> w(taps_->values.data() + j * width_, width_, width_, mixer_.taps * width_);
        for (Index b = 0; b < x.batch; ++b) {
            ops.gemm(T(1), Matrix<const T>(x.token(b, 0), x.length - j, width_), Transpose::no, w, Transpose::yes, T(1),
                     Matrix<T>(y.token(b, j), x.length - j, width_));
        }
    }
}

/// Row r of x at lags 0 .. taps - 1, zeros before its sequence begins.
template <class T>
void HyenaMixer<T>::copy_lags(Sequences<const T> x, Index r, T* to) const
{
    for (Index j = 0; j < mixer_.taps; ++j) {
        if (r % x.length >= j) {
            std::copy_n(x.data + (r - j) * width_, width_, to + j * width_);
        } else {
            std::fill_n(to + j * width_, width_, T(0));
        }
    }
}

template <class T>
void HyenaMixer<T>::forward(Operations& ops, Sequences<const T> x, Sequences<T> y,
                            std::unique_ptr<MixerTape>* tape) const
{
    auto kept = std::make_unique<HyenaTape<T>>();
    run(ops, x, *kept);
    out_.forward(ops, Matrix<const T>(kept->features.data(), x.tokens(), out_.in()), y.rows());
    if (taps_ != nullptr && all_taps_.packed()) {
        Scratch<T> wide_x(x.tokens() * all_taps_.in());
        ops.pool().for_each(x.tokens(), [&](Index r) { copy_lags(x, r, wide_x.data() + r * all_taps_.in()); });
        Scratch<T> more(y.size());
        all_taps_.forward(ops, Matrix<const T>(wide_x.data(), x.tokens(), all_taps_.in()),
                          Matrix<T>(more.data(), x.tokens(), width_));
        add<T>(ops.pool(), y.data, more.data(), y.size(), y.data);
    } else if (taps_ != nullptr) {
        add_taps(ops, x, y);
    }
    if (tape != nullptr) {
        *tape = std::move(kept);
    }
}

template <class T>
void HyenaMixer<T>::features(Operations& ops, Sequences<const T> x, Matrix<T> out) const
{
    STILLHOUSE_CHECK(out.rows == x.tokens() && out.cols == feature_width());
    HyenaTape<T> tape;
    run(ops, x, tape);
    const Index mixed = out_.in();
    ops.pool().for_each(out.rows, [&](Index r) {
        T* const row = out.row(r);
        std::copy_n(tape.features.data() + r * mixed, mixed, row);
        copy_lags(x, r, row + mixed);
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template Scratch<T> HyenaMixer<T>::channel_skips(Index) const;                                                    \
    template void HyenaMixer<T>::shorten(Operations&, const HyenaGate<T>&, Sequences<const T>, const T*,              \
                                         Sequences<T>) const;                                                         \
    template std::vector<Scratch<T>> HyenaMixer<T>::open_gates(Operations&, const HyenaTape<T>&, Index, Index) const; \
    template void HyenaMixer<T>::forward(Operations&, Sequences<const T>, Sequences<T>, std::unique_ptr<MixerTape>*)  \
        const;                                                                                                        \
    template void HyenaMixer<T>::features(Operations&, Sequences<const T>, Matrix<T>) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
