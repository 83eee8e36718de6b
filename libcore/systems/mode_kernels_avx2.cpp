// SPDX-License-Identifier: Apache-2.0
// The loops of variable projection as compiled for AVX2.
#include "libcore/systems/mode_kernels_level.hpp"

namespace stillhouse::systems {

const ModeKernels mode_kernels_avx2 = mode_kernels_here();

}  // namespace stillhouse::systems
