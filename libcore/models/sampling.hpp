// SPDX-License-Identifier: Apache-2.0
// Choosing the next token from logits.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/compute/backend.hpp"
#include "libcore/models/tokenizer.hpp"

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

/// The likeliest allowed id of each row, taken from logits that come in tiles and are never stored as a whole; the same
/// as greedy `sample` takes.
template <class T>
class Likeliest final : public compute::TileSink<T> {
public:
    Likeliest(const Drawable& allowed, Index rows) : allowed_(allowed), rows_(rows) {}

    void begin(Index slots) override;
    void take(Index slot, Index first_row, Index first_column, Matrix<const T> tile) override;

    /// Of a row, when all tiles have come. Errors as of `sample`.
    Token of(Index row) const;

private:
    struct Best {
        T value = T(0);
        Token id = -1;                               // -1: none yet
        Token bad = -1;                              // a logit that is NaN
    };
    const Drawable& allowed_;
    Index rows_;
    std::vector<Best> best_;                         // [slots, rows]
};

}  // namespace stillhouse::models
