// SPDX-License-Identifier: Apache-2.0
// Which starts are tried for a fit, and how one is improved by exchanging its modes.
#pragma once

#include "libcore/systems/fit.hpp"
#include "libcore/systems/fit_starts.hpp"
#include "libcore/systems/varpro.hpp"

#include <optional>
#include <vector>

namespace stillhouse::systems {

/// Searches one problem at several orders (ascending is cheapest): the greedy modes of one order lead on to the next,
/// Hankel vectors are computed once for the largest order. Deterministic.
class FitSearch {
public:
    FitSearch(const FitProblem& problem, Effort effort, Index max_order, const Control& control);

    /// The best poles found of that many real states; `trained` (may be empty) is one more start.
    FitStep best(Index order, std::span<const Section> trained);

private:
    FitStep greedy(Index order);
    /// One more mode where the residual shows most, and a few steps.
    std::vector<Section> insert(std::vector<Section> sections, int states);
    /// The cheapest modes dropped, a few steps after each, until that order is left.
    std::vector<Section> shrink(std::vector<Section> sections, Index order);
    std::vector<Section> grow(std::vector<Section> sections, Index order);
    std::vector<Section> stepped(std::vector<Section> sections, Index iterations, double tolerance);
    FitStep refine(std::vector<Section> sections);
    void consider(FitStep step);
    /// Keeps the trial, taken to convergence, where it is better than the best by more than rounding.
    bool improve(std::vector<Section> sections);
    /// Sections dropped one by one, cheapest first, and another put in their place.
    void exchange(Index failures);
    /// As many modes more, then as many fewer.
    bool overshoot(Index pairs);
    void hop(Index order);
    void polish(const std::vector<Section>* raw);

    const FitProblem& problem_;
    Effort effort_;
    Index max_order_;
    const Control& control_;
    Varpro varpro_;
    ModeGrid grid_;
    std::optional<KungBasis> flat_;
    std::optional<KungBasis> arcsine_;
    std::vector<Section> greedy_;            // pairs picked so far
    std::vector<Section> previous_;          // the best of the order before
    FitStep best_;
    Index iterations_ = 0;
};

}  // namespace stillhouse::systems
