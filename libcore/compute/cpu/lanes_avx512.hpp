// SPDX-License-Identifier: Apache-2.0
// Sixteen floats or eight doubles: AVX-512. Included only where the compiler may use it.
#pragma once

#include <immintrin.h>

namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
    using Element = float;
    using Sum = float;
    using V = __m512;
    static constexpr int count = 16;
    static V zero() { return _mm512_setzero_ps(); }
    static V all(float x) { return _mm512_set1_ps(x); }
    static V load(const float* p) { return _mm512_loadu_ps(p); }
    static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
    static V add(V a, V b) { return _mm512_add_ps(a, b); }
    static V multiply_add(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
    static V less_product(V c, V a, V b) { return _mm512_fnmadd_ps(a, b, c); }
    static void sums(V a, V b, V c, V d, float* to)
    {
        const auto half = [](V v) {
            const __m256 w = _mm256_add_ps(_mm512_castps512_ps256(v),
                                           _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
            return _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
        };
        __m128 p = half(a);
        __m128 q = half(b);
        __m128 r = half(c);
        __m128 s = half(d);
        _MM_TRANSPOSE4_PS(p, q, r, s);
        _mm_storeu_ps(to, _mm_add_ps(_mm_add_ps(p, r), _mm_add_ps(q, s)));
    }
};

template <>
struct Lanes<double> {
    using Element = double;
    using Sum = double;
    using V = __m512d;
    static constexpr int count = 8;
    static V zero() { return _mm512_setzero_pd(); }
    static V all(double x) { return _mm512_set1_pd(x); }
    static V load(const double* p) { return _mm512_loadu_pd(p); }
    static void store(double* p, V v) { _mm512_storeu_pd(p, v); }
    static V add(V a, V b) { return _mm512_add_pd(a, b); }
    static V multiply_add(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
    static V less_product(V c, V a, V b) { return _mm512_fnmadd_pd(a, b, c); }
    static void sums(V a, V b, V c, V d, double* to)
    {
        const auto half = [](V v) {
            const __m256d w = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
            const __m128d x = _mm_add_pd(_mm256_castpd256_pd128(w), _mm256_extractf128_pd(w, 1));
            return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
        };
        to[0] = half(a);
        to[1] = half(b);
        to[2] = half(c);
        to[3] = half(d);
    }
};

#if defined(__AVX512BF16__)
/// Pairs of bf16 products added to sixteen floats.
struct PairLanes {
    using Element = unsigned int;
    using Sum = float;
    using V = __m512;
    static constexpr int count = 16;
    static V zero() { return _mm512_setzero_ps(); }
    static V all(Element x) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(x))); }
    static V load(const Element* p) { return _mm512_castsi512_ps(_mm512_loadu_si512(p)); }
    static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
    static V multiply_add(V a, V b, V c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
};
#endif

constexpr int tile_rows = 12;
constexpr int dot_rows = 6;

}  // namespace
