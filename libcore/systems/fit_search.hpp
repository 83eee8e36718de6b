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
    FitStep insert(std::vector<Section> sections, int states);
    void consider(FitStep step);
    FitStep refine(std::vector<Section> sections);
    void exchange(Index failures);
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
