// SPDX-License-Identifier: Apache-2.0
// Dropout whose choices are functions of a place, not of a course of events.
#pragma once

#include "libcore/base/parallel.hpp"

#include <cstdint>

namespace stillhouse::models {

/// Inverted dropout (Srivastava and others 2014): element e of an array at `place` is 0 with probability `rate`, else
/// divided by 1 - rate; Philox at (seed, step, place, first + e) decides. So threads, the pieces a batch comes in, a
/// backward and a run that goes on see the same choices without any being kept.
struct Dropout {
    double rate = 0.0;
    std::uint64_t seed = 0;
    std::uint64_t step = 0;
    std::uint64_t first = 0;             // elements of the step before this array's own

    bool active() const { return rate > 0.0; }
    static std::uint32_t at_embedding() { return 0; }
    static std::uint32_t at_mixer(Index layer) { return static_cast<std::uint32_t>(2 * layer + 1); }
    static std::uint32_t at_mlp(Index layer) { return static_cast<std::uint32_t>(2 * layer + 2); }
};

/// y = dropped x, n elements; y may be x. It is its own adjoint.
template <class T>
void drop(ThreadPool& pool, const Dropout& dropout, std::uint32_t place, const T* x, Index n, T* y);

}  // namespace stillhouse::models
