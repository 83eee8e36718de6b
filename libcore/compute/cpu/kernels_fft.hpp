// SPDX-License-Identifier: Apache-2.0
// Complex transforms of many channels at once, one a lane, for token-major signals; included once a level.
#pragma once

#include "libcore/compute/cpu/kernels.hpp"

// Everything here has internal linkage: two files compiled for different processors must share no inline function.
//
// An element is a register of real parts and one of imaginary parts, neighbours in memory. Forward transforms are
// decimated in frequency, from natural order to digit-reversed, inverse ones go back; depth first, so that the parts
// of a transform that exceeds a cache fit it soon. Two real signals a and b ride in one transform Z of a + i b:
//     A_k = (Z_k + conj Z_m) / 2,   i B_k = (Z_k - conj Z_m) / 2,   m = n - k.
namespace {

using stillhouse::compute::cpu::FftPlan;

template <class L>
struct Point {
    using T = typename L::Element;
    using V = typename L::V;
    V re, im;

    static Point load(const T* p) { return {L::load(p), L::load(p + L::count)}; }
    void store(T* p) const
    {
        L::store(p, re);
        L::store(p + L::count, im);
    }
};

template <class L>
inline Point<L> operator+(Point<L> a, Point<L> b)
{
    return {a.re + b.re, a.im + b.im};
}
template <class L>
inline Point<L> operator-(Point<L> a, Point<L> b)
{
    return {a.re - b.re, a.im - b.im};
}
/// a - i b and a + i b
template <class L>
inline Point<L> less_turned(Point<L> a, Point<L> b)
{
    return {a.re + b.im, a.im - b.re};
}
template <class L>
inline Point<L> plus_turned(Point<L> a, Point<L> b)
{
    return {a.re - b.im, a.im + b.re};
}
/// a w and a conj(w), w = (w[0], w[1]) in every lane
template <class L>
inline Point<L> rotate(Point<L> a, const typename L::Element* w)
{
    const auto c = L::all(w[0]);
    const auto s = L::all(w[1]);
    return {L::less_product(a.re * c, a.im, s), L::multiply_add(a.im, c, a.re * s)};
}
template <class L>
inline Point<L> rotate_back(Point<L> a, const typename L::Element* w)
{
    const auto c = L::all(w[0]);
    const auto s = L::all(w[1]);
    return {L::multiply_add(a.im, s, a.re * c), L::less_product(a.im * c, a.re, s)};
}

template <class L>
struct Four {
    Point<L> a, b, c, d;
};

/// Transform of four points, frequencies in order.
template <class L>
inline Four<L> forward_four(Point<L> a, Point<L> b, Point<L> c, Point<L> d)
{
    const Point<L> ac = a + c;
    const Point<L> bd = b + d;
    const Point<L> a_c = a - c;
    const Point<L> b_d = b - d;
    return {ac + bd, less_turned(a_c, b_d), ac - bd, plus_turned(a_c, b_d)};
}
template <class L>
inline Four<L> inverse_four(Point<L> a, Point<L> b, Point<L> c, Point<L> d)
{
    const Point<L> ac = a + c;
    const Point<L> bd = b + d;
    const Point<L> a_c = a - c;
    const Point<L> b_d = b - d;
    return {ac + bd, plus_turned(a_c, b_d), ac - bd, less_turned(a_c, b_d)};
}

template <class L>
constexpr Index step_of = 2 * L::count;

/// Eight points by two stages in registers: x[2 r + j] gets frequency r + 4 j.
template <class L>
inline void forward_eight(typename L::Element* x)
{
    using T = typename L::Element;
    constexpr T half = static_cast<T>(0.70710678118654752440);
    constexpr T w1[2] = {half, -half};
    constexpr T w3[2] = {-half, -half};
    constexpr Index s = step_of<L>;
    using P = Point<L>;
    const Four<L> even = forward_four(P::load(x), P::load(x + 2 * s), P::load(x + 4 * s), P::load(x + 6 * s));
    const Four<L> odd = forward_four(P::load(x + s), P::load(x + 3 * s), P::load(x + 5 * s), P::load(x + 7 * s));
    const P b = rotate(odd.b, w1);
    const P d = rotate(odd.d, w3);
    (even.a + odd.a).store(x);
    (even.a - odd.a).store(x + s);
    (even.b + b).store(x + 2 * s);
    (even.b - b).store(x + 3 * s);
    less_turned(even.c, odd.c).store(x + 4 * s);
    plus_turned(even.c, odd.c).store(x + 5 * s);
    (even.d + d).store(x + 6 * s);
    (even.d - d).store(x + 7 * s);
}

template <class L>
inline void inverse_eight(typename L::Element* x)
{
    using T = typename L::Element;
    constexpr T half = static_cast<T>(0.70710678118654752440);
    constexpr T w1[2] = {half, -half};
    constexpr T w3[2] = {-half, -half};
    constexpr Index s = step_of<L>;
    using P = Point<L>;
    const auto sum = [x](Index i) { return P::load(x + i * s) + P::load(x + (i + 1) * s); };
    const auto difference = [x](Index i) { return P::load(x + i * s) - P::load(x + (i + 1) * s); };
    const P third = difference(4);
    const P zero{L::zero(), L::zero()};
    const Four<L> even = inverse_four(sum(0), sum(2), sum(4), sum(6));
    const Four<L> odd = inverse_four(difference(0), rotate_back(difference(2), w1), plus_turned(zero, third),
                                     rotate_back(difference(6), w3));
    even.a.store(x);
    odd.a.store(x + s);
    even.b.store(x + 2 * s);
    odd.b.store(x + 3 * s);
    even.c.store(x + 4 * s);
    odd.c.store(x + 5 * s);
    even.d.store(x + 6 * s);
    odd.d.store(x + 7 * s);
}

/// One stage over 4 q elements that get(i) gives; the results go to x.
template <class L, class Get>
inline void forward_stage(Index q, const typename L::Element* w, const Get& get, typename L::Element* x)
{
    constexpr Index s = step_of<L>;
    for (Index j = 0; j < q; ++j) {
        const Four<L> y = forward_four<L>(get(j), get(j + q), get(j + 2 * q), get(j + 3 * q));
        y.a.store(x + j * s);
        rotate(y.b, w + 6 * j).store(x + (j + q) * s);
        rotate(y.c, w + 6 * j + 2).store(x + (j + 2 * q) * s);
        rotate(y.d, w + 6 * j + 4).store(x + (j + 3 * q) * s);
    }
}

template <class L, class Put>
inline void inverse_stage(Index q, const typename L::Element* w, const typename L::Element* x, const Put& put)
{
    constexpr Index s = step_of<L>;
    using P = Point<L>;
    for (Index j = 0; j < q; ++j) {
        const Four<L> y = inverse_four<L>(P::load(x + j * s), rotate_back(P::load(x + (j + q) * s), w + 6 * j),
                                          rotate_back(P::load(x + (j + 2 * q) * s), w + 6 * j + 2),
                                          rotate_back(P::load(x + (j + 3 * q) * s), w + 6 * j + 4));
        put(j, y.a);
        put(j + q, y.b);
        put(j + 2 * q, y.c);
        put(j + 3 * q, y.d);
    }
}

/// Four points `step` elements apart.
template <class L>
inline void store_four(const Four<L>& y, typename L::Element* x, Index step)
{
    y.a.store(x);
    y.b.store(x + step);
    y.c.store(x + 2 * step);
    y.d.store(x + 3 * step);
}

template <class L>
void forward_parts(const FftPlan<typename L::Element>& plan, Index n, int level, typename L::Element* x)
{
    constexpr Index s = step_of<L>;
    using P = Point<L>;
    if (n == 8) {
        forward_eight<L>(x);
        return;
    }
    if (n == 4) {
        const Four<L> y = forward_four(P::load(x), P::load(x + s), P::load(x + 2 * s), P::load(x + 3 * s));
        store_four(y, x, s);
        return;
    }
    const Index q = n / 4;
    forward_stage<L>(q, plan.twiddles[level], [x](Index i) { return P::load(x + i * s); }, x);
    for (Index r = 0; r < 4; ++r) {
        forward_parts<L>(plan, q, level - 2, x + r * q * s);
    }
}

template <class L>
void inverse_parts(const FftPlan<typename L::Element>& plan, Index n, int level, typename L::Element* x)
{
    constexpr Index s = step_of<L>;
    using P = Point<L>;
    if (n == 8) {
        inverse_eight<L>(x);
        return;
    }
    if (n == 4) {
        const Four<L> y = inverse_four(P::load(x), P::load(x + s), P::load(x + 2 * s), P::load(x + 3 * s));
        store_four(y, x, s);
        return;
    }
    const Index q = n / 4;
    for (Index r = 0; r < 4; ++r) {
        inverse_parts<L>(plan, q, level - 2, x + r * q * s);
    }
    inverse_stage<L>(q, plan.twiddles[level], x, [x](Index i, Point<L> y) { y.store(x + i * s); });
}

inline int log2_of(Index n)
{
    return 63 - __builtin_clzll(static_cast<unsigned long long>(n));
}

/// work = transform of rows u[length], zeros behind them
template <class L>
void transform_rows(const FftPlan<typename L::Element>& plan, const typename L::Element* u, Index row, Index length,
                    Index channels, typename L::Element* work)
{
    using T = typename L::Element;
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    const Index q = plan.n / 4;
    const int level = log2_of(plan.n);
    if (channels == s) {
        forward_stage<L>(q, plan.twiddles[level],
                         [=](Index t) { return t < length ? P::load(u + t * row) : P{L::zero(), L::zero()}; }, work);
    } else {
        const auto padded = [=](Index t) {
            alignas(64) T line[s] = {};
            for (Index c = 0; t < length && c < channels; ++c) {
                line[c] = u[t * row + c];
            }
            return P::load(line);
        };
        forward_stage<L>(q, plan.twiddles[level], padded, work);
    }
    for (Index r = 0; r < 4; ++r) {
        forward_parts<L>(plan, q, level - 2, work + r * q * s);
    }
}

/// y = the first `length` rows of the inverse transform of work, which is overwritten
template <class L>
void restore_rows(const FftPlan<typename L::Element>& plan, typename L::Element* work, typename L::Element* y,
                  Index row, Index length, Index channels)
{
    using T = typename L::Element;
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    const Index q = plan.n / 4;
    const int level = log2_of(plan.n);
    for (Index r = 0; r < 4; ++r) {
        inverse_parts<L>(plan, q, level - 2, work + r * q * s);
    }
    if (channels == s) {
        inverse_stage<L>(q, plan.twiddles[level], work, [=](Index t, P value) {
            if (t < length) {
                value.store(y + t * row);
            }
        });
        return;
    }
    inverse_stage<L>(q, plan.twiddles[level], work, [=](Index t, P value) {
        alignas(64) T line[s];
        value.store(line);
        for (Index c = 0; t < length && c < channels; ++c) {
            y[t * row + c] = line[c];
        }
    });
}

/// Of each frequency k <= n / 2: S = (A + B) / 2 and D = (A - B) / 2 of the filters' transforms A and B. With them
/// h * u of both parts is Y_k = Z_k S_k + conj(Z_m) D_k.
template <class L>
void transform_filters(const FftPlan<typename L::Element>& plan, const typename L::Element* h, Index taps,
                       typename L::Element* work, typename L::Element* spectra)
{
    using T = typename L::Element;
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    transform_rows<L>(plan, h, s, taps, s, work);
    const auto scale = L::all(T(1) / static_cast<T>(4 * plan.n));
    for (Index i = 0; i <= plan.n / 2; ++i) {
        const P z = P::load(work + plan.pairs[2 * i] * s);
        const P m = P::load(work + plan.pairs[2 * i + 1] * s);
        const P a{z.re + m.re, z.im - m.im};
        const P b{z.im + m.im, m.re - z.re};
        const P sum = a + b;
        const P difference = a - b;
        P{sum.re * scale, sum.im * scale}.store(spectra + i * 2 * s);
        P{difference.re * scale, difference.im * scale}.store(spectra + i * 2 * s + s);
    }
}

/// Y_k and Y_m of a pair; `adjoint`: with the conjugate filter
template <class L, bool adjoint>
inline void filter_pair(const typename L::Element* spectrum, Point<L> z, Point<L> m, typename L::Element* to_k,
                        typename L::Element* to_m)
{
    constexpr Index s = step_of<L>;
    const auto sr = L::load(spectrum);
    const auto si = adjoint ? -L::load(spectrum + L::count) : L::load(spectrum + L::count);
    const auto dr = L::load(spectrum + s);
    const auto di = adjoint ? -L::load(spectrum + s + L::count) : L::load(spectrum + s + L::count);
    using P = Point<L>;
    P k;
    k.re = L::multiply_add(m.im, di, L::multiply_add(m.re, dr, L::less_product(z.re * sr, z.im, si)));
    k.im = L::less_product(L::multiply_add(m.re, di, L::multiply_add(z.im, sr, z.re * si)), m.im, dr);
    P other;
    other.re = L::less_product(L::multiply_add(z.re, dr, L::multiply_add(m.im, si, m.re * sr)), z.im, di);
    other.im = L::less_product(L::less_product(L::less_product(m.im * sr, m.re, si), z.re, di), z.im, dr);
    k.store(to_k);
    other.store(to_m);
}

template <class L, bool adjoint>
void filter_pairs(const FftPlan<typename L::Element>& plan, const typename L::Element* spectra,
                  typename L::Element* work)
{
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    for (Index i = 0; i <= plan.n / 2; ++i) {
        auto* const k = work + plan.pairs[2 * i] * s;
        auto* const m = work + plan.pairs[2 * i + 1] * s;
        filter_pair<L, adjoint>(spectra + i * 2 * s, P::load(k), P::load(m), k, m);
    }
}

template <class L>
void transform_convolve(const FftPlan<typename L::Element>& plan, const typename L::Element* spectra, bool adjoint,
                        const typename L::Element* u, Index row, Index length, Index channels,
                        typename L::Element* work, typename L::Element* y)
{
    transform_rows<L>(plan, u, row, length, channels, work);
    if (adjoint) {
        filter_pairs<L, true>(plan, spectra, work);
    } else {
        filter_pairs<L, false>(plan, spectra, work);
    }
    restore_rows<L>(plan, work, y, row, length, channels);
}

template <class L>
void transform_correlate(const FftPlan<typename L::Element>& plan, const typename L::Element* spectra,
                         const typename L::Element* dy, const typename L::Element* u, Index row, Index length,
                         Index channels, typename L::Element* work, typename L::Element* other,
                         typename L::Element* sums, typename L::Element* du)
{
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    transform_rows<L>(plan, dy, row, length, channels, work);
    transform_rows<L>(plan, u, row, length, channels, other);
    // sums: 4 DY conj(U) of the real parts' signals, then of the imaginary parts'
    const auto add_product = [](P a, P b, auto* to) {
        const P sum = P::load(to);
        P{L::multiply_add(a.im, b.im, L::multiply_add(a.re, b.re, sum.re)),
          L::less_product(L::multiply_add(a.im, b.re, sum.im), a.re, b.im)}
            .store(to);
    };
    for (Index i = 0; i <= plan.n / 2; ++i) {
        auto* const k = work + plan.pairs[2 * i] * s;
        auto* const m = work + plan.pairs[2 * i + 1] * s;
        const P g = P::load(k);
        const P gm = P::load(m);
        const P z = P::load(other + plan.pairs[2 * i] * s);
        const P zm = P::load(other + plan.pairs[2 * i + 1] * s);
        add_product({g.re + gm.re, g.im - gm.im}, {z.re + zm.re, z.im - zm.im}, sums + i * 2 * s);
        add_product({g.re - gm.re, g.im + gm.im}, {z.re - zm.re, z.im + zm.im}, sums + i * 2 * s + s);
        filter_pair<L, true>(spectra + i * 2 * s, g, gm, k, m);
    }
    restore_rows<L>(plan, work, du, row, length, channels);
}

template <class L>
void transform_lags(const FftPlan<typename L::Element>& plan, const typename L::Element* sums, Index taps,
                    typename L::Element* work, typename L::Element* dh)
{
    using T = typename L::Element;
    using P = Point<L>;
    constexpr Index s = step_of<L>;
    const auto scale = L::all(T(1) / static_cast<T>(4 * plan.n));
    for (Index i = 0; i <= plan.n / 2; ++i) {
        const P a = P::load(sums + i * 2 * s);
        const P b = P::load(sums + i * 2 * s + s);
        P{(a.re - b.im) * scale, (a.im + b.re) * scale}.store(work + plan.pairs[2 * i] * s);
        P{(a.re + b.im) * scale, (b.re - a.im) * scale}.store(work + plan.pairs[2 * i + 1] * s);
    }
    restore_rows<L>(plan, work, dh, s, taps, s);
}

}  // namespace
