// SPDX-License-Identifier: Apache-2.0
// Gram matrices by moments or from rows, their Cholesky factor, blocked QR, and the projected tangent.
#include "libcore/systems/varpro_trial.hpp"

#include "libcore/systems/mode_columns.hpp"

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;

constexpr double infinite = std::numeric_limits<double>::infinity();

}  // namespace

TrialPoints::TrialPoints(const FitProblem& from) : problem(from)
{
    const Index N = problem.length();
    if (rows_wanted()) {
        each_rows(problem, ModeColumns({}), [&](const MatrixXd& M) { squares += M.squaredNorm(); });
        return;
    }
    Index used = 0;                      // beyond, all targets are zero
    for (Index r = 0; r < problem.targets; ++r) {
        for (Index t = 0; t < N; ++t) {
            const double g = problem.g[static_cast<std::size_t>(r * N + t)];
            squares += g * g;
            used = g != 0.0 ? std::max(used, t + 1) : used;
        }
    }
    block = used <= 4096 ? 32 : 128;
    blocks = std::max<Index>((used + block - 1) / block, 1);
    blocks = (blocks + 3) / 4 * 4;
    for (Index r = 0; r < problem.targets; ++r) {
        Buffer<double> both(2 * block * blocks);
        std::fill_n(both.data(), both.size(), 0.0);
        for (Index t = 0; t < used; ++t) {
            const double g = problem.g[static_cast<std::size_t>(r * N + t)];
            both[t] = g;
            both[block * blocks + t] = g * static_cast<double>(t % block);
        }
        signal.push_back(std::move(both));
    }
}

Index TrialPoints::order_of(std::span<const Section> sections)
{
    Index order = 0;
    for (const Section& s : sections) {
        order += s.states;
    }
    return order;
}

double* TrialPoints::room(Buffer<double>& buffer, Index size)
{
    if (buffer.size() < size) {
        buffer = Buffer<double>(size);
    }
    return buffer.data();
}

void TrialPoints::closed_form(std::span<const Section> sections, Trial& trial)
{
    const Index count = static_cast<Index>(sections.size());
    const Index pairs = trial.order - count;
    const Index N = problem.length();
    lanes.load(sections);
    const Index P = lanes.view.lanes;
    double* const S = room(moments, 12 * P * P + 4 * P);
    double* const b = S + 12 * P * P;
    double* const work = room(scratch, std::max(256 * P, (2 * block + 4 * blocks + 2) * P));
    kernels.gram(lanes.view, horizon(), static_cast<double>(N), work, S);
    const auto moment = [&](Index k, Index a, Index c, Index i) { return S + ((4 * k + 2 * a + c) * P + i) * P; };
    for (Index i = 0; i < count; ++i) {
        trial.norms[static_cast<std::size_t>(i)] = 1.0 / std::sqrt(std::max(moment(0, 0, 0, i)[i], 1e-300));
    }
    for (Index i = 0; i < pairs; ++i) {
        trial.norms[static_cast<std::size_t>(count + i)] = 1.0 / std::sqrt(std::max(moment(0, 1, 1, i)[i], 1e-300));
    }
    const double* const scale = trial.norms.data();      // inverse for the moment
    const auto place = [&](Index k, Rows& to) {
        for (Index i = 0; i < count; ++i) {
            double* const row = to.row(i);
            const double* const EE = moment(k, 0, 0, i);
            const double* const EF = moment(k, 0, 1, i);
            for (Index j = i; j < count; ++j) {
                row[j] = EE[j] * (scale[i] * scale[j]);
            }
            for (Index j = i; j < pairs; ++j) {
                row[count + j] = EF[j] * (scale[i] * scale[count + j]);
            }
            if (i < pairs) {
                // E_i F_j of j before i is F_j E_i of the other order.
                double* const lower = to.row(count + i);
                const double* const FE = moment(k, 1, 0, i);
                const double* const FF = moment(k, 1, 1, i);
                for (Index j = i + 1; j < count; ++j) {
                    to.row(j)[count + i] = FE[j] * (scale[count + i] * scale[j]);
                }
                for (Index j = i; j < pairs; ++j) {
                    lower[count + j] = FF[j] * (scale[count + i] * scale[count + j]);
                }
            }
        }
    };
    place(0, trial.U);
    place(1, trial.X);
    place(2, trial.S);
    for (Index r = 0; r < problem.targets; ++r) {
        const double* const g = signal[static_cast<std::size_t>(r)].data();
        kernels.correlate(lanes.view, {block, blocks, g, g + block * blocks}, work, b);
        double* const Y = trial.Y.row(r);
        for (Index i = 0; i < trial.order; ++i) {
            const bool F = i >= count;
            const Index lane = F ? i - count : i;
            trial.Z.row(i)[r] = b[(F ? P : 0) + lane] * scale[i];
            Y[i] = b[(F ? 3 * P : 2 * P) + lane] * scale[i] / static_cast<double>(N);
        }
    }
}

