// SPDX-License-Identifier: Apache-2.0
// What is printed from a table: every option is in each of help, manual, completions and option file.
#include "tools/cli/help.hpp"

#include "libcore/base/error.hpp"
#include "tools/cli/config.hpp"
#include "tools/cli/parse.hpp"
#include "tools/cli/state.hpp"

#include <boost/test/unit_test.hpp>

using namespace stillhouse;
using namespace stillhouse::cli;

namespace {

struct Fixture {
    std::vector<std::string> files;
    Index top = 64;
    std::string mode = "auto", quote = "a \"b\" \\ 'c'";
    std::optional<double> ridge;
    std::vector<std::string> text;
    IndexList layers;
    SharedSettings shared;
    Tool tool{"unit", "a table of tests"};

    Fixture()
    {
        tool.about("What it does.\n\nAnd how: sigma_k < x * sigma_1.");
        tool.argument(files, "FILE", "what to read", 0, -1);
        tool.option(&top, "-k,--top", "K", "kept").range(1, 65536);
        tool.option(&mode, "--mode", "NAME", "it's how").choices({"auto", "exact"});
        tool.option(&quote, "--quote", "TEXT", "a [text]: said");
        tool.option(&ridge, "--ridge", "X", "or none").outside_history();
        tool.option(&text, "--text", "FILE", "texts").many().completes("file").outside_history();
        tool.option(&layers, "--layers", "LIST", "which");
        tool.example("unit --top 3", "three of them");
        tool.see_also({"other(1)"});
        add_shared_options(tool, shared);
    }
};

bool has(const std::string& text, const std::string& piece)
{
    return text.find(piece) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(texts)

BOOST_AUTO_TEST_CASE(every_option_is_in_every_text)
{
    Fixture f;
    const std::string help = long_help(f.tool, 80);
    const std::string man = man_page(f.tool, "@OPTIONS@");
    const std::string bash = bash_completion(f.tool), zsh = zsh_completion(f.tool), fish = fish_completion(f.tool);
    for (const Option& option : f.tool.options) {
        if (option.hidden) {
            BOOST_TEST(!has(help, option.flag()));
            continue;
        }
        BOOST_TEST_CONTEXT(option.flag())
        {
            std::string escaped;
            for (const char c : option.flag().substr(1)) {
                escaped += c == '-' ? std::string("\\-") : std::string(1, c);
            }
            BOOST_TEST(has(help, option.flag()));
            BOOST_TEST(has(man, "Fl " + escaped));
            BOOST_TEST(has(bash, option.flag()));
            BOOST_TEST(has(zsh, option.flag()));
            BOOST_TEST(has(fish, option.name.empty() ? std::string(" -s ") + option.short_name : " -l " + option.name));
        }
    }
}

BOOST_AUTO_TEST_CASE(help_lines_fit_and_short_help_is_one_screen)
{
    Fixture f;
    for (const std::string& text : {long_help(f.tool, 80), short_help(f.tool, 80)}) {
        std::size_t begin = 0;
        while (begin < text.size()) {
            const std::size_t end = text.find('\n', begin);
            BOOST_TEST(end - begin <= 80u);
            begin = end + 1;
        }
    }
    const std::string help = short_help(f.tool, 80);
    BOOST_TEST(std::count(help.begin(), help.end(), '\n') <= 40);
    BOOST_TEST(has(help, "usage: unit [options] [FILE...]"));
    BOOST_TEST(has(help, "[64]"));
    BOOST_TEST(long_help(f.tool, 80).find("Examples") < long_help(f.tool, 80).find("Options"));
}

BOOST_AUTO_TEST_CASE(dumped_options_are_read_back)
{
    Fixture f;
    f.top = 7;
    f.ridge = 0.1;
    f.layers.values = {0, 1, 2, 5};
    f.text = {"a b", "c"};
    const auto lines = parse_config(dump_config(f.tool));
    const auto value = [&](const std::string& key) {
        for (const ConfigLine& line : lines) {
            if (line.key == key) {
                return line.values;
            }
        }
        return std::vector<std::string>{"absent"};
    };
    BOOST_TEST(value("top")[0] == "7");
    BOOST_TEST(value("quote")[0] == f.quote);
    BOOST_TEST(value("ridge")[0] == "0.1");
    BOOST_TEST(value("layers")[0] == "0-2,5");
    BOOST_TEST(value("text") == f.text, boost::test_tools::per_element());
    BOOST_TEST(value("output")[0] == "absent");
    BOOST_TEST(value("config")[0] == "absent");
}

BOOST_AUTO_TEST_CASE(manual_slots_are_filled_and_unknown_ones_refused)
{
    Fixture f;
    BOOST_TEST(man_page(f.tool, "a@b @NAME@ x\n@SYNOPSIS@\nend\n") ==
               "a@b unit x\n.Nm\n.Op Ar options\n.Op Ar \"FILE\" Ar ...\nend\n");
    BOOST_CHECK_THROW(man_page(f.tool, "@NO_SUCH_SLOT@\n"), Error);
}

BOOST_AUTO_TEST_CASE(history_holds_what_changes_the_result)
{
    Fixture f;
    f.layers.values = {1};
    const formats::Map settings = history_settings(f.tool);
    std::vector<std::string> keys;
    for (const auto& [key, value] : settings) {
        keys.push_back(key);
    }
    BOOST_TEST(keys == (std::vector<std::string>{"top", "mode", "quote", "layers"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(shards_count_from_one)
{
    BOOST_TEST(parse_shard("").parts == 1);
    BOOST_TEST(parse_shard("2/3").part == 2);
    BOOST_TEST(parse_shard("2/3").parts == 3);
    for (const char* wrong : {"0/3", "4/3", "1", "1/", "/2", "a/b", "1/0", "-1/2"}) {
        BOOST_TEST_CONTEXT(wrong) { BOOST_CHECK_THROW(parse_shard(wrong), Error); }
    }
    setenv("SLURM_ARRAY_TASK_ID", "7", 1);
    setenv("SLURM_ARRAY_TASK_MIN", "1", 1);
    setenv("SLURM_ARRAY_TASK_STEP", "2", 1);
    setenv("SLURM_ARRAY_TASK_COUNT", "5", 1);
    BOOST_TEST(parse_shard("slurm").part == 4);
    BOOST_TEST(parse_shard("slurm").parts == 5);
    setenv("SLURM_ARRAY_TASK_ID", "8", 1);
    BOOST_CHECK_THROW(parse_shard("slurm"), Error);
    for (const char* name :
         {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT"}) {
        unsetenv(name);
    }
}

BOOST_AUTO_TEST_SUITE_END()
