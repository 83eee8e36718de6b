// SPDX-License-Identifier: Apache-2.0
// Heads of width N > 1 token by token: recurrences of all k_i v_j side by side, and linear attention in chunks.
#include "libcore/models/attention_kernels.hpp"
#include "libcore/models/hyena_state.hpp"
#include "libcore/models/hyena_strip.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::models {

namespace {

constexpr Index lanes = systems::lane_count;
constexpr Index longest_scan = systems::LaneRecurrence<float>::longest;
constexpr Index chunk = 64;     // tokens of linear attention as matrix products

}  // namespace

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

/// k and v of a head as the recurrence is fed with them, `delay` tokens late: [length, N] each.
template <class T>
void HyenaMixer<T>::feed_head(const T* z, Sequences<const T> c, HyenaState<T>& state, Index b, Index m, Index first,
                              Index length, T* fed_k, T* fed_v) const
{
    const Index width = mixer_.head_width;
    for (Index t = 0; t < length; ++t) {
        const Index token = ((c.batch + b) * c.length + first + t) * n_ + m * width;   // of k; v is a part further
        const T* const k = z + token;
        const T* const v = z + c.size() + token;
        if (delay() == 0) {
            std::copy_n(k, width, fed_k + t * width);
            std::copy_n(v, width, fed_v + t * width);
            continue;
        }
        const Index now = state.position(b) + first + t;
        T* const slot = state.late[0].of(b) + now % delay() * n_ + m * width;
        for (Index i = 0; i < width; ++i) {
            fed_k[t * width + i] = std::exchange(slot[i], k[i]);
            fed_v[t * width + i] =
                first + t >= delay() ? v[i - delay() * n_] : window_value(state, b, now, m * width + i);
        }
    }
}

