// SPDX-License-Identifier: Apache-2.0
// The body of main: table, arguments, signals, the tool's work, and how all that can go wrong is told.
#include "libcore/base/error.hpp"
#include "tools/cli/help.hpp"
#include "tools/cli/signals.hpp"
#include "tools/cli/state.hpp"
#include "tools/cli/values.hpp"

#include <csignal>
#include <fcntl.h>
#include <new>
#include <unistd.h>

namespace stillhouse::cli {

namespace {

int code(Exit exit)
{
    return static_cast<int>(exit);
}

Exit exit_of(ErrorCode error)
{
    switch (error) {
    case ErrorCode::bad_argument: return Exit::usage;
    case ErrorCode::bad_data:
    case ErrorCode::unsupported: return Exit::bad_input;
    case ErrorCode::io: return Exit::io;
    case ErrorCode::resource: return Exit::resource;
    case ErrorCode::stopped:
    case ErrorCode::broken_pipe:
    case ErrorCode::internal: break;
    }
    return Exit::internal;
}

/// A descriptor of 0, 1, 2 that the caller closed would be given to the next file that is opened, and errors would be
/// written into it. Standard input and output are opened the wrong way round, so that using them is an error still.
void fill_standard_descriptors()
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) == -1) {
            const int got = ::open("/dev/null", fd == STDIN_FILENO    ? O_WRONLY
                                                : fd == STDOUT_FILENO ? O_RDONLY
                                                                      : O_WRONLY);
            if (got >= 0 && got != fd) {
                ::dup2(got, fd);
                ::close(got);
            }
        }
    }
}

Level level_of(const SharedSettings& settings)
{
    if (settings.quiet || settings.log_level == "error") {
        return Level::error;
    }
    if (settings.verbose || settings.log_level == "debug") {
        return Level::debug;
    }
    return settings.log_level == "warning" ? Level::warning : Level::info;
}

std::string standard_input()
{
    formats::Fd fd = formats::Fd::open_input("-");
    std::string text;
    char block[4096];
    while (const std::size_t n = fd.read_full(reinterpret_cast<std::byte*>(block), sizeof block)) {
        text.append(block, n);
    }
    return text;
}

/// Help, version and generated texts; true when that was all.
bool only_told(Tool& tool, const SharedSettings& settings, bool short_asked, bool long_asked, bool version_asked)
{
    const int width = is_terminal(STDOUT_FILENO) ? std::min(100, terminal_width(STDOUT_FILENO)) : 80;
    if (long_asked) {
        print(long_help(tool, width));
    } else if (short_asked) {
        print(short_help(tool, width));
    } else if (version_asked) {
        print(version_text(tool, settings.verbose));
    } else if (settings.generate == "man") {
        print(man_page(tool, standard_input()));
    } else if (settings.generate == "bash") {
        print(bash_completion(tool));
    } else if (settings.generate == "zsh") {
        print(zsh_completion(tool));
    } else if (settings.generate == "fish") {
        print(fish_completion(tool));
    } else if (settings.generate == "examples") {
        print(example_lines(tool));
    } else {
        return false;
    }
    return true;
}

void tell_settings(Voice& voice, const Tool& tool, const Givens& given)
{
    for (const Option& option : tool.options) {
        if (const auto found = given.find(&option); found != given.end()) {
            voice.debug(option.flag() + (option.is_flag() ? "" : " " + to_text(option.target)) + " (" +
                        name_of(found->second.origin) + ")");
        }
    }
}

/// How a stop ends: 75 when something was kept that --resume can use, else death by the signal.
int end_stopped(Voice& voice, bool kept)
{
    const int signal = stop_signal() == 0 ? SIGTERM : stop_signal();
    voice.error(std::string("stopped by ") + signal_name(signal) +
                (kept ? "; what was done is kept: run the same command again with --resume" : "; nothing was kept"));
    if (kept && signal != SIGINT) {
        return code(Exit::suspended);
    }
    die_of(signal);
}

