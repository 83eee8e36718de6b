// SPDX-License-Identifier: Apache-2.0
// The inner loops, compiled once for each level of instructions and chosen at run time.
#pragma once

#include "libcore/base/shape.hpp"
#include "libcore/compute/vector.hpp"

#include <cstdint>
#include <string_view>

namespace stillhouse::compute::cpu {

/// What becomes of a finished sum S: c = alpha S + beta c + bias; beta = 0 ignores what c held, bias may be null.
template <class T>
struct Finish {
    T alpha = T(1);
    T beta = T(0);
    const T* bias = nullptr;
};

/// One panel product: c[rows, cols] from a [rows, k] and a packed panel b [k, panel_cols], rows <= tile_rows.
/// Element (i, p) of a lies at a[i * a_row + p * a_step]. Every element of c is one chain of multiply-adds over p in
/// ascending order, whatever `rows`, `cols` and the place of the element: that is what makes products batch invariant.
template <class T, class Element>
struct Panels {
    Index tile_rows;    // most rows of a call
    Index panel_cols;   // columns of a packed panel
    void (*multiply)(Index rows, Index cols, Index k, const Element* a, Index a_row, Index a_step, const Element* b,
                     T* c, Index c_row, Finish<T> finish);
    /// to[j * to_step + i] = from[i * from_row + j], i < rows, j < cols
    void (*transpose)(const Element* from, Index from_row, Index rows, Index cols, Element* to, Index to_step);
    /// to[i * to_step + j] = from[i * from_row + j], i < rows, j < cols; fast for tile_rows and panel_cols columns
    void (*copy)(const Element* from, Index from_row, Index rows, Index cols, Element* to, Index to_step);
};

/// Tables of a complex transform of length n = 2^a >= 16, see kernels_fft.hpp.
template <class T>
struct FftPlan {
    Index n;
    const T* twiddles[32];           // by log2 of a stage's length m: w^j, w^2j, w^3j (w = exp(-2 pi i / m)), j < m / 4
    const std::int32_t* pairs;       // [n / 2 + 1, 2]: where frequencies k and n - k stand
};

/// Long convolutions of token-major signals: a block is `lanes` channels as real parts and the next `lanes` as
/// imaginary parts of complex transforms, so no bit depends on another sequence. Signals are rows of `channels`
/// <= 2 lanes numbers, missing ones zero. Scratch: work and other [n, 2 lanes]; spectra and sums [n / 2 + 1, 4 lanes].
template <class T>
struct Transforms {
    Index lanes;
    /// spectra of filters h[taps, 2 lanes], with the 1 / n of the inverse transform
    void (*spectra)(const FftPlan<T>& plan, const T* h, Index taps, T* work, T* spectra);
    /// y = h * u, or its adjoint in u
    void (*convolve)(const FftPlan<T>& plan, const T* spectra, bool adjoint, const T* u, Index row, Index length,
                     Index channels, T* work, T* y);
    /// du = adjoint of dy, and the spectrum of sum_s dy[s + tau] u[s] added to sums
    void (*correlate)(const FftPlan<T>& plan, const T* spectra, const T* dy, const T* u, Index row, Index length,
                      Index channels, T* work, T* other, T* sums, T* du);
    /// dh[taps, 2 lanes] = what the sums stand for
    void (*lags)(const FftPlan<T>& plan, const T* sums, Index taps, T* work, T* dh);
};

template <class T>
struct Kernels {
    Panels<T, T> panels;
    Transforms<T> transforms;
    /// y[i, j] = sum_p x[i, p] w[j, p] + bias[j], lanes along p: weights are read in place, eight rows in flight.
    void (*dots)(const T* x, Index x_row, Index rows, const T* w, Index w_row, Index n, Index k, const T* bias, T* y,
                 Index y_row);
    T (*dot)(const T* x, const T* y, Index n);
    void (*axpy)(T a, const T* x, Index n, T* y);
    /// y[i] += sum_j a[j] x[j * x_row + i], j < rows ascending; for n that fit the first cache
    void (*combine)(const T* a, const T* x, Index x_row, Index rows, Index n, T* y);
    double (*sum)(const T* x, Index n);                              // in double
    double (*sum_of_squares)(const T* x, Index n, double centre);    // sum (x - centre)^2, in double
    T (*largest)(const T* x, Index n);
    /// y = (x - centre) * scale * weight + bias; bias may be null (then it is not added)
    void (*normalise)(const T* x, Index n, T centre, T scale, const T* weight, const T* bias, T* y);
    /// One row of the backward of a norm; adds to sum_weight and to sum_bias, null for a norm that subtracts no mean.
    void (*normalise_backward)(const T* x, const T* dy, Index n, T centre, T scale, const T* weight, T* dx,
                               double* sum_weight, double* sum_bias);
    void (*adamw)(const AdamWFactors<T>& step, const T* g, Index n, T* m, T* v, T* w);
    RowFunctions<T> rows;
};

/// A tile of a product with packed weights: `rows` rows of x by `panels` panels of 16 columns, over `steps` steps.
struct PackedTile {
    Index rows = 0;
    Index panels = 0;
    Index steps = 0;
    const std::uint32_t* x = nullptr;    // [steps, rows]: one f32, two bf16 or four int8 each
    const std::byte* w = nullptr;        // the first panel; the others follow at
    Index panel_bytes = 0;
    float* sums = nullptr;               // 16 of each panel, `panel_sums` apart, in rows `row` apart
    Index row = 0;
    Index panel_sums = 16;
    bool first = true;                   // sums are begun; else continued
    Index group_steps = 0;               // int8: steps of a group; and of each group and row
    const float* scales = nullptr;       // [groups, rows]: the scale of x
    const std::int32_t* offsets = nullptr;   // [groups, rows]: -128 times the sum of x
    const std::byte* ahead = nullptr;    // memory that is wanted later: with each step a line for each panel is
    Index ahead_panel = 0;               // fetched, so far apart,
    Index ahead_step = 0;                // and so much farther on than the one before
};

/// Products with packed weights, by WeightFormat. An element's bits depend on nothing but its row and column.
struct PackedKernels {
    struct Format {
        Index most_rows;                 // of a tile
        Index panels[17];                // side by side in a tile of so many rows; two or one are always possible
        void (*multiply)(const PackedTile& tile);
    };
    Format formats[3];
    /// One group of a row as int8; the last quad is filled with zeros. Returns the scale.
    float (*quantise)(const float* x, Index n, std::int8_t* to, std::int32_t* sum);
};

/// A pair of bf16 numbers, neighbours along k.
using Pair = std::uint32_t;

struct Level {
    const char* name;
    Kernels<float> single;
    Kernels<double> real;
    const Panels<float, Pair>* pairs;   // null where the processor cannot multiply bf16
    PackedKernels packed;
    void (*exp)(const float* x, Index n, float* y);
    void (*erf)(const float* x, Index n, float* y);
    void (*tanh)(const float* x, Index n, float* y);
    void (*sin)(const float* x, Index n, float* y);
    void (*cos)(const float* x, Index n, float* y);
    void (*sigmoid)(const float* x, Index n, float* y);
    void (*gelu_erf)(const float* x, Index n, float* y);     // these three: y may be x
    void (*gelu_tanh)(const float* x, Index n, float* y);
    void (*silu)(const float* x, Index n, float* y);
    void (*gelu_erf_backward)(const float* x, const float* dy, Index n, float* dx);    // these three: dx = dy f'(x)
    void (*gelu_tanh_backward)(const float* x, const float* dy, Index n, float* dx);
    void (*silu_backward)(const float* x, const float* dy, Index n, float* dx);
    void (*round_bf16)(const float* x, Index n, float* y);   // to bf16 and back
    /// to[(rows + 1) / 2, padded] = rows 2p and 2p + 1 of x[rows, width]; zeros behind them
    void (*pair_rows)(const float* x, Index stride, Index rows, Index width, Pair* to, Index padded);
    void (*pair_along)(const float* x, Index n, Pair* to);   // (x0, x1), (x2, x3), ... the last with 0 if n is odd
};

extern const Level level_plain;
extern const Level level_avx2;
extern const Level level_avx512;
extern const Level level_avx512_vnni;
extern const Level level_avx512_bf16;

/// The best level that this processor runs, or the one that was chosen.
const Level& level() noexcept;

/// Takes the level of this name from now on; false where the processor does not run it. Others keep what they took
/// from the level before, so this comes before any computation.
bool choose_level(std::string_view name) noexcept;

/// Every level that this processor runs, best first, null at the end: for tests.
const Level* const* levels() noexcept;

template <class T>
const Kernels<T>& kernels() noexcept;
template <>
inline const Kernels<float>& kernels<float>() noexcept
{
    return level().single;
}
template <>
inline const Kernels<double>& kernels<double>() noexcept
{
    return level().real;
}

}  // namespace stillhouse::compute::cpu
