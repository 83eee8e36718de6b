// SPDX-License-Identifier: Apache-2.0
// A bank of recurrences in the precision of the network, or in double where that precision would lose the response.
#pragma once

#include "libcore/systems/lane_recurrence.hpp"
#include "libcore/systems/recurrence.hpp"

#include <memory>
#include <span>

namespace stillhouse::systems {

/// Recurrence<T> for the banks that T can run, and Recurrence<double> for the others, whose state then lives bit for
/// bit in twice as many numbers of T. Finite-horizon fits put poles within 1e-9 of the unit circle that cancel each
/// other; in f32 their rounding reaches 1e-3 of the logits after some hundred tokens, in double it does not.
/// A bank counts as lost when white noise through any of its filters, 2048 steps, comes out further than 3e-6 (relative
/// l2) from the same recurrence in double.
template <class T>
class RecurrenceBank {
public:
    /// Arguments and errors as those of Recurrence.
    RecurrenceBank(std::vector<Realization> filters, Index delay);

    Index filters() const { return narrow_ != nullptr ? narrow_->filters() : wide_->filters(); }
    bool in_double() const { return narrow_ == nullptr || std::is_same_v<T, double>; }
    /// The bank for signals side by side, signal i with filter filter_of[i].
    LaneRecurrence<T> lanes(std::span<const Index> filter_of) const;

private:
    std::unique_ptr<Recurrence<T>> narrow_;
    std::unique_ptr<Recurrence<double>> wide_;
};

}  // namespace stillhouse::systems
