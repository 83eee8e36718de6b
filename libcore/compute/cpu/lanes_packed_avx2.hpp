// SPDX-License-Identifier: Apache-2.0
// Sixteen packed columns in two registers of AVX2. Included only where the compiler may use it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace {

/// Quads of bytes, stored with 128 added. vpmaddubsw adds pairs of products in 16 bits, which saturate; with the
/// magnitude of the weight as its unsigned operand and its sign on the other, 2 * 127 * 127 never does.
struct PackedBytesAvx2 {
    using V = __m256i;
    struct Weights {
        __m256i signed_, magnitude;
    };
    static constexpr bool in_groups = true;
    static constexpr int vectors = 2;
    static constexpr int lanes = 8;
    static V begin(std::int32_t) { return _mm256_setzero_si256(); }
    static Weights load(const std::byte* p)
    {
        const __m256i stored = _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i value = _mm256_xor_si256(stored, _mm256_set1_epi8(-128));
        return {value, _mm256_abs_epi8(value)};
    }
    static __m256i all(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
    static V multiply_add(const Weights& w, __m256i x, V sum)
    {
        const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.signed_));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    static void add_group(V sum, float scale, const float* scales, bool first, float* to)
    {
        const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(scale));
        const __m256 before = first ? _mm256_setzero_ps() : _mm256_loadu_ps(to);
        _mm256_storeu_ps(to, _mm256_fmadd_ps(scaled, _mm256_load_ps(scales), before));
    }
};

#if !defined(__AVX512F__)

constexpr int packed_registers = 16;

/// Weights in f32.
struct PackedFloats {
    using V = __m256;
    using Weights = __m256;
    static constexpr bool in_groups = false;
    static constexpr int vectors = 2;
    static constexpr int lanes = 8;
    static V zero() { return _mm256_setzero_ps(); }
    static V load_sum(const float* p) { return _mm256_loadu_ps(p); }
    static void store_sum(float* p, V v) { _mm256_storeu_ps(p, v); }
    static Weights load(const std::byte* p) { return _mm256_load_ps(reinterpret_cast<const float*>(p)); }
    static V all(std::uint32_t x) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(x))); }
    static V multiply_add(Weights w, V x, V sum) { return _mm256_fmadd_ps(w, x, sum); }
};

/// Pairs of bf16, the even one first.
struct PackedPairs : PackedFloats {
    struct Weights {
        __m256 even, odd;
    };
    static Weights split(__m256i pairs)
    {
        return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))))};
    }
    static Weights load(const std::byte* p) { return split(_mm256_load_si256(reinterpret_cast<const __m256i*>(p))); }
    static Weights all(std::uint32_t x) { return split(_mm256_set1_epi32(static_cast<int>(x))); }
    static V multiply_add(Weights w, Weights x, V sum)
    {
        return _mm256_fmadd_ps(w.odd, x.odd, _mm256_fmadd_ps(w.even, x.even, sum));
    }
};

using PackedBytes = PackedBytesAvx2;

#endif

}  // namespace
