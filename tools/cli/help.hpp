// SPDX-License-Identifier: Apache-2.0
// The table as text: short and long help, man page, completions, option file.
#pragma once

#include "tools/cli/tool.hpp"

#include <string>
#include <vector>

namespace stillhouse::cli {

/// "hankel-spectrum [options] [FILTERS]"
std::string synopsis(const Tool& tool);
/// What is taken and the default, as a sentence after `about`: "One of zero, window. Default: zero."
std::string facts(const Option& option);
/// The headings of the options in the order of their first appearance.
std::vector<std::string> groups(const Tool& tool);
/// The options of a tool that are shown, under one heading.
std::vector<const Option*> shown_options(const Tool& tool, const std::string& group);

std::string short_help(const Tool& tool, int width);          // one screen
std::string long_help(const Tool& tool, int width);           // everything, examples first
std::string version_text(const Tool& tool, bool verbose);

/// Fills the slots @NAME@, @ONE_LINE@, @TITLE@, @DATE@, @SYNOPSIS@, @ARGUMENTS@, @OPTIONS@, @EXAMPLES@, @ENVIRONMENT@,
/// @EXIT_STATUS@ and @SEE_ALSO@ of an mdoc template; lines consisting of an unknown slot are an Error{bad_argument}.
std::string man_page(const Tool& tool, const std::string& mdoc_template);
/// `verbs` with their shared options added already.
std::string bash_completion(const Tool& tool);
std::string zsh_completion(const Tool& tool);
std::string fish_completion(const Tool& tool);

/// For the tests: a line an example, "run" or "skip", a tab, the command.
std::string example_lines(const Tool& tool);

/// The options in force, each under its comment.
std::string dump_config(const Tool& tool);

}  // namespace stillhouse::cli
