// SPDX-License-Identifier: Apache-2.0
// The normal equations or the QR factor of a trial point, and the Levenberg-Marquardt loop over both.
#include "libcore/systems/varpro.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index block = 128;             // lags between exact values of E and F
constexpr double fastest = -40.0;        // log of the smallest modulus

/// E_t and F_t (without the sign), exactly.
struct Pair {
    double E = 1.0;
    double F = 0.0;
};

Pair mode(const Section& s, double t)
{
    if (s.states == 1) {
        return {std::exp(s.m * t), 0.0};
    }
    const double x = s.v * t * t;
    if (std::fabs(x) < 1e-4) {
        const double r = std::exp(s.m * t);
        return {r * (1.0 + x / 2.0 + x * x / 24.0), r * t * (1.0 + x / 6.0 + x * x / 120.0)};
    }
    if (s.v > 0.0) {
        const double root = std::sqrt(s.v);
        const double a = std::exp((s.m + root) * t);
        const double b = std::exp((s.m - root) * t);
        // a - b cancels where the poles have hardly parted.
        const double difference = root * t < 0.5 ? 2.0 * std::exp(s.m * t) * std::sinh(root * t) : a - b;
        return {0.5 * (a + b), 0.5 * difference / root};
    }
    const double angle = std::sqrt(-s.v);
    const double r = std::exp(s.m * t);
    return {r * std::cos(angle * t), r * std::sin(angle * t) / angle};
}

/// E_{a+b} = E_a E_b + v F_a F_b, F_{a+b} = F_a E_b + E_a F_b.
Pair product(const Pair& a, const Pair& b, double v)
{
    return {a.E * b.E + v * a.F * b.F, a.F * b.E + a.E * b.F};
}

/// The columns of a problem, block of rows by block of rows.
class Columns {
public:
    Columns(const FitProblem& problem, std::span<const Section> sections) : problem_(problem), sections_(sections)
    {
        for (const Section& s : sections_) {
            std::vector<Pair> table(block);
            std::vector<Pair> small(16);
            for (Index k = 0; k < 16; ++k) {
                small[static_cast<std::size_t>(k)] = mode(s, static_cast<double>(k));
            }
            for (Index k = 0; k < block; k += 16) {
                const Pair start = mode(s, static_cast<double>(k));
                for (Index j = 0; j < 16; ++j) {
                    table[static_cast<std::size_t>(k + j)] = product(start, small[static_cast<std::size_t>(j)], s.v);
                }
            }
            if (s.sign < 0.0) {
                for (Index k = 1; k < block; k += 2) {
                    table[static_cast<std::size_t>(k)].E *= -1.0;
                    table[static_cast<std::size_t>(k)].F *= -1.0;
                }
            }
            tables_.push_back(std::move(table));
            order_ += s.states;
        }
    }

    Index order() const { return order_; }

    /// Rows t0 .. of Phi into `to` (t0 a multiple of the block), unscaled and unweighted.
    template <class Block>
    void fill(Index t0, Index rows, Block&& to) const
    {
        Index column = 0;
        for (std::size_t k = 0; k < sections_.size(); ++k) {
            const Section& s = sections_[k];
            if (s.states == 0) {
                continue;
            }
            const Pair start = mode(s, static_cast<double>(t0));
            const std::vector<Pair>& table = tables_[k];
            double* E = &to(0, column);
            if (s.states == 1) {
                for (Index i = 0; i < rows; ++i) {
                    E[i] = start.E * table[static_cast<std::size_t>(i)].E;
                }
            } else {
                double* F = &to(0, column + 1);
                const double vF = s.v * start.F;
                for (Index i = 0; i < rows; ++i) {
                    const Pair& p = table[static_cast<std::size_t>(i)];
                    E[i] = start.E * p.E + vF * p.F;
                    F[i] = start.F * p.E + start.E * p.F;
                }
            }
            column += s.states;
        }
    }

    /// [Phi, T Phi, g] of some rows, weighted; T = diag(t / N).
    void fill_all(Index t0, Index rows, MatrixXd& M) const
    {
        fill(t0, rows, M);
        const double N = static_cast<double>(problem_.length());
        for (Index j = 0; j < order_; ++j) {
            for (Index i = 0; i < rows; ++i) {
                M(i, order_ + j) = M(i, j) * (static_cast<double>(t0 + i) / N);
            }
        }
        for (Index i = 0; i < rows; ++i) {
            M(i, 2 * order_) = problem_.g[static_cast<std::size_t>(t0 + i)];
        }
        if (!problem_.weights.empty()) {
            for (Index i = 0; i < rows; ++i) {
                M.row(i) *= std::sqrt(problem_.weights[static_cast<std::size_t>(t0 + i)]);
            }
        }
    }

private:
    const FitProblem& problem_;
    std::span<const Section> sections_;
    std::vector<std::vector<Pair>> tables_;
    Index order_ = 0;
};

