// SPDX-License-Identifier: Apache-2.0
// The backward pass of the long-convolution mixer.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/hyena_mixer.hpp"

#include <algorithm>

namespace stillhouse::models {

using compute::Transpose;

/// N = 1, see convolve_chain. gradients: of q, k, v and the gates, overwritten. dh, dskip: added to where not null.
template <class T>
void HyenaMixer<T>::chain_backward(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<const T> dc,
                                   const std::vector<Scratch<T>>& gradients, const HyenaTape<T>& tape, Matrix<T> dh,
                                   T* dskip) const
{
    const Index size = dc.size();
    const auto rows = [&](const T* data) { return Matrix<const T>(data, dc.tokens(), n_); };
    const auto sequences = [&](auto* data) { return Sequences(data, dc.batch, dc.length, n_); };
    Scratch<T> da_store(size);               // of a_g = h_g * u_g + skip_g u_g
    Scratch<T> du_store(size);
    T* const da = da_store.data();
    T* const du = du_store.data();
    std::vector<double> skip_sums(static_cast<std::size_t>(n_));

    const Index last = convolutions() - 1;
    skip_and_gate_backward<T>(ops.pool(), rows(tape.y.back().data()), tape.u.back().data(), channel_skips(last).data(),
                              signals[0].data(), dc.data, gradients[0].data(), da);
    for (Index g = last; g >= 0; --g) {
        const auto at = static_cast<std::size_t>(g);
        const T* const u = tape.u[at].data();
        const Matrix<const T> h = filters(g, dc.length);
        Matrix<T> part;
        if (dh.data != nullptr) {
            part = Matrix<T>(dh.row(g * mixer_.filters), mixer_.filters, std::min(dc.length, dh.cols), dh.stride);
        }
        ops.convolve_tokens_backward(Sequences<const T>(sequences(da)), sequences(u), h, filter_of_.data(),
                                     sequences(du), part);
        std::fill(skip_sums.begin(), skip_sums.end(), 0.0);
        skip_backward<T>(ops.pool(), rows(da), u, channel_skips(g).data(), du,
                         dskip != nullptr ? skip_sums.data() : nullptr);
        for (Index i = 0; i < n_ && dskip != nullptr; ++i) {
            const auto channel = static_cast<std::size_t>(i);
            dskip[g * mixer_.filters + filter_of_[channel]] += static_cast<T>(skip_sums[channel]);
        }
        // The input of convolution g is a product of what came before and of a gate: k v, or a_{g-1} gate_g.
        if (g == 0) {
            multiply<T>(ops.pool(), du, signals[2].data(), size, gradients[1].data());
            multiply<T>(ops.pool(), du, signals[1].data(), size, gradients[2].data());
        } else {
            skip_and_gate_backward<T>(ops.pool(), rows(tape.y[at - 1].data()), tape.u[at - 1].data(),
                                      channel_skips(g - 1).data(), signals[2 + at].data(), du,
                                      gradients[2 + at].data(), da);
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

    const std::vector<Scratch<T>> signals = open_gates(ops, tape, batch, length);
    std::vector<Scratch<T>> gradients;
    for (std::size_t p = 0; p < gates_.size(); ++p) {
        gradients.emplace_back(tokens * n_);
    }
    const auto sequences = [&](const Scratch<T>& s, Index width) {
        return Sequences<T>(s.data(), batch, length, width);
    };
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
        heads_backward<T>(ops, head_filters(length, ones), sequences(signals[0], n_), sequences(signals[1], n_),
                          sequences(signals[2], n_), Sequences<const T>(dc), sequences(gradients[0], n_),
                          sequences(gradients[1], n_), sequences(gradients[2], n_), dh, dskip);
    } else {
        chain_backward(ops, signals, Sequences<const T>(dc), gradients, tape, dh, dskip);
    }
    if (wants_filter) {
        filter_->backward(ops, Matrix<const T>(dh), gradient);
    }

    if (window_) {
        const HyenaAttentionTape<T>& a = tape.window;
        Scratch<T> dw(tokens * n_);
        Scratch<T> dq(tokens * n_);
        Scratch<T> dk(tokens * n_);
        Scratch<T> dv(tokens * n_);
        gather_columns(ops.pool(), Matrix<const T>(dfeatures), columns_, mixer_.channels,
                       Matrix<T>(dw.data(), tokens, n_));
        window_->backward(ops, sequences(a.q, n_), sequences(a.k, n_), sequences(signals[2], n_), sequences(a.y, n_),
                          a.statistics.data(), sequences(dw, n_), sequences(dq, n_), sequences(dk, n_),
                          sequences(dv, n_));
        add<T>(ops.pool(), gradients[2].data(), dv.data(), tokens * n_, gradients[2].data());
        window_q_.backward(ops, x.rows(), Matrix<const T>(dq.data(), tokens, n_), T(1), dx.rows(), gradient);
        window_k_.backward(ops, x.rows(), Matrix<const T>(dk.data(), tokens, n_), T(1), dx.rows(), gradient);
    }
    if (kept_) {
        const HyenaAttentionTape<T>& a = tape.kept;
        const auto width = static_cast<Index>(kept_columns_.size());
        Scratch<T> d[4] = {Scratch<T>(tokens * width), Scratch<T>(tokens * width), Scratch<T>(tokens * width),
                           Scratch<T>(tokens * width)};
        gather_columns(ops.pool(), Matrix<const T>(dfeatures), kept_columns_, 0,
                       Matrix<T>(d[0].data(), tokens, width));
        kept_->backward(ops, sequences(a.q, width), sequences(a.k, width), sequences(a.v, width),
                        sequences(a.y, width), a.statistics.data(), sequences(d[0], width), sequences(d[1], width),
                        sequences(d[2], width), sequences(d[3], width));
        const Projection<T>* const projections[3] = {&kept_q_, &kept_k_, &kept_v_};
        for (std::size_t i = 0; i < 3; ++i) {
            projections[i]->backward(ops, x.rows(), Matrix<const T>(d[i + 1].data(), tokens, width), T(1), dx.rows(),
                                     gradient);
        }
    }

    Scratch<T> dz(mixer_.short_taps > 0 ? tokens * n_ : 0);
    for (std::size_t p = 0; p < gates_.size(); ++p) {
        const HyenaGate<T>& each = gates_[p];
        const T* d = gradients[p].data();
        if (each.short_weight != nullptr) {
            auto* dweight = gradient.find(each.short_weight->name);
            auto* dbias = gradient.find(each.short_bias->name);
            short_convolve_backward(ops.pool(), Sequences<const T>(sequences(tape.z[p], n_)),
                                    each.short_weight->values.data(), mixer_.short_taps,
                                    Sequences<const T>(sequences(gradients[p], n_)), sequences(dz, n_),
                                    dweight != nullptr ? dweight->values.data() : nullptr,
                                    dbias != nullptr ? dbias->values.data() : nullptr);
            d = dz.data();
        }
        each.projection.backward(ops, x.rows(), Matrix<const T>(d, tokens, n_), T(1), dx.rows(), gradient);
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void HyenaMixer<T>::backward(Operations&, const MixerTape&, Sequences<const T>, Sequences<const T>,      \
                                          Sequences<T>, Parameters<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
