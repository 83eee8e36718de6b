// SPDX-License-Identifier: Apache-2.0
// The Hankel optimum reaches its singular value, and the three norms are what their definitions say.
#include "libcore/base/error.hpp"
#include "libcore/systems/aak.hpp"
#include "libcore/systems/error_norms.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/unit/systems/reference.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <Eigen/Eigenvalues>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

std::vector<double> decaying(std::uint64_t seed, std::size_t length)
{
    std::vector<double> h = noise(seed, length);
    for (std::size_t t = 0; t < length; ++t) {
        h[t] *= std::exp(-5.0 * static_cast<double>(t) / static_cast<double>(length));
    }
    return h;
}

/// Largest modulus of an eigenvalue of the Hankel matrix of x from lag `from` on.
double hankel_norm(const std::vector<double>& x, std::size_t from)
{
    const Index n = static_cast<Index>(x.size() - from);
    Eigen::MatrixXd H = Eigen::MatrixXd::Zero(n, n);
    for (Index i = 0; i < n; ++i) {
        for (Index j = 0; i + j < n; ++j) {
            H(i, j) = x[from + static_cast<std::size_t>(i + j)];
        }
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(H, Eigen::EigenvaluesOnly);
    return eigen.eigenvalues().cwiseAbs().maxCoeff();
}

double singular_value(const std::vector<double>& h, Index index)
{
    const Spectrum spectrum = hankel_spectrum(h, {index + 1, HankelOperator::zero, DType::f64});
    return spectrum.sigma[static_cast<std::size_t>(index)] / spectrum.sigma[0];
}

double ratio_of(const Fit& fit, const std::vector<double>& h, Index order)
{
    return error_norms(h, fit.system).hankel / singular_value(h, order);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(aak)

BOOST_AUTO_TEST_CASE(norms_are_what_they_say)
{
    for (const std::size_t taps : {1u, 4u}) {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        random_modes(5 + taps, 2, 1, poles, residues);
        for (Complex& pole : poles) {
            pole *= 0.97;                                // a tail that a dense matrix of 700 lags holds
        }
        const std::vector<double> h = decaying(3, 60);
        const ModalSystem system =
            system_from(poles, residues, std::vector<double>(h.begin(), h.begin() + static_cast<std::ptrdiff_t>(taps)));
        std::vector<double> target = h;
        target.resize(700, 0.0);
        std::vector<double> e = impulse_response(system, 700);
        double within = 0.0;
        double all = 0.0;
        double filter = 0.0;
        for (std::size_t t = 0; t < e.size(); ++t) {
            e[t] = target[t] - e[t];
            within += t >= taps && t < h.size() ? e[t] * e[t] : 0.0;
            all += t >= taps ? e[t] * e[t] : 0.0;
            filter += t >= taps ? target[t] * target[t] : 0.0;
        }
        const ErrorNorms norms = error_norms(h, system);
        BOOST_TEST(norms.l2 == std::sqrt(within / filter), boost::test_tools::tolerance(1e-10));
        BOOST_TEST(norms.h2 == std::sqrt(all / filter), boost::test_tools::tolerance(1e-10));
        BOOST_TEST(norms.filter_hankel == hankel_norm(h, taps), boost::test_tools::tolerance(1e-8));
        BOOST_TEST(norms.hankel == hankel_norm(e, taps) / hankel_norm(h, taps), boost::test_tools::tolerance(1e-8));
    }
}

BOOST_AUTO_TEST_CASE(the_optimum_reaches_the_singular_value)
{
    for (const std::size_t length : {40u, 257u, 600u}) {
        const std::vector<double> h = decaying(length, length);
        for (const Index order : {1, 2, 3, 7, 16}) {
            FitOptions options;
            options.order = order;
            const Fit found = fit_hankel(h, options);
            const double ratio = ratio_of(found, h, order);
            BOOST_TEST(found.system.order() <= order);
            BOOST_TEST(ratio < 1.0001);
            BOOST_TEST(ratio > 1.0 - 1e-6);              // nothing is nearer
            BOOST_TEST(found.objective == error_norms(h, found.system).hankel, boost::test_tools::tolerance(1e-9));
            BOOST_TEST(found.error == relative_l2(impulse_response(found.system, static_cast<Index>(length)), h, 1),
                       boost::test_tools::tolerance(1e-9));
            BOOST_TEST(spectral_radius(found.system) < 1.0);
        }
    }
    // Scale and explicit taps.
    std::vector<double> h = decaying(9, 200);
    FitOptions options;
    options.order = 4;
    const Fit plain = fit_hankel(h, options);
    for (double& x : h) {
        x *= 1e30;
    }
    const Fit scaled = fit_hankel(h, options);
    BOOST_TEST(scaled.objective == plain.objective, boost::test_tools::tolerance(1e-9));
    options.fir_taps = 5;
    const Fit later = fit_hankel(h, options);
    BOOST_TEST(later.system.fir.size() == 5u);
    const std::vector<double> rest(h.begin() + 4, h.end());
    BOOST_TEST(later.objective == singular_value(rest, 4), boost::test_tools::tolerance(1e-4));
}

BOOST_AUTO_TEST_CASE(repeated_values_need_fewer_states)
{
    // All 30 singular values of a delay by 30 lags are 1: nothing of lower order is nearer than nothing at all.
    std::vector<double> h(200, 0.0);
    h[30] = -2.0;
    FitOptions options;
    options.order = 8;
    const Fit found = fit_hankel(h, options);
    BOOST_TEST(ratio_of(found, h, 8) < 1.001);
    // A pair of equal values: h and its mirror image at every other lag.
    const std::vector<double> g = decaying(4, 80);
    std::vector<double> doubled(160, 0.0);
    for (std::size_t t = 1; t < g.size(); ++t) {
        doubled[2 * t] = g[t];                           // eigenvalues in pairs +s, -s or s, s
    }
    for (const Index order : {2, 3, 4, 5}) {
        options.order = order;
        BOOST_TEST(ratio_of(fit_hankel(doubled, options), doubled, order) < 1.001);
    }
}

BOOST_AUTO_TEST_CASE(what_has_no_optimum_is_refused)
{
    FitOptions options;
    options.order = 4;
    std::vector<double> h(100, 0.0);
    BOOST_TEST(fit_hankel(h, options).error == 0.0);
    h[7] = std::numeric_limits<double>::quiet_NaN();
    BOOST_CHECK_THROW(fit_hankel(h, options), Error);
    h[7] = 0.0;
    h[1] = 1.0;
    h[2] = 0.5;
    BOOST_CHECK_THROW(fit_hankel(h, options), Error);    // two lags: the third singular value is 0
    options.order = 1;
    BOOST_TEST(ratio_of(fit_hankel(h, options), h, 1) < 1.001);
    BOOST_CHECK_THROW(fit_hankel(std::vector<double>{1.0, 2.0}, options), Error);
    options.order = 0;
    BOOST_TEST(fit_hankel(h, options).error == 1.0);
}

BOOST_AUTO_TEST_CASE(reference_filters)
{
    Index looked_at = 0;
    const bool there = each_reference([&](const std::string& name, std::size_t channel, const std::vector<double>& h,
                                          const formats::Value&) {
        const bool asked = name.find("regressed") != std::string::npos || name.find("charlm") != std::string::npos ||
                           name.find("emb5") != std::string::npos || name.find("damped_mix") != std::string::npos;
        if (!asked || h.size() > 2048 || channel > 0) {
            return;
        }
        for (const Index order : {2, 8, 32}) {
            if (singular_value(h, order) > 1e-8) {
                FitOptions options;
                options.order = order;
                BOOST_TEST(ratio_of(fit_hankel(h, options), h, order) < 1.001, name << " order " << order);
                ++looked_at;
            }
        }
    });
    BOOST_TEST_MESSAGE(looked_at << " reference fits" << (there ? "" : "; the reference filters are not at hand"));
    BOOST_TEST((!there || looked_at > 0));
}

BOOST_AUTO_TEST_SUITE_END()
