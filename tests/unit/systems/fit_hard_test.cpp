// SPDX-License-Identifier: Apache-2.0
// Filters that break fits: each with its right answer.
#include "libcore/base/error.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

constexpr Effort efforts[] = {Effort::fast, Effort::normal, Effort::thorough};

Fit fit_of(const std::vector<double>& h, Index order, Effort effort = Effort::normal)
{
    FitOptions options;
    options.order = order;
    options.effort = effort;
    const Fit fit = fit_modal(h, options);
    BOOST_TEST(fit.system.order() <= order);
    BOOST_TEST(spectral_radius(fit.system) < 1.0);
    const std::vector<double> is = impulse_response(fit.system, static_cast<Index>(h.size()));
    BOOST_TEST(std::fabs(relative_l2(is, h, 1) - fit.error) <= 1e-9 * fit.error + 1e-13);
    return fit;
}

/// t^(times - 1) rho^t / its largest value: a pole repeated that often.
std::vector<double> repeated(int times, double rho, std::size_t length)
{
    std::vector<double> h(length);
    double largest = 0.0;
    for (std::size_t t = 0; t < length; ++t) {
        h[t] = std::pow(static_cast<double>(t), times - 1) * std::pow(rho, static_cast<double>(t));
        largest = std::max(largest, h[t]);
    }
    for (double& x : h) {
        x /= largest;
    }
    return h;
}

std::vector<double> small_system()
{
    return response({{0.9, 0.3}, {-0.7, 0.2}, {0.97, 0.0}}, {{1.0, 0.5}, {-0.3, 0.7}, {0.4, 0.0}}, {0.25}, 400);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fit_hard)

BOOST_AUTO_TEST_CASE(zeros)
{
    const Fit fit = fit_of(std::vector<double>(100, 0.0), 4);
    BOOST_TEST(fit.error == 0.0);
    BOOST_TEST(fit.system.order() == 0);
}

BOOST_AUTO_TEST_CASE(one_tap)
{
    std::vector<double> h(100, 0.0);
    h[0] = -2.0;
    BOOST_TEST(fit_of(h, 4).error == 0.0);
    // The tap behind h_0 is a pole that has decayed at once.
    h[1] = 3.0;
    for (const Index order : {1, 2}) {
        BOOST_TEST(fit_of(h, order).error < 1e-12);
    }
}

BOOST_AUTO_TEST_CASE(delays)
{
    std::vector<double> h(400, 0.0);
    h[4] = 1.0;
    BOOST_TEST(fit_of(h, 4).error < 1e-9);       // three empty lags and the tap
    BOOST_TEST(fit_of(h, 2).error > 0.7);
    h[4] = 0.0;
    h[114] = 1.0;
    const Fit fit = fit_of(h, 8);
    BOOST_TEST(fit.error > l2_lower_bounds(h, std::vector<Index>{8})[0]);
    BOOST_TEST(fit.error < 1.0);
}

BOOST_AUTO_TEST_CASE(constant)
{
    for (const Effort effort : efforts) {
        BOOST_TEST(fit_of(std::vector<double>(700, -0.3), 1, effort).error < 1e-6);
        BOOST_TEST(fit_of(std::vector<double>(700, -0.3), 4, effort).error < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(sinusoid_that_does_not_decay)
{
    std::vector<double> h(700);
    for (std::size_t t = 0; t < h.size(); ++t) {
        h[t] = std::cos(0.4 * static_cast<double>(t) + 1.0);
    }
    for (const Effort effort : efforts) {
        BOOST_TEST(fit_of(h, 2, effort).error < 1e-6);
        BOOST_TEST(fit_of(h, 6, effort).error < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(repeated_poles)
{
    for (const int times : {3, 4, 8}) {
        const Fit fit = fit_of(repeated(times, 0.95, 700), times);
        BOOST_TEST(fit.error < 1e-6);
        BOOST_TEST(fit_of(repeated(times, 0.95, 700), times + 2).error < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(poles_next_to_the_circle)
{
    const std::vector<double> h =
        response({std::polar(1.0 - 1e-7, 0.3), std::polar(1.0 - 1e-6, 1.1)}, {{1.0, 0.0}, {0.2, 0.3}}, {0.0}, 1000);
    FitOptions options;
    options.order = 4;
    options.max_radius = 1.0 - 1e-9;
    const Fit fit = fit_modal(h, options);
    BOOST_TEST(fit.error < 1e-9);
    BOOST_TEST(std::fabs(spectral_radius(fit.system) - (1.0 - 1e-7)) < 1e-9);
}

BOOST_AUTO_TEST_CASE(white_noise)
{
    const std::vector<double> h = noise(4, 1000);
    const Fit fit = fit_of(h, 8);
    BOOST_TEST(fit.error > l2_lower_bounds(h, std::vector<Index>{8})[0]);
    BOOST_TEST(fit.error > 0.9);
    BOOST_TEST(fit.error < 0.99);
}

BOOST_AUTO_TEST_CASE(scales)
{
    const std::vector<double> h = small_system();
    for (const double scale : {1e-30, 1e30}) {
        std::vector<double> scaled = h;
        for (double& x : scaled) {
            x *= scale;
        }
        BOOST_TEST(fit_of(scaled, 5).error < 1e-10);
    }
}

BOOST_AUTO_TEST_CASE(huge_first_tap)
{
    std::vector<double> h = small_system();
    h[0] = 1e12;
    const Fit fit = fit_of(h, 5);
    BOOST_TEST(fit.error < 1e-10);
    BOOST_TEST(fit.system.fir[0] == 1e12);
}

BOOST_AUTO_TEST_CASE(short_filters)
{
    BOOST_TEST(fit_of({5.0}, 0).error == 0.0);
    BOOST_TEST(fit_of({5.0}, 4).error == 0.0);   // nothing but h_0
    // Two lags show one pole, one lag none: more is refused, not invented.
    BOOST_TEST(fit_of({5.0, 2.0, 1.0}, 1).error < 1e-12);
    for (const std::vector<double>& h : {std::vector<double>{5.0, 1.0}, std::vector<double>{5.0, 1.0, 0.5}}) {
        FitOptions options;
        options.order = 2;
        BOOST_CHECK_EXCEPTION(fit_modal(h, options), Error, [](const Error& e) {
            return std::string(e.what()).find("lower the order") != std::string::npos;
        });
    }
}

BOOST_AUTO_TEST_CASE(orders_beyond_the_lags)
{
    const std::vector<double> h = noise(1, 40);
    FitOptions options;
    for (const Index order : {20, 39, 40, 400}) {
        options.order = order;
        BOOST_CHECK_THROW(fit_modal(h, options), Error);
    }
    options.order = 19;
    BOOST_TEST(fit_modal(h, options).error < 1.0);
}

BOOST_AUTO_TEST_CASE(exact_low_orders)
{
    const std::vector<double> h = small_system();
    for (const Effort effort : efforts) {
        for (const Index order : {5, 6, 9}) {
            BOOST_TEST(fit_of(h, order, effort).error < 1e-10);
        }
    }
    std::vector<double> single = h;
    for (double& x : single) {
        x = static_cast<float>(x);
    }
    BOOST_TEST(fit_of(single, 5).error < 5e-8);
}

BOOST_AUTO_TEST_CASE(numbers_that_are_none)
{
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        std::vector<double> h = small_system();
        h[77] = bad;
        BOOST_CHECK_EXCEPTION(fit_modal(h, {}), Error, [](const Error& e) {
            return std::string(e.what()).find("lag 77") != std::string::npos;
        });
    }
}

BOOST_AUTO_TEST_SUITE_END()
