// SPDX-License-Identifier: Apache-2.0
// The algebra of a fit: kernels against sums, normal equations against QR, derivatives against differences.
#include "libcore/base/array.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/fft.hpp"
#include "libcore/systems/mode_columns.hpp"
#include "libcore/systems/mode_kernels.hpp"
#include "libcore/systems/varpro.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <string_view>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

/// Those that this processor runs.
std::vector<const ModeKernels*> all_kernels()
{
    std::vector<const ModeKernels*> found{&mode_kernels_plain};
#if defined(__x86_64__)
    for (const compute::cpu::Level* const* level = compute::cpu::levels(); *level != nullptr; ++level) {
        if (std::string_view((*level)->name) == "avx2") {
            found.push_back(&mode_kernels_avx2);
        } else if (std::string_view((*level)->name) == "avx512") {
            found.push_back(&mode_kernels_avx512);
        }
    }
#endif
    return found;
}

/// A complex pair, one near -1, two real pairs far apart and close together, a double pole, a slow pair, single poles.
std::vector<Section> mixed_sections()
{
    return {{2, 1.0, -0.02, -0.09}, {2, -1.0, -0.1, -0.4},  {2, 1.0, -0.3, 0.08}, {2, 1.0, -0.01, 1e-9},
            {2, 1.0, -0.05, 0.0},   {2, 1.0, -1e-5, -1e-6}, {1, 1.0, -0.2, 0.0},  {1, -1.0, -0.03, 0.0}};
}

/// Sections in arrays of eight.
struct Arrays {
    Buffer<double> data{7 * 8};
    ModeLanes lanes;

    explicit Arrays(const std::vector<Section>& sections)
    {
        double* const p = data.data();
        for (std::size_t j = 0; j < 8; ++j) {
            const Section& s = sections[j];
            const double root = std::sqrt(std::fabs(s.v));
            const double row[7] = {s.m, s.v, s.sign, s.v > 0.0 ? s.m + root : s.m, s.v > 0.0 ? s.m - root : s.m,
                                   s.v < 0.0 ? root : 0.0, root > 0.0 ? 1.0 / root : 1.0};
            for (std::size_t k = 0; k < 7; ++k) {
                p[8 * k + j] = row[k];
            }
        }
        lanes = {8, p, p + 8, p + 16, p + 24, p + 32, p + 40, p + 48};
    }
};

ModeValue signed_value(Section s, Index t)
{
    s.states = 2;                                // F of a single pole too
    ModeValue x = mode_value(s, static_cast<double>(t));
    if (s.sign < 0.0 && t % 2 != 0) {
        x.E = -x.E;
        x.F = -x.F;
    }
    return x;
}

FitProblem noisy_problem(Index length, Index targets)
{
    FitProblem problem;
    problem.targets = targets;
    problem.g = noise(17, static_cast<std::size_t>(length * targets));
    for (Index t = 0; t < length * targets; ++t) {
        problem.g[static_cast<std::size_t>(t)] *= std::exp(-0.01 * static_cast<double>(t % length));
    }
    return problem;
}

/// Each metric that a problem can have.
std::vector<FitProblem> problems()
{
    std::vector<FitProblem> all;
    for (const Index targets : {1, 3}) {
        for (const Index length : {150, 256, 333}) {
            all.push_back(noisy_problem(length, targets));
        }
        all.push_back(noisy_problem(300, targets));
        all.back().endless = true;
        all.push_back(noisy_problem(300, targets));
        for (int t = 0; t < 300; ++t) {
            all.back().weights.push_back(1.0 + std::sin(0.1 * t));
        }
        all.push_back(noisy_problem(300, targets));
        all.back().spectrum = spectrum_at_bins({4.0, 1.0, 0.5, 0.1}, 300);
    }
    return all;
}

std::vector<Section> apart_sections()
{
    return {{2, 1.0, -0.02, -0.09}, {2, -1.0, -0.1, -0.4}, {2, 1.0, -0.3, 0.02}, {2, 1.0, -0.01, -1e-6},
            {1, -1.0, -0.03, 0.0}};
}

double objective(Varpro& varpro, const std::vector<Section>& sections, Algebra algebra)
{
    const double residual = varpro.minimise(sections, algebra, 0, 0.0, {}).residual;
    return residual * residual;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fit_algebra)

