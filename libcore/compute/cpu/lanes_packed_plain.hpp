// SPDX-License-Identifier: Apache-2.0
// Sixteen packed columns in the compiler's portable vectors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

typedef float FourFloats __attribute__((vector_size(16)));
typedef std::int32_t FourWholes __attribute__((vector_size(16)));

constexpr int packed_registers = 16;

/// Weights in f32.
struct PackedFloats {
    using V = FourFloats;
    using Weights = FourFloats;
    static constexpr bool in_groups = false;
    static constexpr int vectors = 4;
    static constexpr int lanes = 4;
    static V zero() { return V{}; }
    static V load_sum(const float* p)
    {
        V v;
        __builtin_memcpy(&v, p, sizeof(V));
        return v;
    }
    static void store_sum(float* p, V v) { __builtin_memcpy(p, &v, sizeof(V)); }
    static Weights load(const std::byte* p)
    {
        Weights v;
        __builtin_memcpy(&v, p, sizeof(v));
        return v;
    }
    static V all(std::uint32_t x)
    {
        float value;
        __builtin_memcpy(&value, &x, 4);
        return V{} + value;
    }
    static V multiply_add(Weights w, V x, V sum) { return w * x + sum; }
};

/// Pairs of bf16.
struct PackedPairs : PackedFloats {
    struct Weights {
        V even, odd;
    };
    static Weights split(FourWholes pairs)
    {
        const FourWholes even = pairs << 16;
        const FourWholes odd = pairs & static_cast<std::int32_t>(0xFFFF0000U);
        return {(V)even, (V)odd};
    }
    static Weights load(const std::byte* p)
    {
        FourWholes pairs;
        __builtin_memcpy(&pairs, p, sizeof(pairs));
        return split(pairs);
    }
    static Weights all(std::uint32_t x) { return split(FourWholes{} + static_cast<std::int32_t>(x)); }
    static V multiply_add(Weights w, Weights x, V sum) { return w.odd * x.odd + (w.even * x.even + sum); }
};

/// Quads of bytes, stored with 128 added.
struct PackedBytes {
    using V = FourWholes;
    struct Weights {
        V byte[4];
    };
    static constexpr bool in_groups = true;
    static constexpr int vectors = 4;
    static constexpr int lanes = 4;
    static V begin(std::int32_t) { return V{}; }
    static Weights load(const std::byte* p)
    {
        FourWholes quads;
        __builtin_memcpy(&quads, p, sizeof(quads));
        return {{(quads & 255) - 128, ((quads >> 8) & 255) - 128, ((quads >> 16) & 255) - 128,
                 ((quads >> 24) & 255) - 128}};
    }
    static Weights all(std::uint32_t x)
    {
        const auto byte = [x](int i) { return V{} + static_cast<std::int8_t>(x >> (8 * i)); };
        return {{byte(0), byte(1), byte(2), byte(3)}};
    }
    static V multiply_add(const Weights& w, const Weights& x, V sum)
    {
        return sum + (w.byte[0] * x.byte[0] + w.byte[1] * x.byte[1]) + (w.byte[2] * x.byte[2] + w.byte[3] * x.byte[3]);
    }
    static void add_group(V sum, float scale, const float* scales, bool first, float* to)
    {
        const FourFloats scaled = __builtin_convertvector(sum, FourFloats) * scale;
        const FourFloats before = first ? FourFloats{} : PackedFloats::load_sum(to);
        PackedFloats::store_sum(to, scaled * PackedFloats::load_sum(scales) + before);
    }
};

}  // namespace
