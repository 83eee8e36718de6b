// SPDX-License-Identifier: Apache-2.0
// Choosing the next token.
#include "libcore/models/sampling.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::models {

template <class T>
Token sample(const T* logits, Index n, const std::vector<bool>& allowed, const Sampling& how, Random& random)
{
    const double uniform = random.uniform();
    if (!(how.temperature >= 0) || !std::isfinite(how.temperature) || !(how.top_p >= 0 && how.top_p <= 1)
        || how.top_k < 0) {
        throw_error(ErrorCode::bad_argument,
                    "sampling: needs temperature >= 0, 0 <= top-p <= 1 and top-k >= 0");
    }
    const auto may = [&allowed](Index i) {
        const auto at = static_cast<std::size_t>(i);
        return allowed.empty() || (at < allowed.size() && allowed[at]);
    };
    Index best = -1;
    for (Index i = 0; i < n; ++i) {
        if (std::isnan(logits[i])) {
            throw_error(ErrorCode::bad_data, "sampling: the logit of token " + std::to_string(i) + " is NaN");
        }
        if (may(i) && (best < 0 || logits[i] > logits[best])) {
            best = i;
        }
    }
    if (best < 0) {
        throw_error(ErrorCode::bad_argument, "sampling: no token is allowed");
    }
    if (how.greedy || how.temperature == 0 || std::isinf(logits[best])) {   // an infinite best: nothing else counts
        return static_cast<Token>(best);
    }
    struct Choice {
        double weight;
        Token id;
    };
    std::vector<Choice> choices;
    choices.reserve(static_cast<std::size_t>(n));
    const auto top = static_cast<double>(logits[best]);
    for (Index i = 0; i < n; ++i) {
        if (may(i)) {
            const double weight = std::exp((static_cast<double>(logits[i]) - top) / how.temperature);
            if (weight > 0) {
                choices.push_back({weight, static_cast<Token>(i)});
            }
        }
    }
    // Most probable first, lower id first among equals: the order decides ties and every sum below. Where nothing is
    // cut off it may as well be that of the ids: sorting a vocabulary costs more than all the rest.
    const auto before = [](const Choice& a, const Choice& b) {
        return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
    };
    if (how.top_k > 0 && how.top_k < static_cast<Index>(choices.size())) {
        std::partial_sort(choices.begin(), choices.begin() + how.top_k, choices.end(), before);
        choices.resize(static_cast<std::size_t>(how.top_k));
    } else if (how.top_k > 0 || how.top_p < 1) {
        std::sort(choices.begin(), choices.end(), before);
    }
    double total = 0;
    for (const Choice& choice : choices) {
        total += choice.weight;
    }
    if (how.top_p < 1) {   // the fewest whose probabilities reach top_p, at least one
        double reached = 0;
        std::size_t kept = 0;
        do {
            reached += choices[kept++].weight;
        } while (kept < choices.size() && reached < how.top_p * total);
        choices.resize(kept);
        total = reached;
    }
    const double target = uniform * total;
    double reached = 0;
    for (const Choice& choice : choices) {
        reached += choice.weight;
        if (target < reached) {
            return choice.id;
        }
    }
    return choices.back().id;   // rounding of the last sum
}

template Token sample(const float*, Index, const std::vector<bool>&, const Sampling&, Random&);
template Token sample(const double*, Index, const std::vector<bool>&, const Sampling&, Random&);

}  // namespace stillhouse::models
