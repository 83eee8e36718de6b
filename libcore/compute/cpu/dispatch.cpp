// SPDX-License-Identifier: Apache-2.0
// Which kernels this processor runs.
#include "libcore/compute/cpu/kernels.hpp"

#include <array>

namespace stillhouse::compute::cpu {

namespace {

std::array<const Level*, 6> find_levels() noexcept
{
    std::array<const Level*, 6> found{};
    std::size_t n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("fma");
    const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    if (vnni && __builtin_cpu_supports("avx512bf16")) {   // no processor multiplies bf16 and not bytes
        found[n++] = &level_avx512_bf16;
    }
    if (vnni) {
        found[n++] = &level_avx512_vnni;
    }
    if (avx512) {
        found[n++] = &level_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        found[n++] = &level_avx2;
    }
#endif
    found[n] = &level_plain;
    return found;
}

const std::array<const Level*, 6>& found_levels() noexcept
{
    static const std::array<const Level*, 6> found = find_levels();
    return found;
}

const Level*& chosen_level() noexcept
{
    static const Level* chosen = found_levels()[0];
    return chosen;
}

}  // namespace

const Level& level() noexcept
{
    return *chosen_level();
}

bool choose_level(std::string_view name) noexcept
{
    // The last of a name: its plainest, as another machine has it.
    const Level* last = nullptr;
    for (const Level* const* each = levels(); *each != nullptr; ++each) {
        last = (*each)->name == name ? *each : last;
    }
    if (last != nullptr) {
        chosen_level() = last;
    }
    return last != nullptr;
}

const Level* const* levels() noexcept
{
    return found_levels().data();
}

}  // namespace stillhouse::compute::cpu
