// SPDX-License-Identifier: Apache-2.0
// The loops of variable projection as compiled for any processor.
#include "libcore/systems/mode_kernels_level.hpp"

namespace stillhouse::systems {

const ModeKernels mode_kernels_plain = mode_kernels_here();

}  // namespace stillhouse::systems