/// What a trial point needs: scaled coefficients, the projected tangent's Gram matrix S and its product y with g.
struct Trial {
    double squares = std::numeric_limits<double>::infinity();    // of the residual
    VectorXd norms;          // of the columns of Phi
    VectorXd c;              // coefficients of the columns scaled to unit norm
    MatrixXd S;
    VectorXd y;
};

Trial by_gram(const Columns& columns, Index N)
{
    const Index d = columns.order();
    const Index width = 2 * d + 1;
    MatrixXd G = MatrixXd::Zero(width, width);
    MatrixXd M(block, width);
    for (Index t0 = 0; t0 < N; t0 += block) {
        const Index rows = std::min(block, N - t0);
        if (rows < block) {
            M.setZero();
        }
        columns.fill_all(t0, rows, M);
        G.selfadjointView<Eigen::Lower>().rankUpdate(M.transpose());
    }
    G = MatrixXd(G.selfadjointView<Eigen::Lower>());
    Trial trial;
    trial.norms = G.diagonal().head(d).cwiseSqrt().cwiseMax(1e-150);
    VectorXd scale = VectorXd::Ones(width);
    scale.head(d) = trial.norms.cwiseInverse();
    scale.segment(d, d) = scale.head(d);
    G = scale.asDiagonal() * G * scale.asDiagonal();
    MatrixXd G11 = G.topLeftCorner(d, d);
    G11.diagonal().array() += 3e-15 * static_cast<double>(d);
    const Eigen::LLT<MatrixXd> chol(G11);
    if (chol.info() != Eigen::Success) {
        return trial;
    }
    const MatrixXd L12 = chol.matrixL().solve(G.block(0, d, d, d + 1));      // L^-1 [G12, b1]
    trial.c = chol.matrixU().solve(L12.col(d));
    trial.squares = std::max(G(2 * d, 2 * d) - L12.col(d).squaredNorm(), 0.0);
    trial.S = G.block(d, d, d, d) - L12.leftCols(d).transpose() * L12.leftCols(d);
    trial.y = G.block(d, 2 * d, d, 1) - L12.leftCols(d).transpose() * L12.col(d);
    return trial;
}

Trial by_qr(const Columns& columns, Index N)
{
    const Index d = columns.order();
    const Index width = 2 * d + 1;
    // R of all rows so far on top of the next ones; rows come in a multiple of the block.
    const Index rows_each = block * std::max<Index>(1, (2 * width + block - 1) / block);
    MatrixXd R = MatrixXd::Zero(width, width);
    MatrixXd M(block, width);
    MatrixXd stack(width + rows_each, width);
    for (Index t = 0; t < N; t += rows_each) {
        stack.setZero();
        stack.topRows(width) = R;
        for (Index t0 = t; t0 < std::min(N, t + rows_each); t0 += block) {
            const Index rows = std::min(block, N - t0);
            columns.fill_all(t0, rows, M);
            stack.middleRows(width + t0 - t, rows) = M.topRows(rows);
        }
        const Eigen::HouseholderQR<MatrixXd> qr(stack);
        R = qr.matrixQR().topRows(width).triangularView<Eigen::Upper>();
    }
    Trial trial;
    trial.norms = R.leftCols(d).colwise().norm().transpose().cwiseMax(1e-150);
    const VectorXd inverse = trial.norms.cwiseInverse();
    MatrixXd R11 = R.topLeftCorner(d, d) * inverse.asDiagonal();
    const MatrixXd R22 = R.block(d, d, d, d) * inverse.asDiagonal();
    for (Index i = 0; i < d; ++i) {
        if (std::fabs(R11(i, i)) < 1e-15) {
            R11(i, i) = 1e-15;
        }
    }
    trial.c = R11.triangularView<Eigen::Upper>().solve(R.block(0, 2 * d, d, 1));
    const VectorXd rest = R.block(d, 2 * d, d, 1);
    trial.squares = rest.squaredNorm() + R(2 * d, 2 * d) * R(2 * d, 2 * d);
    trial.S = R22.transpose() * R22;
    trial.y = R22.transpose() * rest;
    return trial;
}

