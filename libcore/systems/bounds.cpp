// SPDX-License-Identifier: Apache-2.0
// What no system of a given order can do better: lower bounds of the l2 error from weighted windows.
#include "libcore/systems/hankel.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/lanczos.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>

#include <algorithm>
#include <cmath>
#include <functional>

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;

constexpr Index dense_size = 512;        // largest window whose values are all computed at once
constexpr Index dense_limit = 1024;      // largest where they are when the leading ones cancel

/// Sums over i > d of sigma_i^2 for each order d, less what rounding may have added; sums that rounding could have made
/// altogether are 0.
struct Tails {
    std::vector<double> energy;
};

/// All values squared, descending, each with an absolute error below `doubt`.
Tails tails_of_all(std::vector<double> squares, double doubt, std::span<const Index> orders)
{
    std::sort(squares.begin(), squares.end(), std::greater<>());
    Tails result;
    for (const Index d : orders) {
        double sum = 0.0;
        for (std::size_t i = squares.size(); i-- > static_cast<std::size_t>(std::max<Index>(d, 0));) {
            sum += std::max(squares[i] - doubt, 0.0);
        }
        result.energy.push_back(sum);
    }
    return result;
}

/// From singular values accurate to 4e-15 sigma_1 each: (sigma - error)^2.
Tails tails_of_values(std::vector<double> sigma, std::span<const Index> orders)
{
    double largest = 0.0;
    for (const double s : sigma) {
        largest = std::max(largest, std::fabs(s));
    }
    for (double& s : sigma) {
        const double sure = std::max(std::fabs(s) - 4e-15 * largest, 0.0);
        s = sure * sure;
    }
    return tails_of_all(std::move(sigma), 0.0, orders);
}

/// Only the leading values are known: the rest is the Frobenius norm less them, 0 where that cancels.
Tails tails_of_leading(const std::vector<double>& sigma, double frobenius, std::span<const Index> orders)
{
    Tails result;
    for (const Index d : orders) {
        double head = 0.0;
        for (std::size_t i = 0; i < sigma.size() && i < static_cast<std::size_t>(d); ++i) {
            head += sigma[i] * sigma[i];
        }
        const double tail = static_cast<std::size_t>(d) <= sigma.size() ? frobenius * (1.0 - 1e-12) - head : 0.0;
        result.energy.push_back(tail > 1e-10 * frobenius ? tail : 0.0);
    }
    return result;
}

/// H_ij = a_i g_{i+j} b_j with a, b the given weights (empty: all 1), H rows x cols within g.
Tails window_tails(const std::vector<double>& g, Index rows, Index cols, const std::vector<double>& weights,
                   std::span<const Index> orders, const Control& control)
{
    auto weight = [&](Index i) { return weights.empty() ? 1.0 : weights[static_cast<std::size_t>(i)]; };
    auto all_values = [&] {
        MatrixXd H(rows, cols);
        for (Index j = 0; j < cols; ++j) {
            for (Index i = 0; i < rows; ++i) {
                H(i, j) = weight(i) * g[static_cast<std::size_t>(i + j)] * weight(j);
            }
        }
        if (rows == cols) {
            const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(H, Eigen::EigenvaluesOnly);
            return tails_of_values({eigen.eigenvalues().data(), eigen.eigenvalues().data() + rows}, orders);
        }
        const Eigen::BDCSVD<MatrixXd> svd(H);
        return tails_of_values({svd.singularValues().data(), svd.singularValues().data() + svd.singularValues().size()},
                               orders);
    };
    if (std::max(rows, cols) <= dense_size + 1) {
        return all_values();
    }
    // Frobenius: sum_ij a_i^2 g_{i+j}^2 b_j^2, the same product with everything squared.
    std::vector<double> squares(g);
    for (double& x : squares) {
        x *= x;
    }
    HankelProduct product_of_squares(squares, rows, cols);
    std::vector<double> in(static_cast<std::size_t>(cols));
    std::vector<double> out(static_cast<std::size_t>(rows));
    for (Index j = 0; j < cols; ++j) {
        in[static_cast<std::size_t>(j)] = weight(j) * weight(j);
    }
    product_of_squares.apply(in.data(), out.data());
    double frobenius = 0.0;
    for (Index i = 0; i < rows; ++i) {
        frobenius += out[static_cast<std::size_t>(i)] * weight(i) * weight(i);
    }
    const Index deepest = *std::max_element(orders.begin(), orders.end());
    const Index k = std::min({deepest, rows, cols});
    std::vector<double> left;
    std::vector<double> right;
    if (!weights.empty()) {
        left.assign(weights.begin(), weights.begin() + rows);
        right.assign(weights.begin(), weights.begin() + cols);
    }
    HankelProduct product(g, rows, cols, left, right);
    std::vector<double> sigma;
    if (rows == cols) {
        sigma = lanczos([&](const double* x, double* y) { product.apply(x, y); }, rows, k, 1e-13, Vectors::no,
                        control).values;
    } else {
        sigma = golub_kahan(product, {.k = k}, control).values;
    }
    Tails result = tails_of_leading(sigma, frobenius, orders);
    // What cancels is nothing proven; where all values can be had, their tail does not cancel.
    const bool cancelled = std::find(result.energy.begin(), result.energy.end(), 0.0) != result.energy.end();
    return cancelled && std::max(rows, cols) <= dense_limit + 1 ? all_values() : result;
}

