// SPDX-License-Identifier: Apache-2.0
// Spectra and bounds against dense references, closed forms and the reference filters.
#include "libcore/base/error.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/unit/systems/reference.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <Eigen/SVD>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

std::vector<double> dense_sigma(const std::vector<double>& h, HankelOperator op)
{
    const Index N = static_cast<Index>(h.size()) - 1;
    const Index rows = op == HankelOperator::window ? (N + 1) / 2 : N;
    const Index cols = op == HankelOperator::window ? N - rows + 1 : N;
    Eigen::MatrixXd H = Eigen::MatrixXd::Zero(rows, cols);
    for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < cols && i + j < N; ++j) {
            H(i, j) = h[static_cast<std::size_t>(i + j + 1)];
        }
    }
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(H);
    return {svd.singularValues().data(), svd.singularValues().data() + svd.singularValues().size()};
}

double worst_difference(const std::vector<double>& is, const std::vector<double>& should)
{
    double worst = 0.0;
    for (std::size_t i = 0; i < std::min(is.size(), should.size()); ++i) {
        worst = std::max(worst, std::fabs(is[i] - should[i]));
    }
    return should[0] > 0.0 ? worst / should[0] : worst;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hankel)

BOOST_AUTO_TEST_CASE(both_operators_equal_the_dense_matrix)
{
    // Sizes on both sides of the switch to Lanczos; even and odd N, so that windows are square and are not.
    for (const std::size_t length : {2u, 3u, 4u, 9u, 200u, 201u, 700u, 1301u, 1302u}) {
        std::vector<double> h = noise(length, length);
        for (std::size_t t = 0; t < length; ++t) {
            h[t] *= std::exp(-4.0 * static_cast<double>(t) / static_cast<double>(length));
        }
        for (const HankelOperator op : {HankelOperator::zero, HankelOperator::window}) {
            if (op == HankelOperator::zero && length > 900) {
                continue;
            }
            BOOST_TEST_CONTEXT("length " << length << (op == HankelOperator::zero ? ", zero" : ", window"))
            {
                SpectrumOptions options;
                options.op = op;
                options.top = 24;
                const Spectrum spectrum = hankel_spectrum(h, options);
                BOOST_TEST(worst_difference(spectrum.sigma, dense_sigma(h, op)) < 1e-13);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(multiplicities_are_counted)
{
    // A delay of k lags has k equal singular values, two delays have two such groups, a constant has one value.
    for (const std::size_t delay : {3u, 114u}) {
        std::vector<double> h(1500, 0.0);
        h[delay] = 0.5;
        SpectrumOptions options;
        options.top = 128;
        const Spectrum spectrum = hankel_spectrum(h, options);
        for (std::size_t i = 0; i < 128; ++i) {
            BOOST_TEST(std::fabs(spectrum.sigma[i] - (i < delay ? 0.5 : 0.0)) < 1e-14);
        }
        BOOST_TEST(spectrum.rank == static_cast<Index>(delay));
    }
    std::vector<double> two(1300, 0.0);
    two[60] = 1.0;
    two[120] = 0.25;
    SpectrumOptions options;
    options.top = 130;
    BOOST_TEST(worst_difference(hankel_spectrum(two, options).sigma, dense_sigma(two, options.op)) < 1e-13);
    options.op = HankelOperator::window;
    const Spectrum constant = hankel_spectrum(std::vector<double>(1400, 2.0), options);
    BOOST_TEST(constant.sigma[0] == 2.0 * std::sqrt(700.0 * 700.0), boost::test_tools::tolerance(1e-13));
    BOOST_TEST(constant.sigma[1] < 1e-12 * constant.sigma[0]);
    BOOST_TEST(constant.rank == 1);
}

BOOST_AUTO_TEST_CASE(scale_zero_and_nonsense)
{
    std::vector<double> h = noise(2, 1200);
    const Spectrum one = hankel_spectrum(h, {});
    for (double& x : h) {
        x *= 1e-300;
    }
    const Spectrum tiny = hankel_spectrum(h, {});
    BOOST_TEST(tiny.sigma[40] / 1e-300 == one.sigma[40], boost::test_tools::tolerance(1e-12));
    BOOST_TEST(tiny.rank == one.rank);
    const Spectrum zero = hankel_spectrum(std::vector<double>(1200, 0.0), {});
    BOOST_TEST(zero.sigma.size() == 64u);
    BOOST_TEST(zero.sigma[0] == 0.0);
    BOOST_TEST(zero.rank == 0);
    h[7] = std::numeric_limits<double>::quiet_NaN();
    BOOST_CHECK_THROW(hankel_spectrum(h, {}), Error);
    BOOST_CHECK_THROW(l2_lower_bounds(h, std::vector<Index>{2}), Error);
    BOOST_TEST(l2_lower_bounds(std::vector<double>(50, 0.0), std::vector<Index>{2, 4})[1] == 0.0);
}

BOOST_AUTO_TEST_CASE(the_rank_of_modes_is_their_number)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(11, 3, 1, poles, residues);
    const std::vector<double> h = response(poles, residues, {1.0}, 900);
    SpectrumOptions options;
    options.op = HankelOperator::window;
    options.input = DType::f64;
    BOOST_TEST(hankel_spectrum(h, options).rank == 7);
    // No order below 7 is proven sufficient, 7 is not proven insufficient.
    const std::vector<double> bound = l2_lower_bounds(h, std::vector<Index>{2, 6, 7, 8});
    BOOST_TEST(bound[0] > bound[1]);
    BOOST_TEST(bound[1] > 0.0);
    BOOST_TEST(bound[2] < 1e-12);
    BOOST_TEST(bound[3] < 1e-12);
}

BOOST_AUTO_TEST_CASE(bounds_hold_for_what_is_known_to_be_reachable)
{
    // Dropping the smallest of separated modes is a system of lower order: its error cannot be below the bound.
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        random_modes(seed, 6, 0, poles, residues);
        for (const std::size_t length : {400u, 401u, 2600u}) {
            const std::vector<double> h = response(poles, residues, {0.0}, length);
            const std::vector<double> bound = l2_lower_bounds(h, std::vector<Index>{2, 4, 6, 8, 10, 12});
            for (std::size_t keep = 1; keep <= 6; ++keep) {
                const std::vector<double> part =
                    response({poles.begin(), poles.begin() + static_cast<long>(keep)},
                             {residues.begin(), residues.begin() + static_cast<long>(keep)}, {0.0}, length);
                BOOST_TEST(bound[keep - 1] <= relative_l2(part, h, 1) + 1e-13);
            }
            BOOST_TEST(bound[0] > 0.05);
        }
    }
}

BOOST_AUTO_TEST_CASE(reference_filters)
{
    each_reference([](const std::string& name, std::size_t channel, const std::vector<double>& h,
                      const formats::Value& reference) {
        BOOST_TEST_CONTEXT(name << ", channel " << channel)
        {
            if (reference.find("sigma_window") == nullptr) {          // the zero filter has no reference
                BOOST_TEST(hankel_spectrum(h, {}).sigma[0] == 0.0);
                return;
            }
            for (const HankelOperator op : {HankelOperator::zero, HankelOperator::window}) {
                std::vector<double> should;
                for (const formats::Value& sigma :
                     reference.find(op == HankelOperator::zero ? "sigma_fir_zero_padded" : "sigma_window")->list()) {
                    should.push_back(sigma.number());
                }
                SpectrumOptions options;
                options.op = op;
                options.top = static_cast<Index>(h.size() > 20000 ? 32 : should.size());
                BOOST_TEST(worst_difference(hankel_spectrum(h, options).sigma, should) < 1e-12);
            }
            if (h.size() > 4096) {
                return;
            }
            std::vector<Index> orders;
            for (const auto& [order, entry] : reference.find("orders")->map()) {
                orders.push_back(std::stol(order));
            }
            const std::vector<double> bound = l2_lower_bounds(h, orders);
            for (std::size_t i = 0; i < orders.size(); ++i) {
                const formats::Value& entry = reference.find("orders")->map()[i].second;
                const double best = entry.find("best_rel_l2")->number();
                const double known = entry.find("rigorous_lower_bound_rel_l2")->number();
                BOOST_TEST(bound[i] <= best * (1.0 + 1e-6) + 1e-14, "order " << orders[i] << ": " << bound[i] <<
                           " above what is reached, " << best);
                if (known > 1e-4) {
                    BOOST_TEST(bound[i] >= 0.999 * known,
                               "order " << orders[i] << ": " << bound[i] << " below " << known);
                }
            }
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