int run_one(Tool& tool, const std::vector<std::string>& arguments, const std::function<Exit(Context&)>& run)
{
    SharedSettings settings;
    add_shared_options(tool, settings);
    Voice voice;
    voice.set(tool.name, Level::info, "auto", "never");
    bool kept = false;
    try {
        bool short_asked = asks_for(tool, arguments, "-h"), long_asked = asks_for(tool, arguments, "--help");
        const bool version_asked = !short_asked && !long_asked && asks_for(tool, arguments, "--version");
        if (short_asked || long_asked || version_asked) {
            settings.verbose = asks_for(tool, arguments, "-v") || asks_for(tool, arguments, "--verbose");
            only_told(tool, settings, short_asked, long_asked, version_asked);
            return code(Exit::ok);
        }
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (arguments[i] == "--generate" && i + 1 < arguments.size()) {
                settings.generate = arguments[i + 1];   // before anything that is required
                if (only_told(tool, settings, false, false, false)) {
                    return code(Exit::ok);
                }
            }
        }
        if (arguments.empty() && is_terminal(STDIN_FILENO)) {
            throw NeedsHelp{};
        }

        const Givens given = parse(tool, settings, arguments);
        if (only_told(tool, settings, settings.help_short, settings.help_long, settings.version)) {
            return code(Exit::ok);
        }
        const Level level = level_of(settings);
        settings.log_level = level == Level::debug ? "debug" : settings.log_level;
        voice.set(tool.name, level, settings.color, settings.progress);
        if (settings.dump_config) {
            print(dump_config(tool));
            return code(Exit::ok);
        }
        check_combinations(tool, given);

        auto state = std::make_unique<Context::State>();
        Context::State& inside = *state;
        inside.tool = &tool;
        inside.settings = &settings;
        inside.voice = &voice;
        inside.given = given;
        inside.shard = parse_shard(settings.shard);
        voice.debug("begins: " + join(arguments, " "));
        tell_settings(voice, tool, given);
        Context context(std::move(state));
        try {
            context.check_output(false);
            const Exit exit = run(context);
            inside.finish_results();
            if (exit == Exit::suspended) {
                return end_stopped(voice, true);
            }
            if (!settings.report.empty() && !settings.dry_run) {
                write_report(inside);
            }
            voice.erase();
            voice.info(closing_line(inside));
            return code(exit);
        } catch (...) {
            kept = inside.kept_for_resume;
            throw;
        }
    } catch (const NeedsHelp&) {
        voice.erase();
        const std::string text = short_help(tool, std::min(100, terminal_width(STDERR_FILENO)));
        formats::Fd standard(STDERR_FILENO, "standard error", false);
        try {
            standard.write_full(text);
        } catch (const Error&) {
            // Nobody is there to be helped.
        }
        return code(Exit::usage);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::stopped) {
            return end_stopped(voice, kept);
        }
        if (error.code() == ErrorCode::broken_pipe) {
            voice.erase();
            die_of(SIGPIPE);
        }
        const Exit exit = exit_of(error.code());
        voice.error(exit == Exit::internal ? std::string("internal error: ") + error.what() + "; please report this"
                                           : error.what());
        return code(exit);
    } catch (const std::bad_alloc&) {
        voice.error("not enough memory; give the machine more, or the tool less at once (--batch, --shard)");
        return code(Exit::resource);
    } catch (const std::exception& error) {
        voice.error(std::string("internal error: ") + error.what() + "; please report this");
        return code(Exit::internal);
    }
}

/// The table of a verb with the name by which it speaks: "tensor-stream list".
Tool named_verb(const Tool& tool, const Tool::Verb& verb)
{
    Tool named = verb.tool;
    named.name = tool.name + " " + verb.tool.name;
    if (named.pages.empty()) {
        named.pages = tool.pages;
    }
    return named;
}

int run_verbs(Tool& tool, const std::vector<std::string>& arguments)
{
    std::vector<std::string> names;
    for (const Tool::Verb& verb : tool.verbs) {
        names.push_back(verb.tool.name);
        if (!arguments.empty() && arguments[0] == verb.tool.name) {
            Tool named = named_verb(tool, verb);
            return run_one(named, {arguments.begin() + 1, arguments.end()}, verb.run);
        }
    }
    tool.shared_options = {.output = false, .threads = false, .report = false, .dry_run = false, .history = false};
    const bool told = !arguments.empty() && arguments[0].starts_with('-');
    return run_one(tool, arguments, [&](Context&) -> Exit {
        if (!told || arguments[0] == "-") {
            const std::string word = arguments.empty() ? "" : arguments[0];
            const std::string near = nearest(word, names);
            throw_error(ErrorCode::bad_argument, (word.empty() ? "a verb is missing" : "unknown verb " + word) +
                                                     ": one of " + join(names, ", ") + " is expected" +
                                                     (near.empty() ? "" : "; did you mean " + near + "?"));
        }
        throw_error(ErrorCode::bad_argument, "the verb comes first: one of " + join(names, ", "));
    });
}

}  // namespace

int run_tool(int argc, char** argv, Tool tool, const std::function<Exit(Context&)>& run)
{
    fill_standard_descriptors();
    catch_signals();
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    return tool.verbs.empty() ? run_one(tool, arguments, run) : run_verbs(tool, arguments);
}

}  // namespace stillhouse::cli
