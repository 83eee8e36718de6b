// SPDX-License-Identifier: Apache-2.0
// Certificates: never above what a system reaches, and near it; hard filters and what is proven of them.
#include "libcore/base/error.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/unit/systems/filter_kinds.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

double bound_of(const std::vector<double>& h, Index order, Index steps = BoundOptions().steps)
{
    return l2_lower_bounds(h, std::vector<Index>{order}, {}, {.steps = steps})[0];
}

Spectrum window(const std::vector<double>& h, DType input = DType::f64, Index top = 64)
{
    return hankel_spectrum(h, {.top = top, .op = HankelOperator::window, .input = input});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(certificates)

BOOST_AUTO_TEST_CASE(no_fit_is_below_its_bound)
{
    // Sees a weight above 1, a leading value that was missed, a multiplier that is not orthogonal to the structure.
    Index checked = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const std::vector<double> h = random_filter(seed);
        FitOptions options;
        options.effort = Effort::fast;
        options.order = 1 + static_cast<Index>(seed / filter_kinds % 4);
        const double bound = bound_of(h, options.order);
        const double error = fit_modal(h, options).error;
        BOOST_TEST(error >= bound * (1.0 - 1e-6) - 1e-14, "seed " << seed << ", order " << options.order << ": "
                   << error << " below " << bound);
        BOOST_TEST(bound >= bound_of(h, options.order, 0) * (1.0 - 1e-12));
        checked += bound > 0.0 ? 1 : 0;
    }
    BOOST_TEST(checked > 120);
}

BOOST_AUTO_TEST_CASE(ascent_comes_near_the_error)
{
    // The plain spectra leave a third of this filter's error unexplained, the ascent less than a fifth.
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(3, 12, 0, poles, residues);
    const std::vector<double> h = response(poles, residues, {0.0}, 600);
    FitOptions options;
    options.order = 8;
    const double error = fit_modal(h, options).error;
    BOOST_TEST(bound_of(h, 8) > 1.05 * bound_of(h, 8, 0));
    BOOST_TEST(bound_of(h, 8, 20) >= bound_of(h, 8));
    BOOST_TEST(bound_of(h, 8, 20) <= error * (1.0 + 1e-9));
}

BOOST_AUTO_TEST_CASE(bounds_of_many_orders_are_those_of_each)
{
    const std::vector<double> h = random_filter(9);
    const std::vector<Index> orders{6, 2, 4};
    const std::vector<double> together = l2_lower_bounds(h, orders);
    for (std::size_t i = 0; i < orders.size(); ++i) {
        BOOST_TEST(together[i] == bound_of(h, orders[i]), boost::test_tools::tolerance(2e-2));
    }
    BOOST_TEST(together[1] > together[2]);
    BOOST_TEST(together[2] > together[0]);
}

BOOST_AUTO_TEST_CASE(scale_does_not_matter)
{
    std::vector<double> h = random_filter(0);
    const double bound = bound_of(h, 4);
    const Index rank = window(h).rank;
    for (const double scale : {1e-30, 1e30}) {
        std::vector<double> scaled(h);
        for (double& x : scaled) {
            x *= scale;
        }
        BOOST_TEST(bound_of(scaled, 4) == bound, boost::test_tools::tolerance(1e-9));
        BOOST_TEST(window(scaled).rank == rank);
    }
    h[0] = 1e12;                         // is met exactly, and has no part in it
    BOOST_TEST(bound_of(h, 4) == bound);
    BOOST_TEST(window(h).rank == rank);
}

