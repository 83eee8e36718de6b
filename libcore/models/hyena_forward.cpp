// SPDX-License-Identifier: Apache-2.0
// The forward pass of the long-convolution mixer over whole sequences.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_mixer.hpp"

#include <algorithm>

namespace stillhouse::models {

using compute::Transpose;

/// Signal p (q, k, v, then the gates of higher orders) from its projection on the tape.
template <class T>
ShortSignal<T> HyenaMixer<T>::signal(const HyenaTape<T>& tape, std::size_t p, Index batch, Index length) const
{
    const HyenaGate<T>& gate = gates_[p];
    const Index stride = static_cast<Index>(gates_.size()) * n_;
    const Matrix<const T> z(tape.z.data() + static_cast<Index>(p) * n_, batch * length, n_, stride);
    if (gate.short_weight == nullptr) {
        return {z, length, nullptr, nullptr, 0};
    }
    return {z, length, gate.short_weight->values.data(), gate.short_bias->values.data(), mixer_.short_taps};
}

template <class T>
Stacked<T> HyenaMixer<T>::projections() const
{
    std::vector<const Projection<T>*> maps;
    for (const HyenaGate<T>& gate : gates_) {
        maps.push_back(&gate.projection);
    }
    return Stacked<T>(std::move(maps));
}

/// Signal p, written out.
template <class T>
Scratch<T> HyenaMixer<T>::open_gate(Operations& ops, const HyenaTape<T>& tape, std::size_t p, Index batch,
                                    Index length) const
{
    Scratch<T> opened(batch * length * n_);
    short_convolve(ops.pool(), signal(tape, p, batch, length), Sequences<T>(opened.data(), batch, length, n_));
    return opened;
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
void HyenaMixer<T>::convolve_chain(Operations& ops, Sequences<T> c, HyenaTape<T>& tape) const
{
    const Index size = c.size();
    const auto made = [&](std::size_t p) { return signal(tape, p, c.batch, c.length); };
    const auto sequences = [&](T* data) { return Sequences<T>(data, c.batch, c.length, n_); };
    for (Index g = 0; g < convolutions(); ++g) {
        tape.u.emplace_back(size);
        T* const u = tape.u.back().data();
        if (g == 0) {
            short_product(ops.pool(), made(1), made(2), sequences(u));
        } else {
            const auto before = static_cast<std::size_t>(g - 1);
            skip_and_gate<T>(ops.pool(), tape.y[before].data(), tape.u[before].data(), channel_skips(g - 1).data(),
                             made(static_cast<std::size_t>(2 + g)), sequences(u));
        }
        tape.y.emplace_back(size);
        ops.convolve_tokens(sequences(u), filters(g, c.length), filter_of_.data(), sequences(tape.y.back().data()));
    }
    skip_and_gate<T>(ops.pool(), tape.y.back().data(), tape.u.back().data(), channel_skips(convolutions() - 1).data(),
                     made(0), c);
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
    const Index signals = static_cast<Index>(gates_.size()) * n_;
    tape.z = Scratch<T>(tokens * signals);
    projections().forward(ops, x.rows(), Matrix<T>(tape.z.data(), tokens, signals));
    const auto opened = [&](std::size_t p) { return open_gate(ops, tape, p, batch, length); };
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
        const Scratch<T> q = opened(0);
        const Scratch<T> k = opened(1);
        heads_forward<T>(ops, head_filters(length, ones), sequences(q, n_), sequences(k, n_),
                         sequences(opened(2), n_), c);
    } else {
        convolve_chain(ops, c, tape);
    }
    if (direct) {
        return;
    }
    scatter_columns(ops.pool(), Matrix<const T>(c.rows()), columns_, 0, features);
    if (window_) {
        HyenaAttentionTape<T>& a = tape.window;
        project(window_q_, a.q);
        project(window_k_, a.k);
        const Scratch<T> attended(tokens * n_);
        a.statistics = Scratch<T>(batch * window_->geometry().heads * length);
        window_->forward(ops, sequences(a.q, n_), sequences(a.k, n_), sequences(opened(2), n_), sequences(attended, n_),
                         a.statistics.data());
        scatter_columns(ops.pool(), Matrix<const T>(attended.data(), tokens, n_), columns_, mixer_.channels, features);
    }
    if (kept_) {
        HyenaAttentionTape<T>& a = tape.kept;
        const auto width = static_cast<Index>(kept_columns_.size());
        project(kept_q_, a.q);
        project(kept_k_, a.k);
        project(kept_v_, a.v);
        const Scratch<T> attended(tokens * width);
        a.statistics = Scratch<T>(batch * kept_->geometry().heads * length);
        kept_->forward(ops, sequences(a.q, width), sequences(a.k, width), sequences(a.v, width),
                       sequences(attended, width), a.statistics.data());
        scatter_columns(ops.pool(), Matrix<const T>(attended.data(), tokens, width), kept_columns_, 0, features);
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
    template Stacked<T> HyenaMixer<T>::projections() const;                                                           \
    template ShortSignal<T> HyenaMixer<T>::signal(const HyenaTape<T>&, std::size_t, Index, Index) const;              \
    template Scratch<T> HyenaMixer<T>::open_gate(Operations&, const HyenaTape<T>&, std::size_t, Index, Index) const;  \
    template void HyenaMixer<T>::forward(Operations&, Sequences<const T>, Sequences<T>, std::unique_ptr<MixerTape>*)  \
        const;                                                                                                        \
    template void HyenaMixer<T>::features(Operations&, Sequences<const T>, Matrix<T>) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
