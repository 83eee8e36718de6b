// SPDX-License-Identifier: Apache-2.0
// Choosing the next token.
#include "libcore/models/sampling.hpp"

#include "libcore/base/error.hpp"
#include "libcore/compute/vector.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::models {

namespace {

constexpr Index lanes = 16;
constexpr Index block = 256;                     // weights that are summed together

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

/// The greatest of n values, by lanes so that the compiler makes vectors of them. Values that are NaN are passed over.
template <class T>
T greatest(const T* values, Index n)
{
    T best[lanes];
    std::fill_n(best, lanes, lowest<T>);
    Index i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (Index l = 0; l < lanes; ++l) {
            best[l] = values[i + l] > best[l] ? values[i + l] : best[l];
        }
    }
    for (; i < n; ++i) {
        best[0] = values[i] > best[0] ? values[i] : best[0];
    }
    return *std::max_element(best, best + lanes);
}

template <class T>
void check_numbers(const T* logits, Index n)
{
    int bad = 0;
    for (Index i = 0; i < n; ++i) {
        bad |= logits[i] != logits[i] ? 1 : 0;
    }
    if (bad != 0) {
        const T* first = std::find_if(logits, logits + n, [](T x) { return std::isnan(x); });
        throw_error(ErrorCode::bad_data,
                    "sampling: the logit of token " + std::to_string(first - logits) + " is NaN");
    }
}

/// sum of n weights in double: lanes first, then the lanes.
template <class T>
double sum(const T* weights, Index n)
{
    double parts[lanes] = {};
    Index i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (Index l = 0; l < lanes; ++l) {
            parts[l] += static_cast<double>(weights[i + l]);
        }
    }
    double total = 0;
    for (Index l = 0; l < lanes; ++l) {
        total += parts[l];
    }
    for (; i < n; ++i) {
        total += static_cast<double>(weights[i]);
    }
    return total;
}

template <class T>
using Choice = typename BestLogits<T>::Choice;

/// The `count` most probable ids, sorted; all of them where there are fewer. Most of the vocabulary is left out by a
/// bound: the count-th largest of the greatest logits of short runs is no larger than the count-th largest of all.
template <class T>
void most_probable(const T* logits, Index n, const Drawable& allowed, Index count, std::vector<Choice<T>>& choices)
{
    constexpr Index run_length = 64;
    std::vector<T> peaks;
    Index ids = 0;
    allowed.for_each_run(n, [&](Drawable::Run run) {
        ids += run.end - run.begin;
        for (Index i = run.begin; i < run.end; i += run_length) {
            peaks.push_back(greatest(logits + i, std::min(run_length, run.end - i)));
        }
    });
    T bound = lowest<T>;
    if (count < static_cast<Index>(peaks.size())) {
        std::nth_element(peaks.begin(), peaks.begin() + (count - 1), peaks.end(), std::greater<T>());
        bound = peaks[static_cast<std::size_t>(count - 1)];
    }
    choices.clear();
    allowed.for_each_run(n, [&](Drawable::Run run) {
        for (Index i = run.begin; i < run.end; ++i) {
            if (logits[i] >= bound) {
                choices.push_back({logits[i], i});
            }
        }
    });
    const auto kept = std::min(static_cast<std::ptrdiff_t>(count), static_cast<std::ptrdiff_t>(choices.size()));
    std::partial_sort(choices.begin(), choices.begin() + kept, choices.end(), [](const auto& a, const auto& b) {
        return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
    choices.resize(static_cast<std::size_t>(kept));
}

/// exp((x - top) / temperature) of a few, in double; the first is the greatest.
template <class T>
std::vector<double> weights_of(std::span<const Choice<T>> choices, double temperature)
{
    std::vector<double> weights;
    weights.reserve(choices.size());
    for (const Choice<T>& choice : choices) {
        const double below = static_cast<double>(choice.logit) - static_cast<double>(choices.front().logit);
        weights.push_back(std::exp(below / temperature));
    }
    return weights;
}

/// Of weights, greatest first, the fewest that reach `wanted`, at least one; none where they do not reach it.
std::size_t how_many_reach(const std::vector<double>& weights, double wanted)
{
    double reached = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        reached += weights[i];
        if (reached >= wanted) {
            return i + 1;
        }
    }
    return 0;
}

template <class T>
Token draw(std::span<const Choice<T>> choices, const std::vector<double>& weights, std::size_t kept, double uniform)
{
    double total = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        total += weights[i];
    }
    double reached = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        reached += weights[i];
        if (uniform * total < reached) {
            return static_cast<Token>(choices[i].id);
        }
    }
    return static_cast<Token>(choices[kept - 1].id);     // rounding of the last sum
}

