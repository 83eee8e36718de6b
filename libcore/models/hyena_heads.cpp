// SPDX-License-Identifier: Apache-2.0
// Both ways of a head's convolution, and their backward.
#include "libcore/models/hyena_heads.hpp"

#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stillhouse::models {

namespace {

using compute::Operations;
using compute::Transpose;

constexpr Index strip = 64;                              // queries of one product
constexpr Index block_bytes = Index{64} * 1024 * 1024;   // of convolution inputs at a time

HeadMethod choose(HeadMethod method, Index width, Index length)
{
    if (method != HeadMethod::automatic) {
        return method;
    }
    // 2 N L^2 operations against N^2 convolutions of 10 L log2(2 L), which run at about an eighth of the rate.
    const double limit = 40.0 * static_cast<double>(width) * std::log2(2.0 * static_cast<double>(length));
    return static_cast<double>(length) <= limit ? HeadMethod::products : HeadMethod::transforms;
}

/// Head m of sequence b as a matrix [length, width].
template <class T>
Matrix<T> head(Sequences<T> x, Index b, Index m, Index width)
{
    return {x.token(b, 0) + m * width, x.length, width, x.width};
}

template <class T>
Matrix<T> rows(Matrix<T> x, Index first, Index count)
{
    return {x.row(first), count, x.cols, x.stride};
}

/// The filter of a head with its skip in lag 0, reversed and followed by nothing: reversed[length - 1 - lag].
template <class T>
void reverse_filter(const HeadFilters<T>& filters, Index m, Index length, T* reversed)
{
    const Index f = filters.filter_of[m];
    const Index lags = std::min(length, filters.h.cols);
    std::fill_n(reversed, length, T(0));
    for (Index lag = 0; lag < lags; ++lag) {
        reversed[length - 1 - lag] = filters.h(f, lag);
    }
    if (filters.skip != nullptr) {
        reversed[length - 1] += filters.skip[f];
    }
}

template <class T>
void forward_by_products(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                         Sequences<const T> k, Sequences<const T> v, Sequences<T> c)
{
    const Index length = q.length;
    const Index width = filters.width;
    const Index strips = (length + strip - 1) / strip;
    ops.pool().for_each(q.batch * filters.heads * strips, [&](Index task) {
        const Index b = task / (filters.heads * strips);
        const Index m = task / strips % filters.heads;
        const Index first = task % strips * strip;
        const Index queries = std::min(strip, length - first);
        const Index keys = first + queries;
        Scratch<T> reversed(length);
        Scratch<T> products(queries * keys);
        reverse_filter(filters, m, length, reversed.data());
        const Matrix<T> a(products.data(), queries, keys);
        ops.gemm(T(1), rows(head(q, b, m, width), first, queries), Transpose::no,
                 rows(head(k, b, m, width), 0, keys), Transpose::yes, T(0), a);
        for (Index r = 0; r < queries; ++r) {
            const Index t = first + r;
            const T* const h = reversed.data() + length - 1 - t;   // h[s] is lag t - s
            T* const row = a.row(r);
            for (Index s = 0; s <= t; ++s) {
                row[s] *= h[s];
            }
            std::fill(row + t + 1, row + keys, T(0));
        }
        ops.gemm(T(1), Matrix<const T>(a), Transpose::no, rows(head(v, b, m, width), 0, keys), Transpose::no, T(0),
                 rows(head(c, b, m, width), first, queries));
    });
}

template <class T>
void backward_by_products(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                          Sequences<const T> k, Sequences<const T> v, Sequences<const T> dc, Sequences<T> dq,
                          Sequences<T> dk, Sequences<T> dv, Matrix<T> dh, T* dskip)
{
    const Index length = q.length;
    const Index width = filters.width;
    const Index heads = filters.heads;
    const bool wants_filter = dh.data != nullptr || dskip != nullptr;
    // Of each head of each sequence: the gradient of the reversed filter, in double, and added up afterwards in order.
    Scratch<double> partial(wants_filter ? q.batch * heads * length : 0);
    ops.pool().for_each(q.batch * heads, [&](Index task) {
        const Index b = task / heads;
        const Index m = task % heads;
        double* const sums = wants_filter ? partial.data() + task * length : nullptr;
        if (wants_filter) {
            std::fill_n(sums, length, 0.0);
        }
        Scratch<T> reversed(length);
        Scratch<T> products(strip * length);
        Scratch<T> gradients(strip * length);
        reverse_filter(filters, m, length, reversed.data());
        const Matrix<T> dk_head = head(dk, b, m, width);
        const Matrix<T> dv_head = head(dv, b, m, width);
        for (Index t = 0; t < length; ++t) {
            std::fill_n(dk_head.row(t), width, T(0));
            std::fill_n(dv_head.row(t), width, T(0));
        }
        for (Index first = 0; first < length; first += strip) {
            const Index queries = std::min(strip, length - first);
            const Index keys = first + queries;
            const Matrix<T> a(products.data(), queries, keys);
            const Matrix<T> da(gradients.data(), queries, keys);
            const auto q_rows = rows(head(q, b, m, width), first, queries);
            const auto k_rows = rows(head(k, b, m, width), 0, keys);
            const auto dc_rows = rows(head(dc, b, m, width), first, queries);
            ops.gemm(T(1), q_rows, Transpose::no, k_rows, Transpose::yes, T(0), a);
            ops.gemm(T(1), dc_rows, Transpose::no, rows(head(v, b, m, width), 0, keys), Transpose::yes, T(0), da);
            for (Index r = 0; r < queries; ++r) {
                const Index t = first + r;
                const Index shift = length - 1 - t;
                const T* const h = reversed.data() + shift;
                T* const row = a.row(r);
                T* const drow = da.row(r);
                if (wants_filter) {
                    for (Index s = 0; s <= t; ++s) {
                        sums[shift + s] += static_cast<double>(row[s]) * static_cast<double>(drow[s]);
                    }
                }
                for (Index s = 0; s <= t; ++s) {
                    row[s] *= h[s];
                    drow[s] *= h[s];
                }
                std::fill(row + t + 1, row + keys, T(0));
                std::fill(drow + t + 1, drow + keys, T(0));
            }
            ops.gemm(T(1), Matrix<const T>(a), Transpose::yes, dc_rows, Transpose::no, T(1), rows(dv_head, 0, keys));
            ops.gemm(T(1), Matrix<const T>(da), Transpose::no, k_rows, Transpose::no, T(0),
                     rows(head(dq, b, m, width), first, queries));
            ops.gemm(T(1), Matrix<const T>(da), Transpose::yes, q_rows, Transpose::no, T(1), rows(dk_head, 0, keys));
        }
    });
    if (!wants_filter) {
        return;
    }
    for (Index m = 0; m < heads; ++m) {
        for (Index b = 1; b < q.batch; ++b) {
            for (Index i = 0; i < length; ++i) {
                partial.data()[m * length + i] += partial.data()[(b * heads + m) * length + i];
            }
        }
        const double* const sums = partial.data() + m * length;
        const Index f = filters.filter_of[m];
        for (Index lag = 0; dh.data != nullptr && lag < std::min(length, dh.cols); ++lag) {
            dh(f, lag) += static_cast<T>(sums[length - 1 - lag]);
        }
        if (dskip != nullptr) {
            dskip[f] += static_cast<T>(sums[length - 1]);
        }
    }
}

/// Pairs (sequence, head) by blocks whose N^2 signals of `arrays` arrays fit block_bytes; body(first pair, pairs).
template <class T, class Body>
void for_pair_blocks(Index pairs, Index width, Index length, Index arrays, const Body& body)
{
    const Index bytes = width * width * length * arrays * static_cast<Index>(sizeof(T));
    const Index at_once = std::max<Index>(1, block_bytes / bytes);
    for (Index first = 0; first < pairs; first += at_once) {
        body(first, std::min(at_once, pairs - first));
    }
}

/// u[(pair, i, j), t] = a[t, i] b[t, j]
template <class T>
void outer_signals(ThreadPool& pool, Index heads, Index width, Index first, Index pairs, Sequences<const T> a,
                   Sequences<const T> b, T* u)
{
    const Index length = a.length;
    pool.for_each(pairs * width, [&](Index task) {
        const Index pair = first + task / width;
        const Index i = task % width;
        const auto left = head(a, pair / heads, pair % heads, width);
        const auto right = head(b, pair / heads, pair % heads, width);
        T* const out = u + task * width * length;
        for (Index t = 0; t < length; ++t) {
            for (Index j = 0; j < width; ++j) {
                out[j * length + t] = left(t, i) * right(t, j);
            }
        }
    });
}

template <class T>
void forward_by_transforms(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                           Sequences<const T> k, Sequences<const T> v, Sequences<T> c)
{
    const Index length = q.length;
    const Index width = filters.width;
    const Index heads = filters.heads;
    const Index square = width * width;
    const Matrix<const T> h(filters.h.data, filters.h.rows, std::min(length, filters.h.cols), filters.h.stride);
    for_pair_blocks<T>(q.batch * heads, width, length, 2, [&](Index first, Index pairs) {
        Scratch<T> inputs(pairs * square * length);
        Scratch<T> outputs(pairs * square * length);
        std::vector<Index> filter_of(static_cast<std::size_t>(pairs * square));
        for (Index i = 0; i < pairs * square; ++i) {
            filter_of[static_cast<std::size_t>(i)] = filters.filter_of[(first + i / square) % heads];
        }
        outer_signals(ops.pool(), heads, width, first, pairs, k, v, inputs.data());
        const Matrix<T> y(outputs.data(), pairs * square, length);
        ops.convolve(Matrix<const T>(inputs.data(), pairs * square, length), h, filter_of.data(), y);
        ops.pool().for_each(pairs, [&](Index p) {
            const Index b = (first + p) / heads;
            const Index m = (first + p) % heads;
            const T skip = filters.skip != nullptr ? filters.skip[filters.filter_of[m]] : T(0);
            const auto gate = head(q, b, m, width);
            const auto out = head(c, b, m, width);
            for (Index t = 0; t < length; ++t) {
                for (Index j = 0; j < width; ++j) {
                    T sum = T(0);
                    for (Index i = 0; i < width; ++i) {
                        const Index at = ((p * width + i) * width + j) * length + t;
                        sum += gate(t, i) * (outputs.data()[at] + skip * inputs.data()[at]);
                    }
                    out(t, j) = sum;
                }
            }
        });
    });
}

template <class T>
void backward_by_transforms(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q,
                            Sequences<const T> k, Sequences<const T> v, Sequences<const T> dc, Sequences<T> dq,
                            Sequences<T> dk, Sequences<T> dv, Matrix<T> dh, T* dskip)
{
    const Index length = q.length;
    const Index width = filters.width;
    const Index heads = filters.heads;
    const Index square = width * width;
    const Matrix<const T> h(filters.h.data, filters.h.rows, std::min(length, filters.h.cols), filters.h.stride);
    for_pair_blocks<T>(q.batch * heads, width, length, 3, [&](Index first, Index pairs) {
        const Index signals = pairs * square;
        Scratch<T> inputs(signals * length);
        Scratch<T> outputs(signals * length);    // of the convolution, then the gradient of its inputs
        Scratch<T> gradients(signals * length);  // of its outputs: q_i dc_j
        std::vector<Index> filter_of(static_cast<std::size_t>(signals));
        std::vector<double> skip_sums(static_cast<std::size_t>(pairs));
        for (Index i = 0; i < signals; ++i) {
            filter_of[static_cast<std::size_t>(i)] = filters.filter_of[(first + i / square) % heads];
        }
        outer_signals(ops.pool(), heads, width, first, pairs, k, v, inputs.data());
        outer_signals(ops.pool(), heads, width, first, pairs, q, dc, gradients.data());
        const Matrix<const T> u(inputs.data(), signals, length);
        const Matrix<const T> dy(gradients.data(), signals, length);
        const Matrix<T> y(outputs.data(), signals, length);
        ops.convolve(u, h, filter_of.data(), y);
        ops.pool().for_each(pairs, [&](Index p) {
            const Index b = (first + p) / heads;
            const Index m = (first + p) % heads;
            const T skip = filters.skip != nullptr ? filters.skip[filters.filter_of[m]] : T(0);
            const auto dout = head(dc, b, m, width);
            const auto gradient = head(dq, b, m, width);
            double skip_sum = 0.0;
            for (Index t = 0; t < length; ++t) {
                for (Index i = 0; i < width; ++i) {
                    T sum = T(0);
                    for (Index j = 0; j < width; ++j) {
                        const Index at = ((p * width + i) * width + j) * length + t;
                        sum += dout(t, j) * (y.data[at] + skip * u.data[at]);
                        skip_sum += static_cast<double>(dy.data[at]) * static_cast<double>(u.data[at]);
                    }
                    gradient(t, i) = sum;
                }
            }
            skip_sums[static_cast<std::size_t>(p)] = skip_sum;
        });
        for (Index p = 0; p < pairs && dskip != nullptr; ++p) {
            dskip[filters.filter_of[(first + p) % heads]] += static_cast<T>(skip_sums[static_cast<std::size_t>(p)]);
        }
        if (dh.data != nullptr) {
            ops.correlate(dy, u, filter_of.data(), Matrix<T>(dh.data, dh.rows, std::min(length, dh.cols), dh.stride));
        }
        ops.convolve_adjoint(dy, h, filter_of.data(), y);
        ops.pool().for_each(pairs, [&](Index p) {
            const Index b = (first + p) / heads;
            const Index m = (first + p) % heads;
            const T skip = filters.skip != nullptr ? filters.skip[filters.filter_of[m]] : T(0);
            const auto k_head = head(k, b, m, width);
            const auto v_head = head(v, b, m, width);
            const auto dk_head = head(dk, b, m, width);
            const auto dv_head = head(dv, b, m, width);
            for (Index t = 0; t < length; ++t) {
                std::fill_n(dv_head.row(t), width, T(0));
                for (Index i = 0; i < width; ++i) {
                    T sum = T(0);
                    for (Index j = 0; j < width; ++j) {
                        const Index at = ((p * width + i) * width + j) * length + t;
                        const T du = y.data[at] + skip * dy.data[at];
                        sum += du * v_head(t, j);
                        dv_head(t, j) += du * k_head(t, i);
                    }
                    dk_head(t, i) = sum;
                }
            }
        });
    });
}

}  // namespace