void TrialPoints::by_rows(std::span<const Section> sections, Trial& trial)
{
    const Index d = trial.order;
    const Index R = problem.targets;
    const ModeColumns columns(sections);
    MatrixXd G = MatrixXd::Zero(2 * d + R, 2 * d + R);
    each_rows(problem, columns,
              [&](const MatrixXd& M) { G.selfadjointView<Eigen::Lower>().rankUpdate(M.transpose()); });
    for (Index i = 0; i < d; ++i) {
        trial.norms[static_cast<std::size_t>(i)] = 1.0 / std::sqrt(std::max(G(i, i), 1e-300));
    }
    const double* const scale = trial.norms.data();
    for (Index i = 0; i < d; ++i) {
        for (Index j = i; j < d; ++j) {
            const double both = scale[i] * scale[j];
            trial.U.row(i)[j] = G(j, i) * both;
            trial.X.row(i)[j] = G(d + j, i) * both;
            trial.X.row(j)[i] = G(d + i, j) * both;      // another number where the metric is no weight of each lag
            trial.S.row(i)[j] = G(d + j, d + i) * both;
        }
        for (Index r = 0; r < R; ++r) {
            trial.Z.row(i)[r] = G(2 * d + r, i) * scale[i];
            trial.Y.row(r)[i] = G(2 * d + r, d + i) * scale[i];
        }
    }
}

void TrialPoints::by_gram(std::span<const Section> sections, Trial& trial)
{
    const Index d = trial.order;
    const Index R = problem.targets;
    trial.U.reset(d, d);
    trial.X.reset(d, d);
    trial.S.reset(d, d);
    trial.Z.reset(d, R);
    trial.Y.reset(R, d);
    if (rows_wanted()) {
        by_rows(sections, trial);
    } else {
        closed_form(sections, trial);
    }
    for (double& x : trial.norms) {
        x = 1.0 / x;
    }
    for (Index i = 0; i < d; ++i) {
        trial.U.row(i)[i] += 3e-15 * static_cast<double>(d);
    }
    if (!kernels.cholesky(d, trial.U.row(0), trial.U.step)) {
        return;
    }
    kernels.solve(d, trial.U.row(0), trial.U.step, trial.Z.row(0), trial.Z.step, trial.Z.step);
    double explained = 0.0;
    for (Index r = 0; r < R; ++r) {
        double* const c = trial.c.data() + r * d;
        for (Index i = d; i-- > 0;) {
            const double* const U = trial.U.row(i);
            double x = trial.Z.row(i)[r];
            explained += x * x;
            for (Index j = i + 1; j < d; ++j) {
                x -= U[j] * c[j];
            }
            c[i] = x / U[i];
            trial.cancelled += c[i] * c[i];
        }
    }
    const double rest = squares - explained;
    trial.squares = std::isfinite(rest) ? std::max(rest, 0.0) : infinite;
}

