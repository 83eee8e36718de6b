// SPDX-License-Identifier: Apache-2.0
// The median time of repeated calls, and the clocks.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <vector>

namespace stillhouse::bench {

/// CPU seconds of the calling thread, or of the whole process: what other programs on the machine disturb least.
inline double cpu_seconds(clockid_t clock = CLOCK_THREAD_CPUTIME_ID)
{
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

inline double wall_seconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Median seconds of one call over at least seven rounds; each round repeats the call for about ten milliseconds.
/// cpu: by the calling thread's own clock, for work that it does alone.
template <class Call>
double seconds(const Call& call, bool cpu = false)
{
    const auto clock = [cpu] { return cpu ? cpu_seconds() : wall_seconds(); };
    const auto timed = [&](int repeats) {
        const double begin = clock();
        for (int i = 0; i < repeats; ++i) {
            call();
        }
        return clock() - begin;
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
