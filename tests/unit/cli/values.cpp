// SPDX-License-Identifier: Apache-2.0
// Values as they are typed: strict, with the units that are promised.
#include "tools/cli/values.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

using namespace stillhouse;
using namespace stillhouse::cli;

namespace {

bool is_usage_error(const Error& error)
{
    return error.code() == ErrorCode::bad_argument;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(values)

BOOST_AUTO_TEST_CASE(counts_take_powers_of_1000)
{
    BOOST_TEST(parse_count("0") == 0);
    BOOST_TEST(parse_count("-3") == -3);
    BOOST_TEST(parse_count("+3") == 3);
    BOOST_TEST(parse_count("400K") == 400000);
    BOOST_TEST(parse_count("1.5M") == 1500000);
    BOOST_TEST(parse_count("2G") == 2000000000);
    BOOST_TEST(parse_count("1e6") == 1000000);
    BOOST_TEST(parse_count("9007199254740993") == 9007199254740993);     // beyond what a double holds
    for (const char* wrong :
         {"", "K", "1.5", "12x", "1 2", "0x10", "+-3", "1e40", "nan", "inf", "1.2345K", "--1", "1KK"}) {
        BOOST_TEST_CONTEXT(wrong) { BOOST_CHECK_EXCEPTION(parse_count(wrong), Error, is_usage_error); }
    }
}

BOOST_AUTO_TEST_CASE(numbers_are_whole_words)
{
    BOOST_TEST(parse_number("1e-4") == 1e-4);
    BOOST_TEST(parse_number("-.5") == -0.5);
    BOOST_TEST(std::signbit(parse_number("-0")));
    for (const char* wrong : {"", "1,5", "1e", "x", "0.1f", " 1", "1 "}) {
        BOOST_TEST_CONTEXT(wrong) { BOOST_CHECK_EXCEPTION(parse_number(wrong), Error, is_usage_error); }
    }
}

BOOST_AUTO_TEST_CASE(durations_take_seconds_minutes_hours)
{
    BOOST_TEST(parse_duration("90").seconds == 90);
    BOOST_TEST(parse_duration("90s").seconds == 90);
    BOOST_TEST(parse_duration("5m").seconds == 300);
    BOOST_TEST(parse_duration("1.5h").seconds == 5400);
    for (const char* wrong : {"", "s", "-1s", "5d", "1h30m", "inf"}) {
        BOOST_TEST_CONTEXT(wrong) { BOOST_CHECK_EXCEPTION(parse_duration(wrong), Error, is_usage_error); }
    }
}

BOOST_AUTO_TEST_CASE(index_lists_are_inclusive_and_come_back)
{
    const std::vector<Index> expected{0, 3, 4, 5};
    BOOST_TEST(parse_index_list("0,3-5").values == expected, boost::test_tools::per_element());
    IndexList list = parse_index_list("0-2,5,6,9");
    BOOST_TEST(to_text(&list) == "0-2,5,6,9");
    BOOST_TEST(parse_index_list(to_text(&list)).values == list.values, boost::test_tools::per_element());
    for (const char* wrong : {"", ",", "3-", "-3", "5-3", "a", "1-2-3", "0-99999999999"}) {
        BOOST_TEST_CONTEXT(wrong) { BOOST_CHECK_EXCEPTION(parse_index_list(wrong), Error, is_usage_error); }
    }
}

BOOST_AUTO_TEST_CASE(number_text_reads_back)
{
    for (const double x : {0.0, -0.0, 1.0, 64.0, 0.1, 1e-4, 1.0 / 3.0, 6.02e23, 1e7, 123456.5,
                           std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::max()}) {
        BOOST_TEST(parse_number(number_text(x)) == x);
    }
    BOOST_TEST(number_text(64) == "64");
    BOOST_TEST(number_text(1e-4) == "1e-04");
}

BOOST_AUTO_TEST_CASE(nearest_finds_slips_and_nothing_else)
{
    const std::vector<std::string> flags{"--order", "--orders", "--operator", "--top", "--threads"};
    BOOST_TEST(nearest("--oder", flags) == "--order");
    BOOST_TEST(nearest("--tpo", flags) == "--top");
    BOOST_TEST(nearest("--thread", flags) == "--threads");
    BOOST_TEST(nearest("--completely-different", flags).empty());
    BOOST_TEST(nearest("--x", flags).empty());
}

BOOST_AUTO_TEST_SUITE_END()
