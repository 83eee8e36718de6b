// SPDX-License-Identifier: Apache-2.0
// Poles inside the disc, angles by their sign, poles apart.
#include "libcore/systems/fit_constraints.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace stillhouse::systems {

namespace {

constexpr double fastest = -40.0;        // log of the smallest modulus

/// The closest two poles, of sections a <= b (equal: within one section), and their distance.
struct Closest {
    std::size_t a = 0;
    std::size_t b = 0;
    double distance = std::numeric_limits<double>::infinity();
};

Closest closest_poles(std::span<const Section> sections)
{
    Closest result;
    for (std::size_t b = 0; b < sections.size(); ++b) {
        const SectionPoles q = poles_of(sections[b]);
        if (q.count == 2 && std::abs(q.pole[0] - q.pole[1]) < result.distance) {
            result = {b, b, std::abs(q.pole[0] - q.pole[1])};
        }
        for (std::size_t a = 0; a < b; ++a) {
            const SectionPoles p = poles_of(sections[a]);
            for (int i = 0; i < p.count; ++i) {
                for (int j = 0; j < q.count; ++j) {
                    const double distance = std::abs(p.pole[i] - q.pole[j]);
                    if (distance < result.distance) {
                        result = {a, b, distance};
                    }
                }
            }
        }
    }
    return result;
}

}  // namespace

void constrain_one(const FitProblem& problem, Section& s)
{
    const double slowest = problem.slowest;
    if (s.states == 1) {
        s.m = std::clamp(s.m, fastest, slowest);
        return;
    }
    if (s.v <= 0.0) {
        s.m = std::clamp(s.m, fastest, slowest);
        double angle = std::fmod(std::sqrt(-s.v), 2.0 * std::numbers::pi);
        if (angle > std::numbers::pi) {
            angle = 2.0 * std::numbers::pi - angle;
        }
        if (angle > 0.5 * std::numbers::pi) {
            angle = std::numbers::pi - angle;
            s.sign = -s.sign;
        }
        s.v = -angle * angle;
        return;
    }
    const double root = std::sqrt(s.v);
    if (s.m + root > slowest || s.m - root < fastest) {
        const double a = std::clamp(s.m + root, fastest, slowest);
        const double b = std::clamp(s.m - root, fastest, slowest);
        s.m = 0.5 * (a + b);
        s.v = 0.25 * (a - b) * (a - b);
        if (s.m + std::sqrt(s.v) > slowest) {
            s.m = slowest - std::sqrt(s.v);
        }
    }
}

bool poles_apart(const FitProblem& problem, std::span<const Section> sections)
{
    return problem.separation <= 0.0 || closest_poles(sections).distance >= problem.separation;
}

void constrain(const FitProblem& problem, std::vector<Section>& sections)
{
    for (Section& s : sections) {
        constrain_one(problem, s);
    }
    if (problem.separation <= 0.0) {
        return;
    }
    const double wanted = problem.separation * (1.0 + 1e-9);
    for (Index tries = 0; tries < 200 * static_cast<Index>(sections.size()); ++tries) {
        const Closest close = closest_poles(sections);
        if (close.distance >= problem.separation) {
            return;
        }
        if (close.a == close.b) {
            // Part the two poles of one section, real or complex as they are; a small modulus leaves only real ones.
            Section& s = sections[close.a];
            const double half = 0.5 * wanted * std::exp(-s.m);
            if (s.v < 0.0 && half < 1.0) {
                s.v = -std::pow(std::asin(half), 2.0);
            } else {
                const double root = std::asinh(half);
                s.m = std::min(s.m, problem.slowest - root);
                s.v = std::pow(std::asinh(0.5 * wanted * std::exp(-s.m)), 2.0);
            }
            constrain_one(problem, s);
        } else {
            Section& a = sections[close.a];
            Section& b = sections[close.b];
            (a.m < b.m ? a : b).m -= 0.5 * wanted;
        }
    }
    throw_error(ErrorCode::unsupported, "poles cannot be kept " + std::to_string(problem.separation) +
                " apart at this order; ask for a smaller separation or order");
}

}  // namespace stillhouse::systems
