// SPDX-License-Identifier: Apache-2.0
// Which of the compiled loops this processor runs: the level that the compute kernels chose.
#include "libcore/systems/mode_kernels.hpp"

#include "libcore/compute/cpu/kernels.hpp"

#include <string_view>

namespace stillhouse::systems {

const ModeKernels& mode_kernels() noexcept
{
#if defined(__x86_64__)
    static const std::string_view name = compute::cpu::level().name;
    if (name.substr(0, 6) == "avx512") {
        return mode_kernels_avx512;
    }
    if (name == "avx2") {
        return mode_kernels_avx2;
    }
#endif
    return mode_kernels_plain;
}

}  // namespace stillhouse::systems
