// SPDX-License-Identifier: Apache-2.0
// Choosing tokens: limits, ties, and the distribution.
#define BOOST_TEST_MODULE sampling
#include "libcore/models/sampling.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>

namespace stillhouse::models {
namespace {

const std::vector<bool> all;

/// Shares of n draws.
std::vector<double> shares(const std::vector<double>& logits, const std::vector<bool>& allowed, const Sampling& how,
                           int n)
{
    Random random(11, 0);
    std::vector<double> counts(logits.size());
    for (int i = 0; i < n; ++i) {
        const Token drawn = sample(logits.data(), static_cast<Index>(logits.size()), allowed, how, random);
        counts[static_cast<std::size_t>(drawn)] += 1.0 / n;
    }
    return counts;
}

/// Softmax over the entries of `kept`, at a temperature.
std::vector<double> softmax(const std::vector<double>& logits, double temperature, const std::vector<bool>& kept)
{
    std::vector<double> p(logits.size());
    double total = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = kept.empty() || kept[i] ? std::exp(logits[i] / temperature) : 0;
        total += p[i];
    }
    for (double& x : p) {
        x /= total;
    }
    return p;
}

/// Every share within five standard deviations of its probability; what has none is never drawn.
void check_distribution(const std::vector<double>& logits, const std::vector<bool>& allowed, const Sampling& how,
                        const std::vector<bool>& kept)
{
    constexpr int n = 200000;
    const std::vector<double> found = shares(logits, allowed, how, n);
    const std::vector<double> expected = softmax(logits, how.temperature, kept);
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / n);
        BOOST_TEST(std::abs(found[i] - expected[i]) <= 5 * deviation, "token " << i << ": " << found[i] << " for "
                                                                               << expected[i]);
    }
}

const std::vector<double> logits{0.5, 2.0, -1.0, 1.0, 2.0, -3.0, 0.0};

BOOST_AUTO_TEST_CASE(distribution)
{
    check_distribution(logits, all, {}, all);
    check_distribution(logits, all, {.temperature = 0.5}, all);
    check_distribution(logits, all, {.temperature = 3.0}, all);
    check_distribution(logits, {true, false, true, true, true, false, true}, {},
                       {true, false, true, true, true, false, true});
    check_distribution(logits, all, {.top_k = 3}, {false, true, false, true, true, false, false});
    check_distribution(logits, all, {.top_k = 100}, all);
    // the two largest hold 0.68 of the mass, the third brings it to 0.80
    check_distribution(logits, all, {.top_p = 0.5}, {false, true, false, false, true, false, false});
    check_distribution(logits, all, {.top_p = 0.75}, {false, true, false, true, true, false, false});
    // top-p of what top-k left: of three, the two largest hold 0.84
    check_distribution(logits, all, {.top_k = 3, .top_p = 0.8}, {false, true, false, false, true, false, false});
}

BOOST_AUTO_TEST_CASE(greedy_takes_the_first_maximum)
{
    Random random(1, 0);
    BOOST_TEST(sample(logits.data(), 7, all, {.greedy = true}, random) == 1);
    BOOST_TEST(sample(logits.data(), 7, {true, false, true, true, true}, {.greedy = true}, random) == 4);
    BOOST_TEST(sample(logits.data(), 7, all, {.temperature = 0}, random) == 1);
    const std::vector<float> single{1.F, 3.F, 3.F};
    BOOST_TEST(sample(single.data(), 3, all, {.greedy = true}, random) == 1);
}

BOOST_AUTO_TEST_CASE(ties_go_to_the_lower_id)
{
    const std::vector<double> equal(10, 0.25);
    const std::vector<double> found = shares(equal, all, {.top_k = 2}, 1000);
    for (std::size_t i = 0; i < found.size(); ++i) {
        BOOST_TEST((found[i] > 0) == (i < 2));
    }
    const std::vector<double> first = shares(equal, all, {.top_p = 0.0}, 100);
    BOOST_TEST(first[0] == 1.0, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(one_number_is_drawn_whatever_the_settings)
{
    for (const Sampling& how : {Sampling{}, Sampling{.greedy = true}, Sampling{.temperature = 0.1, .top_k = 1},
                                Sampling{.top_p = 0.3}}) {
        Random random(4, 2), alone(4, 2);
        sample(logits.data(), 7, all, how, random);
        alone.uniform();
        BOOST_TEST(random.position() == alone.position());
    }
}

BOOST_AUTO_TEST_CASE(large_logits_and_infinities)
{
    Random random(1, 0);
    const double infinity = std::numeric_limits<double>::infinity();
    const std::vector<double> large{1e300, -1e300, 0.0};
    BOOST_TEST(sample(large.data(), 3, all, {}, random) == 0);
    const std::vector<double> masked{-infinity, 0.0, -infinity};
    BOOST_TEST(sample(masked.data(), 3, all, {}, random) == 1);
    const std::vector<double> certain{0.0, infinity, 5.0};
    BOOST_TEST(sample(certain.data(), 3, all, {}, random) == 1);
}

BOOST_AUTO_TEST_CASE(refusals)
{
    Random random(1, 0);
    const std::vector<double> bad{0.0, std::nan("")};
    BOOST_CHECK_THROW(sample(bad.data(), 2, all, {}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 2, {false, false}, {}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.temperature = -1}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.top_p = 1.5}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.top_k = -1}, random), Error);
}

}  // namespace
}  // namespace stillhouse::models