/// Of what top-k left.
template <class T>
Token draw_top(std::span<const Choice<T>> choices, const Sampling& how, double uniform)
{
    const std::vector<double> weights = weights_of<T>(choices, how.temperature);
    double total = 0;
    for (const double weight : weights) {
        total += weight;
    }
    const std::size_t kept = how.top_p < 1 ? how_many_reach(weights, how.top_p * total) : weights.size();
    return draw<T>(choices, weights, kept > 0 ? kept : weights.size(), uniform);
}

void check(const Sampling& how)
{
    if (!(how.temperature >= 0) || !std::isfinite(how.temperature) || !(how.top_p >= 0 && how.top_p <= 1)
        || how.top_k < 0) {
        throw_error(ErrorCode::bad_argument,
                    "sampling: needs temperature >= 0, 0 <= top-p <= 1 and top-k >= 0");
    }
}

/// Where the best is infinite or the temperature too small for T nothing else counts.
template <class T>
bool certain(const Sampling& how, T best)
{
    return how.certain() || std::isinf(best) || std::isinf(static_cast<T>(1.0 / how.temperature));
}

/// The weights of the vocabulary, block by block; what is not allowed weighs nothing.
template <class T>
class Weights {
public:
    Weights(const T* logits, Index n, const Drawable& allowed, T top, double temperature)
        : n_(n), weights_(n), sums_((n + block - 1) / block)
    {
        const T scale = static_cast<T>(1.0 / temperature);
        Index done = 0;
        allowed.for_each_run(n, [&](Drawable::Run run) {
            std::fill(weights_.data() + done, weights_.data() + run.begin, T(0));
            for (Index i = run.begin; i < run.end; ++i) {
                weights_.data()[i] = (logits[i] - top) * scale;
            }
            compute::vector_exp(weights_.data() + run.begin, run.end - run.begin, weights_.data() + run.begin);
            done = run.end;
        });
        std::fill(weights_.data() + done, weights_.data() + n, T(0));
        for (Index b = 0; b < sums_.size(); ++b) {
            sums_.data()[b] = sum(weights_.data() + b * block, std::min(block, n - b * block));
            total_ += sums_.data()[b];
        }
    }

    double total() const { return total_; }

    Token at(double target) const
    {
        double reached = 0;
        Index b = 0;
        while (b + 1 < sums_.size() && reached + sums_.data()[b] <= target) {
            reached += sums_.data()[b++];
        }
        Index last = -1;
        for (Index i = b * block; i < n_; ++i) {
            const auto weight = static_cast<double>(weights_.data()[i]);
            reached += weight;
            last = weight > 0 ? i : last;
            if (weight > 0 && target < reached) {
                return static_cast<Token>(i);
            }
        }
        while (last < 0) {                           // rounding: the last that can be drawn at all
            --b;
            for (Index i = b * block; i < (b + 1) * block; ++i) {
                last = weights_.data()[i] > T(0) ? i : last;
            }
        }
        return static_cast<Token>(last);
    }

private:
    Index n_;
    Scratch<T> weights_;
    Scratch<double> sums_;
    double total_ = 0;
};

}  // namespace

Drawable::Drawable(const std::vector<bool>& allowed) : all_(allowed.empty())
{
    const auto n = static_cast<Index>(allowed.size());
    for (Index i = 0; i < n; ++i) {
        if (allowed[static_cast<std::size_t>(i)]) {
            if (runs_.empty() || runs_.back().end != i) {
                runs_.push_back({i, i});
            }
            runs_.back().end = i + 1;
        }
    }
}

