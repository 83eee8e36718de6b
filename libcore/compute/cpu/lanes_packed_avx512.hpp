// SPDX-License-Identifier: Apache-2.0
// Sixteen packed columns in one register of AVX-512. Included only where the compiler may use it.
#pragma once

#include "libcore/compute/cpu/lanes_packed_avx2.hpp"

namespace {

constexpr int packed_registers = 32;

/// Weights in f32.
struct PackedFloats {
    using V = __m512;
    using Weights = __m512;
    static constexpr bool in_groups = false;
    static constexpr int vectors = 1;
    static constexpr int lanes = 16;
    static V zero() { return _mm512_setzero_ps(); }
    static V load_sum(const float* p) { return _mm512_loadu_ps(p); }
    static void store_sum(float* p, V v) { _mm512_storeu_ps(p, v); }
    static Weights load(const std::byte* p) { return _mm512_load_ps(p); }
    static V all(std::uint32_t x) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(x))); }
    static V multiply_add(Weights w, V x, V sum) { return _mm512_fmadd_ps(w, x, sum); }
};

#if defined(__AVX512BF16__)

/// Pairs of bf16, multiplied by the processor.
struct PackedPairs : PackedFloats {
    static V multiply_add(Weights w, V x, V sum) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x); }
};

#else

/// Pairs of bf16, the even one first.
struct PackedPairs : PackedFloats {
    struct Weights {
        __m512 even, odd;
    };
    static Weights split(__m512i pairs)
    {
        return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
                _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))))};
    }
    static Weights load(const std::byte* p) { return split(_mm512_load_si512(p)); }
    static Weights all(std::uint32_t x) { return split(_mm512_set1_epi32(static_cast<int>(x))); }
    static V multiply_add(Weights w, Weights x, V sum)
    {
        return _mm512_fmadd_ps(w.odd, x.odd, _mm512_fmadd_ps(w.even, x.even, sum));
    }
};

#endif

#if defined(__AVX512VNNI__)

/// Quads of bytes, multiplied by the processor: unsigned weights by signed activations, so a sum begins with what the
/// 128 in each weight will have added to it.
struct PackedBytes {
    using V = __m512i;
    using Weights = __m512i;
    static constexpr bool in_groups = true;
    static constexpr int vectors = 1;
    static constexpr int lanes = 16;
    static V begin(std::int32_t offset) { return _mm512_set1_epi32(offset); }
    static Weights load(const std::byte* p) { return _mm512_load_si512(p); }
    static __m512i all(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
    static V multiply_add(Weights w, __m512i x, V sum)
    {
        asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));   // GCC 12 copies the sums around its own intrinsic
        return sum;
    }
    static void add_group(V sum, float scale, const float* scales, bool first, float* to)
    {
        const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));
        const __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(to);
        _mm512_storeu_ps(to, _mm512_fmadd_ps(scaled, _mm512_load_ps(scales), before));
    }
};

#else

using PackedBytes = PackedBytesAvx2;

#endif

}  // namespace
