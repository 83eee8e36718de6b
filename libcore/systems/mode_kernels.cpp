// SPDX-License-Identifier: Apache-2.0
// Which of the compiled loops this processor runs: those of the level that the compute kernels chose.
#include "libcore/systems/mode_kernels.hpp"

#include "libcore/compute/vector.hpp"

#include <string_view>

namespace stillhouse::systems {

const ModeKernels& mode_kernels() noexcept
{
#if defined(__x86_64__)
    static const std::string_view level = compute::vector_level();
    if (level.starts_with("avx512")) {
        return mode_kernels_avx512;
    }
    if (level == "avx2") {
        return mode_kernels_avx2;
    }
#endif
    return mode_kernels_plain;
}

}  // namespace stillhouse::systems
