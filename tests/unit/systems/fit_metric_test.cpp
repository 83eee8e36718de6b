// SPDX-License-Identifier: Apache-2.0
// Metrics other than l2 over the horizon, several orders, several filters on one set of poles.
#include "libcore/base/error.hpp"
#include "libcore/systems/fit.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <numbers>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

/// Not decayed at its end.
std::vector<double> cut_filter(std::size_t length)
{
    std::vector<double> h = noise(6, length);
    for (std::size_t t = 0; t < length; ++t) {
        const double x = static_cast<double>(t) / static_cast<double>(length);
        h[t] = 0.2 * h[t] * std::exp(-3.0 * x) + std::exp(-1.5 * x) * std::cos(9.0 * x) + 0.5 * std::cos(31.0 * x);
    }
    return h;
}

/// Relative l2 over `horizon` lags from 1 on, the filter being zero beyond its end.
double error_over(const Fit& fit, std::vector<double> h, std::size_t horizon)
{
    h.resize(horizon, 0.0);
    return relative_l2(impulse_response(fit.system, static_cast<Index>(horizon)), h, 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fit_metric)

BOOST_AUTO_TEST_CASE(all_lags_count_in_h2)
{
    const std::vector<double> h = cut_filter(300);
    FitOptions options;
    options.order = 8;
    const Fit finite = fit_modal(h, options);
    options.objective = Objective::h2;
    const Fit endless = fit_modal(h, options);
    BOOST_TEST(endless.objective == error_over(endless, h, 60000), boost::test_tools::tolerance(1e-6));
    BOOST_TEST(endless.error == error_over(endless, h, 300), boost::test_tools::tolerance(1e-9));
    BOOST_TEST(endless.objective < error_over(finite, h, 60000));
    BOOST_TEST(endless.error > finite.error);
    BOOST_TEST(finite.objective == finite.error, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(longer_horizons)
{
    const std::vector<double> h = cut_filter(300);
    FitOptions options;
    options.order = 8;
    const Fit finite = fit_modal(h, options);
    options.extension = 3.0;
    const Fit longer = fit_modal(h, options);
    BOOST_TEST(longer.objective == error_over(longer, h, 900), boost::test_tools::tolerance(1e-9));
    BOOST_TEST(longer.objective < error_over(finite, h, 900));
    BOOST_TEST(longer.error == error_over(longer, h, 300), boost::test_tools::tolerance(1e-9));
    options.objective = Objective::h2;
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
    options.objective = Objective::l2;
    options.extension = 0.5;
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
}

BOOST_AUTO_TEST_CASE(errors_of_the_output)
{
    const std::vector<double> h = cut_filter(200);
    FitOptions options;
    options.order = 4;
    const Fit plain = fit_modal(h, options);
    options.input_spectrum = {2.0, 2.0, 2.0};
    const Fit white = fit_modal(h, options);
    BOOST_TEST(white.objective == plain.error, boost::test_tools::tolerance(1e-4));
    BOOST_TEST(white.objective == white.error, boost::test_tools::tolerance(1e-9));

    // Power at high frequencies alone: linear from 0 to 1, squared differences by definition.
    options.input_spectrum = {0.0, 1.0};
    const Fit high = fit_modal(h, options);
    const auto output_error = [&](const Fit& fit) {
        const std::vector<double> is = impulse_response(fit.system, 200);
        double error = 0.0;
        double norm = 0.0;
        constexpr int bins = 2000;
        for (int k = 0; k <= bins; ++k) {
            const double w = std::numbers::pi * k / bins;
            Complex e;
            Complex g;
            for (std::size_t t = 1; t < 200; ++t) {
                const Complex z = std::polar(1.0, -w * static_cast<double>(t));
                e += (is[t] - h[t]) * z;
                g += h[t] * z;
            }
            const double power = static_cast<double>(k) / bins * (k == bins ? 0.5 : 1.0);
            error += power * std::norm(e);
            norm += power * std::norm(g);
        }
        return std::sqrt(error / norm);
    };
    BOOST_TEST(high.objective == output_error(high), boost::test_tools::tolerance(1e-3));
    BOOST_TEST(output_error(high) < output_error(plain));
    BOOST_TEST(high.error > plain.error);
    options.input_spectrum = {0.0, -1.0};
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
    options.input_spectrum = {0.0, 0.0};
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
}

BOOST_AUTO_TEST_CASE(several_orders)
{
    const std::vector<double> h = cut_filter(300);
    FitOptions options;
    const std::vector<Index> orders{2, 3, 4, 8, 12};
    const std::vector<Fit> fits = fit_orders(h, orders, options);
    BOOST_REQUIRE(fits.size() == orders.size());
    for (std::size_t i = 0; i < orders.size(); ++i) {
        BOOST_TEST(fits[i].system.order() == orders[i]);
        options.order = orders[i];
        BOOST_TEST(fits[i].error <= 1.02 * fit_modal(h, options).error);
        if (i > 0) {
            BOOST_TEST(fits[i].error < fits[i - 1].error);
        }
    }
    BOOST_TEST(fit_orders(h, {}, options).empty());
}

BOOST_AUTO_TEST_CASE(more_effort_is_no_worse)
{
    const std::vector<double> h = cut_filter(300);
    FitOptions options;
    options.order = 12;
    options.effort = Effort::fast;
    const double fast = fit_modal(h, options).error;
    options.effort = Effort::normal;
    const double normal = fit_modal(h, options).error;
    options.effort = Effort::thorough;
    BOOST_TEST(normal <= fast * (1.0 + 1e-6));
    BOOST_TEST(fit_modal(h, options).error <= normal * (1.0 + 1e-6));
}

BOOST_AUTO_TEST_CASE(shared_poles)
{
    const std::vector<Complex> poles{{0.9, 0.3}, {-0.7, 0.2}, {0.97, 0.0}};
    std::vector<double> filters;
    for (int r = 0; r < 4; ++r) {
        const std::vector<double> u = noise(static_cast<std::uint64_t>(r), 6);
        const double scale = std::pow(10.0, 3 * r);
        std::vector<double> h = response(poles, {{u[0], u[1]}, {u[2], u[3]}, {u[4], 0.0}}, {u[5]}, 300);
        for (double& x : h) {
            x *= r == 2 ? 0.0 : scale;           // one of them is nothing
        }
        filters.insert(filters.end(), h.begin(), h.end());
    }
    FitOptions options;
    options.order = 5;
    const std::vector<Fit> fits = fit_shared(filters, 300, options);
    BOOST_REQUIRE(fits.size() == 4);
    for (std::size_t r = 0; r < 4; ++r) {
        BOOST_TEST(fits[r].error < 1e-9);
        BOOST_TEST(fits[r].system.fir[0] == filters[300 * r]);
        BOOST_REQUIRE(fits[r].system.sections.size() == fits[0].system.sections.size());
        for (std::size_t i = 0; i < fits[0].system.sections.size(); ++i) {
            BOOST_TEST(fits[r].system.sections[i].m == fits[0].system.sections[i].m);
            BOOST_TEST(fits[r].system.sections[i].v == fits[0].system.sections[i].v);
        }
        if (r != 2) {
            const std::vector<double> h(filters.begin() + static_cast<std::ptrdiff_t>(300 * r),
                                        filters.begin() + static_cast<std::ptrdiff_t>(300 * (r + 1)));
            BOOST_TEST(error_over(fits[r], h, 300) < 1e-9);
        }
    }

    // Different filters: shared poles do worse than each its own, and better than those of half the order.
    std::vector<double> both = cut_filter(300);
    const std::vector<double> second = noise(9, 300);
    std::vector<double> one = both;
    std::vector<double> two(300);
    for (std::size_t t = 0; t < 300; ++t) {
        two[t] = second[t] * std::exp(-0.02 * static_cast<double>(t));
    }
    both.insert(both.end(), two.begin(), two.end());
    options.order = 8;
    const std::vector<Fit> shared = fit_shared(both, 300, options);
    const double sum = std::hypot(shared[0].error, shared[1].error);
    BOOST_TEST(sum > std::hypot(fit_modal(one, options).error, fit_modal(two, options).error));
    options.order = 4;
    BOOST_TEST(sum < 1.0001 * std::hypot(fit_modal(one, options).error, fit_modal(two, options).error));
    BOOST_TEST(fit_shared(one, 300, options)[0].error == fit_modal(one, options).error,
               boost::test_tools::tolerance(1e-12));
    BOOST_CHECK_THROW(fit_shared(both, 299, options), Error);
}

BOOST_AUTO_TEST_SUITE_END()
