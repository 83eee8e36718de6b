// SPDX-License-Identifier: Apache-2.0
// Norms of the error of a modal system over all lags.
#include "libcore/systems/error_norms.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/finite.hpp"
#include "libcore/systems/lanczos.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::systems {

namespace {

using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double norm_tolerance = 1e-9;      // of the residual; the value is off by its square over the gap

/// One step of the cascade without input: column j is what the j-th unit state becomes.
MatrixXd transition(const std::vector<Section>& sections, Index order)
{
    MatrixXd A = MatrixXd::Identity(order, order);
    std::vector<AllPass> chain;
    for (const Section& s : sections) {
        if (s.states > 0) {
            chain.push_back(all_pass(s));
        }
    }
    for (Index j = 0; j < order; ++j) {
        double* state = A.col(j).data();
        double w = 0.0;
        for (const AllPass& s : chain) {
            w = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, state, w)
                              : step_single(s.sign, s.a, s.s1, state, w);
            state += s.states;
        }
    }
    return A;
}

MatrixXd power(MatrixXd A, Index exponent)
{
    MatrixXd result = MatrixXd::Identity(A.rows(), A.cols());
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) {
            result = (result * A).eval();
        }
        A = (A * A).eval();
    }
    return result;
}

/// S = b c' + A S A by doubling: after k rounds it holds 2^k terms of sum_i A^i b c' A^i.
MatrixXd hankel_core(MatrixXd A, const VectorXd& b, const VectorXd& c)
{
    MatrixXd S = b * c.transpose();
    for (int round = 0; round < 64 && A.norm() > 1e-30; ++round) {
        S += (A * S * A).eval();
        A = (A * A).eval();
    }
    return 0.5 * (S + S.transpose());
}

}  // namespace

ErrorNorms error_norms(std::span<const double> h, const ModalSystem& system, const Control& control)
{
    const Index K = static_cast<Index>(system.fir.size());
    const Index N = std::max<Index>(static_cast<Index>(h.size()) - K, 0);
    const Index d = system.order();
    STILLHOUSE_CHECK(static_cast<Index>(system.readout.size()) == d);
    const std::size_t behind = std::min(static_cast<std::size_t>(K), h.size());
    require_finite(h.subspan(behind), behind);
    VectorXd g = Map<const VectorXd>(h.data() + behind, N);
    ErrorNorms norms;
    const double largest = N > 0 ? g.cwiseAbs().maxCoeff() : 0.0;
    if (largest == 0.0) {
        const bool silent =
            std::all_of(system.readout.begin(), system.readout.end(), [](double c) { return c == 0.0; });
        norms.l2 = norms.h2 = norms.hankel = silent ? 0.0 : std::numeric_limits<double>::infinity();
        return norms;
    }
    g /= largest;
    const VectorXd c = Map<const VectorXd>(system.readout.data(), d) / largest;
    const std::vector<double> basis = cascade_basis(system.sections, N);
    const Map<const MatrixXd> Phi(basis.data(), N, d);
    const MatrixXd A = transition(system.sections, d);
    const MatrixXd tail = power(A, N).transpose();                   // rows of Phi from lag N on, in the basis Phi
    const MatrixXd S = N > 0 && d > 0 ? hankel_core(A, Phi.row(0).transpose(), c) : MatrixXd(d, d);

    const double within = (g - Phi * c).norm();
    norms.l2 = within / g.norm();
    norms.h2 = std::hypot(within, (tail * c).norm()) / g.norm();

    HankelProduct filter({g.data(), static_cast<std::size_t>(N)}, N, N);
    const auto whole = [&](const double* x, double* y) { filter.apply(x, y); };
    const auto error = [&](const double* x, double* y) {
        const Map<const VectorXd> known(x, N);
        const Map<const VectorXd> beyond(x + N, d);
        filter.apply(x, y);
        const VectorXd seen = S * (Phi.transpose() * known + tail.transpose() * beyond);
        Map<VectorXd>(y, N).noalias() -= Phi * seen;
        Map<VectorXd>(y + N, d).noalias() = -(tail * seen);
    };
    const double of_filter = std::fabs(lanczos(whole, N, 1, norm_tolerance, Vectors::no, control).values[0]);
    const double of_error = std::fabs(lanczos(error, N + d, 1, norm_tolerance, Vectors::no, control).values[0]);
    norms.hankel = of_error / of_filter;
    norms.filter_hankel = of_filter * largest;
    return norms;
}

}  // namespace stillhouse::systems