Trial evaluate(const FitProblem& problem, std::span<const Section> sections, Algebra algebra)
{
    const Columns columns(problem, sections);
    return algebra == Algebra::gram ? by_gram(columns, problem.length()) : by_qr(columns, problem.length());
}

/// Derivatives by (m, v) of each section as combinations of the scaled columns of T Phi, modulo the span of Phi.
MatrixXd tangent(const FitProblem& problem, std::span<const Section> sections, const Trial& trial)
{
    const double N = static_cast<double>(problem.length());
    const Index d = trial.c.size();
    MatrixXd C = MatrixXd::Zero(d, d);
    Index at = 0;
    for (const Section& s : sections) {
        if (s.states == 1) {
            C(at, at) = N * trial.c(at);
        } else if (s.states == 2) {
            const double v = std::copysign(std::max(std::fabs(s.v), 1e-6 / (N * N)), s.v);
            const double ratio = trial.norms(at + 1) / trial.norms(at);
            C(at, at) = N * trial.c(at);
            C(at + 1, at) = N * trial.c(at + 1);
            C(at, at + 1) = 0.5 * N * trial.c(at + 1) / (ratio * v);
            C(at + 1, at + 1) = 0.5 * N * trial.c(at) * ratio;
        }
        at += s.states;
    }
    return C;
}

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

FitStep minimise(const FitProblem& problem, std::vector<Section> sections, Algebra algebra, Index iterations,
                 double tolerance, const Control& control)
{
    constrain(problem, sections);
    FitStep result{std::move(sections), 0.0, 0};
    Trial now = evaluate(problem, result.sections, algebra);
    double mu = 1e-3;
    while (result.iterations < iterations && std::isfinite(now.squares) && now.squares > 0.0) {
        control.throw_if_stopped();
        const MatrixXd C = tangent(problem, result.sections, now);
        MatrixXd H = C.transpose() * now.S * C;
        VectorXd q = C.transpose() * now.y;
        const VectorXd scale = H.diagonal().cwiseMax(1e-300).cwiseSqrt().cwiseInverse();
        H = scale.asDiagonal() * H * scale.asDiagonal();
        q = scale.asDiagonal() * q;
        if (!H.allFinite() || !q.allFinite()) {
            break;
        }
        bool accepted = false;
        double before = now.squares;
        for (int attempt = 0; attempt < 12 && !accepted; ++attempt) {
            MatrixXd damped = H;
            damped.diagonal().array() += mu;
            const VectorXd step = scale.asDiagonal() * damped.ldlt().solve(q);
            std::vector<Section> moved = result.sections;
            Index at = 0;
            for (Section& s : moved) {
                s.m += step(at);
                if (s.states == 2) {
                    s.v += step(at + 1);
                }
                at += s.states;
                constrain_one(problem, s);
            }
            const bool allowed = step.allFinite() && (problem.separation <= 0.0 ||
                                                      closest_poles(moved).distance >= problem.separation);
            Trial trial = allowed ? evaluate(problem, moved, algebra) : Trial{};
            if (trial.squares < now.squares) {
                accepted = true;
                result.sections = std::move(moved);
                now = std::move(trial);
                mu = std::max(attempt == 0 ? mu / 5.0 : mu, 1e-15);
            } else {
                mu = std::min(mu * 6.0, 1e12);
            }
        }
        if (!accepted) {
            break;
        }
        ++result.iterations;
        if (std::sqrt(before) - std::sqrt(now.squares) < tolerance * std::sqrt(before)) {
            break;
        }
    }
    result.residual = std::sqrt(now.squares);
    return result;
}

std::vector<double> residual_of(const FitProblem& problem, std::span<const Section> sections)
{
    std::vector<double> rest = problem.g;
    const Trial trial = evaluate(problem, sections, Algebra::gram);
    if (!std::isfinite(trial.squares) || trial.c.size() == 0) {
        return rest;
    }
    const VectorXd c = trial.c.cwiseQuotient(trial.norms);
    const Columns columns(problem, sections);
    MatrixXd M(block, columns.order());
    for (Index t0 = 0; t0 < problem.length(); t0 += block) {
        const Index rows = std::min(block, problem.length() - t0);
        columns.fill(t0, rows, M);
        const VectorXd part = M.topRows(rows) * c;
        for (Index i = 0; i < rows; ++i) {
            rest[static_cast<std::size_t>(t0 + i)] -= part(i);
        }
    }
    return rest;
}

}  // namespace stillhouse::systems
