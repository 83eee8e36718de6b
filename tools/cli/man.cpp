// SPDX-License-Identifier: Apache-2.0
// The table as mdoc, filled into the prose of man/<tool>.1.in.
#include "tools/cli/help.hpp"

#include "libcore/base/error.hpp"
#include "tools/cli/shared.hpp"
#include "tools/cli/values.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <ctime>

namespace stillhouse::cli {

namespace {

/// Text that roff leaves as it is: backslashes, minus signs and quotes as typed, no macro at the line's beginning.
std::string plain(const std::string& text)
{
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '\\': out += "\\e"; break;
        case '-': out += "\\-"; break;
        case '\'': out += "\\(aq"; break;
        case '`': out += "\\(ga"; break;
        case '^': out += "\\(ha"; break;
        case '~': out += "\\(ti"; break;
        case '"': out += "\\(dq"; break;
        default: out += c;
        }
    }
    return !out.empty() && out[0] == '.' ? "\\&" + out : out;
}

/// Sentences on lines of their own, as mdoc wants them; paragraphs parted by .Pp.
std::string prose(const std::string& text)
{
    std::string out;
    bool first = true;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find("\n\n", begin), text.size());
        std::string paragraph = join(split(text.substr(begin, end - begin), '\n'), " ");
        out += first ? "" : ".Pp\n";
        first = false;
        for (std::size_t from = 0; from < paragraph.size();) {
            std::size_t stop = from;
            do {
                stop = std::min(paragraph.find_first_of(".!?", stop + 1), paragraph.size());
            } while (stop < paragraph.size() && stop + 1 < paragraph.size() && paragraph[stop + 1] != ' ');
            stop = std::min(stop + 1, paragraph.size());
            out += plain(paragraph.substr(from, stop - from)) + "\n";
            from = std::min(paragraph.find_first_not_of(' ', stop), paragraph.size());
        }
        begin = end + 2;
    }
    return out;
}

/// An argument of a macro: quoted, since words may be macros themselves.
std::string argument(const std::string& text)
{
    return "\"" + plain(text) + "\"";
}

std::string tag(const Option& option)
{
    std::string line = ".It";
    const auto flag = [&](const std::string& name) { line += " Fl " + plain(name); };
    if (option.short_name != 0) {
        flag(std::string(1, option.short_name));
        line += option.name.empty() ? "" : " ,";
    }
    if (!option.name.empty()) {
        flag("-" + option.name);
    }
    if (!option.placeholder.empty()) {
        line += " Ar " + argument(option.placeholder) + (option.takes_many && !option.one_each_time ? " Ar ..." : "");
    }
    return line + "\n";
}

std::string option_list(const Tool& tool)
{
    std::string out;
    for (const std::string& group : groups(tool)) {
        const auto shown = shown_options(tool, group);
        if (shown.empty()) {
            continue;
        }
        out += group == "Options" ? "" : ".Ss " + plain(group) + "\n";
        out += ".Bl -tag -width Ds\n";
        for (const Option* option : shown) {
            std::string about = option->about;
            about[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(about[0])));
            about += about.ends_with('.') ? "" : ".";
            const std::string more = facts(*option);
            out += tag(*option) + prose(about + (option->long_text.empty() ? "" : " " + option->long_text) +
                                        (more.empty() ? "" : " " + more));
        }
        out += ".El\n";
    }
    return out;
}

std::string verb_sections(const Tool& tool)
{
    std::string out;
    for (const Tool::Verb& verb : tool.verbs) {
        Tool one = verb.tool;
        SharedSettings settings;
        add_shared_options(one, settings);
        // What every verb has is told once, at the end.
        one.options.remove_if([&](const Option& option) {
            return std::any_of(tool.options.begin(), tool.options.end(),
                               [&](const Option& common) { return common.key() == option.key(); });
        });
        one.name = tool.name.substr(tool.name.find(' ') + 1) + " " + one.name;
        out += ".Ss " + plain(verb.tool.name) + "\n.Nm\n.Cm " + plain(verb.tool.name) + "\n.Op Ar options\n";
        if (verb.tool.positional.target != nullptr) {
            const bool dots = verb.tool.positional.most < 0 || verb.tool.positional.most > 1;
            out += std::string(verb.tool.positional.least > 0 ? ".Ar " : ".Op Ar ") +
                   argument(verb.tool.positional.placeholder) + (dots ? " Ar ..." : "") + "\n";
        }
        std::string line = verb.tool.one_line;
        line[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(line[0])));
        out += ".Pp\n" + prose(line + (line.ends_with('.') ? "" : ".") +
                               (verb.tool.about_text.empty() ? "" : "\n\n" + verb.tool.about_text));
        for (Option& option : one.options) {
            option.group = "Options";
        }
        out += option_list(one);
    }
    return out;
}

std::string examples(const Tool& tool)
{
    std::vector<Tool::Example> all = tool.examples;
    for (const Tool::Verb& verb : tool.verbs) {
        all.insert(all.end(), verb.tool.examples.begin(), verb.tool.examples.end());
    }
    std::string out;
    for (const Tool::Example& example : all) {
        std::string what = example.what;
        if (!what.empty()) {
            what[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(what[0])));
            what += what.ends_with('.') ? "" : ".";
        }
        out += (out.empty() ? "" : ".Pp\n") + prose(what) + ".Bd -literal -offset 4n\n" + plain(example.command) +
               "\n.Ed\n";
    }
    return out;
}

