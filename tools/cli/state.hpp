// SPDX-License-Identifier: Apache-2.0
// What a running tool's Context holds; made by run.cpp, used by context.cpp.
#pragma once

#include "tools/cli/context.hpp"
#include "tools/cli/parse.hpp"
#include "tools/cli/terminal.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::cli {

/// Thrown where a terminal stands for an input: the short help on standard error, exit 2.
struct NeedsHelp {};

/// Bytes that this process has read and written through the kernel so far; nothing where /proc does not say.
struct Traffic {
    double in = 0, out = 0;
};
std::optional<Traffic> traffic();

struct Context::State {
    Tool* tool = nullptr;
    SharedSettings* settings = nullptr;
    Voice* voice = nullptr;
    Givens given;

    Shard shard;
    std::vector<std::string> inputs;                     // opened so far
    std::vector<std::string> outputs;                    // created so far
    bool checked = false;
    bool created_output = false;
    bool kept_for_resume = false;
    std::vector<std::string> notes;
    formats::List results;
    formats::Map report;
    std::optional<formats::AtomicFile> results_file;     // where result() writes when -o takes the results
    std::string pending;                                 // result lines not yet written
    std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();

    std::optional<Traffic> traffic_before = traffic();

    /// Writes what result() has collected, commits the results' file.
    void finish_results();
};

/// K/N, or slurm. Error{bad_argument}.
Shard parse_shard(const std::string& text);

/// What stands in the history of a stream for this run: the tool's own options, with their values in force.
formats::Map history_settings(const Tool& tool);

/// Text to standard output, checked as every output is: /dev/full is an error.
void print(const std::string& text);

/// --report: the tool's report with name, version, settings, results, time and memory, to the file that was asked for.
void write_report(Context::State& state);

/// "hankel-spectrum: 96 tensors, 3.1 MiB in, 1.2 MiB out, 41.7 s (2 threads), peak 61 MiB", without the name.
std::string closing_line(const Context::State& state);

}  // namespace stillhouse::cli
