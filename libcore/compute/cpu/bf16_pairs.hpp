// SPDX-License-Identifier: Apache-2.0
// Rows of f32 as pairs of bf16 by the instructions of AVX-512 BF16, for the files compiled with them. The rounding is
// the processor's own: as bf16_bits, but subnormal numbers become zero, which its products take them for.
#pragma once

#include "libcore/compute/cpu/kernels.hpp"

#include <immintrin.h>

namespace stillhouse::compute::cpu {

namespace {

inline __mmask16 first_lanes(Index n)
{
    return n >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << (n > 0 ? n : 0)) - 1U);
}

/// Level::pair_rows
void pair_bf16_rows(const float* x, Index stride, Index rows, Index width, Pair* to, Index padded)
{
    alignas(64) static constexpr std::uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                            21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                            11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i neighbours = _mm512_load_si512(order);
    for (Index i = 0; i < padded; i += 16) {
        const __mmask16 read = first_lanes(width - i);
        const __mmask16 written = first_lanes(padded - i);
        Pair* line = to + i;
        for (Index r = 0; r < rows; r += 2, line += padded) {
            const float* const at = x + r * stride + i;
            const __m512 upper = _mm512_maskz_loadu_ps(read, at);
            const __m512 lower = _mm512_maskz_loadu_ps(r + 1 < rows ? read : __mmask16{0}, at + stride);
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(lower, upper);
            _mm512_mask_storeu_epi32(line, written, _mm512_permutexvar_epi16(neighbours, both));
        }
    }
}

}  // namespace

}  // namespace stillhouse::compute::cpu
