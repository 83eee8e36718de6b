// SPDX-License-Identifier: Apache-2.0
// From the command line (through CLI11, the only file that sees it), the environment and option files to variables.
#include "tools/cli/parse.hpp"

#include "formats/fd.hpp"
#include "libcore/base/error.hpp"
#include "tools/cli/config.hpp"
#include "tools/cli/values.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>

namespace stillhouse::cli {

namespace {

[[noreturn]] void refuse(std::string message)
{
    throw_error(ErrorCode::bad_argument, std::move(message));
}

std::string see_help(const Tool& tool)
{
    return "; see " + tool.name + " --help";
}

const Option* find_option(const Tool& tool, const std::string& typed)
{
    for (const Option& option : tool.options) {
        if (typed.starts_with("--") ? !option.name.empty() && typed.substr(2) == option.name
                                    : typed.size() == 2 && typed[0] == '-' && option.short_name == typed[1]) {
            return &option;
        }
    }
    return nullptr;
}

std::string unknown_option(const Tool& tool, const std::string& typed)
{
    const std::string name = typed.substr(0, typed.find('='));
    std::vector<std::string> flags;
    for (const Option& option : tool.options) {
        if (!option.hidden && !option.name.empty()) {
            flags.push_back("--" + option.name);
        }
    }
    const std::string near = name.starts_with("--") ? nearest(name, flags) : nearest("-" + name, flags);
    return "unknown option " + name + (near.empty() ? see_help(tool) : "; did you mean " + near + "?");
}

std::string cli11_names(const Option& option)
{
    std::string names = option.short_name != 0 ? std::string{'-', option.short_name} : "";
    if (!option.name.empty()) {
        names += (names.empty() ? "--" : ",--") + option.name;
    }
    return names;
}

/// One line of ours for CLI11's faults; `what` of an argument mismatch begins with the option's name.
std::string explain(const Tool& tool, const CLI::ParseError& fault)
{
    const std::string text = fault.what();
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&fault) != nullptr) {
        const std::string name = text.substr(0, text.find_first_of(": "));
        if (const Option* option = find_option(tool, name)) {
            return name + " needs a value: " + option->about + see_help(tool);
        }
    }
    return text + see_help(tool);
}

[[noreturn]] void refuse_extra(const Tool& tool, const std::string& argument)
{
    if (!tool.verbs.empty()) {
        refuse("unknown verb '" + argument + "'" + see_help(tool));
    }
    refuse("unexpected argument '" + argument + "': " +
           (tool.positional.target == nullptr
                ? "none is taken"
                : "at most " + std::to_string(tool.positional.most) + " " + tool.positional.placeholder + " is taken") +
           see_help(tool));
}

/// Put before arguments that CLI11 would take apart; no file name or text begins with it by chance.
const std::string bracket_guard = "\001";

std::string unguarded(const std::string& argument)
{
    return argument.starts_with(bracket_guard + "[") ? argument.substr(1) : argument;
}

std::vector<std::string> unguarded(std::vector<std::string> arguments)
{
    for (std::string& argument : arguments) {
        argument = unguarded(argument);
    }
    return arguments;
}

