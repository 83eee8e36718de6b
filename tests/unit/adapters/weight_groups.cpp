// SPDX-License-Identifier: Apache-2.0
// GLOB=X: what it may be, and which of several counts.
#include "tools/adapters/training/weight_groups.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

using namespace stillhouse;

BOOST_AUTO_TEST_CASE(the_last_glob_that_matches_counts)
{
    const auto groups = adapters::parse_weight_groups("--lr-scale", {"*=2", "*.skip=5e-1", "a=b.?=0"});
    const auto numbers = adapters::numbers_of_weights("--lr-scale", groups, {"q.skip", "q.weight", "a=b.c"});
    BOOST_TEST(numbers.size() == 3u);
    BOOST_TEST(numbers.at("q.weight") == 2.0);
    BOOST_TEST(numbers.at("q.skip") == 0.5);
    BOOST_TEST(numbers.at("a=b.c") == 0.0);
    BOOST_TEST(adapters::numbers_of_weights("--decay", {}, {"a"}).empty());
}

BOOST_AUTO_TEST_CASE(what_is_no_group_is_refused)
{
    for (const char* bad : {"", "a", "=1", "a=", "a=x", "a=1x", "a=-1", "a=nan", "a=inf", "a=1 "}) {
        BOOST_CHECK_EXCEPTION(adapters::parse_weight_groups("--decay", {bad}), Error, [](const Error& error) {
            return error.code() == ErrorCode::bad_argument;
        });
    }
    BOOST_CHECK_EXCEPTION(adapters::numbers_of_weights("--decay", {{"b*", 1.0}}, {"a"}), Error, [](const Error& error) {
        return error.code() == ErrorCode::bad_argument;
    });
}
