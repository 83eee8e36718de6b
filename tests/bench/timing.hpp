// SPDX-License-Identifier: Apache-2.0
// The median time of repeated calls.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace stillhouse::bench {

/// Median seconds of one call over at least seven rounds; each round repeats the call for about ten milliseconds.
template <class Call>
double seconds(const Call& call)
{
    using Clock = std::chrono::steady_clock;
    const auto timed = [&](int repeats) {
        const auto begin = Clock::now();
        for (int i = 0; i < repeats; ++i) {
            call();
        }
        return std::chrono::duration<double>(Clock::now() - begin).count();
    };
    timed(1);
    const int repeats = std::max(1, static_cast<int>(0.01 / std::max(1e-9, timed(1))));
    std::vector<double> rounds;
    for (int i = 0; i < 7; ++i) {
        rounds.push_back(timed(repeats) / repeats);
    }
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
}

}  // namespace stillhouse::bench
