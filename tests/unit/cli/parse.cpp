// SPDX-License-Identifier: Apache-2.0
// From arguments, environment and files of options to variables: who goes before whom, and what is refused.
#include "tools/cli/parse.hpp"

#include "libcore/base/error.hpp"
#include "tools/cli/values.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

using namespace stillhouse;
using namespace stillhouse::cli;

namespace {

struct Fixture {
    std::vector<std::string> files, text, show;
    bool greedy = false;
    Index top = 64, count = 128;
    double temperature = 1.0;
    std::string mode = "auto";
    std::optional<Index> limit;
    std::optional<std::string> note;
    SharedSettings shared;
    Tool tool{"unit", "a table"};
    Givens given;

    explicit Fixture(int least = 0, int most = -1)
    {
        tool.argument(files, "FILE", "what to read", least, most);
        tool.option(&top, "-k,--top", "K", "kept").range(1, 65536);
        tool.option(&temperature, "--temperature", "T", "of sampling");
        tool.option(&greedy, "--greedy", "", "likeliest").excludes("--temperature");
        tool.option(&mode, "--mode", "NAME", "how").choices({"auto", "exact"});
        tool.option(&limit, "--limit", "N", "at most").needs("--top");
        tool.option(&note, "--note", "TEXT", "words");
        tool.option(&text, "--text", "FILE", "texts").many();
        tool.option(&show, "--show", "LIST", "what").choices({"a", "b"});
        tool.option(&count, "-n", "N", "tokens");
        tool.shared({.seed = true});
        add_shared_options(tool, shared);
    }
    void run(const std::vector<std::string>& arguments)
    {
        given = parse(tool, shared, arguments);
        check_combinations(tool, given);
    }
};

std::string fault(const std::vector<std::string>& arguments, int least = 0, int most = -1)
{
    Fixture f(least, most);
    try {
        f.run(arguments);
    } catch (const Error& error) {
        BOOST_TEST(static_cast<int>(error.code()) == static_cast<int>(ErrorCode::bad_argument));
        return error.what();
    }
    return "no fault";
}

/// A file of options that is gone afterwards.
struct File {
    std::string path;
    explicit File(const std::string& content)
    {
        char name[] = "/tmp/stillhouse-unit-XXXXXX";
        const int fd = mkstemp(name);
        BOOST_REQUIRE(fd >= 0);
        ::close(fd);
        path = name;
        std::ofstream(path) << content;
    }
    ~File() { std::remove(path.c_str()); }
};

struct Environment {
    const char* name;
    Environment(const char* variable, const char* value) : name(variable) { setenv(variable, value, 1); }
    ~Environment() { unsetenv(name); }
};

using Words = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(parsing)

BOOST_AUTO_TEST_CASE(options_stand_in_any_order_and_the_last_wins)
{
    Fixture f;
    f.run({"a", "-k", "3", "--mode=exact", "b", "-k5", "--temperature", "-1.5", "-n", "2K", "--show", "b,a", "-qf"});
    BOOST_TEST(f.top == 5);
    BOOST_TEST(f.mode == "exact");
    BOOST_TEST(f.temperature == -1.5);
    BOOST_TEST(f.count == 2000);
    BOOST_TEST(f.shared.quiet);
    BOOST_TEST(f.shared.force);
    BOOST_TEST(f.files == (Words{"a", "b"}), boost::test_tools::per_element());
    BOOST_TEST(f.show == (Words{"b", "a"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(values_are_taken_as_they_are)
{
    Fixture f;
    f.run({"--note", "--top", "--", "-x", "[a]", "--top"});
    BOOST_TEST(f.note.value() == "--top");
    BOOST_TEST(f.files == (Words{"-x", "[a]", "--top"}), boost::test_tools::per_element());
    Fixture g;
    g.run({"--note=", "--mode=exact", "-", "[1,2]"});
    BOOST_TEST(g.note.value().empty());
    BOOST_TEST(g.mode == "exact");
    BOOST_TEST(g.files == (Words{"-", "[1,2]"}), boost::test_tools::per_element());
    Fixture h;
    h.run({"--note", "", "--note=a=b"});
    BOOST_TEST(h.note.value() == "a=b");
    Fixture i;
    i.run({"--note", "[x]"});
    BOOST_TEST(i.note.value() == "[x]");
}

BOOST_AUTO_TEST_CASE(many_values_end_at_the_next_option_and_leave_room)
{
    Fixture f(1, 1);
    f.run({"--text", "a", "b", "-k", "3", "model"});
    BOOST_TEST(f.text == (Words{"a", "b"}), boost::test_tools::per_element());
    BOOST_TEST(f.files == Words{"model"}, boost::test_tools::per_element());
    Fixture g(1, 1);
    g.run({"--text", "a", "[b]", "-", "model"});
    BOOST_TEST(g.text == (Words{"a", "[b]", "-"}), boost::test_tools::per_element());
    BOOST_TEST(g.files == Words{"model"}, boost::test_tools::per_element());
    Fixture h(1, 1);
    h.run({"model", "--text", "a", "--text", "b"});
    BOOST_TEST(h.text == (Words{"a", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(faults_are_one_line_that_says_what_to_do)
{
    BOOST_TEST(fault({"--topp", "3"}) == "unknown option --topp; did you mean --top?");
    BOOST_TEST(fault({"--zzz"}) == "unknown option --zzz; see unit --help");
    BOOST_TEST(fault({"-x"}) == "unknown option -x; see unit --help");
    BOOST_TEST(fault({"-k"}) == "--top needs a value: kept; see unit --help");
    BOOST_TEST(fault({"--text"}) == "--text needs a value: texts; see unit --help");
    BOOST_TEST(fault({"-k", "3", "-k", "0"}) == "--top 0: must be between 1 and 65536");
    BOOST_TEST(fault({"-k", "few"}).find("a whole number is expected") != std::string::npos);
    BOOST_TEST(fault({"--mode", "exat"}) == "--mode exat: one of auto, exact is expected; did you mean exact?");
    BOOST_TEST(fault({"--show", "a,c"}).find("one of a, b is expected") != std::string::npos);
    BOOST_TEST(fault({"--greedy=perhaps"}).find("--greedy") != std::string::npos);
    BOOST_TEST(fault({"--greedy", "--temperature", "1"}) == "--greedy and --temperature contradict; give one of them");
    BOOST_TEST(fault({"--limit", "3"}) == "--limit needs --top beside it");
    BOOST_TEST(fault({"a", "b"}, 0, 1).starts_with("unexpected argument 'b': at most 1 FILE is taken"));
    BOOST_TEST(fault({}, 1, 1).starts_with("FILE is missing: what to read"));
    BOOST_TEST(fault({""}).starts_with("FILE is an empty name"));
}

BOOST_AUTO_TEST_CASE(flag_before_environment_before_config_before_default)
{
    const File file("seed = 3\ntop = 7\nmode = \"exact\"\ntext = [\"x\", \"y\"]\ngreedy = true\n");
    const Environment environment("STILLHOUSE_SEED", "2");
    Fixture f;
    f.run({"--config", file.path, "-k", "9"});
    BOOST_TEST(f.shared.seed == 2u);
    BOOST_TEST(f.top == 9);
    BOOST_TEST(f.mode == "exact");
    BOOST_TEST(f.greedy);
    BOOST_TEST(f.count == 128);
    BOOST_TEST(f.text == (Words{"x", "y"}), boost::test_tools::per_element());
    Fixture g;
    g.run({"--config", file.path, "--seed", "1", "--text", "z", "--temperature", "2"});
    BOOST_TEST(g.shared.seed == 1u);
    BOOST_TEST(g.text == Words{"z"}, boost::test_tools::per_element());
    BOOST_TEST(!g.greedy);       // contradicts what was typed, and is only the file's
}

BOOST_AUTO_TEST_CASE(files_of_options_are_strict)
{
    const File unknown("\ntopp = 3\n"), twice("top = 1\ntop = 2\n"), bad("top = \"many\"\n"), array("top = [1, 2]\n");
    const File here("output = \"x\"\n");
    BOOST_TEST(fault({"--config", unknown.path}).find("line 2: unknown option --topp; did you mean --top?") !=
               std::string::npos);
    BOOST_TEST(fault({"--config", twice.path}).find("line 2: top was given before") != std::string::npos);
    BOOST_TEST(fault({"--config", bad.path}).find("--top many: a whole number") != std::string::npos);
    BOOST_TEST(fault({"--config", array.path}).find("one value, not an array") != std::string::npos);
    BOOST_TEST(fault({"--config", here.path}).find("belongs on the command line") != std::string::npos);
    BOOST_TEST(fault({"--preset", "no-such"}).find("--preset no-such") != std::string::npos);
    const Environment environment("STILLHOUSE_SEED", "x");
    BOOST_TEST(fault({}).starts_with("STILLHOUSE_SEED: --seed x: a whole number"));
}

BOOST_AUTO_TEST_CASE(help_is_asked_for_outside_values)
{
    const Fixture f;
    BOOST_TEST(asks_for(f.tool, {"--zzz", "--help"}, "--help"));
    BOOST_TEST(!asks_for(f.tool, {"--note", "--help"}, "--help"));
    BOOST_TEST(!asks_for(f.tool, {"--", "--help"}, "--help"));
}

BOOST_AUTO_TEST_CASE(threads_follow_the_scheduler)
{
    SharedSettings settings;
    const Environment slurm("SLURM_CPUS_PER_TASK", "3");
    BOOST_TEST(threads_in_force(settings) == 3);
    const Environment omp("OMP_NUM_THREADS", "5,2");
    BOOST_TEST(threads_in_force(settings) == 5);
    settings.threads = 7;
    BOOST_TEST(threads_in_force(settings) == 7);
}

BOOST_AUTO_TEST_SUITE_END()
