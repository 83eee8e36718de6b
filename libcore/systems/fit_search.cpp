// SPDX-License-Identifier: Apache-2.0
// Greedy, Kung's and trained starts; sections exchanged one by one; exact algebra where normal equations are blind.
#include "libcore/systems/fit_search.hpp"

#include "libcore/base/random.hpp"

#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stillhouse::systems {

namespace {

constexpr Index normal_failures = 6;     // exchanges without gain before the search is over
constexpr double vanishing = -3.0;       // log of a modulus that may have been 0
constexpr double compressible = 0.15;    // relative residual below which Kung's vectors are few, quick and good

Index order_of(const std::vector<Section>& sections)
{
    Index order = 0;
    for (const Section& s : sections) {
        order += s.states;
    }
    return order;
}

/// The residual in the all-pass basis, which stays well conditioned where poles coincide.
double cascade_residual(const FitProblem& problem, std::span<const Section> sections)
{
    const Index N = problem.length();
    const std::vector<double> basis = cascade_basis(sections, N);
    const Eigen::Map<const Eigen::MatrixXd> B(basis.data(), N, static_cast<Index>(basis.size()) / N);
    const Eigen::Map<const Eigen::MatrixXd> g(problem.g.data(), N, problem.targets);
    return (g - B * B.colPivHouseholderQr().solve(g)).norm();
}

}  // namespace

FitSearch::FitSearch(const FitProblem& problem, Effort effort, Index max_order, const Control& control)
    : problem_(problem), effort_(effort), max_order_(max_order), control_(control), varpro_(problem), grid_(problem)
{
}

std::vector<Section> FitSearch::stepped(std::vector<Section> sections, Index iterations, double tolerance)
{
    FitStep step = varpro_.minimise(std::move(sections), Algebra::gram, iterations, tolerance, control_);
    iterations_ += step.iterations;
    return std::move(step.sections);
}

std::vector<Section> FitSearch::insert(std::vector<Section> sections, int states)
{
    sections.push_back(grid_.best(varpro_.residual(sections), states));
    return stepped(std::move(sections), 4, 1e-4);
}

std::vector<Section> FitSearch::grow(std::vector<Section> sections, Index order)
{
    while (order_of(sections) < order) {
        sections = insert(std::move(sections), order - order_of(sections) >= 2 ? 2 : 1);
    }
    return sections;
}

std::vector<Section> FitSearch::shrink(std::vector<Section> sections, Index order)
{
    while (order_of(sections) > order) {
        const std::vector<double> costs = varpro_.drop_costs(sections);
        std::size_t drop = 0;
        for (std::size_t i = 1; i < costs.size(); ++i) {
            drop = costs[i] < costs[drop] ? i : drop;
        }
        sections.erase(sections.begin() + static_cast<std::ptrdiff_t>(drop));
        if (!sections.empty()) {
            sections = stepped(std::move(sections), 3, 1e-4);
        }
    }
    return grow(std::move(sections), order);         // an odd order may have lost one state too many
}

FitStep FitSearch::greedy(Index order)
{
    while (order_of(greedy_) + 2 <= order) {
        greedy_ = insert(std::move(greedy_), 2);
    }
    return refine(grow(greedy_, order));
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

bool FitSearch::improve(std::vector<Section> sections)
{
    FitStep trial = varpro_.minimise(std::move(sections), Algebra::gram, 8, 1e-5, control_);
    iterations_ += trial.iterations;
    if (trial.residual < 1.02 * best_.residual) {
        trial = varpro_.minimise(std::move(trial.sections), Algebra::gram, 60, 1e-6, control_);
        iterations_ += trial.iterations;
    }
    if (trial.residual < (1.0 - 1e-4) * best_.residual) {
        best_ = std::move(trial);
        return true;
    }
    return false;
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
            fewer = stepped(std::move(fewer), 3, 1e-4);
        }
        fewer.push_back(grid_.best(varpro_.residual(fewer), states));
        failed = improve(std::move(fewer)) ? 0 : failed + 1;
    }
}

bool FitSearch::overshoot(Index pairs)
{
    const Index order = order_of(best_.sections);
    if (order + 2 * pairs > problem_.length() / 2) {
        return false;
    }
    return improve(shrink(grow(best_.sections, order + 2 * pairs), order));
}

/// Basins far from the best: two or three modes at random are left out.
void FitSearch::hop(Index order)
{
    Random random(static_cast<std::uint64_t>(order), 5);
    for (int failed = 0; failed < 12 && best_.sections.size() > 2;) {
        std::vector<Section> fewer = best_.sections;
        for (int k = 0; k < 2 + failed % 2 && fewer.size() > 1; ++k) {
            const std::size_t drop = static_cast<std::size_t>(random.uniform() * static_cast<double>(fewer.size()));
            fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(std::min(drop, fewer.size() - 1)));
        }
        fewer = stepped(std::move(fewer), 20, 1e-5);
        failed = improve(grow(std::move(fewer), order)) ? 0 : failed + 1;
    }
}

