// SPDX-License-Identifier: Apache-2.0
// The loops of mode_kernels.hpp for the instructions of the including file. Nothing here may have external linkage.
#pragma once

#include "libcore/systems/mode_kernels.hpp"

namespace {

using stillhouse::Index;
using stillhouse::systems::BlockedSignal;
using stillhouse::systems::ModeKernels;
using stillhouse::systems::ModeLanes;

constexpr Index W = 8;
using V = double __attribute__((vector_size(64), aligned(64), may_alias));
using I = long long __attribute__((vector_size(64), aligned(64)));

#define STILLHOUSE_INLINE inline __attribute__((always_inline))

STILLHOUSE_INLINE V& at(double* p)
{
    return *reinterpret_cast<V*>(p);
}

STILLHOUSE_INLINE const V& at(const double* p)
{
    return *reinterpret_cast<const V*>(p);
}

STILLHOUSE_INLINE V all(double x)
{
    return V{x, x, x, x, x, x, x, x};
}

/// a b + c in one rounding.
STILLHOUSE_INLINE V fused(V a, V b, V c)
{
    V r;
    for (int i = 0; i < W; ++i) {
        r[i] = __builtin_fma(a[i], b[i], c[i]);
    }
    return r;
}

constexpr double magic = 6755399441055744.0;     // 1.5 * 2^52: adding it rounds to a whole number

STILLHOUSE_INLINE V exp_of(V x)
{
    const I tiny = x < all(-708.0);
    x = tiny ? all(-708.0) : x;
    const V shifted = x * 1.4426950408889634 + magic;
    const V k = shifted - magic;
    const V r = x - k * 0.693147180369123816490 - k * 1.90821492927058770002e-10;
    V p = all(1.0 / 6227020800.0);
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const I exponent = (__builtin_bit_cast(I, shifted) << 52) + (1023LL << 52);
    const V value = p * __builtin_bit_cast(V, exponent);
    return tiny ? all(0.0) : value;
}

/// sin and cos of w t, the product and the reduction being exact to twice the working precision.
STILLHOUSE_INLINE void sine_cosine(V w, double t, V& sine, V& cosine)
{
    const V product = w * t;
    const V rest = fused(w, all(t), -product);
    const V shifted = product * 0.63661977236758134308 + magic;
    const V q = shifted - magic;
    V r = fused(q, all(-1.57079632679489655800), product);
    r = fused(q, all(-6.12323399573676603587e-17), r) + rest;
    const V x = r * r;
    V s = all(-1.0 / 1307674368000.0);
    s = s * x + 1.0 / 6227020800.0;
    s = s * x - 1.0 / 39916800.0;
    s = s * x + 1.0 / 362880.0;
    s = s * x - 1.0 / 5040.0;
    s = s * x + 1.0 / 120.0;
    s = s * x - 1.0 / 6.0;
    s = s * x * r + r;
    V c = all(1.0 / 20922789888000.0);
    c = c * x - 1.0 / 87178291200.0;
    c = c * x + 1.0 / 479001600.0;
    c = c * x - 1.0 / 3628800.0;
    c = c * x + 1.0 / 40320.0;
    c = c * x - 1.0 / 720.0;
    c = c * x + 1.0 / 24.0;
    c = c * x - 0.5;
    c = c * x + 1.0;
    const I quadrant = __builtin_bit_cast(I, shifted);
    const I odd = (quadrant & 1LL) != 0LL;
    const V u = odd ? c : s;
    const V z = odd ? s : c;
    sine = (quadrant & 2LL) != 0LL ? -u : u;
    cosine = ((quadrant + 1LL) & 2LL) != 0LL ? -z : z;
}

/// E and F of eight lanes.
STILLHOUSE_INLINE void mode_of(const ModeLanes& s, Index lane, double t, V& E, V& F)
{
    const V v = at(s.v + lane);
    const V x = v * t * t;
    const I series = (x < 1.0) & (x > -1.0);
    const I real = ~series & (v > 0.0);
    const V a = exp_of((real ? at(s.high + lane) : at(s.m + lane)) * t);
    const V b = exp_of(at(s.low + lane) * t);
    V e = all(1.0 / 20922789888000.0);
    V f = all(1.0 / 355687428096000.0);
    e = e * x + 1.0 / 87178291200.0;
    f = f * x + 1.0 / 1307674368000.0;
    e = e * x + 1.0 / 479001600.0;
    f = f * x + 1.0 / 6227020800.0;
    e = e * x + 1.0 / 3628800.0;
    f = f * x + 1.0 / 39916800.0;
    e = e * x + 1.0 / 40320.0;
    f = f * x + 1.0 / 362880.0;
    e = e * x + 1.0 / 720.0;
    f = f * x + 1.0 / 5040.0;
    e = e * x + 1.0 / 24.0;
    f = f * x + 1.0 / 120.0;
    e = e * x + 0.5;
    f = f * x + 1.0 / 6.0;
    e = e * x + 1.0;
    f = f * x + 1.0;
    V sine;
    V cosine;
    sine_cosine(at(s.angle + lane), t, sine, cosine);
    const V inverse = at(s.inverse + lane);
    E = series ? a * e : (real ? 0.5 * (a + b) : a * cosine);
    F = series ? a * f * t : (real ? 0.5 * (a - b) * inverse : a * sine * inverse);
    const double half = 0.5 * t;
    if (half != static_cast<double>(static_cast<long long>(half))) {
        E *= at(s.sign + lane);
        F *= at(s.sign + lane);
    }
}

void modes(const ModeLanes& s, double t, double* E, double* F)
{
    for (Index j = 0; j < s.lanes; j += W) {
        mode_of(s, j, t, at(E + j), at(F + j));
    }
}

/// What doubling from n terms needs of eight lanes.
struct Shift {
    V E, F, vF;
};

STILLHOUSE_INLINE void double_moment(const V (&S)[4], const V Ei, const V Fi, const V vFi, const Shift& j, V (&Q)[4])
{
    const V EE = S[0] * j.E + S[1] * j.vF;
    const V EF = S[0] * j.F + S[1] * j.E;
    const V FE = S[2] * j.E + S[3] * j.vF;
    const V FF = S[2] * j.F + S[3] * j.E;
    Q[0] = Ei * EE + vFi * FE;
    Q[1] = Ei * EF + vFi * FF;
    Q[2] = Fi * EE + Ei * FE;
    Q[3] = Fi * EF + Ei * FF;
}

void gram(const ModeLanes& s, Index horizon, double N, double* scratch, double* S)
{
    const Index P = s.lanes;
    int bits = 0;
    while ((horizon >> bits) > 1) {
        ++bits;
    }
    // Lengths 1 = n_0, n_1, ... horizon: each twice the one before, and one more where a bit is set.
    for (int level = 0; level < bits; ++level) {
        const double n = static_cast<double>(horizon >> (bits - level));
        double* to = scratch + 4 * P * level;
        modes(s, n, to, to + P);
        for (Index j = 0; j < P; j += W) {           // at 2 n
            const V E = at(to + j);
            const V F = at(to + P + j);
            at(to + 2 * P + j) = E * E + at(s.v + j) * F * F;
            at(to + 3 * P + j) = 2.0 * E * F;
        }
    }
    for (Index i = 0; i < P; ++i) {
        for (Index j = i / W * W; j < P; j += W) {
            V S0[4] = {all(1.0), all(0.0), all(0.0), all(0.0)};
            V S1[4] = {all(0.0), all(0.0), all(0.0), all(0.0)};
            V S2[4] = {all(0.0), all(0.0), all(0.0), all(0.0)};
            const V vj = at(s.v + j);
            for (int level = 0; level < bits; ++level) {
                const double* from = scratch + 4 * P * level;
                const Index n = horizon >> (bits - level);
                const V step = all(static_cast<double>(n) / N);
                const Shift shift{at(from + j), at(from + P + j), vj * at(from + P + j)};
                const V Ei = all(from[i]);
                const V Fi = all(from[P + i]);
                const V vFi = all(s.v[i] * from[P + i]);
                V Q0[4];
                V Q1[4];
                V Q2[4];
                double_moment(S0, Ei, Fi, vFi, shift, Q0);
                double_moment(S1, Ei, Fi, vFi, shift, Q1);
                double_moment(S2, Ei, Fi, vFi, shift, Q2);
                for (int k = 0; k < 4; ++k) {
                    const V ramp = Q1[k] + step * Q0[k];
                    S0[k] += Q0[k];
                    S1[k] += ramp;
                    S2[k] += Q2[k] + step * (Q1[k] + ramp);
                }
                if ((horizon >> (bits - level - 1)) & 1) {
                    const V t = step + step;
                    const V ei = all(from[2 * P + i]);
                    const V fi = all(from[3 * P + i]);
                    const V ej = at(from + 2 * P + j);
                    const V fj = at(from + 3 * P + j);
                    const V row[4] = {ei * ej, ei * fj, fi * ej, fi * fj};
                    for (int k = 0; k < 4; ++k) {
                        S0[k] += row[k];
                        S1[k] += t * row[k];
                        S2[k] += t * t * row[k];
                    }
                }
            }
            for (int k = 0; k < 4; ++k) {
                at(S + k * P * P + i * P + j) = S0[k];
                at(S + (4 + k) * P * P + i * P + j) = S1[k];
                at(S + (8 + k) * P * P + i * P + j) = S2[k];
            }
        }
    }
}

void correlate(const ModeLanes& s, const BlockedSignal& signal, double* scratch, double* b)
{
    const Index P = s.lanes;
    const Index K = signal.block;
    double* const table = scratch;                       // [K][E, F] of eight lanes
    double* const sums = scratch + 2 * K * W;            // [blocks][4] of eight lanes
    for (Index lane = 0; lane < P; lane += W) {
        const V v = at(s.v + lane);
        at(table) = all(1.0);
        at(table + W) = all(0.0);
        for (Index n = 1; n < K; n *= 2) {
            V E;
            V F;
            mode_of(s, lane, static_cast<double>(n), E, F);
            const V vF = v * F;
            for (Index k = 0; k < n; ++k) {
                const V e = at(table + 2 * W * k);
                const V f = at(table + 2 * W * k + W);
                at(table + 2 * W * (n + k)) = E * e + vF * f;
                at(table + 2 * W * (n + k) + W) = F * e + E * f;
            }
        }
        for (Index block = 0; block < signal.blocks; block += 4) {
            const double* const g = signal.g + block * K;
            const double* const ramp = signal.ramp + block * K;
            V sum[4][4] = {};
            for (Index k = 0; k < K; ++k) {
                const V e = at(table + 2 * W * k);
                const V f = at(table + 2 * W * k + W);
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i) {
                    const V x = all(g[i * K + k]);
                    const V y = all(ramp[i * K + k]);
                    sum[i][0] += x * e;
                    sum[i][1] += x * f;
                    sum[i][2] += y * e;
                    sum[i][3] += y * f;
                }
            }
            for (int i = 0; i < 4; ++i) {
                for (int k = 0; k < 4; ++k) {
                    at(sums + ((block + i) * 4 + k) * W) = sum[i][k];
                }
            }
        }
        // Neighbours are joined, then neighbours of those, ...
        for (Index stride = 1; stride < signal.blocks; stride *= 2) {
            const double n = static_cast<double>(stride * K);
            V E;
            V F;
            mode_of(s, lane, n, E, F);
            const V vF = v * F;
            for (Index left = 0; left + stride < signal.blocks; left += 2 * stride) {
                double* const to = sums + left * 4 * W;
                const double* const from = sums + (left + stride) * 4 * W;
                const V e0 = E * at(from) + vF * at(from + W);
                const V f0 = F * at(from) + E * at(from + W);
                at(to) += e0;
                at(to + W) += f0;
                at(to + 2 * W) += E * at(from + 2 * W) + vF * at(from + 3 * W) + n * e0;
                at(to + 3 * W) += F * at(from + 2 * W) + E * at(from + 3 * W) + n * f0;
            }
        }
        for (int k = 0; k < 4; ++k) {
            at(b + k * P + lane) = at(sums + k * W);
        }
    }
}