void TrialPoints::find_tangent(Trial& trial)
{
    if (trial.has_tangent) {
        return;
    }
    const Index d = trial.order;
    for (Index i = 0; i < d && !rows_wanted(); ++i) {
        for (Index j = i + 1; j < d; ++j) {
            trial.X.row(j)[i] = trial.X.row(i)[j];
        }
    }
    kernels.solve(d, trial.U.row(0), trial.U.step, trial.X.row(0), trial.X.step, trial.X.step);
    kernels.downdate(d, d, trial.X.row(0), trial.X.step, trial.S.row(0), trial.S.step);
    for (Index i = 0; i < d; ++i) {
        for (Index j = i + 1; j < d; ++j) {
            trial.S.row(j)[i] = trial.S.row(i)[j];
        }
    }
    for (Index r = 0; r < problem.targets; ++r) {
        double* const y = trial.Y.row(r);
        for (Index k = 0; k < d; ++k) {
            const double* const x = trial.X.row(k);
            const double z = trial.Z.row(k)[r];
            for (Index i = 0; i < d; ++i) {
                y[i] -= x[i] * z;
            }
        }
    }
    trial.has_tangent = true;
}

void TrialPoints::by_qr(std::span<const Section> sections, Trial& trial)
{
    const Index d = trial.order;
    const Index R = problem.targets;
    const Index width = 2 * d + R;
    const ModeColumns columns(sections);
    Rows factor;                             // of all rows so far
    factor.reset(width, width);
    const auto append = [&](const MatrixXd& M) {
        const Index m_step = padded(M.rows());
        double* const to = room(scratch, m_step * width);
        for (Index j = 0; j < width; ++j) {
            std::copy_n(M.col(j).data(), M.rows(), to + j * m_step);
            std::fill(to + j * m_step + M.rows(), to + (j + 1) * m_step, 0.0);
        }
        kernels.append_rows(width, factor.row(0), factor.step, to, m_step);
    };
    each_rows(problem, columns, append);
    if (problem.endless) {
        append(endless_tail(problem, sections));
    }
    MatrixXd upper(width, width);
    for (Index i = 0; i < width; ++i) {
        for (Index j = 0; j < width; ++j) {
            upper(i, j) = factor.row(i)[j];
        }
    }
    for (Index i = 0; i < d; ++i) {
        trial.norms[static_cast<std::size_t>(i)] = std::max(upper.col(i).norm(), 1e-150);
    }
    const Eigen::Map<const Eigen::VectorXd> norms(trial.norms.data(), d);
    const Eigen::VectorXd inverse = norms.cwiseInverse();
    MatrixXd R11 = upper.topLeftCorner(d, d) * inverse.asDiagonal();
    const MatrixXd R22 = upper.block(d, d, d, d) * inverse.asDiagonal();
    for (Index i = 0; i < d; ++i) {
        if (std::fabs(R11(i, i)) < 1e-15) {
            R11(i, i) = 1e-15;
        }
    }
    const MatrixXd c = R11.triangularView<Eigen::Upper>().solve(upper.block(0, 2 * d, d, R));
    const MatrixXd rest = upper.block(d, 2 * d, d, R);
    const MatrixXd S = R22.transpose() * R22;
    const MatrixXd y = R22.transpose() * rest;
    trial.S.reset(d, d);
    trial.Y.reset(R, d);
    for (Index i = 0; i < d; ++i) {
        for (Index j = 0; j < d; ++j) {
            trial.S.row(i)[j] = S(i, j);
        }
        for (Index r = 0; r < R; ++r) {
            trial.c[static_cast<std::size_t>(r * d + i)] = c(i, r);
            trial.Y.row(r)[i] = y(i, r);
        }
    }
    trial.squares = rest.squaredNorm() +
                    MatrixXd(upper.block(2 * d, 2 * d, R, R).triangularView<Eigen::Upper>()).squaredNorm();
    if (!std::isfinite(trial.squares)) {
        trial.squares = infinite;
    }
    trial.has_tangent = true;
}

void TrialPoints::evaluate(std::span<const Section> sections, Algebra algebra, Trial& trial)
{
    const Index d = order_of(sections);
    trial.order = d;
    trial.squares = infinite;
    trial.cancelled = 0.0;
    trial.has_tangent = false;
    trial.norms.assign(static_cast<std::size_t>(d), 0.0);
    trial.c.assign(static_cast<std::size_t>(d * problem.targets), 0.0);
    if (d == 0) {
        trial.squares = squares;
        trial.has_tangent = true;
    } else if (algebra == Algebra::gram) {
        by_gram(sections, trial);
    } else {
        by_qr(sections, trial);
    }
}

