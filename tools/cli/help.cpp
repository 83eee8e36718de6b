// SPDX-License-Identifier: Apache-2.0
// The table as text for a terminal: short help, long help, version, option file.
#include "tools/cli/help.hpp"

#include "libcore/base/version.hpp"
#include "tools/cli/shared.hpp"
#include "tools/cli/values.hpp"

#include <algorithm>

namespace stillhouse::cli {

namespace {

/// Words of `text` in lines of at most `width` columns behind `indent` blanks; an empty line parts paragraphs.
std::string wrap(const std::string& text, int width, int indent)
{
    const std::string margin(static_cast<std::size_t>(indent), ' ');
    const auto room = static_cast<std::size_t>(std::max(20, width - indent));
    std::string out;
    for (const std::string& paragraph : split(text, '\n')) {
        std::string line;
        for (const std::string& word : split(paragraph, ' ')) {
            if (!line.empty() && line.size() + 1 + word.size() > room) {
                out += margin + line + "\n";
                line.clear();
            }
            line += (line.empty() ? "" : " ") + word;
        }
        out += margin + line + "\n";
    }
    return out;
}

std::string flags(const Option& option)
{
    std::string text = option.short_name != 0 ? std::string{'-', option.short_name} : "";
    if (!option.name.empty()) {
        text += (text.empty() ? "--" : ", --") + option.name;
    }
    if (!option.placeholder.empty()) {
        text += " " + option.placeholder + (option.takes_many && !option.one_each_time ? "..." : "");
    }
    return text;
}

/// Two columns, the right one wrapped.
std::string row(const std::string& left, const std::string& right, int width)
{
    constexpr int column = 28;
    std::string out = "  " + left;
    std::string text = wrap(right, width, column);
    if (out.size() + 1 >= column) {
        return out + "\n" + text;
    }
    out.resize(column, ' ');
    return out + text.substr(column);
}

std::string paragraphs(const std::string& text, int width)
{
    std::string out;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find("\n\n", begin), text.size());
        out += wrap(text.substr(begin, end - begin), width, 0) + "\n";
        begin = end + 2;
    }
    return out;
}

/// Where the words tell what happens by default, the value of the variable would contradict them ("default the
/// teacher's heads", and 0).
bool shows_default(const Option& option)
{
    return !option.is_flag() && !option.default_text.empty() && option.about.find("default") == std::string::npos;
}

std::string example_text(const Tool::Example& example, int width)
{
    return "  " + example.command + "\n" + wrap(example.what, width, 6);
}

}  // namespace

std::string synopsis(const Tool& tool)
{
    std::string text = tool.name + (tool.verbs.empty() ? " [options]" : " VERB [options]");
    if (tool.positional.target != nullptr) {
        const std::string more = tool.positional.most < 0 || tool.positional.most > 1 ? "..." : "";
        text += tool.positional.least > 0 ? " " + tool.positional.placeholder + more
                                          : " [" + tool.positional.placeholder + more + "]";
    } else if (!tool.verbs.empty()) {
        text += " [FILE...]";
    }
    return text;
}

std::string facts(const Option& option)
{
    std::vector<std::string> all;
    if (!option.choice_names.empty()) {
        all.push_back((option.is_list() ? "Of: " : "One of ") + join(option.choice_names, ", ") + ".");
    }
    if (shows_default(option)) {
        all.push_back("Default: " + option.default_text + ".");
    }
    return join(all, " ");
}

std::vector<std::string> groups(const Tool& tool)
{
    std::vector<std::string> names;
    for (const Option& option : tool.options) {
        if (std::find(names.begin(), names.end(), option.group) == names.end()) {
            names.push_back(option.group);
        }
    }
    return names;
}

std::vector<const Option*> shown_options(const Tool& tool, const std::string& group)
{
    std::vector<const Option*> shown;
    for (const Option& option : tool.options) {
        if (!option.hidden && option.group == group) {
            shown.push_back(&option);
        }
    }
    return shown;
}