/// The date of the sources (SOURCE_DATE_EPOCH, set by the build), so that a page built again is the same page.
std::string date_text()
{
    const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
    const std::time_t time = epoch != nullptr ? static_cast<std::time_t>(std::strtoll(epoch, nullptr, 10)) : 0;
    std::tm day{};
    gmtime_r(&time, &day);
    constexpr std::array<const char*, 12> months{"January", "February", "March", "April", "May", "June", "July",
                                                 "August", "September", "October", "November", "December"};
    return std::string(months[static_cast<std::size_t>(day.tm_mon)]) + " " + std::to_string(day.tm_mday) + ", " +
           std::to_string(1900 + day.tm_year);
}

std::string see_also(const Tool& tool)
{
    std::vector<std::string> pages = tool.pages;
    for (const char* page : {"stillhouse-stream(5)", "stillhouse-pipeline(7)"}) {
        if (std::find(pages.begin(), pages.end(), page) == pages.end()) {
            pages.emplace_back(page);
        }
    }
    // By section, then by name.
    std::stable_sort(pages.begin(), pages.end(), [](const std::string& a, const std::string& b) {
        const auto key = [](const std::string& page) {
            const std::size_t bracket = std::min(page.find('('), page.size());
            return page.substr(bracket) + page.substr(0, bracket);
        };
        return key(a) < key(b);
    });
    std::string out;
    for (std::size_t i = 0; i < pages.size(); ++i) {
        const std::size_t bracket = std::min(pages[i].find('('), pages[i].size());
        const std::string section = bracket < pages[i].size() ? pages[i].substr(bracket + 1, 1) : "1";
        out += ".Xr " + pages[i].substr(0, bracket) + " " + section + (i + 1 < pages.size() ? " ,\n" : "\n");
    }
    return out;
}

std::string synopsis_macros(const Tool& tool)
{
    std::string out = ".Nm\n";
    if (!tool.verbs.empty()) {
        return out + ".Ar verb\n.Op Ar options\n.Op Ar FILE ...\n";
    }
    out += ".Op Ar options\n";
    if (tool.positional.target != nullptr) {
        const bool dots = tool.positional.most < 0 || tool.positional.most > 1;
        out += std::string(tool.positional.least > 0 ? ".Ar " : ".Op Ar ") + argument(tool.positional.placeholder) +
               (dots ? " Ar ..." : "") + "\n";
    }
    return out;
}

std::string slot_text(const Tool& tool, const std::string& slot)
{
    if (slot == "NAME") {
        return plain(tool.name);
    }
    if (slot == "TITLE") {
        std::string title = tool.name;
        std::transform(title.begin(), title.end(), title.begin(),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        return title;
    }
    if (slot == "ONE_LINE") {
        return plain(tool.one_line);
    }
    if (slot == "DATE") {
        return date_text();
    }
    if (slot == "SYNOPSIS") {
        return synopsis_macros(tool);
    }
    if (slot == "ABOUT") {
        return prose(tool.about_text);
    }
    if (slot == "ARGUMENTS") {
        const auto& taken = tool.positional;
        return taken.target == nullptr ? std::string{}
                                       : ".Bl -tag -width Ds\n.It Ar " + argument(taken.placeholder) + "\n" +
                                             prose(taken.about + (taken.about.ends_with('.') ? "" : ".")) + ".El\n";
    }
    if (slot == "OPTIONS") {
        return verb_sections(tool) + option_list(tool);
    }
    if (slot == "EXAMPLES") {
        return examples(tool);
    }
    if (slot == "ENVIRONMENT") {
        std::string out = ".Bl -tag -width Ds\n";
        for (const Variable& variable : environment_of(tool)) {
            std::string about = variable.about;
            about[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(about[0])));
            out += ".It Ev " + variable.name + "\n" + prose(about + ".");
        }
        return out + ".El\n";
    }
    if (slot == "EXIT_STATUS") {
        return ".Bl -tag -width Ds -compact\n"
               ".It 0\nDone.\n"
               ".It 1\nDone, but a check that was asked for failed; the output is written.\n"
               ".It 2\nUsage: a bad option, value, file of options or variable.\n"
               ".It 3\nBad input: what is in a file.\n"
               ".It 4\nInput or output: a file cannot be opened, read or written, or exists already.\n"
               ".It 5\nA resource is missing: device or memory.\n"
               ".It 70\nAn internal error: a fault of the program.\n"
               ".It 75\nStopped by a signal, with something kept that\n.Fl \\-resume\ncan use.\n"
               ".It 128+n\nDied of signal n.\n"
               ".El\n";
    }
    if (slot == "SEE_ALSO") {
        return see_also(tool);
    }
    throw_error(ErrorCode::bad_argument, "the manual page has an unknown slot @" + slot + "@");
}

}  // namespace

std::string man_page(const Tool& tool, const std::string& mdoc_template)
{
    std::string out;
    for (std::size_t at = 0; at < mdoc_template.size();) {
        const std::size_t begin = mdoc_template.find('@', at);
        const std::size_t end = begin == std::string::npos ? begin : mdoc_template.find('@', begin + 1);
        if (end == std::string::npos) {
            return out + mdoc_template.substr(at);
        }
        const std::string slot = mdoc_template.substr(begin + 1, end - begin - 1);
        if (slot.empty() || slot.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != std::string::npos) {
            out += mdoc_template.substr(at, end - at);       // an @ of the prose
            at = end;
            continue;
        }
        out += mdoc_template.substr(at, begin - at);
        std::string text = slot_text(tool, slot);
        at = end + 1;
        if (text.ends_with('\n') && at < mdoc_template.size() && mdoc_template[at] == '\n') {
            ++at;                                            // a slot on a line of its own brings its line break
        }
        out += text;
    }
    return out;
}

}  // namespace stillhouse::cli