/// Normal equations cannot tell small residuals apart: there Kung's raw poles may be better than they can see.
void FitSearch::polish(const std::vector<Section>* raw)
{
    if (!best_.blind) {
        return;
    }
    FitStep polished = varpro_.minimise(best_.sections, Algebra::exact, 2, 1e-3, control_);
    if (raw != nullptr) {
        FitStep other = varpro_.minimise(*raw, Algebra::exact, 2, 1e-3, control_);
        if (other.residual < polished.residual) {
            polished = std::move(other);
        }
    }
    const double exact = 4e-16 * varpro_.norm();
    if (polished.residual > exact) {
        polished = varpro_.minimise(std::move(polished.sections), Algebra::exact, 30, 1e-3, control_);
        iterations_ += polished.iterations;
    }
    // A delay is a pole of 0 many times over, which sums of modes cannot express and the all-pass basis can.
    if (raw != nullptr && polished.residual > exact && problem_.weights.empty() && problem_.spectrum.empty()) {
        std::vector<Section> delay = *raw;
        Index snapped = 0;
        for (Section& s : delay) {
            if (s.m + (s.states == 2 && s.v > 0.0 ? std::sqrt(s.v) : 0.0) < vanishing) {
                s.m = -40.0;
                s.v = 0.0;
                snapped += s.states;
            }
        }
        const double residual = snapped > 2 ? cascade_residual(problem_, delay) : polished.residual;
        if (residual < polished.residual) {
            polished.sections = std::move(delay);
            polished.residual = residual;
        }
    }
    best_ = std::move(polished);
}

FitStep FitSearch::best(Index order, std::span<const Section> trained)
{
    best_ = {};
    best_.residual = -1.0;
    iterations_ = 0;
    std::vector<FitStep> starts;
    const auto start = [&](FitStep step) {
        consider(step);
        starts.push_back(std::move(step));
    };
    start(greedy(order));
    std::vector<Section> kung;
    if (effort_ == Effort::fast && best_.residual < compressible * varpro_.norm()) {
        if (!flat_) {
            flat_.emplace(problem_, max_order_, KungBasis::Metric::flat, control_);
        }
        kung = flat_->sections(order);
        start(refine(kung));
    }
    if (effort_ != Effort::fast) {
        const bool thorough = effort_ == Effort::thorough;
        if (!flat_) {
            const Index most = thorough ? std::min(2 * max_order_, problem_.length() / 2) : max_order_;
            flat_.emplace(problem_, most, KungBasis::Metric::flat, control_);
            arcsine_.emplace(problem_, most, KungBasis::Metric::arcsine, control_);
        }
        kung = flat_->sections(order);
        start(refine(kung));
        start(refine(arcsine_->sections(order)));
        if (!previous_.empty() && order_of(previous_) < order) {
            start(refine(grow(previous_, order)));
        }
        if (thorough && 4 * order <= problem_.length()) {
            start(refine(shrink(stepped(flat_->sections(2 * order), 8, 1e-4), order)));
            start(refine(shrink(stepped(arcsine_->sections(2 * order), 8, 1e-4), order)));
            start(refine(shrink(grow(greedy_, 2 * order), order)));
        }
    }
    if (!trained.empty()) {
        start(refine({trained.begin(), trained.end()}));
    }
    // Below, normal equations would compare rounding with rounding.
    const bool visible = best_.residual > 1e-6 * varpro_.norm();
    if (effort_ == Effort::normal && visible) {
        // One pair too many finds other basins than two; on long filters, where each try is dear, two must do.
        const bool long_filter = problem_.length() > 16384;
        for (int round = 0; round < 4; ++round) {
            exchange(normal_failures);
            if (!overshoot(2) && (long_filter || !overshoot(1))) {
                break;
            }
        }
    } else if (effort_ == Effort::thorough && visible) {
        FitStep overall = best_;
        for (FitStep& from : starts) {
            best_ = std::move(from);
            exchange(8);
            while (overshoot(1) || overshoot(2) || overshoot(4)) {
            }
            if (overall.residual < best_.residual) {
                best_ = overall;
            }
            overall = best_;
        }
        hop(order);
        exchange(8);
    }
    if (effort_ != Effort::fast && !best_.blind) {
        FitStep last = varpro_.minimise(best_.sections, Algebra::gram, 60, 1e-8, control_);
        iterations_ += last.iterations;
        consider(std::move(last));
    }
    polish(kung.empty() ? nullptr : &kung);
    previous_ = best_.sections;
    FitStep result = best_;
    result.iterations = iterations_;
    return result;
}

}  // namespace stillhouse::systems
