// SPDX-License-Identifier: Apache-2.0
// The dense operations that networks are made of, batched, behind one interface; made by one factory.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"
#include "libcore/compute/packed.hpp"

#include <memory>
#include <span>
#include <string>

namespace stillhouse::compute {

/// The arithmetic of a run. bf16: operands of products rounded to bf16, accumulation and everything else in f32.
enum class Precision { f64, f32, bf16 };

enum class Transpose { no, yes };
enum class Activation { gelu_erf, gelu_tanh, silu, relu, identity };

/// Takes a result in tiles instead of its being stored: the head's logits, of which sampling wants a few.
template <class T>
class TileSink {
public:
    virtual ~TileSink() = default;
    /// Before the first tile.
    virtual void begin(Index slots) = 0;
    /// tile = rows first_row .., columns first_column .. of the result, valid during the call. Tiles of different slots
    /// come from several threads at once, those of a slot one after the other; which tile is of which slot, and in what
    /// order they come, differs from run to run: what is made of them must not depend on it.
    virtual void take(Index slot, Index first_row, Index first_column, Matrix<const T> tile) = 0;
};

/// One map y = f(x w^T + bias): x [rows, w->cols()], bias [w->rows()] or null, y [rows, w->rows()]. With a sink the
/// result is handed over in tiles and y is not written.
template <class T>
struct PackedLinear {
    Matrix<const T> x;
    const PackedMatrix* w = nullptr;
    const T* bias = nullptr;
    Matrix<T> y;
    Activation activation = Activation::identity;
    TileSink<T>* sink = nullptr;
};

/// Every operation gives the same bits for any number of threads: work is cut into tiles that one thread computes, the
/// order of a sum does not depend on its tile, and sums over a long axis are never divided among threads. A row of a
/// result moreover does not depend on how many rows there are or where among them it stands (batch invariance): that
/// is what lets evaluation and sampling be independent of the batch. Inside a pool task, operations run serially.
/// All matrices are row-major; outputs must not overlap inputs unless said. Shapes are checked (Error{internal}).
/// Pointers are to memory that the backend addresses: host memory here; a CUDA backend would take managed memory.
template <class T>
class Operations {
public:
    virtual ~Operations() = default;

    virtual ThreadPool& pool() = 0;

    /// C = alpha op(A) op(B) + beta C; op(A) is [m, k], op(B) [k, n], C [m, n]. beta = 0 ignores what C held.
    virtual void gemm(T alpha, Matrix<const T> a, Transpose op_a, Matrix<const T> b, Transpose op_b, T beta,
                      Matrix<T> c) = 0;

    /// y[rows, n] = x[rows, k] w[n, k]^T + bias[n] (bias may be null): what every projection of a network is.
    virtual void linear(Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y) = 0;

    /// The same for decoding, where rows are few: each weight is read once for all rows. Equal to `linear` within
    /// rounding, and itself independent of the number of rows.
    virtual void linear_decode(Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y) = 0;

    /// w[rows, cols] packed for linear_packed. Error{bad_data} where a number is not finite and the format is int8;
    /// Error{unsupported} in double: there weights stay as they are.
    virtual PackedMatrix pack(Matrix<const T> w, WeightFormat format) = 0;

    /// All these maps in one region of the pool, whatever their sizes, for any number of rows; none may read what
    /// another writes. Few rows: each weight is read once from memory, panels side by side, eight at most and of one
    /// row four. Many: blocks of activations from the second cache. An element is one chain over its steps wherever it
    /// stands, so no format's bits depend on the batch, the tile or the thread.
    virtual void linear_packed(std::span<const PackedLinear<T>> maps) = 0;
    void linear_packed(Matrix<const T> x, const PackedMatrix& w, const T* bias, Matrix<T> y)
    {
        const PackedLinear<T> map{x, &w, bias, y};
        linear_packed(std::span<const PackedLinear<T>>(&map, 1));
    }

