// SPDX-License-Identifier: Apache-2.0
// The table as completions for bash, zsh and fish.
#include "tools/cli/help.hpp"
#include "tools/cli/shared.hpp"
#include "tools/cli/values.hpp"

#include <algorithm>

namespace stillhouse::cli {

namespace {

/// A table that is complete: a tool's own, or a verb's with the shared options it asked for.
struct Complete {
    Tool tool;
    SharedSettings settings;             // only lent to the table
};

std::list<Complete> complete_verbs(const Tool& tool)
{
    std::list<Complete> verbs;
    for (const Tool::Verb& verb : tool.verbs) {
        Complete& one = verbs.emplace_back(Complete{verb.tool, {}});
        add_shared_options(one.tool, one.settings);
    }
    return verbs;
}

std::vector<std::string> flags_of(const Option& option)
{
    std::vector<std::string> flags;
    if (option.short_name != 0) {
        flags.push_back(std::string{'-', option.short_name});
    }
    if (!option.name.empty()) {
        flags.push_back("--" + option.name);
    }
    return flags;
}

bool takes_file(const Option& option)
{
    return option.completion == "file" || option.completion == "output";
}

std::string identifier(const std::string& name)
{
    std::string text = name;
    std::replace_if(text.begin(), text.end(), [](char c) { return c == '-' || c == ' '; }, '_');
    return text;
}

std::string in_single_quotes(const std::string& text)
{
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return out + "'";
}

/// The cases of bash for the options of one table.
std::string bash_cases(const Tool& tool, const std::string& indent)
{
    std::string out = indent + "case $prev in\n";
    std::vector<std::string> all;
    for (const Option& option : tool.options) {
        if (option.hidden) {
            continue;
        }
        const std::vector<std::string> flags = flags_of(option);
        all.insert(all.end(), flags.begin(), flags.end());
        if (option.is_flag()) {
            continue;
        }
        out += indent + "    " + join(flags, "|") + ")";
        if (!option.choice_names.empty()) {
            out += " mapfile -t COMPREPLY < <(compgen -W '" + join(option.choice_names, " ") +
                   "' -- \"$cur\"); return ;;\n";
        } else if (takes_file(option)) {
            out += " compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n";
        } else if (option.completion == "folder") {
            out += " compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); return ;;\n";
        } else {
            out += " return ;;\n";
        }
    }
    out += indent + "esac\n";
    out += indent + "if [[ $cur == -* ]]; then\n";
    out += indent + "    mapfile -t COMPREPLY < <(compgen -W '" + join(all, " ") + "' -- \"$cur\")\n";
    out += indent + "    return\n" + indent + "fi\n";
    if (tool.positional.target != nullptr) {
        out += indent + "compopt -o filenames\n";
        out += indent + "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n";
    }
    return out;
}

/// Brackets and colons have a meaning in zsh's specifications.
std::string zsh_text(const std::string& text)
{
    std::string out;
    for (const char c : text) {
        out += c == '[' || c == ']' || c == ':' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
    }
    return out;
}

std::string zsh_action(const Option& option)
{
    if (!option.choice_names.empty()) {
        return "(" + join(option.choice_names, " ") + ")";
    }
    return takes_file(option) ? "_files" : option.completion == "folder" ? "_files -/" : "";
}

std::string zsh_arguments(const Tool& tool, const std::string& indent)
{
    std::string out = indent + "_arguments -s -S";
    for (const Option& option : tool.options) {
        if (option.hidden) {
            continue;
        }
        const std::vector<std::string> flags = flags_of(option);
        const std::string value =
            option.is_flag()
                ? ""
                : ":" + zsh_text(option.placeholder.empty() ? "value" : option.placeholder) + ":" + zsh_action(option);
        for (const std::string& flag : flags) {
            const std::string mark = option.is_flag() ? "" : flag.starts_with("--") ? "=" : "+";
            const std::string others = option.takes_many ? "*" : "(" + join(flags, " ") + ")";
            out += " \\\n" + indent + "    " +
                   in_single_quotes(others + flag + mark + "[" + zsh_text(option.about) + "]" + value);
        }
    }
    if (tool.positional.target != nullptr) {
        out += " \\\n" + indent + "    " + in_single_quotes("*:" + zsh_text(tool.positional.placeholder) + ":_files");
    }
    return out + "\n";
}

std::string fish_options(const Tool& tool, const std::string& command, const std::string& condition)
{
    std::string out;
    for (const Option& option : tool.options) {
        if (option.hidden) {
            continue;
        }
        out += "complete -c " + command + condition;
        out += option.short_name != 0 ? std::string(" -s ") + option.short_name : "";
        out += option.name.empty() ? "" : " -l " + option.name;
        if (!option.is_flag()) {
            out += takes_file(option) ? " -r -F" : " -x";
            if (!option.choice_names.empty()) {
                out += " -a " + in_single_quotes(join(option.choice_names, " "));
            } else if (option.completion == "folder") {
                out += " -a '(__fish_complete_directories)'";
            }
        }
        std::string about = option.about;
        std::replace(about.begin(), about.end(), '\'', '"');
        out += " -d " + in_single_quotes(about) + "\n";
    }
    return out;
}

}  // namespace

std::string bash_completion(const Tool& tool)
{
    const std::string function = "_stillhouse_" + identifier(tool.name);
    std::string out = "# bash completion for " + tool.name + ", made from its table\n" + function + "()\n{\n";
    out += "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n    COMPREPLY=()\n";
    out += "    if [[ $cur == '=' ]]; then      # bash parts --name=value into three words\n        cur=\n"
           "    elif [[ $prev == '=' ]]; then\n        prev=${COMP_WORDS[COMP_CWORD - 2]}\n    fi\n";
    if (tool.verbs.empty()) {
        out += bash_cases(tool, "    ");
    } else {
        std::vector<std::string> names;
        std::string cases;
        for (const Complete& verb : complete_verbs(tool)) {
            names.push_back(verb.tool.name);
            cases += "        " + verb.tool.name + ")\n" + bash_cases(verb.tool, "            ") + "            ;;\n";
        }
        out += "    if ((COMP_CWORD == 1)); then\n        mapfile -t COMPREPLY < <(compgen -W '" + join(names, " ") +
               " --help --version' -- \"$cur\")\n        return\n    fi\n";
        out += "    case ${COMP_WORDS[1]} in\n" + cases + "    esac\n";
    }
    return out + "}\ncomplete -F " + function + " " + tool.name + "\n";
}

std::string zsh_completion(const Tool& tool)
{
    std::string out = "#compdef " + tool.name + "\n# zsh completion for " + tool.name + ", made from its table\n";
    if (tool.verbs.empty()) {
        return out + zsh_arguments(tool, "");
    }
    out += "local -a verbs\nverbs=(\n";
    std::string cases;
    for (const Complete& verb : complete_verbs(tool)) {
        out += "    " + in_single_quotes(verb.tool.name + ":" + zsh_text(verb.tool.one_line)) + "\n";
        cases += "    " + verb.tool.name + ")\n" + zsh_arguments(verb.tool, "        ") + "        ;;\n";
    }
    out += ")\nif (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\nfi\n";
    out += "local verb=${words[2]}\nshift words\n(( CURRENT-- ))\n";
    return out + "case $verb in\n" + cases + "esac\n";
}

std::string fish_completion(const Tool& tool)
{
    std::string out = "# fish completion for " + tool.name + ", made from its table\n";
    if (tool.verbs.empty()) {
        return out + fish_options(tool, tool.name, "");
    }
    for (const Complete& verb : complete_verbs(tool)) {
        out += "complete -c " + tool.name + " -n __fish_use_subcommand -x -a " + verb.tool.name + " -d " +
               in_single_quotes(verb.tool.one_line) + "\n";
        out += fish_options(verb.tool, tool.name, " -n '__fish_seen_subcommand_from " + verb.tool.name + "'");
    }
    return out;
}

}  // namespace stillhouse::cli
