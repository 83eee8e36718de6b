// SPDX-License-Identifier: Apache-2.0
// The options that all tools share, as rows of the same table.
#pragma once

#include "tools/cli/tool.hpp"

#include <string>

namespace stillhouse::cli {

/// What the shared options fill.
struct SharedSettings {
    std::string output;
    bool force = false;
    Index threads = 0;                       // 0: what the machine gives
    std::string device = "auto";
    std::uint64_t seed = 1;                  // a constant, so that a run repeated is the same run
    std::string precision = "f32";
    std::string shard;
    bool json = false;
    std::string report;
    bool dry_run = false;
    bool no_history = false;
    bool help_short = false, help_long = false, version = false, quiet = false, verbose = false, dump_config = false;
    std::string config, preset, generate;
    std::string color = "auto", progress = "auto", log_level = "info";
};

/// A variable of the environment that every tool reads.
struct Variable {
    std::string name, about;
};

/// Appends to `tool` those shared options that it asked for and does not declare itself.
void add_shared_options(Tool& tool, SharedSettings& settings);

/// The variables that `tool` reads: those of its shared options, then the ones that are no options.
std::vector<Variable> environment_of(const Tool& tool);

/// --threads, else OMP_NUM_THREADS, else SLURM_CPUS_PER_TASK, else the processors this process may run on.
int threads_in_force(const SharedSettings& settings);

/// A file below share/stillhouse: beside the binary (../share/stillhouse), else in STILLHOUSE_DATA_DIR; empty when in
/// neither.
std::string find_data(const std::string& name);
/// The names of a tool's presets, sorted.
std::vector<std::string> preset_names(const std::string& tool);

}  // namespace stillhouse::cli
