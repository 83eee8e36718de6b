// SPDX-License-Identifier: Apache-2.0
// Sections, cascade, poles and residues against the definition of a mode.
#include "libcore/base/error.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include "libcore/systems/cascade.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

BOOST_AUTO_TEST_SUITE(modal)

void check_anyones_modes(int seed)
{
    BOOST_TEST_CONTEXT("seed " << seed)
    {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        random_modes(static_cast<std::uint64_t>(seed), seed % 5, seed % 4 + 1, poles, residues);
        const std::vector<double> fir = noise(1, static_cast<std::size_t>(1 + seed % 3));
        const ModalSystem system = system_from(poles, residues, fir);
        const std::vector<double> should = response(poles, residues, fir, 800);
        BOOST_TEST(relative_l2(impulse_response(system, 800), should) < 1e-11);
        BOOST_TEST(system.order() == 2 * (seed % 5) + seed % 4 + 1);

        // Back to poles: neighbours are exact conjugates, and mean the same response.
        const PolesResidues modes = poles_and_residues(system);
        BOOST_TEST(relative_l2(response(modes.poles, modes.residues, fir, 800), should) < 1e-10);
        for (std::size_t n = 0; n < modes.poles.size(); ++n) {
            if (modes.poles[n].imag() != 0.0) {
                BOOST_TEST(modes.poles[n].imag() > 0.0);
                BOOST_TEST((modes.poles[n + 1] == std::conj(modes.poles[n])));
                BOOST_TEST((modes.residues[n + 1] == std::conj(modes.residues[n])));
                ++n;
            } else {
                BOOST_TEST(modes.residues[n].imag() == 0.0);
            }
        }
        // All conjugates present, or none: the same system.
        BOOST_TEST(relative_l2(impulse_response(system_from(modes.poles, modes.residues, fir), 800), should) < 1e-10);
    }
}

BOOST_AUTO_TEST_CASE(anyones_modes_keep_their_response)
{
    for (int seed = 0; seed < 12; ++seed) {
        check_anyones_modes(seed);
    }
}

BOOST_AUTO_TEST_CASE(a_lone_complex_pole_stands_for_its_pair)
{
    const Complex pole = std::polar(0.9, 0.7);
    const Complex residue{1.5, -0.5};
    const std::vector<double> fir{0.25};
    const ModalSystem lone = system_from(std::vector{pole}, std::vector{residue}, fir);
    const ModalSystem lower = system_from(std::vector{std::conj(pole)}, std::vector{std::conj(residue)}, fir);
    const ModalSystem both = system_from(std::vector{pole, std::conj(pole)},
                                         std::vector{residue / 2.0, std::conj(residue) / 2.0}, fir);
    BOOST_TEST(lone.order() == 2);
    const std::vector<double> h = impulse_response(lone, 50);
    BOOST_TEST(h[1] == residue.real(), boost::test_tools::tolerance(1e-14));
    BOOST_TEST(relative_l2(impulse_response(both, 50), h) < 1e-15);
    BOOST_TEST(relative_l2(impulse_response(lower, 50), h) < 1e-15);
}

BOOST_AUTO_TEST_CASE(a_pole_at_zero_becomes_a_tap)
{
    const std::vector<Complex> poles{0.0, 0.8, 0.0, std::polar(0.9, 1.0)};
    const std::vector<Complex> residues{2.0, 0.5, 0.0, Complex(0.3, 0.4)};
    const std::vector<double> fir{1.0, 7.0};
    const ModalSystem system = system_from(poles, residues, fir);
    BOOST_TEST(system.order() == 3);
    BOOST_TEST(system.fir.size() == 3u);
    BOOST_TEST(relative_l2(impulse_response(system, 60), response(poles, residues, fir, 60)) < 1e-14);
}

