// SPDX-License-Identifier: Apache-2.0
// Choosing tokens: limits, ties, and the distribution.
#define BOOST_TEST_MODULE sampling
#include "libcore/models/sampling.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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
    BOOST_TEST(sample(logits.data(), 7, std::vector<bool>{true, false, true, true, true}, {.greedy = true}, random) == 4);
    BOOST_TEST(sample(logits.data(), 7, all, {.temperature = 0}, random) == 1);
    const std::vector<float> single{1.F, 3.F, 3.F};
    BOOST_TEST(sample(single.data(), 3, all, {.greedy = true}, random) == 1);
}

BOOST_AUTO_TEST_CASE(how_far_the_likeliest_is_ahead)
{
    BOOST_TEST(margin(logits.data(), 7, all) == 0);
    BOOST_TEST(margin(logits.data(), 4, all) == 1.0);
    BOOST_TEST(margin(logits.data(), 7, std::vector<bool>{true, false, true, false, true, true, true}) == 1.5);
    BOOST_TEST(margin(logits.data(), 7, std::vector<bool>{false, true}) == 0);
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

/// What top-k and top-p must keep, found by sorting.
std::vector<bool> kept_by_sorting(const std::vector<float>& values, const Sampling& how)
{
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
    order.resize(how.top_k > 0 ? static_cast<std::size_t>(how.top_k) : order.size());
    double total = 0, reached = 0;
    for (const std::size_t i : order) {
        total += std::exp(static_cast<double>(values[i]));
    }
    std::vector<bool> kept(values.size());
    for (const std::size_t i : order) {
        kept[i] = true;
        reached += std::exp(static_cast<double>(values[i]));
        if (reached >= how.top_p * total) {
            break;
        }
    }
    return kept;
}

BOOST_AUTO_TEST_CASE(a_whole_vocabulary)
{
    // More ids than the short cuts look at together; many of them equal.
    std::vector<float> many(20000);
    Random values(3, 1);
    for (float& x : many) {
        x = std::round(static_cast<float>(values.normal()) * 4.0F) / 2.0F;
    }
    for (const Sampling& how : {Sampling{}, Sampling{.top_k = 1}, Sampling{.top_k = 40}, Sampling{.top_k = 700},
                                Sampling{.top_p = 0.01}, Sampling{.top_p = 0.6}, Sampling{.top_p = 0.97},
                                Sampling{.top_k = 3000, .top_p = 0.9}}) {
        const std::vector<bool> kept = kept_by_sorting(many, how);
        double inside = 0, mean = 0, expected = 0;
        for (std::size_t i = 0; i < many.size(); ++i) {
            const double weight = kept[i] ? std::exp(static_cast<double>(many[i])) : 0.0;
            inside += weight;
            expected += weight * static_cast<double>(many[i]);
        }
        Random random(7, 0);
        constexpr int draws = 3000;
        for (int i = 0; i < draws; ++i) {
            const Token id = sample(many.data(), static_cast<Index>(many.size()), all, how, random);
            BOOST_REQUIRE(kept[static_cast<std::size_t>(id)]);
            mean += static_cast<double>(many[static_cast<std::size_t>(id)]) / draws;
        }
        BOOST_TEST(std::abs(mean - expected / inside) < 0.15, how.top_k << ", " << how.top_p);
    }
}

BOOST_AUTO_TEST_CASE(runs_of_what_may_be_drawn)
{
    const auto runs = [](const Drawable& drawable, Index n) {
        std::vector<Index> found;
        drawable.for_each_run(n, [&](Drawable::Run run) {
            found.push_back(run.begin);
            found.push_back(run.end);
        });
        return found;
    };
    const Drawable some(std::vector<bool>{false, true, true, false, true});
    BOOST_TEST(runs(some, 9) == (std::vector<Index>{1, 3, 4, 5}), boost::test_tools::per_element());
    BOOST_TEST(runs(some, 2) == (std::vector<Index>{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(runs({}, 3) == (std::vector<Index>{0, 3}), boost::test_tools::per_element());
    // An infinite temperature of ids that are all the same: every run has its share.
    const std::vector<float> equal(5, 1.0F);
    Random random(2, 0);
    std::vector<int> counts(5);
    for (int i = 0; i < 3000; ++i) {
        ++counts[static_cast<std::size_t>(sample(equal.data(), 5, some, {}, random))];
    }
    BOOST_TEST(counts[0] + counts[3] == 0);
    BOOST_TEST(std::min({counts[1], counts[2], counts[4]}) > 900);
}

BOOST_AUTO_TEST_CASE(the_largest_logits_suffice)
{
    std::vector<float> many(3000);
    Random values(9, 0);
    for (float& x : many) {
        x = std::round(static_cast<float>(values.normal()) * 3.0F);     // many are equal
    }
    std::vector<bool> some(2900, true);
    for (std::size_t i = 0; i < some.size(); i += 7) {
        some[i] = false;
    }
    for (const Drawable& allowed : {Drawable(), Drawable(some)}) {
        BestLogits<float> best(1, 3000, 40, allowed.flags(3000));
        best.begin(1);
        best.take(0, 0, 0, Matrix<const float>(many.data(), 1, 3000));
        for (const Sampling& how : {Sampling{.greedy = true}, Sampling{.top_k = 40}, Sampling{.top_k = 3},
                                    Sampling{.temperature = 2.0, .top_k = 17, .top_p = 0.7}}) {
            Random one(4, 0), other(4, 0);
            for (int i = 0; i < 100; ++i) {
                BOOST_TEST(sample_among<float>(best.best(0), how, one) ==
                           sample(many.data(), 3000, allowed, how, other));
            }
        }
    }
    Random random(1, 0);
    BOOST_CHECK_THROW(sample_among<float>({}, {.greedy = true}, random), Error);
}

BOOST_AUTO_TEST_CASE(refusals)
{
    Random random(1, 0);
    const std::vector<double> bad{0.0, std::nan("")};
    BOOST_CHECK_THROW(sample(bad.data(), 2, all, {}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 2, std::vector<bool>{false, false}, {}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.temperature = -1}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.top_p = 1.5}, random), Error);
    BOOST_CHECK_THROW(sample(logits.data(), 7, all, {.top_k = -1}, random), Error);
}

}  // namespace
}  // namespace stillhouse::models
