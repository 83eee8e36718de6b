// SPDX-License-Identifier: Apache-2.0
// Working memory of the kernels, kept by each thread.
#pragma once

#include "libcore/base/array.hpp"

namespace stillhouse::compute::cpu {

/// Scratch that a thread keeps from call to call; `Use` keeps two uses on one thread apart: products have 0 to 9,
/// convolutions 10 to 19.
template <class E, int Use>
class Scratch {
public:
    explicit Scratch(Index n)
    {
        if (kept_.size() < n) {
            kept_ = Buffer<E>();
            kept_ = Buffer<E>(n);
        }
    }
    ~Scratch()
    {
        if (kept_.size() > kept_elements_) {
            kept_ = Buffer<E>();
        }
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    E* data() { return kept_.data(); }   // of the calling thread: ask before sharing it

private:
    static constexpr Index kept_elements_ = Index{1} << 24;   // more is given back after the call

    inline static thread_local Buffer<E> kept_;
};

}  // namespace stillhouse::compute::cpu
