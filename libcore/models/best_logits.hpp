// SPDX-License-Identifier: Apache-2.0
// The largest logits of a step, taken from the head's tiles while they are in the nearest cache.
#pragma once

#include "libcore/compute/backend.hpp"

#include <span>
#include <vector>

namespace stillhouse::models {

/// A sink for Network::step that keeps the k largest logits of each sequence: all that greedy choice (k = 1) and top-k
/// sampling want, so that the logits of a batch are never stored. Their order, largest first and the smaller id first
/// among equals, leaves no choice, so they depend neither on threads nor on tiles.
template <class T>
class BestLogits final : public compute::TileSink<T> {
public:
    struct Choice {
        T logit;
        Index id;
    };

    /// `allowed`: ids that may be chosen, empty for all.
    BestLogits(Index batch, Index vocabulary, Index k, const std::vector<bool>& allowed);

    void begin(Index slots) override;
    void take(Index slot, Index first_row, Index first_column, Matrix<const T> tile) override;

    /// Of one sequence after the step, at most k and none that is not allowed. Error{bad_data} when a logit was NaN.
    std::span<const Choice> best(Index sequence);

private:
    struct Line {                             // of a slot and sequence
        Index count = 0;
        bool nan = false;
    };
    Choice* choices(Index slot, Index row) { return choices_.data() + (slot * batch_ + row) * k_; }
    Line& line(Index slot, Index row) { return lines_[static_cast<std::size_t>(slot * batch_ + row)]; }
    void offer(Line& line, Choice* kept, Choice one) const;

    Index batch_;
    Index k_;
    Index slots_ = 0;
    Buffer<T> penalties_;                     // 0 or -infinity of each id; empty: all are allowed
    std::vector<Line> lines_;
    std::vector<Choice> choices_;             // [slot, sequence, k], sorted
};

}  // namespace stillhouse::models
