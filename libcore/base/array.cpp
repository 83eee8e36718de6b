// SPDX-License-Identifier: Apache-2.0
// Aligned, zeroed memory.
#include "libcore/base/array.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

namespace stillhouse {

namespace {

constexpr std::size_t alignment = 64;

}  // namespace

std::byte* allocate_aligned(std::size_t bytes)
{
    if (bytes == 0) {
        return nullptr;
    }
    // Above 2^62 only a negative or overflowed element count can have asked.
    void* memory = nullptr;
    if (bytes <= std::numeric_limits<std::size_t>::max() / 4) {
        const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
        memory = std::aligned_alloc(alignment, rounded);
    }
    if (memory == nullptr) {
        throw_error(ErrorCode::resource, "cannot allocate " + std::to_string(bytes) +
                                             " bytes of memory; take a smaller batch or model, or a larger machine");
    }
    std::memset(memory, 0, bytes);
    return static_cast<std::byte*>(memory);
}

void free_aligned(std::byte* bytes) noexcept
{
    std::free(bytes);
}

}  // namespace stillhouse
