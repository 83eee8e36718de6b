// SPDX-License-Identifier: Apache-2.0
// The Levenberg-Marquardt loop, and what else a problem can be asked at some poles.
#include "libcore/systems/varpro.hpp"

#include "libcore/systems/fit_constraints.hpp"
#include "libcore/systems/varpro_trial.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::systems {

Varpro::Varpro(const FitProblem& problem) : problem_(problem), workspace_(std::make_unique<TrialPoints>(problem))
{
    norm_ = std::sqrt(workspace_->squares);
}

Varpro::~Varpro() = default;

FitStep Varpro::minimise(std::vector<Section> sections, Algebra algebra, Index iterations, double tolerance,
                         const Control& control)
{
    TrialPoints& work = *workspace_;
    std::erase_if(sections, [](const Section& s) { return s.states == 0; });
    std::stable_sort(sections.begin(), sections.end(),
                     [](const Section& a, const Section& b) { return a.states > b.states; });
    constrain(problem_, sections);
    FitStep result;
    result.sections = std::move(sections);
    const Index count = static_cast<Index>(result.sections.size());
    work.evaluate(result.sections, algebra, work.now);
    double mu = 1e-3;
    std::vector<double> q;
    std::vector<double> step;
    std::vector<double> scale;
    std::vector<Section> moved;
    while (result.iterations < iterations && std::isfinite(work.now.squares) && work.now.squares > 0.0) {
        control.throw_if_stopped();
        work.normal_equations(result.sections, work.now, q);
        const Index d = work.now.order;
        scale.resize(static_cast<std::size_t>(d));
        bool finite = true;
        for (Index i = 0; i < d; ++i) {
            const double diagonal = work.H.row(i)[i];
            finite = finite && std::isfinite(diagonal) && std::isfinite(q[static_cast<std::size_t>(i)]);
            // What would leave the disc stays where it is.
            const bool held = i < count && result.sections[static_cast<std::size_t>(i)].v <= 0.0 &&
                              result.sections[static_cast<std::size_t>(i)].m >= problem_.slowest &&
                              q[static_cast<std::size_t>(i)] > 0.0;
            scale[static_cast<std::size_t>(i)] = held ? 0.0 : 1.0 / std::sqrt(std::max(diagonal, 1e-300));
        }
        if (!finite) {
            break;
        }
        for (Index i = 0; i < d; ++i) {
            double* const row = work.H.row(i);
            for (Index j = 0; j < d; ++j) {
                row[j] *= scale[static_cast<std::size_t>(i)] * scale[static_cast<std::size_t>(j)];
            }
            if (scale[static_cast<std::size_t>(i)] == 0.0) {
                row[i] = 1.0;
            }
            q[static_cast<std::size_t>(i)] *= scale[static_cast<std::size_t>(i)];
        }
        bool accepted = false;
        const double before = work.now.squares;
        for (int attempt = 0; attempt < 12 && !accepted; ++attempt) {
            work.next.squares = std::numeric_limits<double>::infinity();
            if (work.damped_step(mu, q, step)) {
                moved = result.sections;
                for (Index i = 0; i < count; ++i) {
                    Section& s = moved[static_cast<std::size_t>(i)];
                    s.m += step[static_cast<std::size_t>(i)] * scale[static_cast<std::size_t>(i)];
                    if (s.states == 2) {
                        s.v += step[static_cast<std::size_t>(count + i)] * scale[static_cast<std::size_t>(count + i)];
                    }
                    constrain_one(problem_, s);
                }
                if (poles_apart(problem_, moved)) {
                    work.evaluate(moved, algebra, work.next);
                }
            }
            if (work.next.squares < work.now.squares) {
                accepted = true;
                std::swap(result.sections, moved);
                std::swap(work.now, work.next);
                mu = std::max(attempt == 0 ? mu / 5.0 : mu, 1e-15);
            } else {
                mu = std::min(mu * 6.0, 1e12);
            }
        }
        if (!accepted) {
            break;
        }
        ++result.iterations;
        if (std::sqrt(before) - std::sqrt(work.now.squares) < tolerance * std::sqrt(before)) {
            break;
        }
    }
    result.residual = std::sqrt(work.now.squares);
    result.blind = algebra == Algebra::gram &&
                   !(1e-15 * static_cast<double>(work.now.order) * (work.squares + 3.0 * work.now.cancelled) <
                     1e-3 * work.now.squares);
    return result;
}

