// SPDX-License-Identifier: Apache-2.0
// State spaces in extended precision, and the error between two of them over all lags.
#include "libcore/systems/exactness.hpp"

#include "libcore/systems/cascade.hpp"
#include "libcore/systems/recurrence.hpp"

#include <Eigen/Dense>

#include <cmath>
#include <limits>

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;

constexpr int most_doublings = 62;

/// One step of the cascade.
void advance(const ModalSystem& system, const std::vector<SectionNumbers<Extended>>& chain, Extended* x, Extended w)
{
    for (std::size_t k = 0; k < chain.size(); ++k) {
        const int states = system.sections[k].states;
        if (states == 2) {
            w = step_pair(chain[k], x, w);
        } else if (states == 1) {
            w = step_single(chain[k], x, w);
        }
        x += states;
    }
}

std::vector<SectionNumbers<Extended>> chain_of(const ModalSystem& system)
{
    std::vector<SectionNumbers<Extended>> chain;
    for (const Section& section : system.sections) {
        chain.push_back(exact_numbers<Extended>(section));
    }
    return chain;
}

template <class T>
ExtendedStateSpace widened(const Realization& realization)
{
    Realization states = realization;
    states.fir = {0.0};
    const Recurrence<Extended> run{Recurrence<T>({states}, 0)};
    const Index d = run.state_size();
    ExtendedStateSpace ss{ExtendedMatrix::Zero(d, d), ExtendedMatrix::Zero(d, 1), ExtendedMatrix::Zero(1, d)};
    const Index only = 0;
    for (Index j = 0; j <= d; ++j) {             // column j is one step from the j-th unit state; B: from a unit input
        ExtendedMatrix x = ExtendedMatrix::Zero(d, 1);
        const Extended u = j == d ? 1.0L : 0.0L;
        Extended y = 0.0L;
        if (j < d) {
            x(j) = 1.0L;
        }
        run.step(&u, &only, 1, x.data(), &y);
        if (j < d) {
            ss.A.col(j) = x;
            ss.C(j) = y;
        } else {
            ss.B = x;
        }
    }
    return ss;
}

/// sum_t L^t M R'^t; empty when it does not converge.
MatrixXd doubled(MatrixXd left, const MatrixXd& middle, MatrixXd right)
{
    MatrixXd sum = middle;
    for (int k = 0; k < most_doublings; ++k) {
        const MatrixXd more = left * sum * right.transpose();
        sum += more;
        if (!sum.allFinite()) {
            return {};
        }
        if (left.norm() * right.norm() < 1e-30 || !(more.norm() > 0.0)) {
            return sum;
        }
        left = left * left;
        right = right * right;
    }
    return {};
}

}  // namespace

ExtendedStateSpace extended_state_space(const ModalSystem& system)
{
    const std::vector<SectionNumbers<Extended>> chain = chain_of(system);
    const Index d = system.order();
    ExtendedStateSpace ss{ExtendedMatrix::Zero(d, d), ExtendedMatrix::Zero(d, 1), ExtendedMatrix::Zero(1, d)};
    for (Index j = 0; j < d; ++j) {
        ss.A(j, j) = 1.0L;
        advance(system, chain, ss.A.col(j).data(), 0.0L);
        ss.C(j) = system.readout[static_cast<std::size_t>(j)];
    }
    advance(system, chain, ss.B.data(), 1.0L);
    return ss;
}

ExtendedStateSpace extended_state_space(const Realization& realization, std::string_view state_precision)
{
    return state_precision == "f64" ? widened<double>(realization) : widened<float>(realization);
}

std::vector<Extended> extended_answer(const ModalSystem& system, const std::vector<double>& input)
{
    const std::vector<SectionNumbers<Extended>> chain = chain_of(system);
    std::vector<Extended> x(system.readout.size(), 0.0L);
    std::vector<Extended> answer;
    answer.reserve(input.size());
    for (const double u : input) {
        Extended y = 0.0L;
        for (std::size_t i = 0; i < x.size(); ++i) {
            y += system.readout[i] * x[i];
        }
        answer.push_back(y);
        advance(system, chain, x.data(), u);
    }
    return answer;
}

double all_lags_error(const ExtendedStateSpace& exact, const ExtendedStateSpace& other)
{
    const Index n = exact.A.rows();
    const Index d = other.A.rows();
    const MatrixXd T = doubled(other.A.cast<double>(), (other.B * exact.B.transpose()).cast<double>(),
                               exact.A.cast<double>());
    if (T.rows() != d) {
        return std::numeric_limits<double>::infinity();
    }
    const ExtendedMatrix map = T.cast<Extended>();
    MatrixXd A = MatrixXd::Zero(n + d, n + d);
    MatrixXd B(n + d, 1);
    MatrixXd C(1, n + d);
    A.topLeftCorner(n, n) = exact.A.cast<double>();
    A.bottomLeftCorner(d, n) = (other.A * map - map * exact.A).cast<double>();
    A.bottomRightCorner(d, d) = other.A.cast<double>();
    B.topRows(n) = exact.B.cast<double>();
    B.bottomRows(d) = (other.B - map * exact.B).cast<double>();
    C.leftCols(n) = (other.C * map - exact.C).cast<double>();
    C.rightCols(d) = other.C.cast<double>();
    const MatrixXd gramian = doubled(A, B * B.transpose(), A);
    if (gramian.rows() != n + d) {
        return std::numeric_limits<double>::infinity();
    }
    return std::sqrt(std::max(0.0, (C * gramian * C.transpose())(0, 0)));
}

std::vector<double> nearest_readout(const ExtendedStateSpace& exact, const ExtendedStateSpace& other)
{
    const MatrixXd T = doubled(other.A.cast<double>(), (other.B * exact.B.transpose()).cast<double>(),
                               exact.A.cast<double>());
    std::vector<double> readout(static_cast<std::size_t>(exact.A.rows()), std::numeric_limits<double>::quiet_NaN());
    if (T.rows() == other.A.rows()) {
        const ExtendedMatrix row = other.C * T.cast<Extended>();
        for (std::size_t i = 0; i < readout.size(); ++i) {
            readout[i] = static_cast<double>(row(static_cast<Index>(i)));
        }
    }
    return readout;
}

}  // namespace stillhouse::systems