/// The arguments as options with their raw values and the positional arguments, nothing converted yet.
void parse_arguments(Tool& tool, const std::vector<std::string>& arguments, Givens& given)
{
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();                  // unknown options are told in our own words
    const auto keep = [](const CLI::results_t&) { return true; };

    std::vector<std::pair<const Option*, CLI::Option*>> rows;
    for (const Option& option : tool.options) {
        CLI::Option* row = nullptr;
        if (option.is_flag()) {
            row = app.add_flag(cli11_names(option));
        } else {
            row = app.add_option(cli11_names(option), keep);
        }
        if (option.one_each_time) {
            row->expected(1, -1)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        } else if (option.takes_many) {
            row->expected(1, 1 << 20)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        } else {
            row->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
        }
        rows.emplace_back(&option, row);
    }
    CLI::Option* files = nullptr;
    if (tool.positional.target != nullptr) {
        const int most = tool.positional.most < 0 ? 1 << 20 : tool.positional.most;
        files = app.add_option("positional", keep);
        files->expected(std::max(tool.positional.least, 1), most)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        files->allow_extra_args();       // without it CLI11 takes the least number and no more
        files->required(tool.positional.least > 0);   // so that an option of many values leaves room for them
    }

    // CLI11 takes the next argument for the value of "--name=", "[a]" for a list, and arguments in reverse order.
    std::vector<std::string> reversed;
    bool options_end = false;
    for (const std::string& argument : arguments) {
        options_end = options_end || argument == "--";
        if (!options_end && argument.starts_with("--") && argument.size() > 3 && argument.back() == '=' &&
            argument.find('=') == argument.size() - 1) {
            reversed.push_back(argument.substr(0, argument.size() - 1));
            reversed.emplace_back();
        } else {
            reversed.push_back(argument.starts_with('[') ? bracket_guard + argument : argument);
        }
    }
    std::reverse(reversed.begin(), reversed.end());

    std::string fault;
    bool missing = false;
    try {
        app.parse(reversed);
    } catch (const CLI::RequiredError&) {
        missing = true;
    } catch (const CLI::ParseError& error) {
        fault = explain(tool, error);
    }
    std::vector<std::string> extras;
    for (const std::string& extra : app.remaining()) {
        if (extra.size() > 1 && extra[0] == '-' && extra != "--" && !options_end) {
            refuse(unknown_option(tool, extra));
        }
        if (extra != "--") {
            extras.push_back(unguarded(extra));
        }
    }
    if (!fault.empty()) {
        refuse(fault);
    }
    if (!extras.empty()) {
        refuse_extra(tool, extras.front());
    }
    bool dumps_config = false;           // asks about options alone
    for (const auto& [option, row] : rows) {
        dumps_config = dumps_config || (row->count() > 0 && option->name == "dump-config");
        if (row->count() > 0) {
            std::vector<std::string> values = unguarded(row->results());
            if (!option->takes_many) {
                values.erase(values.begin(), values.end() - 1);      // the last one wins
            }
            given[option] = {std::move(values), Origin::command_line};
        }
    }
    if (files != nullptr) {
        *tool.positional.target = unguarded(files->results());
        const auto n = static_cast<int>(files->results().size());
        if (tool.positional.most >= 0 && n > tool.positional.most) {
            refuse_extra(tool, (*tool.positional.target)[static_cast<std::size_t>(tool.positional.most)]);
        }
        if ((missing || n < tool.positional.least) && !dumps_config) {
            refuse(tool.positional.placeholder + " is missing: " + tool.positional.about + see_help(tool));
        }
        for (const std::string& name : *tool.positional.target) {
            if (name.empty()) {
                refuse(tool.positional.placeholder + " is an empty name; '-' is standard input");
            }
        }
    }
}

bool names(const std::vector<std::string>& list, const Option& option)
{
    return std::find(list.begin(), list.end(), option.key()) != list.end();
}

/// Keeps `value` unless a layer that goes before it gave the option, or one that contradicts it: a user who types
/// --greedy means it, whatever temperature a file of options has.
void add_lower_layer(Givens& given, const Option& option, Given value)
{
    for (const auto& [other, stronger] : given) {
        if (stronger.origin > value.origin && (names(other->excluded, option) || names(option.excluded, *other))) {
            return;
        }
    }
    given.try_emplace(&option, std::move(value));
}

/// Adds the options of a file where nothing that goes before it has given them.
void read_options(const Tool& tool, const std::string& path, Origin origin, Givens& given)
{
    constexpr std::uint64_t largest = 1 << 20;
    const std::string text = formats::read_file(path, largest);
    with_context(path, [&] {
        for (ConfigLine& line : parse_config(text)) {
            const std::string where = "line " + std::to_string(line.line) + ": ";
            const Option* option = find_option(tool, (line.key.size() == 1 ? "-" : "--") + line.key);
            if (option == nullptr || option->hidden) {
                refuse(where + unknown_option(tool, "--" + line.key));
            }
            if (!option->in_config) {
                refuse(where + line.key + " belongs on the command line, not in a file of options");
            }
            if (line.values.size() != 1 && !option->takes_many && !option->is_list()) {
                refuse(where + line.key + " takes one value, not an array");
            }
            if (option->is_list() && !option->takes_many) {
                line.values = {join(line.values, ",")};
            }
            // An empty value stands for the default, so that --dump-config may print every line.
            if (!line.values.empty() && !(option->is_list() && line.values[0].empty())) {
                add_lower_layer(given, *option, Given{std::move(line.values), origin});
            }
        }
        return 0;
    });
}

