// SPDX-License-Identifier: Apache-2.0
// What the processor can do at most, measured in the run that quotes a share of it.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"
#include "tests/bench/timing.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace stillhouse::bench {

/// Operations a second (a product and a sum are two) from registers, all threads together; 0 where the processor lacks
/// the instruction.
struct Peaks {
    double fma = 0.0;                     // f32
    double bf16 = 0.0;                    // pairs of bf16 into f32
    double int8 = 0.0;                    // quads of bytes into 32 bits
};

namespace peaks {

inline void read_plain(int streams, const std::byte* from, Index lines)
{
    std::uint64_t sum = 0;
    for (Index i = 0; i < lines; ++i) {
        for (int s = 0; s < streams; ++s) {
            const auto* const line = reinterpret_cast<const std::uint64_t*>(from + (s * lines + i) * 64);
            for (int j = 0; j < 8; ++j) {
                sum += line[j];
            }
        }
    }
    asm volatile("" : : "r"(sum));
}

}  // namespace peaks

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

[[gnu::target("avx512f,avx512vnni")]] inline void int8_512()
{
    __m512i sum[chains];
    for (auto& s : sum) {
        s = _mm512_set1_epi32(1);
    }
    const __m512i a = _mm512_set1_epi32(0x01010101);
    for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
        for (auto& s : sum) {
            asm volatile("vpdpbusd %1, %1, %0" : "+v"(s) : "v"(a));   // GCC 12 stores around the intrinsic
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

/// Sums of `streams` runs of `lines` lines each, read side by side.
template <int Streams>
[[gnu::target("avx512f")]] void read512(const std::byte* from, Index lines)
{
    __m512i sum[Streams];
    for (auto& s : sum) {
        s = _mm512_set1_epi32(1);
    }
    for (Index i = 0; i < lines; ++i) {
#pragma GCC unroll 8
        for (int s = 0; s < Streams; ++s) {
            sum[s] = _mm512_add_epi32(sum[s], _mm512_load_si512(from + (s * lines + i) * 64));
        }
    }
    for (auto& s : sum) {
        asm volatile("" : "+v"(s));
    }
}

}  // namespace peaks

inline bool has_avx512()
{
    return __builtin_cpu_supports("avx512f");
}

inline void read_lines(int streams, const std::byte* from, Index lines)
{
    if (has_avx512()) {
        (streams == 1   ? peaks::read512<1>
         : streams == 2 ? peaks::read512<2>
         : streams == 4 ? peaks::read512<4>
                        : peaks::read512<8>)(from, lines);
    } else {
        peaks::read_plain(streams, from, lines);
    }
}

#else

inline void read_lines(int streams, const std::byte* from, Index lines)
{
    peaks::read_plain(streams, from, lines);
}

#endif

/// The best of several rounds, in which every thread runs the loop: the sum of the threads' rates by their CPU clocks.
template <class Loop>
double loop_rate(ThreadPool& pool, double operations, const Loop& loop)
{
    double best = 0.0;
    for (int i = 0; i < 9; ++i) {
        Buffer<double> rates(pool.threads());
        pool.for_each(pool.threads(), [&](Index thread) {
            const double begin = cpu_seconds();
            loop();
            rates[thread] = operations / std::max(1e-9, cpu_seconds() - begin);
        });
        double sum = 0.0;
        for (const double rate : rates) {
            sum += rate;
        }
        best = std::max(best, sum);
    }
    return best;
}

inline Peaks measure_peaks(ThreadPool& pool)
{
    Peaks found;
#if defined(__x86_64__)
    const double lanes = 16.0 * peaks::chains * static_cast<double>(peaks::rounds);
    if (has_avx512()) {
        found.fma = loop_rate(pool, 2.0 * lanes, peaks::fma512);
    } else if (__builtin_cpu_supports("fma")) {
        found.fma = loop_rate(pool, 2.0 * 8 * (peaks::chains - 2) * static_cast<double>(peaks::rounds), peaks::fma256);
    }
    if (__builtin_cpu_supports("avx512bf16")) {
        found.bf16 = loop_rate(pool, 4.0 * lanes, peaks::bf16_512);
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        found.int8 = loop_rate(pool, 8.0 * lanes, peaks::int8_512);
    }
#else
    (void)pool;
#endif
    return found;
}

/// Of one thread.
inline Peaks measure_peaks()
{
    ThreadPool one(1);
    return measure_peaks(one);
}

/// Memory to be read, written once: what never was is one page of zeros.
inline Buffer<std::byte> written_memory(Index bytes)
{
    Buffer<std::byte> memory(bytes);
    std::fill(memory.begin(), memory.end(), std::byte{1});
    return memory;
}

/// Bytes a second at which all threads together read a buffer, each task of it in so many streams: median of seven by
/// the wall clock, or for one thread by its CPU clock. streams: 1, 2, 4 or 8.
inline double read_rate(ThreadPool& pool, const Buffer<std::byte>& data, int streams, bool cpu = false)
{
    constexpr Index task_lines = 16384;                       // a MiB
    const Index tasks = data.size() / (task_lines * 64);
    STILLHOUSE_CHECK(tasks > 0);
    const double time = seconds([&] {
        pool.for_each(tasks, [&](Index task) {
            read_lines(streams, data.data() + task * task_lines * 64, task_lines / streams);
        });
    }, cpu);
    return static_cast<double>(tasks * task_lines * 64) / time;
}

/// Seconds of a region of the pool with one empty task for each thread: waking the others and waiting for them.
inline double region_seconds(ThreadPool& pool)
{
    return seconds([&] { pool.for_each(pool.threads(), [](Index) {}); });
}

/// "AMD EPYC ..." as /proc/cpuinfo has it.
inline std::string processor_name()
{
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("model name")) {
            return line.substr(std::min(line.size(), line.find(':') + 2));
        }
    }
    return "unknown";
}

}  // namespace stillhouse::bench