BOOST_AUTO_TEST_CASE(more_taps_change_nothing)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(4, 3, 2, poles, residues);
    const ModalSystem system = system_from(poles, residues, std::vector<double>{0.5, 2.0});
    const ModalSystem later = with_taps(system, 9);
    BOOST_TEST(later.fir.size() == 9u);
    BOOST_TEST(relative_l2(impulse_response(later, 400), impulse_response(system, 400)) < 1e-13);
    BOOST_TEST(with_taps(system, 1).fir.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_basis_is_orthonormal_even_for_repeated_poles)
{
    const std::vector<Section> sections{{2, 1.0, std::log(0.95), 0.0},  {2, 1.0, std::log(0.95), 0.0},
                                        {2, -1.0, std::log(0.9), -0.5}, {1, -1.0, std::log(0.7), 0.0},
                                        {2, 1.0, -1e-2, 5e-5},          {1, 1.0, std::log(0.95), 0.0}};
    const std::size_t length = 6000;
    const std::vector<double> basis = cascade_basis(sections, static_cast<Index>(length));
    const std::size_t order = basis.size() / length;
    BOOST_TEST(order == 10u);
    for (std::size_t i = 0; i < order; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double product = 0.0;
            for (std::size_t t = 0; t < length; ++t) {
                product += basis[i * length + t] * basis[j * length + t];
            }
            BOOST_TEST(std::fabs(product - (i == j ? 1.0 : 0.0)) < 1e-12);
        }
    }
}

BOOST_AUTO_TEST_CASE(slow_poles_lose_nothing)
{
    // 1 - |lambda| = 1e-9: the response after a million steps against its closed form.
    const double m = -1e-9;
    ModalSystem system{{0.0}, {{1, 1.0, m, 0.0}}, {1.0}};
    const std::vector<double> h = impulse_response(system, 1000001);
    BOOST_TEST(h[1] == std::sqrt(-std::expm1(2.0 * m)), boost::test_tools::tolerance(1e-14));
    BOOST_TEST(h[1000000] / h[1] == std::exp(m * 999999.0), boost::test_tools::tolerance(1e-12));
    ModalSystem pair{{0.0}, {{2, 1.0, m, 0.25e-18}}, {1.0, 0.0}};
    BOOST_TEST(std::isfinite(impulse_response(pair, 1000)[999]));
    BOOST_TEST(spectral_radius(pair) < 1.0);
}

BOOST_AUTO_TEST_CASE(sections_and_poles_are_inverse)
{
    for (const Complex upper :
         {std::polar(0.999999, 1e-4), std::polar(0.5, 3.0), Complex(-1e-12, 0.9), Complex(0.0, 0.3)}) {
        const SectionPoles back = poles_of(section_of_pair(upper));
        BOOST_TEST(std::abs(back.pole[0] - upper) < 4e-16);
    }
    for (const auto& [a, b] : {std::pair{0.9, 0.9}, std::pair{0.9999999, 1e-5}, std::pair{-0.3, -0.8}}) {
        const SectionPoles back = poles_of(section_of_reals(a, b));
        BOOST_TEST(std::fabs(back.pole[0].real() * back.pole[1].real() - a * b) < 1e-15);
        BOOST_TEST(std::fabs(back.pole[0].real() + back.pole[1].real() - a - b) < 1e-15);
    }
}

BOOST_AUTO_TEST_CASE(bad_modes_are_refused)
{
    const std::vector<double> fir{1.0};
    const double nan = std::numeric_limits<double>::quiet_NaN();
    using V = std::vector<Complex>;
    BOOST_CHECK_THROW(system_from(V{1.0}, V{1.0}, fir), Error);
    BOOST_CHECK_THROW(system_from(V{std::polar(1.01, 1.0)}, V{1.0}, fir), Error);
    BOOST_CHECK_THROW(system_from(V{nan}, V{1.0}, fir), Error);
    BOOST_CHECK_THROW(system_from(V{0.5}, V{nan}, fir), Error);
    BOOST_CHECK_THROW(system_from(V{0.5}, V{}, fir), Error);
    BOOST_CHECK_THROW(system_from(V{0.5}, V{1.0}, std::vector<double>{}), Error);
}

BOOST_AUTO_TEST_SUITE_END()
