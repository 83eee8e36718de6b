// SPDX-License-Identifier: Apache-2.0
// Normalisations, activations and softmax: operations on rows, a block of rows a task.
#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

namespace stillhouse::compute::cpu {

namespace {

constexpr Index block_rows = 16;         // rows a task: fixed, so partial sums do not depend on the threads
constexpr Index block_elements = 8192;   // elements a task of elementwise work
constexpr Index piece = activation_piece;

template <class Body>
void for_blocks(ThreadPool& pool, Index n, Index block, const Body& body)
{
    pool.for_each((n + block - 1) / block,
                  [&](Index task) { body(task * block, std::min(n, (task + 1) * block)); });
}

template <class T>
bool same_shape(Matrix<const T> x, Matrix<const T> y)
{
    return x.rows == y.rows && x.cols == y.cols;
}

/// Adds per-block partial sums [blocks, n] to out in the order of the blocks.
template <class T>
void add_partials(ThreadPool& pool, const Buffer<double>& partial, Index blocks, Index n, T* out)
{
    for_blocks(pool, n, 256, [&](Index begin, Index end) {
        for (Index j = begin; j < end; ++j) {
            double sum = 0;
            for (Index b = 0; b < blocks; ++b) {
                sum += partial[b * n + j];
            }
            out[j] = static_cast<T>(static_cast<double>(out[j]) + sum);
        }
    });
}

}  // namespace

template <class T>
void layer_norm(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* bias, T eps, Matrix<T> y,
                T* statistics)
{
    STILLHOUSE_CHECK(same_shape<T>(x, y));
    const Index n = x.cols;
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            const T* in = x.row(i);
            T* out = y.row(i);
            const double mean = kernels<T>().sum(in, n) / static_cast<double>(n);
            const double variance = kernels<T>().sum_of_squares(in, n, mean) / static_cast<double>(n);
            const T centre = static_cast<T>(mean);
            const T scale = static_cast<T>(1.0 / std::sqrt(variance + static_cast<double>(eps)));
            kernels<T>().normalise(in, n, centre, scale, weight, bias, out);
            if (statistics != nullptr) {
                statistics[2 * i] = centre;
                statistics[2 * i + 1] = scale;
            }
        }
    });
}

template <class T>
void layer_norm_backward(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* statistics,
                         Matrix<const T> dy, Matrix<T> dx, T* dweight, T* dbias)
{
    STILLHOUSE_CHECK(same_shape<T>(x, dy) && same_shape<T>(x, dx));
    const Index n = x.cols;
    const Index blocks = (x.rows + block_rows - 1) / block_rows;
    Buffer<double> partial_weight(blocks * n);
    Buffer<double> partial_bias(blocks * n);
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        double* sum_weight = partial_weight.data() + begin / block_rows * n;
        double* sum_bias = partial_bias.data() + begin / block_rows * n;
        for (Index i = begin; i < end; ++i) {
            kernels<T>().normalise_backward(x.row(i), dy.row(i), n, statistics[2 * i], statistics[2 * i + 1], weight,
                                            dx.row(i), sum_weight, sum_bias);
        }
    });
    add_partials(pool, partial_weight, blocks, n, dweight);
    add_partials(pool, partial_bias, blocks, n, dbias);
}

template <class T>
void rms_norm(ThreadPool& pool, Matrix<const T> x, const T* weight, T eps, Matrix<T> y, T* statistics)
{
    STILLHOUSE_CHECK(same_shape<T>(x, y));
    const Index n = x.cols;
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            const T* in = x.row(i);
            T* out = y.row(i);
            const double square = kernels<T>().sum_of_squares(in, n, 0.0) / static_cast<double>(n);
            const T scale = static_cast<T>(1.0 / std::sqrt(square + static_cast<double>(eps)));
            kernels<T>().normalise(in, n, T(0), scale, weight, nullptr, out);
            if (statistics != nullptr) {
                statistics[i] = scale;
            }
        }
    });
}