void TrialPoints::normal_equations(std::span<const Section> sections, Trial& trial, std::vector<double>& q)
{
    find_tangent(trial);
    const Index d = trial.order;
    const Index count = static_cast<Index>(sections.size());
    const Index pairs = d - count;
    const double N = static_cast<double>(problem.length());
    H.reset(d, d);
    WS.reset(d, d);
    q.assign(static_cast<std::size_t>(d), 0.0);
    std::vector<double> a(static_cast<std::size_t>(2 * d));
    for (Index r = 0; r < problem.targets; ++r) {
        const double* const c = trial.c.data() + r * d;
        const double* const y = trial.Y.row(r);
        double* const mE = a.data();                 // of m: N (mE T E + mF T F), of v likewise
        double* const mF = mE + count;
        double* const vE = mF + pairs;
        double* const vF = vE + pairs;
        for (Index j = 0; j < count; ++j) {
            mE[j] = N * c[j];
        }
        for (Index j = 0; j < pairs; ++j) {
            const double raw = sections[static_cast<std::size_t>(j)].v;
            const double v = std::copysign(std::max(std::fabs(raw), 1e-6 / (N * N)), raw);
            const double ratio = trial.norms[static_cast<std::size_t>(count + j)] /
                                 trial.norms[static_cast<std::size_t>(j)];
            mF[j] = N * c[count + j];
            vE[j] = 0.5 * N * c[count + j] / (ratio * v);
            vF[j] = 0.5 * N * c[j] * ratio;
        }
        for (Index i = 0; i < d; ++i) {              // WS = S C
            const double* const S = trial.S.row(i);
            double* const to = WS.row(i);
            for (Index j = 0; j < pairs; ++j) {
                to[j] = mE[j] * S[j] + mF[j] * S[count + j];
                to[count + j] = vE[j] * S[j] + vF[j] * S[count + j];
            }
            for (Index j = pairs; j < count; ++j) {
                to[j] = mE[j] * S[j];
            }
        }
        for (Index i = 0; i < count; ++i) {          // H += C' WS
            double* const to = H.row(i);
            const double* const E = WS.row(i);
            if (i < pairs) {
                double* const below = H.row(count + i);
                const double* const F = WS.row(count + i);
                for (Index j = 0; j < d; ++j) {
                    to[j] += mE[i] * E[j] + mF[i] * F[j];
                    below[j] += vE[i] * E[j] + vF[i] * F[j];
                }
                q[static_cast<std::size_t>(i)] += mE[i] * y[i] + mF[i] * y[count + i];
                q[static_cast<std::size_t>(count + i)] += vE[i] * y[i] + vF[i] * y[count + i];
            } else {
                for (Index j = 0; j < d; ++j) {
                    to[j] += mE[i] * E[j];
                }
                q[static_cast<std::size_t>(i)] += mE[i] * y[i];
            }
        }
    }
}

bool TrialPoints::damped_step(double mu, const std::vector<double>& q, std::vector<double>& x)
{
    const Index d = static_cast<Index>(q.size());
    damped.reset(d, d);
    std::copy_n(H.row(0), d * H.step, damped.row(0));
    for (Index i = 0; i < d; ++i) {
        damped.row(i)[i] += mu;
    }
    if (!kernels.cholesky(d, damped.row(0), damped.step)) {
        return false;
    }
    x = q;
    for (Index i = 0; i < d; ++i) {
        const double* const U = damped.row(i);
        const double value = x[static_cast<std::size_t>(i)] / U[i];
        x[static_cast<std::size_t>(i)] = value;
        for (Index j = i + 1; j < d; ++j) {
            x[static_cast<std::size_t>(j)] -= value * U[j];
        }
    }
    bool finite = true;
    for (Index i = d; i-- > 0;) {
        const double* const U = damped.row(i);
        double value = x[static_cast<std::size_t>(i)];
        for (Index j = i + 1; j < d; ++j) {
            value -= U[j] * x[static_cast<std::size_t>(j)];
        }
        x[static_cast<std::size_t>(i)] = value / U[i];
        finite = finite && std::isfinite(value);
    }
    return finite;
}

}  // namespace stillhouse::systems