BOOST_AUTO_TEST_CASE(kernels_add_up)
{
    const std::vector<Section> sections = mixed_sections();
    const Arrays arrays(sections);
    for (const ModeKernels* kernels : all_kernels()) {
        BOOST_TEST_CONTEXT("kernels at " << kernels)
        {
            Buffer<double> EF(16);
            for (const Index t : {0, 1, 2, 7, 100, 1001, 65536}) {
                kernels->modes(arrays.lanes, static_cast<double>(t), EF.data(), EF.data() + 8);
                for (std::size_t j = 0; j < 8; ++j) {
                    const ModeValue x = signed_value(sections[j], t);
                    const double size = std::exp(sections[j].m * static_cast<double>(t));
                    BOOST_TEST(std::fabs(EF[static_cast<Index>(j)] - x.E) <= 1e-11 * std::max(size, std::fabs(x.E)));
                    BOOST_TEST(std::fabs(EF[static_cast<Index>(j) + 8] - x.F) <=
                               1e-11 * std::max(size, std::fabs(x.F)));
                }
            }
            for (const Index length : {1, 2, 3, 64, 100, 1023}) {
                Buffer<double> S(12 * 64);
                Buffer<double> work(64 * 4 * 8 + 4 * 8 * 1024);
                kernels->gram(arrays.lanes, length, static_cast<double>(length), work.data(), S.data());
                // Signals by blocks of 32.
                const Index blocks = ((length + 31) / 32 + 3) / 4 * 4;
                Buffer<double> signal(2 * 32 * blocks);
                std::fill_n(signal.data(), signal.size(), 0.0);
                const std::vector<double> g = noise(5, static_cast<std::size_t>(length));
                for (Index t = 0; t < length; ++t) {
                    signal[t] = g[static_cast<std::size_t>(t)];
                    signal[32 * blocks + t] = g[static_cast<std::size_t>(t)] * static_cast<double>(t % 32);
                }
                Buffer<double> b(32);
                kernels->correlate(arrays.lanes, {32, blocks, signal.data(), signal.data() + 32 * blocks}, work.data(),
                                   b.data());
                for (std::size_t i = 0; i < 8; ++i) {
                    double sums[4] = {};
                    double sizes[4] = {};
                    for (Index t = 0; t < length; ++t) {
                        const ModeValue x = signed_value(sections[i], t);
                        const double y = g[static_cast<std::size_t>(t)];
                        const double u = static_cast<double>(t);
                        const double terms[4] = {y * x.E, y * x.F, u * y * x.E, u * y * x.F};
                        for (int k = 0; k < 4; ++k) {
                            sums[k] += terms[k];
                            sizes[k] += std::fabs(terms[k]);
                        }
                    }
                    for (int k = 0; k < 4; ++k) {
                        BOOST_TEST(std::fabs(b[8 * k + static_cast<Index>(i)] - sums[k]) <= 1e-12 * sizes[k] + 1e-300);
                    }
                    for (std::size_t j = 0; j < 8; ++j) {
                        for (int k = 0; k < 12; ++k) {
                            double sum = 0.0;
                            double size = 0.0;
                            for (Index t = 0; t < length; ++t) {
                                const ModeValue x = signed_value(sections[i], t);
                                const ModeValue y = signed_value(sections[j], t);
                                const double ramp = std::pow(static_cast<double>(t) / static_cast<double>(length),
                                                             k / 4);
                                const double term = ramp * (k / 2 % 2 == 0 ? x.E : x.F) * (k % 2 == 0 ? y.E : y.F);
                                sum += term;
                                size += std::fabs(term);
                            }
                            const Index at = (k * 8 + static_cast<Index>(i)) * 8 + static_cast<Index>(j);
                            BOOST_TEST(std::fabs(S[at] - sum) <= 1e-12 * size + 1e-300);
                        }
                    }
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(kernels_factor_and_solve)
{
    for (const ModeKernels* kernels : all_kernels()) {
        for (const Index n : {1, 2, 5, 8, 13, 32, 61}) {
            BOOST_TEST_CONTEXT("kernels at " << kernels << ", " << n)
            {
                const Index step = (n + 7) / 8 * 8;
                const std::vector<double> u = noise(3, static_cast<std::size_t>(n * n));
                Buffer<double> A(step * step);
                Buffer<double> U(step * step);
                Buffer<double> X(step * step);
                Buffer<double> S(step * step);
                for (Buffer<double>* x : {&A, &U, &X, &S}) {
                    std::fill_n(x->data(), x->size(), 0.0);
                }
                for (Index i = 0; i < n; ++i) {
                    for (Index j = 0; j < n; ++j) {
                        for (Index k = 0; k < n; ++k) {
                            A[i * step + j] += u[static_cast<std::size_t>(k * n + i)] *
                                               u[static_cast<std::size_t>(k * n + j)];
                        }
                        A[i * step + j] += i == j ? 1.0 : 0.0;
                        X[i * step + j] = u[static_cast<std::size_t>(j * n + i)];
                    }
                }
                std::copy_n(A.data(), A.size(), U.data());
                BOOST_REQUIRE(kernels->cholesky(n, U.data(), step));
                Buffer<double> Y = X.clone();
                kernels->solve(n, U.data(), step, Y.data(), step, step);
                kernels->downdate(n, n, X.data(), step, S.data(), step);
                double worst = 0.0;
                for (Index i = 0; i < n; ++i) {
                    for (Index j = 0; j < n; ++j) {
                        double UU = 0.0;
                        double UY = 0.0;
                        double XX = 0.0;
                        for (Index k = 0; k < n; ++k) {
                            UU += k <= std::min(i, j) ? U[k * step + i] * U[k * step + j] : 0.0;
                            UY += k <= i ? U[k * step + i] * Y[k * step + j] : 0.0;
                            XX += X[k * step + i] * X[k * step + j];
                        }
                        worst = std::max({worst, j >= i ? std::fabs(UU - A[i * step + j]) : 0.0,
                                          std::fabs(UY - X[i * step + j]),
                                          j >= i ? std::fabs(S[i * step + j] + XX) : 0.0});
                    }
                }
                BOOST_TEST(worst < 1e-11);
                // R'R with the rows of X below U is A + X'X.
                Buffer<double> M(n * step);
                std::fill_n(M.data(), M.size(), 0.0);
                for (Index i = 0; i < n; ++i) {
                    for (Index j = 0; j < n; ++j) {
                        M[j * step + i] = X[i * step + j];
                        U[i * step + j] = j < i ? 0.0 : U[i * step + j];
                    }
                }
                kernels->append_rows(n, U.data(), step, M.data(), step);
                for (Index i = 0; i < n; ++i) {
                    for (Index j = i; j < n; ++j) {
                        double RR = 0.0;
                        double XX = 0.0;
                        for (Index k = 0; k < n; ++k) {
                            RR += k <= i ? U[k * step + i] * U[k * step + j] : 0.0;
                            XX += X[k * step + i] * X[k * step + j];
                        }
                        worst = std::max(worst, std::fabs(RR - XX - A[i * step + j]));
                    }
                }
                BOOST_TEST(worst < 1e-11);
                A[0] = -1.0;
                BOOST_TEST(!kernels->cholesky(n, A.data(), step));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(both_algebras_agree)
{
    const std::vector<Section> sections = apart_sections();
    for (const FitProblem& problem : problems()) {
        Varpro varpro(problem);
        const double gram = objective(varpro, sections, Algebra::gram);
        BOOST_TEST(gram > 0.0);
        BOOST_TEST(gram < varpro.norm() * varpro.norm());
        BOOST_TEST(gram == objective(varpro, sections, Algebra::exact), boost::test_tools::tolerance(1e-9));
        const std::vector<double> a = varpro.gradient(sections, Algebra::gram);
        const std::vector<double> b = varpro.gradient(sections, Algebra::exact);
        BOOST_REQUIRE(a.size() == b.size());
        for (std::size_t i = 0; i < a.size(); ++i) {
            BOOST_TEST(std::fabs(a[i] - b[i]) <= 1e-7 * std::fabs(b[i]) + 1e-9);
        }
    }
}

BOOST_AUTO_TEST_CASE(derivatives_are_differences)
{
    const std::vector<Section> sections = apart_sections();
    const std::size_t count = sections.size();
    for (const FitProblem& problem : problems()) {
        Varpro varpro(problem);
        const std::vector<double> gradient = varpro.gradient(sections, Algebra::gram);
        BOOST_REQUIRE(gradient.size() == 2 * count - 1);
        for (std::size_t i = 0; i < gradient.size(); ++i) {
            const auto moved = [&](double by) {
                std::vector<Section> s = sections;
                (i < count ? s[i].m : s[i - count].v) += by;
                return objective(varpro, s, Algebra::exact);
            };
            const double at = i < count ? sections[i].m : sections[i - count].v;
            const double step = 1e-4 * std::fabs(at);
            const double difference = (8.0 * (moved(step) - moved(-step)) - moved(2.0 * step) + moved(-2.0 * step)) /
                                      (24.0 * step);
            BOOST_TEST(std::fabs(gradient[i] - difference) <=
                       1e-5 * std::fabs(difference) + 1e-10 * objective(varpro, sections, Algebra::exact) / step);
        }
    }
}

BOOST_AUTO_TEST_CASE(endless_sums_are_long_ones)
{
    FitProblem problem = noisy_problem(200, 1);
    const std::vector<Section> sections = apart_sections();
    problem.endless = true;
    FitProblem longer = problem;
    longer.endless = false;
    longer.g.resize(40000, 0.0);
    Varpro a(problem);
    Varpro b(longer);
    BOOST_TEST(objective(a, sections, Algebra::gram) == objective(b, sections, Algebra::gram),
               boost::test_tools::tolerance(1e-11));
    BOOST_TEST(objective(a, sections, Algebra::exact) == objective(b, sections, Algebra::gram),
               boost::test_tools::tolerance(1e-11));
}

BOOST_AUTO_TEST_CASE(residuals_and_costs)
{
    const std::vector<Section> sections = apart_sections();
    for (const Index targets : {1, 2}) {
        const FitProblem problem = noisy_problem(321, targets);
        Varpro varpro(problem);
        double squares = 0.0;
        for (const double r : varpro.residual(sections)) {
            squares += r * r;
        }
        const double whole = objective(varpro, sections, Algebra::exact);
        BOOST_TEST(squares == whole, boost::test_tools::tolerance(1e-9));
        const std::vector<double> costs = varpro.drop_costs(sections);
        for (std::size_t i = 0; i < sections.size(); ++i) {
            std::vector<Section> fewer = sections;
            fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
            BOOST_TEST(costs[i] == objective(varpro, fewer, Algebra::exact) - whole,
                       boost::test_tools::tolerance(1e-6));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