bool cholesky(Index n, double* A, Index step)
{
    for (Index k = 0; k < n; k += 4) {
        const Index end = k + 4 < n ? k + 4 : n;
        for (Index p = k; p < end; ++p) {
            double* const row = A + p * step;
            for (Index q = k; q < p; ++q) {
                const double* const above = A + q * step;
                const V factor = all(above[p]);
                for (Index j = p / W * W; j < n; j += W) {
                    at(row + j) -= factor * at(above + j);
                }
            }
            if (!(row[p] > 0.0)) {
                return false;
            }
            const V inverse = all(1.0 / __builtin_sqrt(row[p]));
            for (Index j = p / W * W; j < n; j += W) {
                at(row + j) *= inverse;
            }
        }
        if (end - k < 4) {
            break;
        }
        const double* const r0 = A + k * step;
        const double* const r1 = r0 + step;
        const double* const r2 = r1 + step;
        const double* const r3 = r2 + step;
        for (Index i = end; i < n; ++i) {
            double* const row = A + i * step;
            const V f0 = all(r0[i]);
            const V f1 = all(r1[i]);
            const V f2 = all(r2[i]);
            const V f3 = all(r3[i]);
            for (Index j = i / W * W; j < n; j += W) {
                at(row + j) -= (f0 * at(r0 + j) + f1 * at(r1 + j)) + (f2 * at(r2 + j) + f3 * at(r3 + j));
            }
        }
    }
    return true;
}

