// SPDX-License-Identifier: Apache-2.0
// The largest logits of a step.
#include "libcore/models/best_logits.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace stillhouse::models {

namespace {

constexpr Index block = 64;

template <class Choice>
bool before(const Choice& a, const Choice& b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// May one of the numbers of a block be among the best, or NaN? Without branches, so that the compiler takes vectors.
template <class T>
bool any_above(const T* x, const T* penalty, T least)
{
    int any = 0;
    if (penalty == nullptr) {
        for (Index j = 0; j < block; ++j) {
            any |= static_cast<int>(!(x[j] < least));
        }
    } else {
        for (Index j = 0; j < block; ++j) {
            any |= static_cast<int>(!(x[j] + penalty[j] < least));
        }
    }
    return any != 0;
}

}  // namespace

template <class T>
BestLogits<T>::BestLogits(Index batch, Index vocabulary, Index k, const std::vector<bool>& allowed)
    : batch_(batch), k_(std::min(k, vocabulary))
{
    STILLHOUSE_CHECK(batch > 0 && k > 0);
    if (!allowed.empty()) {
        penalties_ = Buffer<T>(vocabulary);
        for (Index i = 0; i < vocabulary; ++i) {
            const auto at = static_cast<std::size_t>(i);
            penalties_[i] = at < allowed.size() && allowed[at] ? T(0) : -std::numeric_limits<T>::infinity();
        }
    }
}

template <class T>
void BestLogits<T>::begin(Index slots)
{
    slots_ = slots;
    lines_.assign(static_cast<std::size_t>(slots * batch_), Line{});
    choices_.resize(static_cast<std::size_t>(slots * batch_ * k_));
}

template <class T>
void BestLogits<T>::offer(Line& line, Choice* kept, Choice one) const
{
    if (line.count == k_ && !before(one, kept[k_ - 1])) {
        return;
    }
    Index place = line.count < k_ ? line.count++ : k_ - 1;
    for (; place > 0 && before(one, kept[place - 1]); --place) {
        kept[place] = kept[place - 1];
    }
    kept[place] = one;
}

template <class T>
void BestLogits<T>::take(Index slot, Index first_row, Index first_column, Matrix<const T> tile)
{
    const T* const penalty = penalties_.empty() ? nullptr : penalties_.data() + first_column;
    for (Index i = 0; i < tile.rows; ++i) {
        const T* const row = tile.row(i);
        Line& here = line(slot, first_row + i);
        Choice* const kept = choices(slot, first_row + i);
        for (Index j = 0; j < tile.cols; j += block) {
            const Index n = std::min(block, tile.cols - j);
            if (n == block && here.count == k_
                && !any_above(row + j, penalty == nullptr ? nullptr : penalty + j, kept[k_ - 1].logit)) {
                continue;
            }
            for (Index l = j; l < j + n; ++l) {
                const T value = penalty == nullptr ? row[l] : row[l] + penalty[l];
                here.nan = here.nan || value != value;
                if (value > -std::numeric_limits<T>::infinity()) {
                    offer(here, kept, {value, first_column + l});
                }
            }
        }
    }
}

template <class T>
std::span<const typename BestLogits<T>::Choice> BestLogits<T>::best(Index sequence)
{
    STILLHOUSE_CHECK(sequence >= 0 && sequence < batch_ && slots_ > 0);
    Line& first = line(0, sequence);
    Choice* const kept = choices(0, sequence);
    for (Index slot = 0; slot < slots_; ++slot) {
        Line& other = line(slot, sequence);
        if (other.nan) {
            throw_error(ErrorCode::bad_data,
                        "sequence " + std::to_string(sequence) + ": a logit is NaN, no token can be chosen");
        }
        for (Index i = 0; slot > 0 && i < other.count; ++i) {
            offer(first, kept, choices(slot, sequence)[i]);
        }
        if (slot > 0) {
            other.count = 0;                  // taken
        }
    }
    return {kept, static_cast<std::size_t>(first.count)};
}

template class BestLogits<float>;
template class BestLogits<double>;

}  // namespace stillhouse::models