template <class T>
void rms_norm_backward(ThreadPool& pool, Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy,
                       Matrix<T> dx, T* dweight)
{
    STILLHOUSE_CHECK(same_shape<T>(x, dy) && same_shape<T>(x, dx));
    const Index n = x.cols;
    const Index blocks = (x.rows + block_rows - 1) / block_rows;
    Buffer<double> partial(blocks * n);
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        double* sum = partial.data() + begin / block_rows * n;
        for (Index i = begin; i < end; ++i) {
            kernels<T>().normalise_backward(x.row(i), dy.row(i), n, T(0), statistics[i], weight, dx.row(i), sum,
                                            nullptr);
        }
    });
    add_partials(pool, partial, blocks, n, dweight);
}

namespace {

// gelu_tanh(x) = x / 2 (1 + tanh(c (x + a x^3)))
constexpr double tanh_c = 0.7978845608028654;   // sqrt(2 / pi)
constexpr double tanh_a = 0.044715;

template <class T>
void differentiate_block(Activation f, const T* x, const T* dy, Index n, T* dx)
{
    if constexpr (std::is_same_v<T, float>) {
        const auto whole = f == Activation::gelu_erf    ? level().gelu_erf_backward
                           : f == Activation::gelu_tanh ? level().gelu_tanh_backward
                           : f == Activation::silu      ? level().silu_backward
                                                        : nullptr;
        if (whole != nullptr) {
            whole(x, dy, n, dx);
            return;
        }
    }
    T work[piece] = {};
    T other[piece] = {};
    switch (f) {
    case Activation::gelu_erf:
        // f' = (1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi)
        for (Index i = 0; i < n; ++i) {
            work[i] = x[i] * static_cast<T>(std::numbers::sqrt2 / 2);
            other[i] = T(-0.5) * x[i] * x[i];
        }
        vector_erf(work, n, work);
        vector_exp(other, n, other);
        for (Index i = 0; i < n; ++i) {
            const T density = static_cast<T>(std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2) * other[i];
            dx[i] = dy[i] * (T(0.5) * (T(1) + work[i]) + x[i] * density);
        }
        return;
    case Activation::gelu_tanh:
        for (Index i = 0; i < n; ++i) {
            work[i] = static_cast<T>(tanh_c) * (x[i] + static_cast<T>(tanh_a) * x[i] * x[i] * x[i]);
        }
        vector_tanh(work, n, work);
        for (Index i = 0; i < n; ++i) {
            const T slope = static_cast<T>(tanh_c) * (T(1) + static_cast<T>(3 * tanh_a) * x[i] * x[i]);
            const T t = work[i];
            dx[i] = dy[i] * (T(0.5) * (T(1) + t) + T(0.5) * x[i] * (T(1) - t * t) * slope);
        }
        return;
    case Activation::silu:
        vector_sigmoid(x, n, work);
        for (Index i = 0; i < n; ++i) {
            const T s = work[i];
            dx[i] = dy[i] * (s * (T(1) + x[i] * (T(1) - s)));
        }
        return;
    case Activation::relu:
        for (Index i = 0; i < n; ++i) {
            dx[i] = x[i] > T(0) ? dy[i] : T(0);
        }
        return;
    case Activation::identity:
        for (Index i = 0; i < n; ++i) {
            dx[i] = dy[i];
        }
        return;
    }
}

}  // namespace

template <class T>
void activate_block(Activation f, const T* x, Index n, T* y)
{
    STILLHOUSE_CHECK(n <= activation_piece);
    if constexpr (std::is_same_v<T, float>) {
        const auto whole = f == Activation::gelu_erf    ? level().gelu_erf
                                  : f == Activation::gelu_tanh ? level().gelu_tanh
                                  : f == Activation::silu      ? level().silu
                                                               : nullptr;
        if (whole != nullptr) {
            whole(x, n, y);
            return;
        }
    }
    T work[activation_piece];
    switch (f) {
    case Activation::gelu_erf:
        for (Index i = 0; i < n; ++i) {
            work[i] = x[i] * static_cast<T>(std::numbers::sqrt2 / 2);
        }
        vector_erf(work, n, work);
        for (Index i = 0; i < n; ++i) {
            y[i] = T(0.5) * x[i] * (T(1) + work[i]);
        }
        return;
    case Activation::gelu_tanh:
        for (Index i = 0; i < n; ++i) {
            work[i] = static_cast<T>(tanh_c) * (x[i] + static_cast<T>(tanh_a) * x[i] * x[i] * x[i]);
        }
        vector_tanh(work, n, work);
        for (Index i = 0; i < n; ++i) {
            y[i] = T(0.5) * x[i] * (T(1) + work[i]);
        }
        return;
    case Activation::silu:
        vector_sigmoid(x, n, work);
        for (Index i = 0; i < n; ++i) {
            y[i] = x[i] * work[i];
        }
        return;
    case Activation::relu:
        for (Index i = 0; i < n; ++i) {
            y[i] = x[i] > T(0) ? x[i] : T(0);
        }
        return;
    case Activation::identity:
        for (Index i = 0; i < n; ++i) {
            y[i] = x[i];
        }
        return;
    }
}