std::vector<bool> Drawable::flags(Index n) const
{
    std::vector<bool> flags(all_ ? 0 : static_cast<std::size_t>(n));
    for_each_run(all_ ? 0 : n, [&](Run run) { std::fill(flags.begin() + run.begin, flags.begin() + run.end, true); });
    return flags;
}

template <class T>
Token sample(const T* logits, Index n, const Drawable& allowed, const Sampling& how, Random& random)
{
    const double uniform = random.uniform();
    check(how);
    check_numbers(logits, n);
    Index best = -1;
    Index ids = 0;
    allowed.for_each_run(n, [&](Drawable::Run run) {
        const T peak = greatest(logits + run.begin, run.end - run.begin);
        ids += run.end - run.begin;
        if (best < 0 || peak > logits[best]) {
            best = std::find(logits + run.begin, logits + run.end, peak) - logits;
        }
    });
    if (best < 0) {
        throw_error(ErrorCode::bad_argument, "sampling: no token is allowed");
    }
    const T top = logits[best];
    if (certain(how, top)) {
        return static_cast<Token>(best);
    }
    const Index most = how.top_k > 0 ? std::min(how.top_k, ids) : ids;
    if (most == ids && how.top_p >= 1) {
        const Weights<T> weights(logits, n, allowed, top, how.temperature);
        return weights.at(uniform * weights.total());
    }
    std::vector<Choice<T>> choices;
    if (most < ids) {
        most_probable(logits, n, allowed, most, choices);
        return draw_top<T>(choices, how, uniform);
    }
    // Top-p of them all: a few hundred mostly reach it, and sorting a vocabulary costs more than all the rest.
    const double wanted = how.top_p * Weights<T>(logits, n, allowed, top, how.temperature).total();
    for (Index count = 256;; count *= 8) {
        most_probable(logits, n, allowed, count, choices);
        const std::vector<double> weights = weights_of<T>(choices, how.temperature);
        std::size_t kept = how_many_reach(weights, wanted);
        if (kept == 0 && static_cast<Index>(choices.size()) >= ids) {
            kept = choices.size();
        }
        if (kept > 0) {
            return draw<T>(choices, weights, kept, uniform);
        }
    }
}

template <class T>
double margin(const T* logits, Index n, const Drawable& allowed)
{
    Index ids = 0;
    T first = -std::numeric_limits<T>::infinity();
    T second = first;
    allowed.for_each_run(n, [&](Drawable::Run run) {
        ids += run.end - run.begin;
        for (Index i = run.begin; i < run.end; ++i) {
            const T x = logits[i];
            second = std::max(second, std::min(first, x));
            first = std::max(first, x);
        }
    });
    return ids > 1 && first > second ? static_cast<double>(first) - static_cast<double>(second) : 0.0;
}

template <class T>
Token sample_among(std::span<const typename BestLogits<T>::Choice> best, const Sampling& how, Random& random)
{
    const double uniform = random.uniform();
    check(how);
    if (best.empty()) {
        throw_error(ErrorCode::bad_argument, "sampling: no token is allowed");
    }
    const T top = best.front().logit;
    if (certain(how, top)) {
        return static_cast<Token>(best.front().id);
    }
    if (how.top_k > 0 && how.top_k < static_cast<Index>(best.size())) {
        best = best.first(static_cast<std::size_t>(how.top_k));
    }
    return draw_top<T>(best, how, uniform);
}

template Token sample(const float*, Index, const Drawable&, const Sampling&, Random&);
template Token sample(const double*, Index, const Drawable&, const Sampling&, Random&);
template double margin(const float*, Index, const Drawable&);
template double margin(const double*, Index, const Drawable&);
template Token sample_among<float>(std::span<const BestLogits<float>::Choice>, const Sampling&, Random&);
template Token sample_among<double>(std::span<const BestLogits<double>::Choice>, const Sampling&, Random&);

}  // namespace stillhouse::models
