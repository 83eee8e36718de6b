// SPDX-License-Identifier: Apache-2.0
// The kernels as compiled for plain.
#include "libcore/compute/cpu/lanes_plain.hpp"
#include "libcore/compute/cpu/lanes_packed_plain.hpp"

#include "libcore/compute/cpu/kernels_level.hpp"

namespace stillhouse::compute::cpu {

const Level level_plain = level_here("plain", nullptr);

}  // namespace stillhouse::compute::cpu