template <int Width>
STILLHOUSE_INLINE void solve_panel(Index n, const double* U, Index step, double* X, Index x_step)
{
    for (Index k = 0; k < n; ++k) {
        V sum[Width];
        for (int c = 0; c < Width; ++c) {
            sum[c] = at(X + k * x_step + c * W);
        }
        for (Index i = 0; i < k; ++i) {
            const V factor = all(U[i * step + k]);
            for (int c = 0; c < Width; ++c) {
                sum[c] -= factor * at(X + i * x_step + c * W);
            }
        }
        const V inverse = all(1.0 / U[k * step + k]);
        for (int c = 0; c < Width; ++c) {
            at(X + k * x_step + c * W) = sum[c] * inverse;
        }
    }
}

void solve(Index n, const double* U, Index step, double* X, Index columns, Index x_step)
{
    Index j = 0;
    for (; j + 4 * W <= columns; j += 4 * W) {
        solve_panel<4>(n, U, step, X + j, x_step);
    }
    for (; j + 2 * W <= columns; j += 2 * W) {
        solve_panel<2>(n, U, step, X + j, x_step);
    }
    for (; j < columns; j += W) {
        solve_panel<1>(n, U, step, X + j, x_step);
    }
}

template <int Rows, int Width>
STILLHOUSE_INLINE void downdate_tile(Index rows, const double* X, Index x_step, Index i, Index j, double* S, Index step)
{
    V sum[Rows][Width] = {};
    for (Index k = 0; k < rows; ++k) {
        const double* const x = X + k * x_step;
        for (int r = 0; r < Rows; ++r) {
            const V factor = all(x[i + r]);
            for (int c = 0; c < Width; ++c) {
                sum[r][c] += factor * at(x + j + c * W);
            }
        }
    }
    for (int r = 0; r < Rows; ++r) {
        for (int c = 0; c < Width; ++c) {
            at(S + (i + r) * step + j + c * W) -= sum[r][c];
        }
    }
}