void read_environment(const Tool& tool, Givens& given)
{
    for (const Option& option : tool.options) {
        const char* value = option.variable.empty() ? nullptr : std::getenv(option.variable.c_str());
        if (value != nullptr && *value != '\0') {
            add_lower_layer(given, option, Given{{value}, Origin::environment});
        }
    }
}

void assign_given(const Option& option, const Given& given)
{
    try {
        assign(option, given.values);
    } catch (Error& error) {
        if (given.origin == Origin::environment) {
            error.within(option.variable);
        }
        throw;
    }
}

}  // namespace

const char* name_of(Origin origin)
{
    switch (origin) {
    case Origin::preset: return "preset";
    case Origin::config: return "config";
    case Origin::environment: return "environment";
    case Origin::command_line: return "command line";
    }
    return "";
}

bool asks_for(const Tool& tool, const std::vector<std::string>& arguments, const std::string& flag)
{
    for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
        if (arguments[i] == flag) {
            return true;
        }
        const Option* option = find_option(tool, arguments[i]);
        if (option != nullptr && !option->is_flag()) {
            ++i;                         // its value
        }
    }
    return false;
}

Givens parse(Tool& tool, SharedSettings& settings, const std::vector<std::string>& arguments)
{
    Givens given;
    parse_arguments(tool, arguments, given);
    read_environment(tool, given);
    for (const auto& [option, value] : given) {
        assign_given(*option, value);
    }
    if (!settings.config.empty()) {
        read_options(tool, settings.config, Origin::config, given);
        for (const auto& [option, value] : given) {
            if (value.origin == Origin::config) {
                with_context(settings.config, [&] { assign_given(*option, value); });
            }
        }
    }
    if (!settings.preset.empty()) {
        const std::vector<std::string> names = preset_names(tool.name);
        if (std::find(names.begin(), names.end(), settings.preset) == names.end()) {
            refuse("--preset " + settings.preset + ": " +
                   (names.empty() ? "there are none for this tool" : "there are " + join(names, ", ")));
        }
        const std::string path = find_data("presets/" + tool.name + "/" + settings.preset + ".toml");
        read_options(tool, path, Origin::preset, given);
        for (const auto& [option, value] : given) {
            if (value.origin == Origin::preset) {
                with_context(path, [&] { assign_given(*option, value); });
            }
        }
    }
    return given;
}

void check_combinations(Tool& tool, const Givens& given)
{
    const auto is_given = [&](const Option* option) {
        const auto found = given.find(option);
        if (found == given.end()) {
            return false;
        }
        const bool* const* flag = std::get_if<bool*>(&option->target);
        return flag == nullptr || **flag;
    };
    for (const Option& option : tool.options) {
        if (!is_given(&option)) {
            continue;
        }
        const auto& values = given.at(&option).values;
        const bool names_file = option.completion == "file" || option.completion == "output";
        if (names_file && std::find(values.begin(), values.end(), "") != values.end()) {
            refuse(option.flag() + " is an empty name; name a file");
        }
        for (const std::string& name : option.excluded) {
            const Option* other = find_option(tool, (name.size() == 1 ? "-" : "--") + name);
            if (other != nullptr && is_given(other)) {
                refuse(option.flag() + " and " + other->flag() + " contradict; give one of them");
            }
        }
        for (const std::string& name : option.needed) {
            const Option* other = find_option(tool, (name.size() == 1 ? "-" : "--") + name);
            if (other != nullptr && !is_given(other) && to_text(other->target) == other->default_text) {
                refuse(option.flag() + " needs " + other->flag() + " beside it");
            }
        }
    }
    for (const auto& check : tool.checks) {
        check();
    }
}

}  // namespace stillhouse::cli
