// SPDX-License-Identifier: Apache-2.0
// The backward pass of the long-convolution mixer.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_mixer.hpp"

#include <algorithm>

namespace stillhouse::models {

using compute::Transpose;

/// N = 1, see convolve_chain. more_v: what else is added to the gradient of v, or null. gradients: of the projections
/// of q, k, v and the gates. dh, dskip: added to where not null.
template <class T>
void HyenaMixer<T>::chain_backward(Operations& ops, Sequences<const T> dc, const T* more_v, const HyenaTape<T>& tape,
                                   const std::vector<ShortGradient<T>>& gradients, Matrix<T> dh, T* dskip) const
{
    const auto sequences = [&](T* data) { return Sequences<T>(data, dc.batch, dc.length, n_); };
    const auto made = [&](std::size_t p) { return signal(tape, p, dc.batch, dc.length); };
    Scratch<T> da(dc.size());                // of a_g = h_g * u_g + skip_g u_g
    Scratch<T> du(dc.size());
    std::vector<double> skip_sums(static_cast<std::size_t>(n_));
    // The gate behind convolution g, whose output's gradient is d: da and the skip's gradient.
    const auto gate_backward = [&](Index g, std::size_t gate, const T* d) {
        const auto at = static_cast<std::size_t>(g);
        std::fill(skip_sums.begin(), skip_sums.end(), 0.0);
        skip_and_gate_backward<T>(ops.pool(), tape.y[at].data(), tape.u[at].data(), channel_skips(g).data(), made(gate),
                                  d, da.data(), gradients[gate], dskip != nullptr ? skip_sums.data() : nullptr);
        for (Index i = 0; i < n_ && dskip != nullptr; ++i) {
            const auto channel = static_cast<std::size_t>(i);
            dskip[g * mixer_.filters + filter_of_[channel]] += static_cast<T>(skip_sums[channel]);
        }
    };

    const Index last = convolutions() - 1;
    gate_backward(last, 0, dc.data);
    for (Index g = last; g >= 0; --g) {
        const auto at = static_cast<std::size_t>(g);
        const Matrix<const T> h = filters(g, dc.length);
        Matrix<T> part;
        if (dh.data != nullptr) {
            part = Matrix<T>(dh.row(g * mixer_.filters), mixer_.filters, std::min(dc.length, dh.cols), dh.stride);
        }
        ops.convolve_tokens_backward(Sequences<const T>(sequences(da.data())),
                                     Sequences<const T>(sequences(tape.u[at].data())), h, filter_of_.data(),
                                     sequences(du.data()), part);
        // The input of convolution g is a product of what came before and of a gate: k v, or a_{g-1} gate_g.
        const Scratch<T> skips = channel_skips(g);
        if (g == 0) {
            short_product_backward<T>(ops.pool(), made(1), made(2), du.data(), skips.data(), da.data(), more_v,
                                      gradients[1], gradients[2]);
        } else {
            add_skipped<T>(ops.pool(), skips.data(), da.data(), sequences(du.data()));
            gate_backward(g - 1, 2 + at, du.data());
        }
    }
}

template <class T>
void HyenaMixer<T>::backward(Operations& ops, const MixerTape& tape_base, Sequences<const T> x, Sequences<const T> dy,
                             Sequences<T> dx, Parameters<T>& gradient) const
{
    const auto& tape = dynamic_cast<const HyenaTape<T>&>(tape_base);
    const Index batch = x.batch;
    const Index length = x.length;
    const Index tokens = x.tokens();
    const Index columns = out_.in();
    const bool wants_input = dx.data != nullptr;
    if (wants_input) {
        std::fill_n(dx.data, dx.size(), T(0));
    }

    Scratch<T> dfeatures_store(tokens * columns);
    const Matrix<T> dfeatures(dfeatures_store.data(), tokens, columns);
    out_.backward(ops, Matrix<const T>(tape.features.data(), tokens, columns), dy.rows(), T(0), dfeatures, gradient);
    auto* dtaps = taps_ != nullptr ? gradient.find(taps_->name) : nullptr;
    for (Index j = 0; j < std::min(mixer_.taps, length); ++j) {
        const Index stride = mixer_.taps * width_;
        const Matrix<const T> w(taps_->values.data() + j * width_, width_, width_, stride);
        for (Index b = 0; b < batch; ++b) {
            const Matrix<const T> from(dy.token(b, j), length - j, width_);
            if (wants_input) {
                ops.gemm(T(1), from, Transpose::no, w, Transpose::no, T(1),
                         Matrix<T>(dx.token(b, 0), length - j, width_));
            }
            if (dtaps != nullptr) {
                ops.gemm(T(1), from, Transpose::yes, Matrix<const T>(x.token(b, 0), length - j, width_),
                         Transpose::no, T(1), Matrix<T>(dtaps->values.data() + j * width_, width_, width_, stride));
            }
        }
    }

    const bool direct = columns == n_;
    Scratch<T> narrow(direct ? 0 : tokens * n_);
    const Sequences<T> dc(direct ? dfeatures.data : narrow.data(), batch, length, n_);
    if (!direct) {
        gather_columns(ops.pool(), Matrix<const T>(dfeatures), columns_, 0, dc.rows());
    }

    const auto sequences = [&](const Scratch<T>& store, Index width) {
        return Sequences<T>(store.data(), batch, length, width);
    };
    const auto opened = [&](std::size_t p) { return open_gate(ops, tape, p, batch, length); };
    const Index signal_columns = static_cast<Index>(gates_.size()) * n_;
    Scratch<T> dz_store(tokens * signal_columns);
    const Matrix<T> dz(dz_store.data(), tokens, signal_columns);
    std::vector<ShortGradient<T>> gradients;
    for (const HyenaGate<T>& gate : gates_) {
        const auto wanted = [&](const typename Parameters<T>::Entry* weight) -> T* {
            auto* const entry = weight == nullptr ? nullptr : gradient.find(weight->name);
            return entry == nullptr ? nullptr : entry->values.data();
        };
        const Index first = static_cast<Index>(gradients.size()) * n_;
        gradients.push_back({Matrix<T>(dz.data + first, tokens, n_, dz.stride), wanted(gate.short_weight),
                             wanted(gate.short_bias)});
    }
    Scratch<T> window_dv(window_ ? tokens * n_ : 0);
    if (window_) {
        const HyenaAttentionTape<T>& a = tape.window;
        Scratch<T> dw(tokens * n_);
        Scratch<T> dq(tokens * n_);
        Scratch<T> dk(tokens * n_);
        gather_columns(ops.pool(), Matrix<const T>(dfeatures), columns_, mixer_.channels,
                       Matrix<T>(dw.data(), tokens, n_));
        window_->backward(ops, sequences(a.q, n_), sequences(a.k, n_), sequences(opened(2), n_),
                          a.statistics.data(), sequences(dw, n_), sequences(dq, n_), sequences(dk, n_),
                          sequences(window_dv, n_));
        window_q_.backward(ops, x.rows(), Matrix<const T>(dq.data(), tokens, n_), T(1), dx.rows(), gradient);
        window_k_.backward(ops, x.rows(), Matrix<const T>(dk.data(), tokens, n_), T(1), dx.rows(), gradient);
    }
    bool wants_filter = false;
    if (filter_ != nullptr) {
        for (const WeightShape& each : filter_weights(mixer_, layer_)) {
            wants_filter = wants_filter || gradient.find(each.name) != nullptr;
        }
    }
    const Index lags = std::min(length, mixer_.filter_length);
    const Index filter_rows = convolutions() * mixer_.filters;
    Scratch<T> dh_store(wants_filter ? filter_rows * lags : 0);
    const Matrix<T> dh(wants_filter ? dh_store.data() : nullptr, filter_rows, lags);
    std::fill_n(dh_store.data(), dh_store.size(), T(0));
    auto* dskip_entry = skip_ != nullptr ? gradient.find(skip_->name) : nullptr;
    T* const dskip = dskip_entry != nullptr ? dskip_entry->values.data() : nullptr;

    if (wide()) {
        Scratch<T> ones;
        const Scratch<T> signals[3] = {opened(0), opened(1), opened(2)};
        const Scratch<T> d[3] = {Scratch<T>(tokens * n_), Scratch<T>(tokens * n_), Scratch<T>(tokens * n_)};
        heads_backward<T>(ops, head_filters(length, ones), sequences(signals[0], n_), sequences(signals[1], n_),
                          sequences(signals[2], n_), Sequences<const T>(dc), sequences(d[0], n_), sequences(d[1], n_),
                          sequences(d[2], n_), dh, dskip);
        if (window_) {
            add<T>(ops.pool(), d[2].data(), window_dv.data(), tokens * n_, d[2].data());
        }
        for (std::size_t p = 0; p < 3; ++p) {
            short_convolve_backward<T>(ops.pool(), signal(tape, p, batch, length),
                                       Sequences<const T>(sequences(d[p], n_)), gradients[p]);
        }
    } else {
        chain_backward(ops, Sequences<const T>(dc), window_ ? window_dv.data() : nullptr, tape, gradients, dh, dskip);
    }
    if (wants_filter) {
        filter_->backward(ops, Matrix<const T>(dh), gradient);
    }

    if (kept_) {
        const HyenaAttentionTape<T>& a = tape.kept;
        const auto width = static_cast<Index>(kept_columns_.size());
        Scratch<T> d[4] = {Scratch<T>(tokens * width), Scratch<T>(tokens * width), Scratch<T>(tokens * width),
                           Scratch<T>(tokens * width)};
        gather_columns(ops.pool(), Matrix<const T>(dfeatures), kept_columns_, 0,
                       Matrix<T>(d[0].data(), tokens, width));
        kept_->backward(ops, sequences(a.q, width), sequences(a.k, width), sequences(a.v, width),
                        a.statistics.data(), sequences(d[0], width), sequences(d[1], width),
                        sequences(d[2], width), sequences(d[3], width));
        const Projection<T>* const projections[3] = {&kept_q_, &kept_k_, &kept_v_};
        for (std::size_t i = 0; i < 3; ++i) {
            projections[i]->backward(ops, x.rows(), Matrix<const T>(d[i + 1].data(), tokens, width), T(1), dx.rows(),
                                     gradient);
        }
    }

    projections().backward(ops, x.rows(), Matrix<const T>(dz), T(1), dx.rows(), gradient);
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void HyenaMixer<T>::backward(Operations&, const MixerTape&, Sequences<const T>, Sequences<const T>,      \
                                          Sequences<T>, Parameters<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
