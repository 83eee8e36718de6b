// SPDX-License-Identifier: Apache-2.0
// The kernels as compiled for avx2.
#include "libcore/compute/cpu/lanes_avx2.hpp"
#include "libcore/compute/cpu/lanes_packed_avx2.hpp"

#include "libcore/compute/cpu/kernels_level.hpp"

namespace stillhouse::compute::cpu {

const Level level_avx2 = level_here("avx2", nullptr);

}  // namespace stillhouse::compute::cpu
