// SPDX-License-Identifier: Apache-2.0
// Greedy, Kung's and trained starts; sections exchanged one by one; exact algebra where normal equations are blind.
#include "libcore/systems/fit_search.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stillhouse::systems {

namespace {

Index order_of(const std::vector<Section>& sections)
{
    Index order = 0;
    for (const Section& s : sections) {
        order += s.states;
    }
    return order;
}

}  // namespace

FitSearch::FitSearch(const FitProblem& problem, Effort effort, Index max_order, const Control& control)
    : problem_(problem), effort_(effort), max_order_(max_order), control_(control), varpro_(problem), grid_(problem)
{
}

FitStep FitSearch::insert(std::vector<Section> sections, int states)
{
    sections.push_back(grid_.best(varpro_.residual(sections), states));
    return varpro_.minimise(std::move(sections), Algebra::gram, 4, 1e-4, control_);
}

FitStep FitSearch::greedy(Index order)
{
    while (order_of(greedy_) + 2 <= order) {
        FitStep step = insert(greedy_, 2);
        iterations_ += step.iterations;
        greedy_ = std::move(step.sections);
    }
    std::vector<Section> sections = greedy_;
    if (order_of(sections) < order) {
        FitStep step = insert(std::move(sections), 1);
        iterations_ += step.iterations;
        sections = std::move(step.sections);
    }
    return refine(std::move(sections));
}

/// To convergence, unless the first steps show that others are far ahead.
FitStep FitSearch::refine(std::vector<Section> sections)
{
    FitStep step = varpro_.minimise(std::move(sections), Algebra::gram, 15, 1e-4, control_);
    iterations_ += step.iterations;
    if (best_.residual >= 0.0 && step.residual > 1.05 * best_.residual) {
        return step;
    }
    step = varpro_.minimise(std::move(step.sections), Algebra::gram, 80, 1e-6, control_);
    iterations_ += step.iterations;
    return step;
}

void FitSearch::consider(FitStep step)
{
    if (best_.residual < 0.0 || step.residual < best_.residual) {
        best_ = std::move(step);
    }
}

void FitSearch::exchange(Index failures)
{
    Index failed = 0;
    while (failed < failures && static_cast<Index>(best_.sections.size()) > failed) {
        const std::vector<double> costs = varpro_.drop_costs(best_.sections);
        std::vector<std::size_t> cheap(costs.size());
        std::iota(cheap.begin(), cheap.end(), std::size_t{0});
        std::stable_sort(cheap.begin(), cheap.end(), [&](std::size_t a, std::size_t b) { return costs[a] < costs[b]; });
        const std::size_t drop = cheap[static_cast<std::size_t>(failed)];
        std::vector<Section> fewer = best_.sections;
        const int states = fewer[drop].states;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(drop));
        if (!fewer.empty()) {
            FitStep rest = varpro_.minimise(std::move(fewer), Algebra::gram, 3, 1e-4, control_);
            iterations_ += rest.iterations;
            fewer = std::move(rest.sections);
        }
        fewer.push_back(grid_.best(varpro_.residual(fewer), states));
        FitStep trial = varpro_.minimise(std::move(fewer), Algebra::gram, 8, 1e-5, control_);
        iterations_ += trial.iterations;
        if (trial.residual < 1.02 * best_.residual) {
            trial = varpro_.minimise(std::move(trial.sections), Algebra::gram, 60, 1e-6, control_);
            iterations_ += trial.iterations;
        }
        if (trial.residual < (1.0 - 1e-4) * best_.residual) {
            best_ = std::move(trial);
            failed = 0;
        } else {
            ++failed;
        }
    }
}

/// Normal equations cannot tell small residuals apart: there Kung's raw poles may be better than they can see.
void FitSearch::polish(const std::vector<Section>* raw)
{
    if (!best_.blind) {
        return;
    }
    FitStep polished = varpro_.minimise(best_.sections, Algebra::exact, 30, 1e-3, control_);
    iterations_ += polished.iterations;
    if (raw != nullptr) {
        FitStep other = varpro_.minimise(*raw, Algebra::exact, 30, 1e-3, control_);
        iterations_ += other.iterations;
        if (other.residual < polished.residual) {
            polished = std::move(other);
        }
    }
    best_ = std::move(polished);
}

FitStep FitSearch::best(Index order, std::span<const Section> trained)
{
    best_ = {};
    best_.residual = -1.0;
    iterations_ = 0;
    consider(greedy(order));
    std::vector<Section> kung;
    if (effort_ != Effort::fast) {
        if (!flat_) {
            flat_.emplace(problem_, max_order_, KungBasis::Metric::flat, control_);
            arcsine_.emplace(problem_, max_order_, KungBasis::Metric::arcsine, control_);
        }
        kung = flat_->sections(order);
        consider(refine(kung));
        consider(refine(arcsine_->sections(order)));
        if (!previous_.empty() && order_of(previous_) < order) {
            std::vector<Section> more = previous_;
            while (order_of(more) < order) {
                FitStep step = insert(std::move(more), order - order_of(more) >= 2 ? 2 : 1);
                iterations_ += step.iterations;
                more = std::move(step.sections);
            }
            consider(refine(std::move(more)));
        }
    }
    if (!trained.empty()) {
        consider(refine({trained.begin(), trained.end()}));
    }
    if (effort_ != Effort::fast) {
        exchange(effort_ == Effort::normal ? 3 : 8);
    }
    polish(kung.empty() ? nullptr : &kung);
    previous_ = best_.sections;
    FitStep result = best_;
    result.iterations = iterations_;
    return result;
}

}  // namespace stillhouse::systems
