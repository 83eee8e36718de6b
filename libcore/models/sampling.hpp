// SPDX-License-Identifier: Apache-2.0
// Choosing the next token from logits.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/models/best_logits.hpp"
#include "libcore/models/tokenizer.hpp"

#include <span>
#include <vector>

namespace stillhouse::models {

struct Sampling {
    bool greedy = false;
    double temperature = 1.0;
    Index top_k = 0;         // 0: all
    double top_p = 1.0;

    /// The likeliest, whatever the random numbers.
    bool certain() const { return greedy || temperature == 0; }
};

/// Which ids may be drawn, as runs of neighbours: those with text, say, and not the padding of a vocabulary.
class Drawable {
public:
    struct Run {
        Index begin = 0, end = 0;
    };

    Drawable() = default;                            // all of them
    Drawable(const std::vector<bool>& allowed);      // ids behind its end are not; an empty one: all of them

    /// The runs within 0 .. n - 1; at most as many as those of the whole.
    template <class Use>
    void for_each_run(Index n, const Use& use) const
    {
        if (all_) {
            use(Run{0, n});
            return;
        }
        for (const Run& run : runs_) {
            if (run.begin < n) {
                use(Run{run.begin, run.end < n ? run.end : n});
            }
        }
    }

    /// true for each of n ids that may be drawn; empty where all may.
    std::vector<bool> flags(Index n) const;

private:
    bool all_ = true;
    std::vector<Run> runs_;                          // ascending, none empty
};

/// The next token of logits[n]. One uniform number is drawn from `random` whatever the settings; greedy takes the first
/// maximum. Top-k keeps the k largest logits, the lower id first among equals; then top-p the fewest of these whose
/// probabilities reach p. Weights exp((logit - greatest) / temperature) in T, summed in double by blocks from the first
/// id on, or where some were cut off from the most probable on: the choice depends on the logits and the number alone.
/// Error{bad_data}: a logit is NaN; Error{bad_argument}: settings out of range, no id is allowed.
template <class T>
Token sample(const T* logits, Index n, const Drawable& allowed, const Sampling& how, Random& random);

/// How far the largest logit of those that may be drawn is ahead of the second: where rounding cannot change what
/// greedy takes. 0 where there is no second.
template <class T>
double margin(const T* logits, Index n, const Drawable& allowed);

/// `sample` where only the largest logits are known, most probable first (BestLogits): with greedy at least one, else
/// at least top_k > 0 of them or all that are allowed. Error{bad_argument}: none is.
template <class T>
Token sample_among(std::span<const typename BestLogits<T>::Choice> best, const Sampling& how, Random& random);

}  // namespace stillhouse::models
