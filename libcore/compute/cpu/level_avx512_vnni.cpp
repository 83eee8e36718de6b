// SPDX-License-Identifier: Apache-2.0
// The kernels as compiled for avx512 with products of bytes.
#include "libcore/compute/cpu/lanes_avx512.hpp"
#include "libcore/compute/cpu/lanes_packed_avx512.hpp"

#include "libcore/compute/cpu/kernels_level.hpp"

namespace stillhouse::compute::cpu {

const Level level_avx512_vnni = level_here("avx512", nullptr);

}  // namespace stillhouse::compute::cpu
