// SPDX-License-Identifier: Apache-2.0
// Fits: exact where the filter is a small system, never unstable, never below the bound, near the best known.
#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/unit/systems/reference.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

/// The error of a fit as its definition has it, from its own response.
double true_error(const Fit& fit, const std::vector<double>& h)
{
    return relative_l2(impulse_response(fit.system, static_cast<Index>(h.size())), h, fit.system.fir.size());
}

std::vector<double> decaying_noise(std::uint64_t seed, std::size_t length, double rate)
{
    std::vector<double> h = noise(seed, length);
    for (std::size_t t = 0; t < length; ++t) {
        h[t] *= std::exp(-rate * static_cast<double>(t) / static_cast<double>(length));
    }
    return h;
}

double least_distance(const ModalSystem& system)
{
    const PolesResidues modes = poles_and_residues(system);
    double least = 10.0;
    for (std::size_t i = 0; i < modes.poles.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            least = std::min(least, std::abs(modes.poles[i] - modes.poles[j]));
        }
    }
    return least;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fit)

BOOST_AUTO_TEST_CASE(small_systems_come_back)
{
    for (int seed = 0; seed < 6; ++seed) {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        random_modes(static_cast<std::uint64_t>(seed), 1 + seed % 3, seed % 2, poles, residues);
        for (const std::size_t taps : {1u, 5u}) {
            const std::vector<double> h = response(poles, residues, noise(1, taps), 500);
            FitOptions options;
            options.order = 2 * (1 + seed % 3) + seed % 2;
            options.fir_taps = static_cast<Index>(taps);
            const Fit found = fit_modal(h, options);
            BOOST_TEST(found.error < 1e-9);
            BOOST_TEST(true_error(found, h) < 1e-9);
            BOOST_TEST(found.system.order() == options.order);
            BOOST_TEST(found.system.fir.size() == taps);
            BOOST_TEST(found.system.fir[0] == h[0]);
            BOOST_TEST(spectral_radius(found.system) < 1.0);
        }
    }
}

BOOST_AUTO_TEST_CASE(errors_are_what_they_say_and_above_the_bound)
{
    for (const std::size_t length : {300u, 513u}) {
        const std::vector<double> h = decaying_noise(length, length, 6.0);
        double before = 1.0;
        for (const Index order : {1, 2, 3, 8, 17}) {
            FitOptions options;
            options.order = order;
            const Fit found = fit_modal(h, options);
            BOOST_TEST(found.system.order() == order);
            BOOST_TEST(found.error == true_error(found, h), boost::test_tools::tolerance(1e-9));
            BOOST_TEST(spectral_radius(found.system) < 1.0);
            BOOST_TEST(found.error <= before * 1.02);
            BOOST_TEST(found.error >= l2_lower_bounds(h, std::vector<Index>{order})[0] * (1.0 - 1e-9));
            before = found.error;
            const Fit again = fit_modal(h, options);
            BOOST_TEST(again.error == found.error);
            BOOST_TEST((again.system.readout == found.system.readout));
        }
    }
}

BOOST_AUTO_TEST_CASE(nothing_is_fitted_exactly)
{
    FitOptions options;
    std::vector<double> h(200, 0.0);
    h[0] = 3.0;
    const Fit zero = fit_modal(h, options);
    BOOST_TEST(zero.error == 0.0);
    BOOST_TEST(zero.system.order() == 0);
    BOOST_TEST(zero.system.fir[0] == 3.0);
    // Explicit taps take a delay altogether.
    h[6] = 1.0;
    options.fir_taps = 7;
    BOOST_TEST(fit_modal(h, options).error == 0.0);
}

BOOST_AUTO_TEST_CASE(poles_that_do_not_decay_stay_inside)
{
    std::vector<double> constant(600, 1.5);
    FitOptions options;
    options.order = 2;
    const Fit found = fit_modal(constant, options);
    BOOST_TEST(found.error < 1e-6);
    BOOST_TEST(spectral_radius(found.system) < 1.0);
    std::vector<double> growing(300);
    for (std::size_t t = 0; t < growing.size(); ++t) {
        growing[t] = std::exp(0.01 * static_cast<double>(t)) * std::cos(0.3 * static_cast<double>(t));
    }
    options.order = 6;
    BOOST_TEST(spectral_radius(fit_modal(growing, options).system) < 1.0);
    options.max_radius = 0.95;
    const Fit bounded = fit_modal(growing, options);
    BOOST_TEST(spectral_radius(bounded.system) <= 0.95 * (1.0 + 1e-12));
}

