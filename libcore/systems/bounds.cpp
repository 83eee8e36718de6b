// SPDX-License-Identifier: Apache-2.0
// What no system of a given order can do better: lower bounds of the l2 error from weighted windows.
#include "libcore/base/error.hpp"
#include "libcore/systems/bound_ascent.hpp"
#include "libcore/systems/finite.hpp"
#include "libcore/systems/hankel.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stillhouse::systems {

namespace {

/// A flat window of q rows, divided by sqrt(q), since at most q of its elements hold the same lag: raises the bounds
/// (of squared errors) that it betters.
void take_flat(const std::vector<double>& g, Index q, std::span<const Index> orders, std::vector<double>& bounds,
               const Control& control)
{
    const Index N = static_cast<Index>(g.size());
    const Index cols = N - q + 1;
    double frobenius = 0.0;
    for (Index t = 0; t < N; ++t) {
        const double x = g[static_cast<std::size_t>(t)];
        frobenius += static_cast<double>(std::min({t + 1, q, N - t})) * x * x;
    }
    // What is left of |H|^2 when the leading values are taken away, as far as they are known: they only grow.
    auto can_win = [&](const std::vector<double>& squares) {
        double head = 0.0;
        std::size_t k = 0;
        for (std::size_t i = 0; i < orders.size(); ++i) {
            for (; k < squares.size() && k < static_cast<std::size_t>(orders[i]); ++k) {
                head += squares[k];
            }
            if (orders[i] < q && frobenius - head > static_cast<double>(q) * bounds[i]) {
                return true;
            }
        }
        return false;
    };
    if (!can_win({})) {
        return;
    }
    HankelProduct product(g, q, cols);
    std::vector<double> middle(static_cast<std::size_t>(cols));
    const Index k = std::min(q, orders.back());
    const Eigenpairs squares = lanczos(
        [&](const double* x, double* y) {
            product.apply_transposed(x, middle.data());
            product.apply(middle.data(), y);
        },
        q, {.k = std::max<Index>(k, 1), .tolerance = 1e-10,
            .enough = [&](const std::vector<double>& values) { return !can_win(values); }}, control);
    for (std::size_t i = 0; i < orders.size(); ++i) {
        double tail = orders[i] < q ? frobenius * (1.0 - 1e-13) : 0.0;
        for (std::size_t j = 0; j < squares.values.size() && j < static_cast<std::size_t>(orders[i]); ++j) {
            tail -= std::fabs(squares.values[j]) + squares.residuals[j] + 1e-14 * std::fabs(squares.values[0]);
        }
        if (tail > 1e-10 * frobenius) {
            bounds[i] = std::max(bounds[i], tail / static_cast<double>(q));
        }
    }
}

}  // namespace

std::vector<double> l2_lower_bounds(std::span<const double> h, std::span<const Index> orders, const Control& control,
                                    const BoundOptions& options)
{
    require_finite(h);
    for (const Index d : orders) {
        if (d < 0) {
            throw_error(ErrorCode::bad_argument,
                        "an order of " + std::to_string(d) + " states; orders are not negative");
        }
    }
    std::vector<double> result(orders.size(), 0.0);
    double largest = 0.0;
    for (std::size_t t = 1; t < h.size(); ++t) {
        largest = std::max(largest, std::fabs(h[t]));
    }
    if (largest == 0.0 || orders.empty()) {
        return result;
    }
    std::vector<double> g(h.begin() + 1, h.end());
    double energy = 0.0;
    for (double& x : g) {
        x /= largest;
        energy += x * x;
    }
    std::vector<std::size_t> place(orders.size());
    std::iota(place.begin(), place.end(), std::size_t{0});
    std::stable_sort(place.begin(), place.end(), [&](std::size_t a, std::size_t b) { return orders[a] < orders[b]; });
    std::vector<Index> ascending;
    for (const std::size_t i : place) {
        ascending.push_back(orders[i]);
    }

    std::vector<double> bounds = ArcsineWindow(g).bounds(ascending, options.steps, control);
    const Index n = (static_cast<Index>(g.size()) + 1) / 2;
    for (Index q = n; q >= 1 && 32 * q >= n; q /= 2) {
        control.throw_if_stopped();
        take_flat(g, q, ascending, bounds, control);
    }
    for (std::size_t i = 0; i < place.size(); ++i) {
        result[place[i]] = (1.0 - 1e-12) * std::sqrt(std::max(bounds[i], 0.0) / energy);
    }
    return result;
}

std::optional<Index> smallest_possible_order(std::span<const double> h, double tolerance, Index most,
                                             const Control& control, const BoundOptions& options)
{
    std::vector<Index> orders(static_cast<std::size_t>(most + 1));
    std::iota(orders.begin(), orders.end(), Index{0});
    const std::vector<double> plain = l2_lower_bounds(h, orders, control, {.steps = 0});
    // What an order cannot reach, no smaller one can.
    Index refuted = most;
    while (refuted >= 0 && plain[static_cast<std::size_t>(refuted)] <= tolerance) {
        --refuted;
    }
    if (options.steps == 0 || refuted == most) {
        return refuted < most ? std::optional<Index>(refuted + 1) : std::nullopt;
    }
    auto refutes = [&](Index order) {
        return l2_lower_bounds(h, std::vector<Index>{order}, control, options)[0] > tolerance;
    };
    Index open = most + 1;               // first order known not to be refuted
    for (Index step = 1; open - refuted > 1;) {
        const Index order = open > most ? std::min(refuted + step, most) : (refuted + open) / 2;
        if (refutes(order)) {
            refuted = order;
            step *= 2;
            if (refuted == most) {
                return std::nullopt;
            }
        } else {
            open = order;
        }
    }
    return open;
}

}  // namespace stillhouse::systems