/// N > 1 by recurrences of all k_i v_j, sixteen side by side over blocks of tokens:
/// c_t[j] = sum_i q_t[i] (y_t[i, j] + skip k_t[i] v_t[j]).
template <class T>
void HyenaMixer<T>::heads_recurrent(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const
{
    const StripKernels<T>& kernels = strip_kernels<T>();
    const auto& recurrence = state.plan->recurrences[0];
    const Index width = mixer_.head_width;
    const Index square = width * width;
    const Index blocks = (square + lanes - 1) / lanes;
    const bool even = width % lanes == 0;                      // a block is one i and sixteen j
    const bool tiled = !even && lanes % width == 0;            // some i, each with all j
    constexpr Index size = longest_scan * lanes;
    ops.pool().for_each(c.batch * head_count(), [&](Index task) {
        const Index b = task / head_count();
        const Index m = task % head_count();
        Scratch<T> memory(3 * longest_scan * width + 4 * size + (tiled ? 2 * blocks * size : 0));
        T* const fed_k = memory.data();
        T* const fed_v = fed_k + longest_scan * width;
        T* const out = fed_v + longest_scan * width;
        T* const u = out + longest_scan * width;
        T* const y = u + size;
        T* const v_tiles = y + size;
        T* const sums = v_tiles + size;
        T* const k_tiles = sums + size;                        // [blocks, longest_scan, 16]
        T* const q_tiles = k_tiles + (tiled ? blocks * size : 0);
        const T s = skip(0, m * width);
        for (Index first = 0; first < c.length; first += longest_scan) {
            const Index length = std::min(longest_scan, c.length - first);
            feed_head(z, c, state, b, m, first, length, fed_k, fed_v);
            const T* const q = z + (b * c.length + first) * n_ + m * width;
            for (Index t = 0; t < length; ++t) {               // the skip: (q . k) v
                const T* const k = q + c.size() + t * n_;
                const T* const v = k + c.size();
                T dot = T(0);
                for (Index i = 0; i < width; ++i) {
                    dot += q[t * n_ + i] * k[i];
                }
                for (Index j = 0; j < width; ++j) {
                    out[t * width + j] = s * dot * v[j];
                }
            }
            if (tiled) {
                std::fill_n(k_tiles, square < lanes ? 2 * size : 0, T(0));       // and q_tiles behind it
                std::fill_n(sums, length * lanes, T(0));
                for (Index t = 0; t < length; ++t) {
                    for (Index l = 0; l < lanes; l += width) {
                        std::copy_n(fed_v + t * width, width, v_tiles + t * lanes + l);
                    }
                    for (Index i = 0; i < width; ++i) {
                        const Index place = i * width / lanes * size + t * lanes + i * width % lanes;
                        std::fill_n(k_tiles + place, width, fed_k[t * width + i]);
                        std::fill_n(q_tiles + place, width, q[t * n_ + i]);
                    }
                }
                for (Index block = 0; block < blocks; ++block) {
                    kernels.product(length * lanes, k_tiles + block * size, v_tiles, u);
                    recurrence.scan(m * blocks + block, u, length,
                                    state.modes[0].of(b) + (m * blocks + block) * recurrence.state_size(), y);
                    kernels.add_product(length * lanes, q_tiles + block * size, y, sums);
                }
                for (Index t = 0; t < length; ++t) {
                    for (Index l = 0; l < lanes; ++l) {
                        out[t * width + l % width] += sums[t * lanes + l];
                    }
                }
            }
            for (Index block = 0; block < blocks && !tiled; ++block) {
                T* const memory_of = state.modes[0].of(b) + (m * blocks + block) * recurrence.state_size();
                const Index i0 = block * lanes / width;
                const Index j0 = block * lanes % width;
                for (Index t = 0; t < length; ++t) {
                    T* const row = u + t * lanes;
                    if (even) {
                        const T k = fed_k[t * width + i0];
                        for (Index l = 0; l < lanes; ++l) {
                            row[l] = k * fed_v[t * width + j0 + l];
                        }
                        continue;
                    }
                    for (Index l = 0, i = i0, j = j0; l < lanes; ++l) {
                        row[l] = i < width ? fed_k[t * width + i] * fed_v[t * width + j] : T(0);
                        j = j + 1 == width ? (++i, 0) : j + 1;
                    }
                }
                recurrence.scan(m * blocks + block, u, length, memory_of, y);
                for (Index t = 0; t < length; ++t) {
                    const T* const row = y + t * lanes;
                    if (even) {
                        kernels.add_scaled(lanes, q[t * n_ + i0], row, out + t * width + j0);
                        continue;
                    }
                    for (Index l = 0, i = i0, j = j0; l < lanes && i < width; ++l) {
                        out[t * width + j] += q[t * n_ + i] * row[l];
                        j = j + 1 == width ? (++i, 0) : j + 1;
                    }
                }
            }
            for (Index t = 0; t < length; ++t) {
                std::copy_n(out + t * width, width, c.token(b, first + t) + m * width);
            }
        }
    });
}

/// `linear`: S sums k v^T. In chunks: c = (q k^T, up to the token itself) v + q S before the chunk + skip (q . k) v.
template <class T>
void HyenaMixer<T>::heads_linear(Operations& ops, const T* z, Sequences<T> c, HyenaState<T>& state) const
{
    const Index width = mixer_.head_width;
    ops.pool().for_each(c.batch * head_count(), [&](Index task) {
        const Index b = task / head_count();
        const Index m = task % head_count();
        T* const sums = state.modes[0].of(b) + m * width * width;
        Scratch<T> memory(3 * chunk * width + chunk * chunk);
        T* const fed_k = memory.data();
        T* const fed_v = fed_k + chunk * width;
        T* const k_columns = fed_v + chunk * width;
        T* const products = k_columns + chunk * width;
        const T s = skip(0, m * width);
        for (Index first = 0; first < c.length; first += chunk) {
            const Index length = std::min(chunk, c.length - first);
            feed_head(z, c, state, b, m, first, length, fed_k, fed_v);
            const T* const q = z + (b * c.length + first) * n_ + m * width;
            for (Index t = 0; t < length; ++t) {
                for (Index i = 0; i < width; ++i) {
                    k_columns[i * length + t] = fed_k[t * width + i];
                }
            }
            small_product<T>(length, length, width, q, n_, 1, k_columns, length, products, length, false);
            for (Index t = 0; t < length; ++t) {
                std::fill(products + t * length + t + 1, products + (t + 1) * length, T(0));
            }
            T* const out = c.token(b, first) + m * width;
            small_product<T>(length, width, width, q, n_, 1, sums, width, out, n_, false);
            small_product<T>(length, width, length, products, length, 1, fed_v, width, out, n_, true);
            if (s != T(0)) {
                for (Index t = 0; t < length; ++t) {
                    const T* const k = q + c.size() + t * n_;
                    T dot = T(0);
                    for (Index i = 0; i < width; ++i) {
                        dot += q[t * n_ + i] * k[i];
                    }
                    for (Index j = 0; j < width; ++j) {
                        out[t * n_ + j] += s * dot * k[c.size() + j];
                    }
                }
            }
            small_product<T>(width, width, length, fed_k, 1, width, fed_v, width, sums, width, true);
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template T HyenaMixer<T>::window_value(const HyenaState<T>&, Index, Index, Index) const;                          \
    template void HyenaMixer<T>::heads_recurrent(Operations&, const T*, Sequences<T>, HyenaState<T>&) const;          \
    template void HyenaMixer<T>::heads_linear(Operations&, const T*, Sequences<T>, HyenaState<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