BOOST_AUTO_TEST_CASE(trained_modes_return)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(21, 8, 0, poles, residues);
    const ModalSystem trained = system_from(poles, residues, std::vector<double>{0.5});
    std::vector<double> h = impulse_response(trained, 400);
    for (double& x : h) {
        x = static_cast<float>(x);               // as a stream holds them
    }
    FitOptions options;
    options.order = 16;
    options.start = trained;
    const Fit found = fit_modal(h, options);
    BOOST_TEST(found.error < 1e-6);
    BOOST_TEST(relative_l2(impulse_response(found.system, 400), h) < 1e-6);
    // Modes longer than the filter can show are returned all the same.
    const std::vector<double> few(h.begin(), h.begin() + 20);
    BOOST_TEST(fit_modal(few, options).error < 1e-6);
    // Modes of another filter are no answer.
    const std::vector<double> other = decaying_noise(3, 400, 5.0);
    FitOptions plain = options;
    plain.start.reset();
    BOOST_TEST(fit_modal(other, options).error <= fit_modal(other, plain).error * 1.0001);
}

BOOST_AUTO_TEST_CASE(weights_move_the_error)
{
    const std::vector<double> h = decaying_noise(8, 400, 3.0);
    FitOptions options;
    options.order = 6;
    const Fit flat = fit_modal(h, options);
    options.weights.assign(h.size(), 1e-6);
    std::fill(options.weights.begin(), options.weights.begin() + 40, 1.0);
    const Fit early = fit_modal(h, options);
    auto error_before = [&](const Fit& fit, std::size_t end) {
        const std::vector<double> is = impulse_response(fit.system, static_cast<Index>(end));
        return relative_l2(is, std::vector<double>(h.begin(), h.begin() + static_cast<long>(end)), 1);
    };
    BOOST_TEST(error_before(early, 40) < 0.95 * error_before(flat, 40));
    BOOST_TEST(early.error >= flat.error);
}

BOOST_AUTO_TEST_CASE(poles_keep_their_distance)
{
    std::vector<double> h(500);
    for (std::size_t t = 0; t < h.size(); ++t) {
        const double x = static_cast<double>(t) / 40.0;
        h[t] = x * x * std::exp(-x);             // a triple pole
    }
    FitOptions options;
    options.order = 4;
    const Fit free = fit_modal(h, options);
    options.min_separation = 0.01;
    const Fit apart = fit_modal(h, options);
    BOOST_TEST(least_distance(apart.system) >= 0.01 * (1.0 - 1e-6));
    BOOST_TEST(apart.error >= free.error);
    BOOST_TEST(apart.error < 0.2);
}

BOOST_AUTO_TEST_CASE(the_smallest_order_within_a_tolerance)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(5, 3, 0, poles, residues);
    const std::vector<double> h = response(poles, residues, {1.0}, 500);
    BOOST_TEST(fit_to_tolerance(h, 1e-8, 20, {}).system.order() == 6);
    const Fit loose = fit_to_tolerance(h, 0.9, 20, {});
    BOOST_TEST(loose.system.order() == 2);
    const std::vector<double> rough = noise(2, 200);
    const Fit missed = fit_to_tolerance(rough, 1e-3, 8, {});
    BOOST_TEST(missed.system.order() == 8);
    BOOST_TEST(missed.error > 1e-3);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused)
{
    const std::vector<double> h = noise(1, 30);
    FitOptions options;
    options.order = 16;
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
    options.order = 4;
    std::vector<double> bad = h;
    bad[3] = std::numeric_limits<double>::infinity();
    BOOST_CHECK_THROW(fit_modal(bad, options), Error);
    options.weights = {1.0};
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
    options.weights.assign(30, 0.0);
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
    options.weights.clear();
    options.max_radius = 1.5;
    BOOST_CHECK_THROW(fit_modal(h, options), Error);
}

BOOST_AUTO_TEST_CASE(reference_filters)
{
    std::vector<double> ratios;
    each_reference([&](const std::string& name, std::size_t channel, const std::vector<double>& h,
                       const formats::Value& reference) {
        const formats::Value* orders = reference.find("orders");
        if (orders == nullptr || h.size() > 2048) {
            return;
        }
        for (const char* order : {"2", "4", "8", "16", "32"}) {
            const formats::Value* entry = orders->find(order);
            if (entry == nullptr) {
                continue;
            }
            BOOST_TEST_CONTEXT(name << ", channel " << channel << ", order " << order)
            {
                FitOptions options;
                options.order = std::stol(order);
                const Fit found = fit_modal(h, options);
                const double best = entry->find("best_rel_l2")->number();
                const double bound = entry->find("rigorous_lower_bound_rel_l2")->number();
                BOOST_TEST(found.error >= bound * (1.0 - 1e-6) - 1e-14);
                BOOST_TEST(spectral_radius(found.system) < 1.0);
                if (best > 1e-6) {
                    BOOST_TEST(found.error <= 1.25 * best);
                    ratios.push_back(found.error / best);
                } else {
                    BOOST_TEST(found.error <= 3.0 * best + 1e-12);
                }
            }
        }
    });
    if (!ratios.empty()) {
        std::sort(ratios.begin(), ratios.end());
        BOOST_TEST(ratios[ratios.size() / 2] <= 1.0005);
        BOOST_TEST(ratios[ratios.size() * 95 / 100] <= 1.02);
        BOOST_TEST(ratios.back() <= 1.05);
    }
}

BOOST_AUTO_TEST_SUITE_END()
