// SPDX-License-Identifier: Apache-2.0
// The kernels as compiled for AVX-512 with products of bf16 pairs.
#include "libcore/compute/cpu/bf16_pairs.hpp"
#include "libcore/compute/cpu/lanes_avx512.hpp"
#include "libcore/compute/cpu/lanes_packed_avx512.hpp"

#include "libcore/compute/cpu/kernels_level.hpp"

namespace stillhouse::compute::cpu {

namespace {

constexpr Panels<float, Pair> pair_panels{tile_rows, panel_vectors * PairLanes::count,
                                          multiply_panel<PairLanes, tile_rows>, transpose<Pair>,
                                          copy_block<Pair, panel_vectors * PairLanes::count>};

void pair_along_here(const float* x, Index n, Pair* to)
{
    for (Index i = 0; i < n; i += 32) {
        const Index left = n - i;
        const __m512 a = _mm512_maskz_loadu_ps(first_lanes(left), x + i);
        const __m512 b = left > 16 ? _mm512_maskz_loadu_ps(first_lanes(left - 16), x + i + 16) : _mm512_setzero_ps();
        _mm512_mask_storeu_epi32(to + i / 2, first_lanes((left + 1) / 2), (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
}

constexpr Level with_pairs(Level level)
{
    level.pair_rows = pair_bf16_rows;
    level.pair_along = pair_along_here;
    return level;
}

}  // namespace

const Level level_avx512_bf16 = with_pairs(level_here("avx512", &pair_panels));

}  // namespace stillhouse::compute::cpu
