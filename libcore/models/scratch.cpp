// SPDX-License-Identifier: Apache-2.0
// A short list of spare buffers for each thread, the best fitting one given out first.
#include "libcore/models/scratch.hpp"

#include <vector>

namespace stillhouse::models {
namespace {

constexpr std::size_t keep = 128;   // buffers a thread holds on to: the tapes of a deep network go round through them
thread_local std::vector<Buffer<std::byte>> spare;

}  // namespace

Buffer<std::byte> take_scratch(std::size_t bytes)
{
    if (bytes == 0) {
        return {};
    }
    std::size_t best = spare.size();
    for (std::size_t i = 0; i < spare.size(); ++i) {
        const auto size = static_cast<std::size_t>(spare[i].size());
        // A buffer more than four times too large is left for those who need it, unless it is small anyway.
        const bool fits = size >= bytes && (size / 4 <= bytes || size <= 65536);
        if (fits && (best == spare.size() || spare[i].size() < spare[best].size())) {
            best = i;
        }
    }
    if (best == spare.size()) {
        return Buffer<std::byte>(static_cast<Index>((bytes + 4095) / 4096 * 4096));
    }
    Buffer<std::byte> found = std::move(spare[best]);
    spare.erase(spare.begin() + static_cast<std::ptrdiff_t>(best));
    return found;
}

void give_scratch(Buffer<std::byte> bytes) noexcept
{
    if (bytes.empty()) {
        return;
    }
    try {
        if (spare.size() >= keep) {
            spare.erase(spare.begin());   // the one unused for longest
        }
        spare.push_back(std::move(bytes));
    } catch (...) {                       // no room for the list: the buffer is freed
    }
}

}  // namespace stillhouse::models
