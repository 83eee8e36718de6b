// SPDX-License-Identifier: Apache-2.0
// Files of options: what is read, and that faults name their line.
#include "tools/cli/config.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

using namespace stillhouse;
using namespace stillhouse::cli;

namespace {

void refused(const char* text, const std::string& line, const std::string& word)
{
    BOOST_TEST_CONTEXT(text)
    {
        BOOST_CHECK_EXCEPTION(parse_config(text), Error, [&](const Error& error) {
            const std::string what = error.what();
            BOOST_TEST_MESSAGE(what);
            return error.code() == ErrorCode::bad_argument && what.starts_with("line " + line + ":") &&
                   what.find(word) != std::string::npos;
        });
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(config)

BOOST_AUTO_TEST_CASE(reads_what_toml_writes)
{
    const auto lines = parse_config("# a comment\n\norder = 16\nmode=\"a \\\"b\\\" \\\\ \\n\" # behind\r\n"
                                    "glob = '*.weight\\'\nlist = [1, 2,\n  \"3#\", ]\nflag = true");
    BOOST_TEST_REQUIRE(lines.size() == 5u);
    BOOST_TEST(lines[0].key == "order");
    BOOST_TEST(lines[0].values[0] == "16");
    BOOST_TEST(lines[0].line == 3);
    BOOST_TEST(lines[1].values[0] == "a \"b\" \\ \n");
    BOOST_TEST(lines[2].values[0] == "*.weight\\");
    const std::vector<std::string> three{"1", "2", "3#"};
    BOOST_TEST(lines[3].values == three, boost::test_tools::per_element());
    BOOST_TEST(lines[4].values[0] == "true");
    BOOST_TEST(lines[4].line == 8);
    BOOST_TEST(parse_config("").empty());
    BOOST_TEST(parse_config("# no line end").empty());
    BOOST_TEST(parse_config("empty = []")[0].values.empty());
}

BOOST_AUTO_TEST_CASE(faults_name_their_line)
{
    refused("a = 1\nb\n", "2", "'='");
    refused("[table]\na = 1", "1", "table");
    refused("a = 1\n\na = 2", "3", "line 1");
    refused("a = \"open\n", "1", "not closed");
    refused("a = 'open", "1", "not closed");
    refused("a = \"\\x\"", "1", "escape");
    refused("a = [1, 2", "1", "array");
    refused("a = [1 2]", "1", "array");
    refused("a = two words", "1", "quotes");
    refused("a =\n", "1", "value");
    refused("= 3", "1", "name");
}

BOOST_AUTO_TEST_SUITE_END()
