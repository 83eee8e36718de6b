// SPDX-License-Identifier: Apache-2.0
// The kernels as compiled for AVX-512 with products of bf16 pairs.
#include "libcore/compute/cpu/lanes_avx512.hpp"

#include "libcore/compute/cpu/kernels_level.hpp"

namespace stillhouse::compute::cpu {

namespace {

constexpr Panels<float, Pair> pair_panels{tile_rows, panel_vectors * PairLanes::count,
                                          multiply_panel<PairLanes, tile_rows>, transpose<Pair>,
                                          copy_block<Pair, panel_vectors * PairLanes::count>};

}  // namespace

const Level level_avx512_bf16 = level_here("avx512", &pair_panels);

}  // namespace stillhouse::compute::cpu
