// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: the same value at the same (seed, stream, counter), whoever computes it.
#pragma once

#include <array>
#include <cstdint>

namespace stillhouse {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): four words from a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept;

/// A sequence of numbers keyed by (seed, stream); `seek` makes any element addressable, so that a text does not
/// depend on batch or threads and training resumes exactly. Streams of different meaning take different numbers.
class Random {
public:
    Random(std::uint64_t seed, std::uint64_t stream) noexcept : seed_(seed), stream_(stream) {}

    std::uint32_t word() noexcept;      // uniform 32 bits
    double uniform() noexcept;          // [0, 1), 53 bits
    double normal() noexcept;           // mean 0, variance 1 (Box-Muller, two words of 53 bits each)
    std::uint64_t below(std::uint64_t n) noexcept;   // uniform in 0..n-1, without bias

    void seek(std::uint64_t position) noexcept { position_ = position; }   // in words drawn
    std::uint64_t position() const noexcept { return position_; }

private:
    std::uint64_t seed_;
    std::uint64_t stream_;
    std::uint64_t position_ = 0;
};

}  // namespace stillhouse