std::vector<double> Varpro::residual(std::span<const Section> sections)
{
    TrialPoints& work = *workspace_;
    std::vector<double> rest = problem_.g;
    work.evaluate(sections, Algebra::gram, work.next);
    const Trial& trial = work.next;
    if (!std::isfinite(trial.squares) || trial.order == 0) {
        return rest;
    }
    const Index N = problem_.length();
    const Index count = static_cast<Index>(sections.size());
    const Index P = padded(count);
    constexpr Index block = 64;
    // A table of each section over one block, and its values at the start of each.
    std::vector<double> table(static_cast<std::size_t>(2 * block * count));
    Buffer<double> starts(2 * P);
    work.lanes.load(sections);
    for (Index k = 0; k < block; ++k) {
        work.kernels.modes(work.lanes.view, static_cast<double>(k), starts.data(), starts.data() + P);
        for (Index i = 0; i < count; ++i) {
            table[static_cast<std::size_t>(2 * block * i + k)] = starts[i];
            table[static_cast<std::size_t>(2 * block * i + block + k)] = starts[P + i];
        }
    }
    for (Index t0 = 0; t0 < N; t0 += block) {
        const Index rows = std::min(block, N - t0);
        work.kernels.modes(work.lanes.view, static_cast<double>(t0), starts.data(), starts.data() + P);
        for (Index r = 0; r < problem_.targets; ++r) {
            const double* const c = trial.c.data() + r * trial.order;
            double* const to = rest.data() + r * N + t0;
            for (Index i = 0; i < count; ++i) {
                const Section& s = sections[static_cast<std::size_t>(i)];
                const double cE = c[i] / trial.norms[static_cast<std::size_t>(i)];
                const double cF = s.states == 2 ? c[count + i] / trial.norms[static_cast<std::size_t>(count + i)] : 0.0;
                const double E = cE * starts[i] + cF * starts[P + i];
                const double F = s.states == 2 ? cE * s.v * starts[P + i] + cF * starts[i] : 0.0;
                const double* const tE = table.data() + 2 * block * i;
                const double* const tF = tE + block;
                for (Index k = 0; k < rows; ++k) {
                    to[k] -= E * tE[k] + F * tF[k];
                }
            }
        }
    }
    return rest;
}

std::vector<double> Varpro::drop_costs(std::span<const Section> sections)
{
    TrialPoints& work = *workspace_;
    const Index count = static_cast<Index>(sections.size());
    std::vector<double> costs(static_cast<std::size_t>(count), 0.0);
    work.evaluate(sections, Algebra::gram, work.next);
    Trial& trial = work.next;
    if (!std::isfinite(trial.squares)) {
        return costs;
    }
    const Index d = trial.order;
    // The inverse of the Gram matrix is Y'Y with Y = U'^-1.
    Rows Y;
    Y.reset(d, d);
    for (Index i = 0; i < d; ++i) {
        Y.row(i)[i] = 1.0;
    }
    work.kernels.solve(d, trial.U.row(0), trial.U.step, Y.row(0), Y.step, Y.step);
    for (Index i = 0; i < count; ++i) {
        double EE = 0.0;
        double EF = 0.0;
        double FF = 0.0;
        const bool pair = sections[static_cast<std::size_t>(i)].states == 2;
        for (Index k = 0; k < d; ++k) {
            const double e = Y.row(k)[i];
            const double f = pair ? Y.row(k)[count + i] : 0.0;
            EE += e * e;
            EF += e * f;
            FF += f * f;
        }
        for (Index r = 0; r < problem_.targets; ++r) {
            const double* const c = trial.c.data() + r * d;
            const double e = c[i];
            const double f = pair ? c[count + i] : 0.0;
            const double det = EE * FF - EF * EF;
            costs[static_cast<std::size_t>(i)] +=
                pair ? (FF * e * e - 2.0 * EF * e * f + EE * f * f) / std::max(det, 1e-300) : e * e / EE;
        }
    }
    return costs;
}

std::vector<double> Varpro::gradient(std::span<const Section> sections, Algebra algebra)
{
    std::vector<double> q;
    workspace_->evaluate(sections, algebra, workspace_->next);
    workspace_->normal_equations(sections, workspace_->next, q);
    for (double& x : q) {
        x = -x;
    }
    return q;
}

}  // namespace stillhouse::systems
