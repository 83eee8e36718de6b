// SPDX-License-Identifier: Apache-2.0
// AdamW against the formula in plain double arithmetic; schedules; clipping.
#include "libcore/training/adamw.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>

using namespace stillhouse;
using models::Parameters;

BOOST_AUTO_TEST_CASE(adamw_is_its_formula)
{
    ThreadPool pool(2);
    Parameters<double> weights;
    auto& w = weights.add("a.weight", {2, 3});
    auto& b = weights.add("a.bias", {3});
    Parameters<double> gradient = weights.zeros_like();
    training::AdamWOptions options{.beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .weight_decay = 0.1};
    training::AdamW<double> adamw(gradient, options);

    double m = 0.0, v = 0.0, expected = 0.7, m_bias = 0.0, v_bias = 0.0, expected_bias = -0.2;
    w.values[4] = expected;
    b.values[1] = expected_bias;
    for (int step = 1; step <= 5; ++step) {
        const double g = 0.3 * step - 0.8;
        gradient.at("a.weight").values[4] = g;
        gradient.at("a.bias").values[1] = 2 * g;
        adamw.step(pool, gradient, 0.01, weights);
        const auto moved = [&](double& first, double& second, double x) {
            first = 0.9 * first + 0.1 * x;
            second = 0.98 * second + 0.02 * x * x;
            return 0.01 * (first / (1 - std::pow(0.9, step))) / (std::sqrt(second / (1 - std::pow(0.98, step))) + 1e-8);
        };
        expected = expected * (1 - 0.01 * 0.1) - moved(m, v, g);
        expected_bias -= moved(m_bias, v_bias, 2 * g);      // no decay: it is no matrix
        BOOST_TEST(std::fabs(w.values[4] - expected) < 1e-14);
        BOOST_TEST(std::fabs(b.values[1] - expected_bias) < 1e-14);
        BOOST_TEST(w.values[0] == 0.0);
    }
}

BOOST_AUTO_TEST_CASE(groups_have_rates_and_decays_of_their_own)
{
    ThreadPool pool(1);
    Parameters<double> weights;
    weights.add("a.weight", {1, 1}).values[0] = 2.0;
    weights.add("b.weight", {1, 1}).values[0] = 2.0;
    weights.add("c.skip", {1}).values[0] = 2.0;
    weights.add("d.weight", {1, 1}).values[0] = 2.0;
    auto gradient = weights.zeros_like();
    training::AdamWOptions options{.weight_decay = 0.1, .rate_factors = {{"a.weight", 0.5}, {"d.weight", 0.0}},
                                   .decays = {{"b.weight", 0.0}, {"c.skip", 0.3}}};
    training::AdamW<double> adamw(gradient, options);
    for (auto& entry : gradient) {
        entry.values[0] = 1.0;
    }
    adamw.step(pool, gradient, 0.01, weights);
    // a first step moves by the rate, whatever the gradient
    const auto moved = [](double rate, double decay) { return 2.0 * (1.0 - rate * decay) - rate; };
    BOOST_TEST(std::fabs(weights.at("a.weight").values[0] - moved(0.005, 0.1)) < 1e-9);
    BOOST_TEST(std::fabs(weights.at("b.weight").values[0] - moved(0.01, 0.0)) < 1e-9);
    BOOST_TEST(std::fabs(weights.at("c.skip").values[0] - moved(0.01, 0.3)) < 1e-9);
    BOOST_TEST(weights.at("d.weight").values[0] == 2.0);
}

BOOST_AUTO_TEST_CASE(schedules_rise_and_end_where_they_should)
{
    using Shape = training::Schedule::Shape;
    const training::Schedule cosine{Shape::cosine, 2.0, 10, 110, 0.1};
    BOOST_TEST(std::fabs(cosine.at(0) - 0.2) < 1e-15);
    BOOST_TEST(std::fabs(cosine.at(9) - 2.0) < 1e-15);
    BOOST_TEST(std::fabs(cosine.at(60) - 2.0 * (0.1 + 0.9 * 0.5)) < 1e-12);
    BOOST_TEST(std::fabs(cosine.at(110) - 0.2) < 1e-12);
    BOOST_TEST(std::fabs(cosine.at(500) - 0.2) < 1e-12);
    const training::Schedule linear{Shape::linear, 1.0, 0, 4, 0.0};
    BOOST_TEST(linear.at(1) == 0.75);
    const training::Schedule unknown{Shape::cosine, 1.0, 2, 0, 0.0};
    BOOST_TEST(unknown.at(1000) == 1.0);
}

BOOST_AUTO_TEST_CASE(clip_keeps_the_direction_and_the_limit)
{
    ThreadPool pool(2);
    Parameters<float> gradient;
    auto& a = gradient.add("a", {40000});
    auto& b = gradient.add("b", {2});
    std::fill(a.values.begin(), a.values.end(), 0.01f);
    b.values[0] = 3.0f;
    const double norm = std::sqrt(40000 * 1e-4 + 9.0);
    BOOST_TEST(std::fabs(training::clip(pool, gradient, 10.0) - norm) < 1e-5);
    BOOST_TEST(b.values[0] == 3.0f);
    BOOST_TEST(std::fabs(training::clip(pool, gradient, 1.0) - norm) < 1e-5);
    BOOST_TEST(std::fabs(training::clip(pool, gradient, 1.0) - 1.0) < 1e-5);
    BOOST_TEST(std::fabs(b.values[0] / a.values[0] - 300.0) < 1e-2);
}