/// The same for a flat window of few rows, from its Gram matrix: G_{i+1,j+1} = G_ij - g_i g_j + g_{i+cols} g_{j+cols}.
/// Squares lose what lies below 1e-9 of the whole, which then counts as nothing proven.
Tails gram_tails(const std::vector<double>& g, Index rows, Index cols, std::span<const Index> orders)
{
    auto at = [&](Index t) { return g[static_cast<std::size_t>(t)]; };
    MatrixXd G(rows, rows);
    for (Index j = 0; j < rows; ++j) {
        double sum = 0.0;
        for (Index t = 0; t < cols; ++t) {
            sum += at(t) * at(t + j);
        }
        G(j, 0) = sum;
    }
    for (Index i = 0; i + 1 < rows; ++i) {
        for (Index j = i; j + 1 < rows; ++j) {
            G(j + 1, i + 1) = G(j, i) - at(i) * at(j) + at(i + cols) * at(j + cols);
        }
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(G, Eigen::EigenvaluesOnly);
    const double trace = G.trace();
    Tails result = tails_of_all({eigen.eigenvalues().data(), eigen.eigenvalues().data() + rows}, 1e-15 * trace, orders);
    for (double& energy : result.energy) {
        energy = energy > 1e-9 * trace ? energy - 1e-12 * trace : 0.0;
    }
    return result;
}

}  // namespace

std::vector<double> l2_lower_bounds(std::span<const double> h, std::span<const Index> orders, const Control& control)
{
    for (std::size_t t = 0; t < h.size(); ++t) {
        if (!std::isfinite(h[t])) {
            throw_error(ErrorCode::bad_data, "lag " + std::to_string(t) + " is not a finite number");
        }
    }
    for (const Index d : orders) {
        if (d < 0) {
            throw_error(ErrorCode::bad_argument,
                        "an order of " + std::to_string(d) + " states; orders are not negative");
        }
    }
    std::vector<double> bounds(orders.size(), 0.0);
    double largest = 0.0;
    for (std::size_t t = 1; t < h.size(); ++t) {
        largest = std::max(largest, std::fabs(h[t]));
    }
    if (largest == 0.0 || orders.empty()) {
        return bounds;
    }
    std::vector<double> g(h.begin() + 1, h.end());
    double energy = 0.0;
    for (double& x : g) {
        x /= largest;
        energy += x * x;
    }
    const Index N = static_cast<Index>(g.size());
    const Index n = (N + 1) / 2;
    const Index m = N - n + 1;

    auto take = [&](const Tails& tails, double divisor) {
        for (std::size_t i = 0; i < bounds.size(); ++i) {
            bounds[i] = std::max(bounds[i], (1.0 - 1e-13) * std::sqrt(tails.energy[i] / divisor / energy));
        }
    };
    // Arcsine weights w_k = binom(2k, k) / 4^k: sum_{i+j=t} w_i w_j is 1, so the weighted norm is the l2 norm.
    std::vector<double> arcsine(static_cast<std::size_t>(m));
    double w = 1.0;
    for (Index k = 0; k < m; ++k) {
        w *= k > 0 ? (static_cast<double>(k) - 0.5) / static_cast<double>(k) : 1.0;
        arcsine[static_cast<std::size_t>(k)] = std::sqrt(w);
    }
    take(window_tails(g, n, m, arcsine, orders, control), 1.0);
    // Flat weights: q rows, divided by sqrt(q), since at most q of its elements hold the same lag.
    Index tried = 0;
    for (Index q = n; q >= 1 && 32 * q >= n; q /= 2) {
        control.throw_if_stopped();
        if (q == tried) {
            break;
        }
        tried = q;
        take(q == n || q > dense_size ? window_tails(g, q, N - q + 1, {}, orders, control)
                                      : gram_tails(g, q, N - q + 1, orders),
             static_cast<double>(q));
    }
    return bounds;
}

}  // namespace stillhouse::systems