    /// Causal convolution of `signals` rows u[i, 0..length) with filter h[filter_of[i], 0..taps):
    /// y[i, t] = sum_{s <= t, t - s < taps} h[t - s] u[i, s]. FFT of length >= length + taps - 1, no wrap.
    virtual void convolve(Matrix<const T> u, Matrix<const T> h, const Index* filter_of, Matrix<T> y) = 0;
    /// Adjoint in u: du[i, s] = sum_{t >= s} h[t - s] dy[i, t].
    virtual void convolve_adjoint(Matrix<const T> dy, Matrix<const T> h, const Index* filter_of, Matrix<T> du) = 0;
    /// Adjoint in h: dh[f, tau] += sum over i with filter_of[i] == f, over s, of dy[i, s + tau] u[i, s]
    /// (tau < dh.cols). Accumulated in the order of i, whatever the threads.
    virtual void correlate(Matrix<const T> dy, Matrix<const T> u, const Index* filter_of, Matrix<T> dh) = 0;

    /// The convolution of token-major signals: channel c with filter h[filter_of[c], 0..taps). Neighbouring channels
    /// of one sequence share complex transforms of length 2^a: no bit depends on other sequences.
    virtual void convolve_tokens(Sequences<const T> u, Matrix<const T> h, const Index* filter_of, Sequences<T> y) = 0;
    /// Its adjoints in u (du, overwritten) and, unless dh.data is null, in h (dh, added to, for lags < dh.cols).
    virtual void convolve_tokens_backward(Sequences<const T> dy, Sequences<const T> u, Matrix<const T> h,
                                          const Index* filter_of, Sequences<T> du, Matrix<T> dh) = 0;

    /// y = weight * (x - mean) / sqrt(var + eps) + bias over each row (biased variance); y may be x.
    /// statistics (2 values a row: mean, 1/sqrt(var + eps)) may be null; the backward wants them.
    virtual void layer_norm(Matrix<const T> x, const T* weight, const T* bias, T eps, Matrix<T> y, T* statistics) = 0;
    /// dx and, added to, dweight and dbias.
    virtual void layer_norm_backward(Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy,
                                     Matrix<T> dx, T* dweight, T* dbias) = 0;
    /// y = weight * x / sqrt(mean(x^2) + eps); statistics: 1 value a row.
    virtual void rms_norm(Matrix<const T> x, const T* weight, T eps, Matrix<T> y, T* statistics) = 0;
    virtual void rms_norm_backward(Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy,
                                   Matrix<T> dx, T* dweight) = 0;

    /// y = f(x), n elements; y may be x.
    virtual void activate(Activation f, const T* x, Index n, T* y) = 0;
    /// dx = f'(x) dy; dx may be dy.
    virtual void activate_backward(Activation f, const T* x, const T* dy, Index n, T* dx) = 0;

    /// y[i, 0..n_i) = softmax(scale * x[i, 0..n_i)), y[i, n_i..) = 0, with n_i = min(cols, first + i); y may be x.
    /// first >= cols gives a full softmax, first = 1 the causal one of a square matrix.
    virtual void softmax(Matrix<const T> x, T scale, Index first, Matrix<T> y) = 0;

    /// log(sum_j exp(x[i, j])) for each row, in double.
    virtual void log_sum_exp(Matrix<const T> x, double* result) = 0;
};

class Backend {
public:
    virtual ~Backend() = default;

    /// "cpu (avx512+bf16, FFTW 3.3.10, 2 threads)": the instructions that products use, the transforms, the pool.
    virtual std::string description() const = 0;
    virtual ThreadPool& pool() = 0;
    virtual Operations<float>& single() = 0;    // products in bf16 when the backend was made so
    virtual Operations<double>& real() = 0;

    template <class T>
    Operations<T>& on()
    {
        if constexpr (std::is_same_v<T, float>) {
            return single();
        } else {
            return real();
        }
    }
};

/// What a device asks of the processor, for the whole process and before anything is computed: "auto" and "cpu" take
/// its best instructions, "cpu:plain", "cpu:avx2" and "cpu:avx512" these (without the products of bf16 and of bytes
/// that some processors have besides), so that a result can be compared with another machine's. Error{resource} for
/// instructions that it has not, and for "cuda" and "cuda:N", of which this build has none; Error{bad_argument} for
/// other names.
void choose_device(const std::string& device);

/// Its backend, `device` being chosen first.
std::unique_ptr<Backend> make_backend(const std::string& device, Precision precision, int threads);

}  // namespace stillhouse::compute
