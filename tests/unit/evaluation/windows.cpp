// SPDX-License-Identifier: Apache-2.0
// Which tokens windows score, and the error of a ratio.
#define BOOST_TEST_MODULE evaluation
#include "libcore/evaluation/perplexity.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>

using namespace stillhouse;
using evaluation::Window;

namespace {

/// How often each token of the text is scored.
std::vector<int> scored(const std::vector<Window>& windows, Index tokens)
{
    std::vector<int> count(static_cast<std::size_t>(tokens));
    for (const Window& window : windows) {
        BOOST_TEST(window.begin + window.length <= tokens);
        for (Index p = window.first_scored; p < window.length; ++p) {
            ++count[static_cast<std::size_t>(window.begin + p)];
        }
    }
    return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(consecutive_blocks_leave_out_their_first_tokens)
{
    const auto windows = evaluation::windows(1050, 100, 100);
    BOOST_TEST(windows.size() == 11u);
    const auto count = scored(windows, 1050);
    for (Index t = 0; t < 1050; ++t) {
        BOOST_TEST(count[static_cast<std::size_t>(t)] == (t % 100 != 0 ? 1 : 0));
    }
    BOOST_TEST(evaluation::windows(1001, 100, 100).size() == 10u);   // a last block of one token has nothing to score
}

BOOST_AUTO_TEST_CASE(overlapping_windows_score_every_token_but_the_first_once)
{
    for (const Index stride : {1, 7, 50, 99}) {
        const auto windows = evaluation::windows(531, 100, stride);
        const auto count = scored(windows, 531);
        BOOST_TEST(count[0] == 0);
        for (std::size_t t = 1; t < count.size(); ++t) {
            BOOST_TEST(count[t] == 1);
        }
        for (const Window& window : windows) {
            BOOST_TEST(window.length <= 100);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_text_shorter_than_the_context_is_one_window)
{
    const auto windows = evaluation::windows(10, 100, 100);
    BOOST_TEST(windows.size() == 1u);
    BOOST_TEST(windows[0].length == 10);
    BOOST_TEST(evaluation::windows(1, 100, 100).empty());
    BOOST_CHECK_THROW(evaluation::windows(10, 1, 1), Error);
    BOOST_CHECK_THROW(evaluation::windows(10, 8, 9), Error);
}

BOOST_AUTO_TEST_CASE(rolling_windows_are_the_harness_s)
{
    // prefix + 25 tokens, max length 10: [prefix, 0..8] -> 0..9, [9..18] -> 10..19, then the last 10 inputs for 20..24
    const auto windows = evaluation::rolling_windows(26, 10);
    BOOST_TEST(windows.size() == 3u);
    BOOST_TEST(windows[0].begin == 0);
    BOOST_TEST(windows[0].length == 11);
    BOOST_TEST(windows[0].first_scored == 1);
    BOOST_TEST(windows[1].begin == 10);
    BOOST_TEST(windows[1].length == 11);
    BOOST_TEST(windows[1].first_scored == 1);
    BOOST_TEST(windows[2].begin == 15);
    BOOST_TEST(windows[2].length == 11);
    BOOST_TEST(windows[2].first_scored == 6);
    const auto count = scored(windows, 26);
    for (std::size_t t = 1; t < count.size(); ++t) {
        BOOST_TEST(count[t] == 1);
    }
}

BOOST_AUTO_TEST_CASE(error_of_equal_blocks_is_that_of_their_mean)
{
    const std::vector<double> sums{10.0, 14.0, 12.0, 8.0};
    const std::vector<Index> counts{5, 5, 5, 5};
    const double mean = 44.0 / 20.0;
    double variance = 0.0;
    for (const double sum : sums) {
        variance += (sum / 5.0 - mean) * (sum / 5.0 - mean) / 3.0;
    }
    BOOST_TEST(std::fabs(evaluation::ratio_standard_error(sums, counts) - std::sqrt(variance / 4.0)) < 1e-14);
    BOOST_TEST(std::isnan(evaluation::ratio_standard_error({1.0}, {1})));
}
