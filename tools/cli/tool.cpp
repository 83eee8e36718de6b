// SPDX-License-Identifier: Apache-2.0
// Builds the table of a tool: each call adds one row.
#include "tools/cli/tool.hpp"

#include "libcore/base/error.hpp"
#include "tools/cli/values.hpp"

#include <utility>

namespace stillhouse::cli {

Option& Option::choices(std::vector<std::string> names)
{
    choice_names = std::move(names);
    return *this;
}

Option& Option::range(double at_least, double at_most)
{
    least = at_least;
    most = at_most;
    return *this;
}

Option& Option::excludes(std::string other)
{
    excluded.push_back(without_dashes(other));
    return *this;
}

Option& Option::needs(std::string other)
{
    needed.push_back(without_dashes(other));
    return *this;
}

Option& Option::completes(std::string what)
{
    completion = std::move(what);
    return *this;
}

Option& Option::detail(std::string text)
{
    long_text = std::move(text);
    return *this;
}

Option& Option::repeated()
{
    one_each_time = true;
    return many();
}

Option& Option::many()
{
    takes_many = true;
    return *this;
}

Option& Option::outside_history()
{
    in_history = false;
    return *this;
}

Option& Option::letter(char c)
{
    short_name = c;
    return *this;
}

std::string Option::flag() const
{
    return name.empty() ? std::string{'-', short_name} : "--" + name;
}

std::string Option::key() const
{
    return name.empty() ? std::string(1, short_name) : name;
}

bool Option::is_list() const
{
    return std::holds_alternative<IndexList*>(target) || std::holds_alternative<std::vector<double>*>(target) ||
           (std::holds_alternative<std::vector<std::string>*>(target) && !takes_many);
}

Tool::Tool(std::string tool_name, std::string line) : name(std::move(tool_name)), one_line(std::move(line)) {}

Tool& Tool::about(std::string text)
{
    about_text = std::move(text);
    return *this;
}

Tool& Tool::argument(std::vector<std::string>& target, std::string placeholder, std::string about, int least, int most)
{
    positional = {&target, std::move(placeholder), std::move(about), least, most};
    return *this;
}

Option& Tool::option(Target target, std::string names, std::string placeholder, std::string about)
{
    Option& option = options.emplace_back();
    for (const std::string& piece : split(names, ',')) {
        if (piece.size() == 2 && piece[0] == '-' && piece[1] != '-') {
            option.short_name = piece[1];
        } else if (piece.size() > 2 && piece.starts_with("--")) {
            option.name = piece.substr(2);
        } else {
            throw_error(ErrorCode::internal, "the table of " + name + " has an option called '" + names + "'");
        }
    }
    // The dots of "FILE..." are those of many().
    placeholder.resize(placeholder.find_last_not_of(". ") + 1);
    option.placeholder = std::move(placeholder);
    option.about = std::move(about);
    option.target = target;
    option.group = current_group;
    option.default_text = to_text(target);
    return option;
}

Tool& Tool::group(std::string heading)
{
    current_group = std::move(heading);
    return *this;
}

Tool& Tool::example(std::string command, std::string what_it_does)
{
    examples.push_back({std::move(command), std::move(what_it_does), true});
    return *this;
}

Tool& Tool::example_not_run(std::string command, std::string what_it_does)
{
    examples.push_back({std::move(command), std::move(what_it_does), false});
    return *this;
}

Tool& Tool::see_also(std::vector<std::string> names)
{
    pages = std::move(names);
    return *this;
}

Tool& Tool::shared(Shared which)
{
    shared_options = which;
    return *this;
}

Tool& Tool::check(std::function<void()> validate)
{
    checks.push_back(std::move(validate));
    return *this;
}

Tool& Tool::verb(Tool tool, std::function<Exit(Context&)> run)
{
    verbs.push_back({std::move(tool), std::move(run)});
    return *this;
}

}  // namespace stillhouse::cli
