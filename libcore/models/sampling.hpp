// SPDX-License-Identifier: Apache-2.0
// Choosing the next token from logits.
#pragma once

#include "libcore/base/random.hpp"
#include "libcore/models/tokenizer.hpp"

#include <functional>

namespace stillhouse::models {

struct Sampling {
    bool greedy = false;
    double temperature = 1.0;
    Index top_k = 0;         // 0: all
    double top_p = 1.0;
};

/// The next token of logits[n] (padding ids masked by `allowed`, which may be empty: all). One uniform number is drawn
/// from `random` whatever the settings; greedy takes the first maximum. Probabilities in double, summed from the
/// first id on, or with top-k or top-p from the most probable on, so the choice depends on nothing else. top-k, then
/// top-p on what it left.
template <class T>
Token sample(const T* logits, Index n, const std::vector<bool>& allowed, const Sampling& how, Random& random);

}  // namespace stillhouse::models