void downdate(Index n, Index rows, const double* X, Index x_step, double* S, Index step)
{
    const Index padded = (n + W - 1) / W * W;
    for (Index i = 0; i < padded; i += 4) {
        Index j = i / W * W;
        for (; j + 2 * W <= padded; j += 2 * W) {
            downdate_tile<4, 2>(rows, X, x_step, i, j, S, step);
        }
        for (; j < padded; j += W) {
            downdate_tile<4, 1>(rows, X, x_step, i, j, S, step);
        }
    }
}

STILLHOUSE_INLINE double sum_of(V x)
{
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

/// The reflection of x (and v on top of it) applied to some columns of M and their entries in R.
template <int Columns>
STILLHOUSE_INLINE void reflect(const double* x, double v, double scale, double* r, double* M, Index m_step)
{
    V sum[Columns] = {};
    for (Index i = 0; i < m_step; i += W) {
        for (int c = 0; c < Columns; ++c) {
            sum[c] += at(x + i) * at(M + c * m_step + i);
        }
    }
    V factor[Columns];
    for (int c = 0; c < Columns; ++c) {
        const double s = (v * r[c] + sum_of(sum[c])) * scale;
        r[c] -= s * v;
        factor[c] = all(s);
    }
    for (Index i = 0; i < m_step; i += W) {
        for (int c = 0; c < Columns; ++c) {
            at(M + c * m_step + i) -= factor[c] * at(x + i);
        }
    }
}

void append_rows(Index n, double* R, Index step, double* M, Index m_step)
{
    for (Index j = 0; j < n; ++j) {
        const double* const x = M + j * m_step;
        V squares = all(0.0);
        for (Index i = 0; i < m_step; i += W) {
            squares += at(x + i) * at(x + i);
        }
        const double sigma = sum_of(squares);
        if (!(sigma > 0.0)) {
            continue;
        }
        double* const row = R + j * step;
        const double norm = __builtin_sqrt(row[j] * row[j] + sigma);
        const double v = row[j] > 0.0 ? row[j] + norm : row[j] - norm;
        row[j] = row[j] > 0.0 ? -norm : norm;
        const double scale = 2.0 / (v * v + sigma);
        Index k = j + 1;
        for (; k + 4 <= n; k += 4) {
            reflect<4>(x, v, scale, row + k, M + k * m_step, m_step);
        }
        for (; k < n; ++k) {
            reflect<1>(x, v, scale, row + k, M + k * m_step, m_step);
        }
    }
}

constexpr ModeKernels mode_kernels_here()
{
    return {modes, gram, correlate, cholesky, solve, append_rows, downdate};
}

#undef STILLHOUSE_INLINE

}  // namespace
