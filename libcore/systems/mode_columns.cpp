// SPDX-License-Identifier: Apache-2.0
// Modes by exact values at the start of each block and the addition theorem within it.
#include "libcore/systems/mode_columns.hpp"

#include "libcore/compute/fft.hpp"

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace stillhouse::systems {

using Eigen::MatrixXd;

ModeValue mode_value(const Section& s, double t)
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

ModeValue mode_product(const ModeValue& a, const ModeValue& b, double v)
{
    return {a.E * b.E + v * a.F * b.F, a.F * b.E + a.E * b.F};
}

ModeColumns::ModeColumns(std::span<const Section> sections) : sections_(sections)
{
    for (const Section& s : sections_) {
        std::vector<ModeValue> table(block);
        std::vector<ModeValue> small(16);
        for (Index k = 0; k < 16; ++k) {
            small[static_cast<std::size_t>(k)] = mode_value(s, static_cast<double>(k));
        }
        for (Index k = 0; k < block; k += 16) {
            const ModeValue start = mode_value(s, static_cast<double>(k));
            for (Index j = 0; j < 16; ++j) {
                table[static_cast<std::size_t>(k + j)] = mode_product(start, small[static_cast<std::size_t>(j)], s.v);
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

void ModeColumns::fill(Index t0, Index rows, Eigen::Ref<MatrixXd> to) const
{
    const Index count = static_cast<Index>(sections_.size());
    for (Index k = 0; k < count; ++k) {
        const Section& s = sections_[static_cast<std::size_t>(k)];
        const ModeValue start = mode_value(s, static_cast<double>(t0));
        const std::vector<ModeValue>& table = tables_[static_cast<std::size_t>(k)];
        double* E = &to(0, k);
        if (s.states == 1) {
            for (Index i = 0; i < rows; ++i) {
                E[i] = start.E * table[static_cast<std::size_t>(i)].E;
            }
            continue;
        }
        double* F = &to(0, count + k);
        const double vF = s.v * start.F;
        for (Index i = 0; i < rows; ++i) {
            const ModeValue& p = table[static_cast<std::size_t>(i)];
            E[i] = start.E * p.E + vF * p.F;
            F[i] = start.F * p.E + start.E * p.F;
        }
    }
}

void weighted_rows(const FitProblem& problem, const ModeColumns& columns, Index t0, Index rows, MatrixXd& to)
{
    columns.fill(t0, rows, to);
    const Index N = problem.length();
    const Index d = columns.order();
    for (Index j = 0; j < d; ++j) {
        for (Index i = 0; i < rows; ++i) {
            to(i, d + j) = to(i, j) * (static_cast<double>(t0 + i) / static_cast<double>(N));
        }
    }
    for (Index r = 0; r < problem.targets; ++r) {
        for (Index i = 0; i < rows; ++i) {
            to(i, 2 * d + r) = problem.g[static_cast<std::size_t>(r * N + t0 + i)];
        }
    }
    if (!problem.weights.empty()) {
        for (Index i = 0; i < rows; ++i) {
            to.row(i) *= std::sqrt(problem.weights[static_cast<std::size_t>(t0 + i)]);
        }
    }
}

MatrixXd spectral_rows(const FitProblem& problem, const ModeColumns& columns)
{
    const Index N = problem.length();
    const Index width = 2 * columns.order() + problem.targets;
    MatrixXd samples(N, width);
    MatrixXd rows(ModeColumns::block, width);
    for (Index t0 = 0; t0 < N; t0 += ModeColumns::block) {
        const Index count = std::min(ModeColumns::block, N - t0);
        weighted_rows(problem, columns, t0, count, rows);
        samples.middleRows(t0, count) = rows.topRows(count);
    }
    return in_spectrum(problem, samples);
}

MatrixXd in_spectrum(const FitProblem& problem, const MatrixXd& samples)
{
    const Index N = samples.rows();
    const Index width = samples.cols();
    const compute::RealFft<double> fft(compute::fft_size(2 * N));
    const Index P = fft.size();
    const Index bins = fft.spectrum_size();
    Buffer<double> signal(P);
    Buffer<std::complex<double>> spectrum(bins);
    MatrixXd result(2 * bins, width);
    std::vector<double> scale(static_cast<std::size_t>(bins));
    for (Index k = 0; k < bins; ++k) {
        const bool single = k == 0 || 2 * k == P;
        scale[static_cast<std::size_t>(k)] =
            std::sqrt(problem.spectrum[static_cast<std::size_t>(k)] * (single ? 1.0 : 2.0) / static_cast<double>(P));
    }
    for (Index j = 0; j < width; ++j) {
        std::copy_n(samples.col(j).data(), N, signal.data());
        std::fill(signal.data() + N, signal.data() + P, 0.0);
        fft.forward(signal.data(), spectrum.data());
        for (Index k = 0; k < bins; ++k) {
            result(k, j) = spectrum[k].real() * scale[static_cast<std::size_t>(k)];
            result(bins + k, j) = spectrum[k].imag() * scale[static_cast<std::size_t>(k)];
        }
    }
    return result;
}

MatrixXd endless_tail(const FitProblem& problem, std::span<const Section> sections)
{
    const Index N = problem.length();
    const Index order = ModeColumns(sections).order();
    const Index count = static_cast<Index>(sections.size());
    // With A = [E, F] a step of one lag, sums over all t >= N by doubling, exact values at each power of two.
    const auto at = [&](const Section& s, double t) {
        ModeValue x = mode_value(s, t);
        if (s.sign < 0.0 && std::fmod(t, 2.0) != 0.0) {
            x.E = -x.E;
            x.F = -x.F;
        }
        return x;
    };
    MatrixXd G = MatrixXd::Zero(2 * order + problem.targets, 2 * order + problem.targets);
    for (Index i = 0; i < count; ++i) {
        for (Index j = 0; j <= i; ++j) {
            const Section& a = sections[static_cast<std::size_t>(i)];
            const Section& b = sections[static_cast<std::size_t>(j)];
            Eigen::Matrix2d Q[3] = {Eigen::Matrix2d::Zero(), Eigen::Matrix2d::Zero(), Eigen::Matrix2d::Zero()};
            const ModeValue x = at(a, static_cast<double>(N));
            const ModeValue y = at(b, static_cast<double>(N));
            Q[0] << x.E * y.E, x.E * y.F, x.F * y.E, x.F * y.F;
            Q[1] = Q[0];
            Q[2] = Q[0];
            for (int level = 0; level < 50; ++level) {
                const double n = std::ldexp(1.0, level);
                const ModeValue p = at(a, n);
                const ModeValue q = at(b, n);
                Eigen::Matrix2d A;
                Eigen::Matrix2d B;
                A << p.E, p.F, a.v * p.F, p.E;
                B << q.E, q.F, b.v * q.F, q.E;
                const double step = n / static_cast<double>(N);
                const Eigen::Matrix2d later[3] = {A.transpose() * Q[0] * B, A.transpose() * Q[1] * B,
                                                  A.transpose() * Q[2] * B};
                Q[0] += later[0];
                Q[1] += later[1] + step * later[0];
                Q[2] += later[2] + 2.0 * step * later[1] + step * step * later[0];
                if (later[2].cwiseAbs().maxCoeff() == 0.0) {
                    break;
                }
            }
            const auto column = [&](Index k, int part) { return part == 0 ? k : count + k; };
            for (int k = 0; k < a.states; ++k) {
                for (int l = 0; l < b.states; ++l) {
                    const Index p = column(i, k);
                    const Index q = column(j, l);
                    G(p, q) = G(q, p) = Q[0](k, l);
                    G(order + p, q) = G(q, order + p) = G(p, order + q) = G(order + q, p) = Q[1](k, l);
                    G(order + p, order + q) = G(order + q, order + p) = Q[2](k, l);
                }
            }
        }
    }
    // Scaled, so that a factor exists wherever the tail counts; a pivoted one where it is singular.
    const Eigen::VectorXd norm = G.diagonal().cwiseMax(1e-300).cwiseSqrt();
    const MatrixXd scaled = norm.cwiseInverse().asDiagonal() * G * norm.cwiseInverse().asDiagonal();
    const Eigen::LDLT<MatrixXd> factor(scaled);
    const Eigen::VectorXd root = factor.vectorD().cwiseMax(0.0).cwiseSqrt();
    const MatrixXd permuted = factor.transpositionsP() * MatrixXd::Identity(G.rows(), G.cols());
    return root.asDiagonal() * (factor.matrixU() * permuted) * norm.asDiagonal();
}

std::vector<double> spectrum_at_bins(const std::vector<double>& power, Index N)
{
    const Index P = compute::fft_size(2 * N);
    std::vector<double> at(static_cast<std::size_t>(P / 2 + 1));
    double sum = 0.0;
    for (Index k = 0; k <= P / 2; ++k) {
        const double x = 2.0 * static_cast<double>(k) / static_cast<double>(P) * static_cast<double>(power.size() - 1);
        const std::size_t i = std::min(static_cast<std::size_t>(x), power.size() - 2);
        const double part = x - static_cast<double>(i);
        at[static_cast<std::size_t>(k)] = (1.0 - part) * power[i] + part * power[i + 1];
        sum += at[static_cast<std::size_t>(k)] * (k == 0 || 2 * k == P ? 1.0 : 2.0);
    }
    for (double& p : at) {
        p *= static_cast<double>(P) / sum;
    }
    return at;
}

}  // namespace stillhouse::systems