template <class T>
void heads_forward(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q, Sequences<const T> k,
                   Sequences<const T> v, Sequences<T> c, HeadMethod method)
{
    if (choose(method, filters.width, q.length) == HeadMethod::products) {
        forward_by_products(ops, filters, q, k, v, c);
    } else {
        forward_by_transforms(ops, filters, q, k, v, c);
    }
}

template <class T>
void heads_backward(Operations<T>& ops, const HeadFilters<T>& filters, Sequences<const T> q, Sequences<const T> k,
                    Sequences<const T> v, Sequences<const T> dc, Sequences<T> dq, Sequences<T> dk, Sequences<T> dv,
                    Matrix<T> dh, T* dskip, HeadMethod method)
{
    if (choose(method, filters.width, q.length) == HeadMethod::products) {
        backward_by_products(ops, filters, q, k, v, dc, dq, dk, dv, dh, dskip);
    } else {
        backward_by_transforms(ops, filters, q, k, v, dc, dq, dk, dv, dh, dskip);
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template void heads_forward<T>(Operations<T>&, const HeadFilters<T>&, Sequences<const T>, Sequences<const T>,     \
                                   Sequences<const T>, Sequences<T>, HeadMethod);                                     \
    template void heads_backward<T>(Operations<T>&, const HeadFilters<T>&, Sequences<const T>, Sequences<const T>,    \
                                    Sequences<const T>, Sequences<const T>, Sequences<T>, Sequences<T>, Sequences<T>, \
                                    Matrix<T>, T*, HeadMethod);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
