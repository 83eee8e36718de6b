// SPDX-License-Identifier: Apache-2.0
// Inner loops of variable projection on plain sums of modes, compiled once for each level of instructions.
#pragma once

#include "libcore/base/shape.hpp"

namespace stillhouse::systems {

/// Sections side by side, padded to a multiple of eight (by any section inside the disc); every array is
/// 64-byte aligned. A section of one state has v = 0 and leaves its F unused.
struct ModeLanes {
    Index lanes = 0;
    const double* m = nullptr;
    const double* v = nullptr;
    const double* sign = nullptr;
    const double* high = nullptr;        // m + sqrt(v) where v > 0, else m
    const double* low = nullptr;         // m - sqrt(v) where v > 0, else m
    const double* angle = nullptr;       // sqrt(-v) where v < 0, else 0
    const double* inverse = nullptr;     // 1 / sqrt |v|, 1 where v = 0
};

/// Right-hand sides cut into blocks: g[b * block + k] and k g[b * block + k], `blocks` a multiple of four.
struct BlockedSignal {
    Index block = 0;                     // a power of two
    Index blocks = 0;
    const double* g = nullptr;
    const double* ramp = nullptr;
};

/// Dense matrices are row-major with a step that is a multiple of eight, 64-byte aligned, and padded by zeros.
struct ModeKernels {
    /// E_t and F_t of every lane (t a whole number, below 2^50), to a few units in the last place.
    void (*modes)(const ModeLanes& s, double t, double* E, double* F);
    /// S[(4 k + 2 a + b) lanes^2 + i lanes + j] = sum_{t < horizon} (t / N)^k X^a_i(t) X^b_j(t), k = 0 .. 2, X^0 = E,
    /// X^1 = F, for all j of i's group of eight and beyond: by doubling, whatever the horizon.
    /// Scratch: 64 * 4 * lanes doubles.
    void (*gram)(const ModeLanes& s, Index horizon, double N, double* scratch, double* S);
    /// b[4][lanes]: sum_t g_t E_t, sum_t g_t F_t, sum_t t g_t E_t, sum_t t g_t F_t.
    /// Scratch: (2 block + 4 blocks + 2) * lanes doubles.
    void (*correlate)(const ModeLanes& s, const BlockedSignal& signal, double* scratch, double* b);
    /// A = U'U of the upper triangle, in place; false where A is not positive definite.
    bool (*cholesky)(Index n, double* A, Index step);
    /// X = U'^-1 X, X [n, columns], columns a multiple of eight.
    void (*solve)(Index n, const double* U, Index step, double* X, Index columns, Index x_step);
    /// R of the QR factorisation of [R; M], by Householder: R [n, n] upper in rows, M in columns of m_step entries (a
    /// multiple of eight, padded by zeros), which is used up.
    void (*append_rows)(Index n, double* R, Index step, double* M, Index m_step);
    /// S -= X'X on the upper triangle (and some of the lower), X [rows, n], n rounded up to eight.
    void (*downdate)(Index n, Index rows, const double* X, Index x_step, double* S, Index step);
};

extern const ModeKernels mode_kernels_plain;
extern const ModeKernels mode_kernels_avx2;
extern const ModeKernels mode_kernels_avx512;

/// The best that this processor runs.
const ModeKernels& mode_kernels() noexcept;

}  // namespace stillhouse::systems
