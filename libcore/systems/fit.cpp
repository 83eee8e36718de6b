// SPDX-License-Identifier: Apache-2.0
// The fit: starts, refinement, the better of them, residues in the all-pass basis.
#include "libcore/systems/fit.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/hankel.hpp"
#include "libcore/systems/varpro.hpp"

#include <Eigen/QR>

#include <algorithm>
#include <cmath>

namespace stillhouse::systems {

namespace {

using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double rounding = 1e-6;        // below, trained modes are what the filter was made of

double norm_of(std::span<const double> x)
{
    double sum = 0.0;
    for (const double v : x) {
        sum += v * v;
    }
    return std::sqrt(sum);
}

/// Relative l2 difference of the system's response and g = h_K ..., both scaled.
double error_of(std::span<const Section> sections, const VectorXd& readout, std::span<const double> g)
{
    const Index N = static_cast<Index>(g.size());
    const std::vector<double> basis = cascade_basis(sections, N);
    const Map<const MatrixXd> Phi(basis.data(), N, readout.size());
    const Map<const VectorXd> target(g.data(), N);
    return (target - Phi * readout).norm() / target.norm();
}

/// Least squares in the all-pass basis, whose columns are nearly orthonormal.
VectorXd best_readout(const FitProblem& problem, std::span<const Section> sections)
{
    const Index N = problem.length();
    const std::vector<double> basis = cascade_basis(sections, N);
    const Index d = static_cast<Index>(basis.size()) / N;
    MatrixXd Phi = Map<const MatrixXd>(basis.data(), N, d);
    VectorXd target = Map<const VectorXd>(problem.g.data(), N);
    if (!problem.weights.empty()) {
        const VectorXd root = Map<const VectorXd>(problem.weights.data(), N).cwiseSqrt();
        Phi = root.asDiagonal() * Phi;
        target = root.asDiagonal() * target;
    }
    return Phi.colPivHouseholderQr().solve(target);
}

FitProblem problem_of(std::span<const double> h, const FitOptions& options, double largest)
{
    const std::size_t K = static_cast<std::size_t>(options.fir_taps);
    FitProblem problem;
    problem.g.assign(h.begin() + static_cast<std::ptrdiff_t>(K), h.end());
    for (double& x : problem.g) {
        x /= largest;
    }
    if (!options.weights.empty()) {
        problem.weights.assign(options.weights.begin() + static_cast<std::ptrdiff_t>(K), options.weights.end());
    }
    const double N = static_cast<double>(problem.g.size());
    problem.slowest = options.max_radius > 0.0 ? std::log(options.max_radius) : -1e-7 / N;
    problem.slowest = std::min(problem.slowest, -1e-15);
    problem.separation = options.min_separation;
    return problem;
}

void check(std::span<const double> h, const FitOptions& options)
{
    for (std::size_t t = 0; t < h.size(); ++t) {
        if (!std::isfinite(h[t])) {
            throw_error(ErrorCode::bad_data, "lag " + std::to_string(t) + " is not a finite number");
        }
    }
    const Index length = static_cast<Index>(h.size());
    if (options.order < 0 || options.fir_taps < 1 || options.min_separation < 0.0 || options.max_radius < 0.0 ||
        options.max_radius >= 1.0) {
        throw_error(ErrorCode::bad_argument, "order " + std::to_string(options.order) + ", " +
                    std::to_string(options.fir_taps) + " first taps, separation " +
                    std::to_string(options.min_separation) + ", radius " + std::to_string(options.max_radius) +
                    "; expected order >= 0, taps >= 1, separation >= 0 and 0 < radius < 1");
    }
    if (length < options.fir_taps) {
        throw_error(ErrorCode::bad_data, std::to_string(length) + " lags are fewer than the " +
                    std::to_string(options.fir_taps) + " first taps");
    }
    if (!options.weights.empty()) {
        if (options.weights.size() != h.size()) {
            throw_error(ErrorCode::bad_data, std::to_string(options.weights.size()) + " weights for " +
                        std::to_string(length) + " lags; each lag needs one");
        }
        double sum = 0.0;
        for (std::size_t t = 0; t < options.weights.size(); ++t) {
            const double w = options.weights[t];
            if (!std::isfinite(w) || w < 0.0) {
                throw_error(ErrorCode::bad_data, "the weight of lag " + std::to_string(t) +
                            " is not a finite number >= 0");
            }
            sum += static_cast<Index>(t) >= options.fir_taps ? w : 0.0;
        }
        if (sum == 0.0 && length > options.fir_taps) {
            throw_error(ErrorCode::bad_data, "no lag behind the first taps has a weight above 0");
        }
    }
}

/// Trained modes that already are the filter, at no higher order than asked for.
std::optional<Fit> from_start(const FitProblem& problem, const FitOptions& options)
{
    if (!options.start || options.start->order() > options.order || options.start->order() == 0) {
        return std::nullopt;
    }
    const ModalSystem& start = *options.start;
    for (const Section& s : start.sections) {
        if (s.states > 0 && !(s.m + (s.states == 2 && s.v > 0.0 ? std::sqrt(s.v) : 0.0) <= problem.slowest)) {
            return std::nullopt;
        }
    }
    Fit fit;
    fit.system.sections = start.sections;
    const VectorXd readout = best_readout(problem, start.sections);
    fit.error = error_of(start.sections, readout, problem.g);
    if (!(fit.error <= rounding)) {
        return std::nullopt;
    }
    fit.system.readout.assign(readout.data(), readout.data() + readout.size());
    return fit;
}

}  // namespace

Fit fit_modal(std::span<const double> h, const FitOptions& options, const Control& control)
{
    check(h, options);
    if (options.objective != Objective::l2 || !options.input_spectrum.empty() || options.extension != 1.0) {
        throw_error(ErrorCode::unsupported, "this objective has no fit yet; use the l2 error over the horizon");
    }
    Fit fit;
    fit.system.fir.assign(h.begin(), h.begin() + options.fir_taps);
    double largest = 0.0;
    for (const double x : h.subspan(static_cast<std::size_t>(options.fir_taps))) {
        largest = std::max(largest, std::fabs(x));
    }
    if (largest == 0.0) {
        return fit;
    }
    if (options.order == 0) {
        fit.error = 1.0;
        return fit;
    }
    const FitProblem problem = problem_of(h, options, largest);
    const std::vector<double> fir = fit.system.fir;
    auto finish = [&](Fit found) {
        found.system.fir = fir;
        for (double& c : found.system.readout) {
            c *= largest;
        }
        return found;
    };
    if (std::optional<Fit> trained = from_start(problem, options)) {
        return finish(std::move(*trained));
    }
    const Index N = problem.length();
    if (options.order > N / 2) {
        throw_error(ErrorCode::bad_data, "order " + std::to_string(options.order) + " needs at least " +
                    std::to_string(2 * options.order) + " lags behind the first taps, found " + std::to_string(N) +
                    "; lower the order");
    }

    std::vector<FitStep> candidates;
    const std::vector<Section> kung = kung_start(problem, options.order, control);
    candidates.push_back(minimise(problem, kung, Algebra::gram, 60, 1e-6, control));
    {
        FitStep greedy = greedy_start(problem, options.order, control);
        const Index before = greedy.iterations;
        greedy = minimise(problem, std::move(greedy.sections), Algebra::gram, 60, 1e-6, control);
        greedy.iterations += before;
        candidates.push_back(std::move(greedy));
    }
    if (options.start && options.start->order() == options.order) {
        candidates.push_back(minimise(problem, options.start->sections, Algebra::gram, 60, 1e-6, control));
    }
    // Normal equations cannot tell residuals below 1e-7 apart: there every candidate is polished, else the best alone.
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const FitStep& a, const FitStep& b) { return a.residual < b.residual; });
    const double norm = norm_of(problem.g);
    const bool nearly_exact = candidates.front().residual < 1e-4 * norm;
    if (nearly_exact) {
        candidates.push_back({kung, 0.0, 0});        // its poles may be better than normal equations can see
    }
    FitStep best;
    best.residual = -1.0;
    for (FitStep& candidate : candidates) {
        FitStep polished = minimise(problem, std::move(candidate.sections), Algebra::exact, nearly_exact ? 30 : 4,
                                    nearly_exact ? 1e-3 : 1e-7, control);
        polished.iterations += candidate.iterations;
        if (best.residual < 0.0 || polished.residual < best.residual) {
            best = std::move(polished);
        }
        if (!nearly_exact) {
            break;
        }
    }
    const VectorXd readout = best_readout(problem, best.sections);
    fit.system.sections = best.sections;
    fit.system.readout.assign(readout.data(), readout.data() + readout.size());
    fit.error = error_of(best.sections, readout, problem.g);
    fit.objective = fit.error;
    fit.iterations = best.iterations;
    return finish(std::move(fit));
}

