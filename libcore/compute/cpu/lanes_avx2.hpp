// SPDX-License-Identifier: Apache-2.0
// Eight floats or four doubles: AVX2 with fused multiply-add. Included only where the compiler may use it.
#pragma once

#include <immintrin.h>

namespace {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
    using Element = float;
    using Sum = float;
    using V = __m256;
    static constexpr int count = 8;
    static V zero() { return _mm256_setzero_ps(); }
    static V all(float x) { return _mm256_set1_ps(x); }
    static V load(const float* p) { return _mm256_loadu_ps(p); }
    static void store(float* p, V v) { _mm256_storeu_ps(p, v); }
    static V add(V a, V b) { return _mm256_add_ps(a, b); }
    static V multiply_add(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
    static V less_product(V c, V a, V b) { return _mm256_fnmadd_ps(a, b, c); }
    static void sums(V a, V b, V c, V d, float* to)
    {
        const auto half = [](V v) { return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); };
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
    using V = __m256d;
    static constexpr int count = 4;
    static V zero() { return _mm256_setzero_pd(); }
    static V all(double x) { return _mm256_set1_pd(x); }
    static V load(const double* p) { return _mm256_loadu_pd(p); }
    static void store(double* p, V v) { _mm256_storeu_pd(p, v); }
    static V add(V a, V b) { return _mm256_add_pd(a, b); }
    static V multiply_add(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
    static V less_product(V c, V a, V b) { return _mm256_fnmadd_pd(a, b, c); }
    static void sums(V a, V b, V c, V d, double* to)
    {
        const auto half = [](V v) {
            const __m128d x = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
            return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
        };
        to[0] = half(a);
        to[1] = half(b);
        to[2] = half(c);
        to[3] = half(d);
    }
};

constexpr int tile_rows = 6;
constexpr int dot_rows = 3;

}  // namespace
