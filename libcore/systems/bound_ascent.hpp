// SPDX-License-Identifier: Apache-2.0
// A lower bound of the l2 error from a window with arcsine weights, and its ascent.
#pragma once

#include "libcore/systems/lanczos.hpp"

#include <span>
#include <vector>

namespace stillhouse::systems {

/// A_ij = a_i a_j g_{i+j}, i, j < n, a_i^2 = binom(2i, i) / 4^i. Then |A|_F^2 = sum_t c_t g_t^2 with c_t = 1 for t < n
/// and less above, and |g - g'|^2 >= |A - X|_F^2 for X made of g' in the same way, of rank d at most, so
///     |g - g'|^2 >= |A|_F^2 - sum_{i<=d} sigma_i(A - L)^2     for every L with all weighted antidiagonal sums zero:
/// such L is orthogonal to A - X. L = 0 is the plain tail of A's singular values. The right side is concave in L (the
/// norm it holds is convex), with the supergradient X_d - P X_d: X_d the leading d terms of A - L, P the projection on
/// weighted Hankel matrices. So A - L stays a Hankel matrix and a few terms, and its products cost what A's do.
class ArcsineWindow {
public:
    /// g of at least one lag, scaled to about 1.
    explicit ArcsineWindow(const std::vector<double>& g);
    Index size() const { return n_; }

    /// Lower bounds of sum_t (g_t - g'_t)^2 for each order (ascending), `steps` steps of ascent for each of them; 0
    /// where nothing is proven. Cost: for each order d and step about 2 d products and d^2 n.
    std::vector<double> bounds(std::span<const Index> orders, Index steps, const Control& control);

private:
    struct Ascent;
    double ascend(Index order, Index steps, const Eigenpairs& plain, double reached, const Control& control);
    double proven(const Eigenpairs& pairs, Index order) const;
    double deflated(const Eigenpairs& pairs, Index order) const;
    std::vector<double> projected(const double* vectors, const std::vector<double>& values, Index count);

    Index n_;
    std::vector<double> g_, weights_, shares_;           // shares_: c_t
    double energy_ = 0.0;                                // |A|_F^2
    compute::RealFft<double> fft_;
    Buffer<double> signal_;
    Buffer<std::complex<double>> spectrum_, sum_;
};

}  // namespace stillhouse::systems