std::vector<Fit> fit_orders(std::span<const double> h, std::span<const Index> orders, FitOptions options,
                            const Control& control)
{
    std::vector<Fit> fits;
    for (const Index order : orders) {
        options.order = order;
        fits.push_back(fit_modal(h, options, control));
    }
    return fits;
}

std::vector<Fit> fit_shared(std::span<const double> filters, Index length, const FitOptions& options,
                            const Control& control)
{
    if (length < 1 || static_cast<Index>(filters.size()) % length != 0) {
        throw_error(ErrorCode::bad_data, std::to_string(filters.size()) + " taps are no whole number of filters of " +
                    std::to_string(length));
    }
    if (static_cast<Index>(filters.size()) > length) {
        throw_error(ErrorCode::unsupported, "several filters cannot share their poles yet");
    }
    return {fit_modal(filters, options, control)};
}

Fit fit_to_tolerance(std::span<const double> h, double tolerance, Index max_order, FitOptions options,
                     const Control& control)
{
    if (!(tolerance >= 0.0) || max_order < 2) {
        throw_error(ErrorCode::bad_argument, "tolerance " + std::to_string(tolerance) + " up to order " +
                    std::to_string(max_order) + "; expected a tolerance >= 0 and an order of at least 2");
    }
    check(h, options);
    const Index lags = static_cast<Index>(h.size()) - options.fir_taps;
    std::vector<Index> orders;
    for (Index d = 2; d <= max_order && d <= lags / 2; d += 2) {
        orders.push_back(d);
    }
    if (orders.empty()) {
        options.order = 0;
        return fit_modal(h, options, control);
    }
    // Orders that provably miss the tolerance need no fit.
    const std::vector<double> bounds =
        l2_lower_bounds(h.subspan(static_cast<std::size_t>(options.fir_taps) - 1), orders, control);
    Fit fit;
    for (std::size_t i = 0; i < orders.size(); ++i) {
        if (bounds[i] > tolerance && i + 1 < orders.size()) {
            continue;
        }
        options.order = orders[i];
        fit = fit_modal(h, options, control);
        if (fit.error <= tolerance) {
            break;
        }
    }
    return fit;
}

}  // namespace stillhouse::systems