template <class T>
void activate(ThreadPool& pool, Activation f, const T* x, Index n, T* y)
{
    for_blocks(pool, n, block_elements, [&](Index begin, Index end) {
        for (Index i = begin; i < end; i += piece) {
            activate_block(f, x + i, std::min(piece, end - i), y + i);
        }
    });
}

template <class T>
void activate_backward(ThreadPool& pool, Activation f, const T* x, const T* dy, Index n, T* dx)
{
    for_blocks(pool, n, block_elements, [&](Index begin, Index end) {
        for (Index i = begin; i < end; i += piece) {
            differentiate_block(f, x + i, dy + i, std::min(piece, end - i), dx + i);
        }
    });
}

template <class T>
void softmax(ThreadPool& pool, Matrix<const T> x, T scale, Index first, Matrix<T> y)
{
    STILLHOUSE_CHECK(same_shape<T>(x, y) && first >= 1 && scale > T(0));
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            const Index n = std::min(x.cols, first + i);
            const T* in = x.row(i);
            T* out = y.row(i);
            const T top = kernels<T>().largest(in, n);
            for (Index j = 0; j < n; ++j) {
                out[j] = (in[j] - top) * scale;
            }
            vector_exp(out, n, out);
            const double sum = kernels<T>().sum(out, n);
            const T inverse = static_cast<T>(1.0 / sum);
            for (Index j = 0; j < n; ++j) {
                out[j] *= inverse;
            }
            std::fill(out + n, out + x.cols, T(0));
        }
    });
}

template <class T>
void log_sum_exp(ThreadPool& pool, Matrix<const T> x, double* result)
{
    for_blocks(pool, x.rows, block_rows, [&](Index begin, Index end) {
        T work[piece] = {};
        for (Index i = begin; i < end; ++i) {
            const T* in = x.row(i);
            const T top = kernels<T>().largest(in, x.cols);
            double sum = 0;
            for (Index j0 = 0; j0 < x.cols; j0 += piece) {
                const Index n = std::min(piece, x.cols - j0);
                for (Index j = 0; j < n; ++j) {
                    work[j] = in[j0 + j] - top;
                }
                vector_exp(work, n, work);
                sum += kernels<T>().sum(work, n);
            }
            result[i] = static_cast<double>(top) + std::log(sum);
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                    \
    template void layer_norm<T>(ThreadPool&, Matrix<const T>, const T*, const T*, T, Matrix<T>, T*);                 \
    template void layer_norm_backward<T>(ThreadPool&, Matrix<const T>, const T*, const T*, Matrix<const T>,          \
                                         Matrix<T>, T*, T*);                                                         \
    template void rms_norm<T>(ThreadPool&, Matrix<const T>, const T*, T, Matrix<T>, T*);                             \
    template void rms_norm_backward<T>(ThreadPool&, Matrix<const T>, const T*, const T*, Matrix<const T>, Matrix<T>, \
                                       T*);                                                                          \
    template void activate_block<T>(Activation, const T*, Index, T*);                                                \
    template void activate<T>(ThreadPool&, Activation, const T*, Index, T*);                                         \
    template void activate_backward<T>(ThreadPool&, Activation, const T*, const T*, Index, T*);                      \
    template void softmax<T>(ThreadPool&, Matrix<const T>, T, Index, Matrix<T>);                                     \
    template void log_sum_exp<T>(ThreadPool&, Matrix<const T>, double*);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute::cpu
