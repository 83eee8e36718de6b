// SPDX-License-Identifier: Apache-2.0
// A tool as a table: from it come the parser, --help, the man page, completions and --dump-config.
#pragma once

#include "formats/value.hpp"
#include "libcore/base/shape.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace stillhouse::cli {

class Context;

/// Exit codes of craft and stillhouse-pipeline(7).
enum class Exit : int {
    ok = 0,
    check_failed = 1,
    usage = 2,
    bad_input = 3,
    io = 4,
    resource = 5,
    internal = 70,
    suspended = 75
};

/// One option. The variable it fills decides its type: bool (a flag), Index (counts take K, M, G), double,
/// std::string, Duration (s, m, h), vectors of Index ranges or strings, std::optional of these (unset: absent).
struct Duration { double seconds = 0.0; };
struct IndexList { std::vector<Index> values; };             // "0,3-5"
using Target = std::variant<bool*, Index*, std::uint64_t*, double*, std::string*, Duration*, IndexList*,
                            std::vector<std::string>*, std::vector<double>*, std::optional<Index>*,
                            std::optional<double>*, std::optional<std::string>*, std::optional<Duration>*>;

class Option {
public:
    Option& choices(std::vector<std::string> names);
    Option& range(double least, double most);
    Option& excludes(std::string other);                     // "--greedy" and "--temperature" contradict
    Option& needs(std::string other);
    Option& completes(std::string what);                     // "file" (an input), "output", "folder", "none"
    Option& detail(std::string text);                        // the long text of --help and the man page
    Option& many();                                          // takes several values: --text FILE...
    Option& repeated();                                      // one value each time it is given: --stop A --stop B
    Option& outside_history();                               // does not change the result (--checkpoint ...)
    Option& letter(char c);

    /// As it is typed: "--top", or "-n" where there is no long name.
    std::string flag() const;
    /// In configuration files, histories and reports: "top", or "n".
    std::string key() const;
    bool is_flag() const { return std::holds_alternative<bool*>(target); }
    bool is_list() const;                                    // the value is a comma-separated list

    std::string name, placeholder, about, long_text, completion;   // the name without its dashes
    char short_name = 0;
    Target target;
    std::string default_text;                                // of the variable when declared
    std::vector<std::string> choice_names, excluded, needed;
    std::optional<double> least, most;
    bool takes_many = false, one_each_time = false, in_history = true;
    std::string group;                                       // heading in --help
    std::string variable;                                    // STILLHOUSE_..., shared options alone
    bool hidden = false;                                     // absent from help, manual and completion
    bool in_config = true;                                   // may stand in a configuration file
};

class Tool {
public:
    Tool(std::string name, std::string one_line);
    Tool& about(std::string text);                           // paragraphs for --help and DESCRIPTION
    /// The positional argument: placeholder, what it is; how many are taken (least, most; most < 0: any number).
    Tool& argument(std::vector<std::string>& target, std::string placeholder, std::string about, int least, int most);
    Option& option(Target target, std::string names, std::string placeholder, std::string about);   // "-k,--top"
    Tool& group(std::string heading);                        // options declared next stand under it
    Tool& example(std::string command, std::string what_it_does);
    Tool& see_also(std::vector<std::string> pages);

    /// Which of the shared options this tool has, beside -h --help --version -q -v --config --dump-config --color
    /// --progress --log-level: all others are absent unless asked for here.
    struct Shared {
        bool output = true;          // -o FILE, -f
        bool threads = true;         // --threads N, --device
        bool seed = false;           // --seed N
        bool precision = false;      // --precision f64|f32|bf16
        bool shard = false;          // --shard K/N
        bool json = false;           // --json
        bool report = true;          // --report FILE
        bool dry_run = true;         // -n, --dry-run
        bool history = true;         // --no-history; false: this tool adds no entry
        bool stream = true;          // false: what it prints is its result (evaluate), -o takes that
        bool table = true;           // with json: results go to a terminal as a table where there is no -o
    };
    Tool& shared(Shared which);
    /// Contradictions that `excludes` and `needs` cannot say: throws Error{bad_argument}.
    Tool& check(std::function<void()> validate);
    /// A tool of verbs (tensor-stream list|check|...): each with a table of its own.
    Tool& verb(Tool tool, std::function<Exit(Context&)> run);
    /// An example that the tests do not run (it needs what a clone lacks, or minutes).
    Tool& example_not_run(std::string command, std::string what_it_does);

    struct Argument {
        std::vector<std::string>* target = nullptr;
        std::string placeholder, about;
        int least = 0, most = 0;
    };
    struct Example { std::string command, what; bool runnable = true; };
    struct Verb;
    std::string name, one_line, about_text;
    Argument positional;
    std::list<Option> options;       // a list, so that references from option() stay valid
    std::vector<Example> examples;
    std::vector<std::string> pages;
    Shared shared_options;
    std::vector<std::function<void()>> checks;
    std::vector<Verb> verbs;
    std::string current_group = "Options";
};
struct Tool::Verb { Tool tool; std::function<Exit(Context&)> run; };

/// The body of main: settings of type S are default-constructed, `describe(settings)` makes the table, the command line
/// (environment, config) fills them, `run(settings, context)` works. Handles --help, --version, --dump-config,
/// --generate, signals, exceptions -> one line and the exit code, the closing line.
int run_tool(int argc, char** argv, Tool tool, const std::function<Exit(Context&)>& run);

template <class Settings, class Describe, class Run>
int run_main(int argc, char** argv, Describe describe, Run run)
{
    Settings settings;
    return run_tool(argc, argv, describe(settings), [&](Context& context) { return run(settings, context); });
}

}  // namespace stillhouse::cli
