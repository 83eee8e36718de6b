// SPDX-License-Identifier: Apache-2.0
// From the command line, the environment and option files to the variables of a table.
#pragma once

#include "tools/cli/shared.hpp"
#include "tools/cli/tool.hpp"

#include <map>
#include <string>
#include <vector>

namespace stillhouse::cli {

enum class Origin { preset, config, environment, command_line };     // later goes before earlier
const char* name_of(Origin origin);

struct Given {
    std::vector<std::string> values;
    Origin origin = Origin::command_line;
};
using Givens = std::map<const Option*, Given>;

/// Does the command line ask for `flag` outside the values of other options and before "--"? For --help, which
/// goes before every fault.
bool asks_for(const Tool& tool, const std::vector<std::string>& arguments, const std::string& flag);

/// Fills the variables of `tool` (shared options added already): flag > environment > --config > preset > default.
/// Returns what was given, and from where. Error{bad_argument} for every fault of usage, one line.
/// `settings` are those the shared options of the table fill.
Givens parse(Tool& tool, SharedSettings& settings, const std::vector<std::string>& arguments);

/// Contradictions, needs and the tool's own checks; after parse.
void check_combinations(Tool& tool, const Givens& given);

}  // namespace stillhouse::cli