std::string short_help(const Tool& tool, int width)
{
    std::string out = "usage: " + synopsis(tool) + "\n" + wrap(tool.one_line, width, 0) + "\n";
    for (const Tool::Verb& verb : tool.verbs) {
        out += row(verb.tool.name, verb.tool.one_line, width);
    }
    // One screen: the tool's own options, those with a letter among the shared ones, at most 16, two examples.
    std::size_t lines = 0, left_out = 0;
    for (const Option& option : tool.options) {
        const bool common = option.group == "Common options";
        if (option.hidden || (common && option.short_name == 0)) {
            continue;
        }
        if (!common && lines >= 16) {
            ++left_out;
            continue;
        }
        ++lines;
        out +=
            row(flags(option), option.about + (shows_default(option) ? " [" + option.default_text + "]" : ""), width);
    }
    if (left_out > 0) {
        out += "  ... and " + std::to_string(left_out) + " more\n";
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(2, tool.examples.size()); ++i) {
        out += (i == 0 ? "\nexamples:\n" : "") + example_text(tool.examples[i], width);
    }
    return out + "\n" +
           (tool.verbs.empty() ? tool.name + " --help tells everything\n"
                               : tool.name + " VERB --help tells everything about a verb\n");
}

std::string long_help(const Tool& tool, int width)
{
    std::string out = tool.name + " - " + tool.one_line + "\n\nusage: " + synopsis(tool) + "\n\n";
    if (!tool.examples.empty()) {
        out += "Examples\n";
        for (const Tool::Example& example : tool.examples) {
            out += example_text(example, width);
        }
        out += "\n";
    }
    out += paragraphs(tool.about_text, width);
    if (!tool.verbs.empty()) {
        out += "Verbs\n";
        for (const Tool::Verb& verb : tool.verbs) {
            out += row(verb.tool.name, verb.tool.one_line, width);
        }
        out += "\n";
    }
    if (tool.positional.target != nullptr) {
        out += "Arguments\n" + row(tool.positional.placeholder, tool.positional.about, width) + "\n";
    }
    for (const std::string& group : groups(tool)) {
        std::string rows;
        for (const Option* option : shown_options(tool, group)) {
            std::string text = option->about;
            const std::string more = join(split(option->long_text + "\n" + facts(*option), '\n'), " ");
            text += more.empty() ? "" : (text.ends_with('.') ? " " : ". ") + more;
            rows += row(flags(*option), text, width);
        }
        out += rows.empty() ? "" : group + "\n" + rows + "\n";
    }
    out += "Environment\n";
    for (const Variable& variable : environment_of(tool)) {
        out += row(variable.name, variable.about, width);
    }
    out += "\nSee also\n" +
           wrap(join(tool.pages, ", ") + (tool.pages.empty() ? "" : ", ") + "stillhouse-pipeline(7)", width, 2);
    return out;
}

std::string version_text(const Tool& tool, bool verbose)
{
    const std::string name = tool.name.substr(0, tool.name.find(' '));
    std::string out = name + " " + build_version + "\n";
    if (verbose) {
#if defined(__clang__)
        out += "compiler  clang " __clang_version__ "\n";
#elif defined(__GNUC__)
        out += "compiler  g++ " __VERSION__ "\n";
#endif
        out += std::string("built     ") + STILLHOUSE_BUILD_SUMMARY + "\n";
#if defined(__x86_64__)
        std::vector<std::string> features;
        const auto add = [&](bool has, const char* name_of_feature) {
            if (has) {
                features.emplace_back(name_of_feature);
            }
        };
        add(__builtin_cpu_supports("avx2") != 0, "avx2");
        add(__builtin_cpu_supports("fma") != 0, "fma");
        add(__builtin_cpu_supports("avx512f") != 0, "avx512f");
        add(__builtin_cpu_supports("avx512vl") != 0, "avx512vl");
        add(__builtin_cpu_supports("avx512bw") != 0, "avx512bw");
        out += "processor " + (features.empty() ? std::string("plain x86-64") : join(features, " ")) + "\n";
#endif
    }
    return out;
}

std::string example_lines(const Tool& tool)
{
    std::string out;
    for (const Tool::Example& example : tool.examples) {
        out += (example.runnable ? "run\t" : "skip\t") + example.command + "\n";
    }
    for (const Tool::Verb& verb : tool.verbs) {
        out += example_lines(verb.tool);
    }
    return out;
}

std::string dump_config(const Tool& tool)
{
    std::string out = "# " + tool.name + ": options in force, for --config\n";
    for (const std::string& group : groups(tool)) {
        std::string rows;
        for (const Option* option : shown_options(tool, group)) {
            if (!option->in_config) {
                continue;
            }
            const std::string value = to_text(option->target);
            // An option that is absent has no value to write down; a name of nothing would be read as a file.
            const bool absent = value.empty();
            rows += "\n# " + option->about + (facts(*option).empty() ? "" : "; " + facts(*option)) + "\n" +
                    (absent ? "# " : "") + option->key() + " = " + (absent ? "" : to_toml(*option)) + "\n";
        }
        out += rows.empty() ? "" : "\n# " + group + rows;
    }
    return out;
}

}  // namespace stillhouse::cli
