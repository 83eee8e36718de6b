// SPDX-License-Identifier: Apache-2.0
// How a long computation is stopped and how it says how far it is. Passed down, never global.
#pragma once

#include "libcore/base/shape.hpp"

#include <atomic>
#include <string>

namespace stillhouse {

/// Receives progress; the default says nothing.
class Progress {
public:
    virtual ~Progress() = default;
    /// done of total units (total < 0: unknown) of the work called `what` ("layer 2: loss 0.31").
    virtual void at(Index done, Index total, const std::string& what) { (void)done; (void)total; (void)what; }
};

/// Passed to everything that takes long. `stop` is set by a signal; functions look at safe points.
struct Control {
    const std::atomic<bool>* stop = nullptr;
    Progress* progress = nullptr;

    bool stop_requested() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed); }
    void at(Index done, Index total, const std::string& what) const
    {
        if (progress != nullptr) {
            progress->at(done, total, what);
        }
    }
    /// Throws Error{stopped} when a stop was requested.
    void throw_if_stopped() const;
};

}  // namespace stillhouse
