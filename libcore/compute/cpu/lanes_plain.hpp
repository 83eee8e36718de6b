// SPDX-License-Identifier: Apache-2.0
// Four floats or two doubles in the compiler's portable vectors, products and sums rounded one after the other.
#pragma once

namespace {

template <class T>
struct Lanes {
    using Element = T;
    using Sum = T;
    typedef T V __attribute__((vector_size(16)));
    static constexpr int count = 16 / static_cast<int>(sizeof(T));
    static V zero() { return V{}; }
    static V all(T x) { return V{} + x; }
    static V load(const T* p)
    {
        V v;
        __builtin_memcpy(&v, p, sizeof(V));
        return v;
    }
    static void store(T* p, V v) { __builtin_memcpy(p, &v, sizeof(V)); }
    static V add(V a, V b) { return a + b; }
    static V multiply_add(V a, V b, V c) { return a * b + c; }
    static V less_product(V c, V a, V b) { return c - a * b; }
    static void sums(V a, V b, V c, V d, T* to)
    {
        const auto total = [](V v) {
            if constexpr (count == 4) {
                return (v[0] + v[2]) + (v[1] + v[3]);
            } else {
                return v[0] + v[1];
            }
        };
        to[0] = total(a);
        to[1] = total(b);
        to[2] = total(c);
        to[3] = total(d);
    }
};

constexpr int tile_rows = 4;
constexpr int dot_rows = 2;

}  // namespace
