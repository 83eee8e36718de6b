// SPDX-License-Identifier: Apache-2.0
// The forward pass of the long-convolution mixer over whole sequences.
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

/// N = 1: u_1 = k v, a_g = h_g * u_g + skip_g u_g, u_{g+1} = a_g gate_g, c = q a_last. Signals are channel-major.
template <class T>
void HyenaMixer<T>::convolve_chain(Operations& ops, const std::vector<Scratch<T>>& signals, Sequences<T> c,
                                   HyenaTape<T>& tape) const
{
    const Index length = c.length;
    const Index rows = c.batch * n_;
    std::vector<Index> filter_of(static_cast<std::size_t>(rows));
    for (Index r = 0; r < rows; ++r) {
        filter_of[static_cast<std::size_t>(r)] = filter_of_[static_cast<std::size_t>(r % n_)];
    }
    const T* const q = signals[0].data();
    const T* const k = signals[1].data();
    const T* const v = signals[2].data();
    for (Index g = 0; g < convolutions(); ++g) {
        tape.u.emplace_back(rows * length);
        T* const u = tape.u.back().data();
        if (g == 0) {
            for_tiles(ops.pool(), c.batch, n_, length, [&](Index b, Index c0, Index c1, Index t0, Index t1) {
                for (Index i = c0; i < c1; ++i) {
                    T* const out = u + (b * n_ + i) * length;
                    const Index base = b * length * n_ + i;
                    for (Index t = t0; t < t1; ++t) {
                        out[t] = k[base + t * n_] * v[base + t * n_];
                    }
                }
            });
        } else {
            const T* const gate = signals[static_cast<std::size_t>(2 + g)].data();
            const T* const before = tape.u[static_cast<std::size_t>(g - 1)].data();
            const T* const y = tape.y[static_cast<std::size_t>(g - 1)].data();
            for_tiles(ops.pool(), c.batch, n_, length, [&](Index b, Index c0, Index c1, Index t0, Index t1) {
                for (Index i = c0; i < c1; ++i) {
                    const Index row = (b * n_ + i) * length;
                    const Index base = b * length * n_ + i;
                    const T s = skip(g - 1, i);
                    for (Index t = t0; t < t1; ++t) {
                        u[row + t] = (y[row + t] + s * before[row + t]) * gate[base + t * n_];
                    }
                }
            });
        }
        tape.y.emplace_back(rows * length);
        ops.convolve(Matrix<const T>(u, rows, length), filters(g, length), filter_of.data(),
                     Matrix<T>(tape.y.back().data(), rows, length));
    }
    const T* const u = tape.u.back().data();
    const T* const y = tape.y.back().data();
    for_tiles(ops.pool(), c.batch, n_, length, [&](Index b, Index c0, Index c1, Index t0, Index t1) {
        for (Index i = c0; i < c1; ++i) {
            const Index row = (b * n_ + i) * length;
            const Index base = b * length * n_ + i;
            const T s = skip(convolutions() - 1, i);
            for (Index t = t0; t < t1; ++t) {
                c.data[base + t * n_] = q[base + t * n_] * (y[row + t] + s * u[row + t]);
            }
        }
    });
}

/// Everything up to the output projection: tape.features.
template <class T>
void HyenaMixer<T>::mix(Operations& ops, Sequences<const T> x, HyenaTape<T>& tape) const
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

template <class T>
void HyenaMixer<T>::forward(Operations& ops, Sequences<const T> x, Sequences<T> y,
                            std::unique_ptr<MixerTape>* tape) const
{
    auto kept = std::make_unique<HyenaTape<T>>();
    mix(ops, x, *kept);
    out_.forward(ops, Matrix<const T>(kept->features.data(), x.tokens(), out_.in()), y.rows());
    if (taps_ != nullptr) {
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
    mix(ops, x, tape);
    const Index mixed = out_.in();
    ops.pool().for_each(out.rows, [&](Index r) {
        T* const row = out.row(r);
        std::copy_n(tape.features.data() + r * mixed, mixed, row);
        for (Index j = 0; j < mixer_.taps; ++j) {
            T* const lag = row + mixed + j * width_;
            if (r % x.length >= j) {
                std::copy_n(x.data + (r - j) * width_, width_, lag);
            } else {
                std::fill_n(lag, width_, T(0));
            }
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
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
