// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 and the distributions drawn from it.
#include "libcore/base/random.hpp"

#include <cmath>
#include <numbers>

namespace stillhouse {

namespace {

__extension__ using Wide = unsigned __int128;

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept
{
    // Multipliers and Weyl increments of the paper (table 2 and section 4.3).
    constexpr std::uint64_t multiplier0 = 0xD2511F53U;
    constexpr std::uint64_t multiplier1 = 0xCD9E8D57U;
    constexpr std::uint32_t weyl0 = 0x9E3779B9U;
    constexpr std::uint32_t weyl1 = 0xBB67AE85U;
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = multiplier0 * counter[0];
        const std::uint64_t p1 = multiplier1 * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
        key[0] += weyl0;
        key[1] += weyl1;
    }
    return counter;
}

std::uint32_t Random::word() noexcept
{
    // One block of four words per counter; the key is the seed, the upper half of the counter the stream.
    const std::uint64_t block = position_ / 4;
    const auto words = philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                               static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                              {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    return words[position_++ % 4];
}

double Random::uniform() noexcept
{
    const std::uint64_t high = word() >> 5;   // 27 bits
    const std::uint64_t low = word() >> 6;    // 26 bits
    return static_cast<double>((high << 26) | low) * 0x1p-53;
}

double Random::normal() noexcept
{
    // 1 - u is in (0, 1], so the logarithm is finite. The sine's partner is not kept: positions stay addressable.
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::uint64_t Random::below(std::uint64_t n) noexcept
{
    if (n <= 1) {
        return 0;
    }
    // Lemire's multiplication; the low half tells which draws would make some results more likely.
    const auto draw = [this] {
        const std::uint64_t high = word();
        return (high << 32) | word();
    };
    Wide product = static_cast<Wide>(draw()) * n;
    if (static_cast<std::uint64_t>(product) < n) {
        const std::uint64_t threshold = (0 - n) % n;
        while (static_cast<std::uint64_t>(product) < threshold) {
            product = static_cast<Wide>(draw()) * n;
        }
    }
    return static_cast<std::uint64_t>(product >> 64);
}

}  // namespace stillhouse