BOOST_AUTO_TEST_CASE(zeros_one_tap_and_short_filters)
{
    BOOST_TEST(bound_of(std::vector<double>(64, 0.0), 2) == 0.0);
    BOOST_TEST(window(std::vector<double>(64, 0.0)).order_99.value() == 0);
    std::vector<double> tap(64, 0.0);
    tap[0] = 3.0;                        // only h_0: nothing is left
    BOOST_TEST(window(tap).rank == 0);
    tap[1] = 1.0;
    BOOST_TEST(window(tap).rank == 1);
    BOOST_TEST(bound_of(tap, 0) == 1.0, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(bound_of(tap, 1) < 1e-12);
    for (const std::size_t length : {1u, 2u, 3u, 4u}) {
        const std::vector<double> h = noise(4, length);
        BOOST_TEST(hankel_spectrum(h, {}).sigma.size() == length - 1);
        BOOST_TEST(bound_of(h, static_cast<Index>(length)) < 1e-12);     // an order that reaches beyond the filter
        BOOST_TEST(bound_of(h, 0) <= 1.0);
    }
    BOOST_TEST(bound_of(noise(4, 50), 200) < 1e-12);
}

BOOST_AUTO_TEST_CASE(named_filters)
{
    std::vector<double> delay(400, 0.0);
    delay[40] = 1.0;                     // 40 states, none fewer
    BOOST_TEST(window(delay, DType::f64, 100).rank == 40);
    BOOST_TEST(bound_of(delay, 39) > 0.1);
    BOOST_TEST(bound_of(delay, 40) < 1e-7);
    const std::vector<double> constant(400, 2.0);
    BOOST_TEST(window(constant).rank == 1);
    BOOST_TEST(bound_of(constant, 1) < 1e-12);
    std::vector<double> sinusoid(400);
    std::vector<double> slow(400);
    for (std::size_t t = 0; t < 400; ++t) {
        sinusoid[t] = std::sin(0.3 * static_cast<double>(t) + 0.1);
        slow[t] = std::pow(1.0 - 1e-7, static_cast<double>(t));
    }
    BOOST_TEST(window(sinusoid).rank == 2);
    BOOST_TEST(bound_of(sinusoid, 1) > 0.5);
    BOOST_TEST(bound_of(sinusoid, 2) < 1e-12);
    BOOST_TEST(window(slow).rank == 1);
    BOOST_TEST(bound_of(slow, 1) < 1e-12);
    // Equal values of three blocks: one Krylov space sees each of them once.
    std::vector<double> dilated(901, 0.0);
    for (std::size_t t = 0; t < 300; ++t) {
        dilated[3 * t + 3] = std::exp(-0.05 * static_cast<double>(t));
    }
    BOOST_TEST(window(dilated).rank == 3);
}

BOOST_AUTO_TEST_CASE(white_noise_is_proven_incompressible)
{
    const std::vector<double> h = noise(8, 400);
    BOOST_TEST(bound_of(h, 16) > 0.6);
    BOOST_TEST(!smallest_possible_order(h, 0.5, 20).has_value());
    // The smallest possible order of a filter of order 7 is 7 for a tight tolerance, 0 for none.
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(11, 3, 1, poles, residues);
    const std::vector<double> seven = response(poles, residues, {1.0}, 500);
    BOOST_TEST(smallest_possible_order(seven, 1e-6, 40).value() == 7);
    BOOST_TEST(smallest_possible_order(seven, 1.0, 40).value() == 0);
}

BOOST_AUTO_TEST_CASE(rank_is_read_from_the_precision_of_the_input)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(5, 4, 0, poles, residues);
    const std::vector<double> exact = response(poles, residues, {0.0}, 600);
    double largest = 0.0;
    for (const double x : exact) {
        largest = std::max(largest, std::fabs(x));
    }
    for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
        std::vector<double> scaled(exact);
        for (double& x : scaled) {
            x /= largest;
        }
        std::vector<std::byte> bytes(scaled.size() * static_cast<std::size_t>(size_of(type)));
        convert_to(type, scaled.data(), static_cast<Index>(scaled.size()), bytes.data());
        std::vector<double> rounded(scaled.size());
        convert_from(type, bytes.data(), static_cast<Index>(scaled.size()), rounded.data());
        BOOST_TEST(window(rounded, type).rank == 8, "rank " << window(rounded, type).rank << " of " << name_of(type));
        BOOST_TEST(window(rounded, DType::f64).rank > 8);                // the rounding itself has full rank
    }
}

BOOST_AUTO_TEST_CASE(energy_orders_and_effective_rank)
{
    // Two orthogonal modes: all of the energy in two values.
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(11, 3, 1, poles, residues);
    const Spectrum few = window(response(poles, residues, {1.0}, 900));
    BOOST_TEST(few.order_99.value() <= few.order_999.value());
    BOOST_TEST(few.order_999.value() <= 7);
    BOOST_TEST(few.effective_rank > 1.0);
    BOOST_TEST(few.effective_rank <= 7.0 + 1e-9);
    BOOST_TEST(!few.rank_is_least);
    const Spectrum many = window(noise(3, 900), DType::f64, 8);
    BOOST_TEST(many.rank == 8);
    BOOST_TEST(many.rank_is_least);
    BOOST_TEST(!many.order_99.has_value());
}

BOOST_AUTO_TEST_CASE(thick_restarts_keep_the_values)
{
    // 300 values of a matrix of 1400: the basis is restarted; the dense matrix has them all.
    std::vector<double> h = noise(12, 3000);
    for (std::size_t t = 0; t < h.size(); ++t) {
        h[t] *= std::exp(-3.0 * static_cast<double>(t) / 3000.0);
    }
    const Spectrum restarted = window(h, DType::f64, 300);
    const Spectrum dense = window(h, DType::f64, 1400);
    double worst = 0.0;
    for (std::size_t i = 0; i < 300; ++i) {
        worst = std::max(worst, std::fabs(restarted.sigma[i] - dense.sigma[i]) / dense.sigma[0]);
    }
    BOOST_TEST(worst < 1e-12);
}

BOOST_AUTO_TEST_SUITE_END()
