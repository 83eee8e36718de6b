// SPDX-License-Identifier: Apache-2.0
// What the processor can do at most, measured in the run that quotes a share of it.
#pragma once

#include "libcore/base/shape.hpp"

#include <algorithm>
#include <ctime>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace stillhouse::bench {

/// Flop a second of multiply-adds from registers, one thread; 0 where the processor lacks them.
struct Peaks {
    double fma = 0.0;                     // f32
    double bf16 = 0.0;                    // pairs of bf16 into f32
};

#if defined(__x86_64__)

namespace peaks {

constexpr int chains = 16;                // enough to hide the latency of both units
constexpr Index rounds = 200000;

[[gnu::target("avx512f")]] inline void fma512()
{
    __m512 sum[chains];
    for (auto& s : sum) {
        s = _mm512_set1_ps(1.0F);
    }
    const __m512 a = _mm512_set1_ps(0.5F);
    for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
        for (auto& s : sum) {
            s = _mm512_fmadd_ps(s, a, a);
            asm volatile("" : "+v"(s));
        }
    }
}

[[gnu::target("avx512f,avx512bf16")]] inline void bf16_512()
{
    __m512 sum[chains];
    for (auto& s : sum) {
        s = _mm512_set1_ps(1.0F);
    }
    const auto a = (__m512bh)_mm512_set1_epi32(0x3C003C00);
    for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
        for (auto& s : sum) {
            s = _mm512_dpbf16_ps(s, a, a);
            asm volatile("" : "+v"(s));
        }
    }
}

[[gnu::target("avx2,fma")]] inline void fma256()
{
    __m256 sum[chains - 2];
    for (auto& s : sum) {
        s = _mm256_set1_ps(1.0F);
    }
    const __m256 a = _mm256_set1_ps(0.5F);
    for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
        for (auto& s : sum) {
            s = _mm256_fmadd_ps(s, a, a);
            asm volatile("" : "+x"(s));
        }
    }
}

/// The best of several rounds by the thread's CPU clock, which other programs on the processor disturb least.
template <class Loop>
double rate(double flop_a_round, const Loop& loop)
{
    const auto clock = [] {
        timespec t{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    };
    double best = 0.0;
    for (int i = 0; i < 9; ++i) {
        const double begin = clock();
        loop();
        best = std::max(best, flop_a_round * static_cast<double>(rounds) / std::max(1e-9, clock() - begin));
    }
    return best;
}

}  // namespace peaks

inline Peaks measure_peaks()
{
    Peaks found;
    if (__builtin_cpu_supports("avx512f")) {
        found.fma = peaks::rate(2.0 * 16 * peaks::chains, peaks::fma512);
    } else if (__builtin_cpu_supports("fma")) {
        found.fma = peaks::rate(2.0 * 8 * (peaks::chains - 2), peaks::fma256);
    }
    if (__builtin_cpu_supports("avx512bf16")) {
        found.bf16 = peaks::rate(4.0 * 16 * peaks::chains, peaks::bf16_512);
    }
    return found;
}

#else

inline Peaks measure_peaks()
{
    return {};
}

#endif

}  // namespace stillhouse::bench
