// SPDX-License-Identifier: Apache-2.0
// The options that all tools share, as rows of the same table.
#include "tools/cli/shared.hpp"

#include "libcore/base/parallel.hpp"
#include "tools/cli/values.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace stillhouse::cli {

namespace fs = std::filesystem;

namespace {

bool declares(const Tool& tool, const std::string& name)
{
    return std::any_of(tool.options.begin(), tool.options.end(),
                       [&](const Option& option) { return option.key() == name; });
}

bool letter_taken(const Tool& tool, char letter)
{
    return std::any_of(tool.options.begin(), tool.options.end(),
                       [&](const Option& option) { return option.short_name == letter; });
}

/// A positive number at the beginning of a variable that is not ours (OMP_NUM_THREADS may be a list), or 0.
int leading_count(const char* variable)
{
    const char* text = std::getenv(variable);
    int value = 0;
    if (text != nullptr) {
        std::from_chars(text, text + std::strlen(text), value);
    }
    return std::clamp(value, 0, 4096);
}

}  // namespace

void add_shared_options(Tool& tool, SharedSettings& s)
{
    const Tool::Shared which = tool.shared_options;
    const std::string own_group = tool.current_group;
    tool.group("Common options");

    const auto add = [&](Target target, const std::string& names, const char* placeholder,
                         const char* about) -> Option& {
        static Option ignored;               // takes the settings of an option that the tool declares itself
        std::string kept;
        bool taken = false;
        for (const std::string& piece : split(names, ',')) {
            const std::string name = without_dashes(piece);
            if (piece.starts_with("--")) {
                taken = taken || declares(tool, name);
                kept += (kept.empty() ? "" : ",") + piece;
            } else if (!letter_taken(tool, name[0])) {
                kept += (kept.empty() ? "" : ",") + piece;
            }
        }
        if (taken) {
            return ignored = Option{};
        }
        return tool.option(target, kept, placeholder, about).outside_history();
    };
    const auto in_environment = [](Option& option, const char* variable) { option.variable = variable; };

    if (which.output) {
        add(&s.output, "-o,--output", "FILE",
            "where the output goes instead of standard output; appears only when it is whole")
            .completes("output")
            .in_config = false;
        add(&s.force, "-f,--force", "", "overwrite an existing output").in_config = false;
    }
    if (which.threads) {
        in_environment(
            add(&s.threads, "-t,--threads", "N", "threads to compute with; never changes a byte of the result")
                .range(0, 4096)
                .detail("0 takes OMP_NUM_THREADS, else SLURM_CPUS_PER_TASK, else the processors that the process "
                        "may run on."),
            "STILLHOUSE_THREADS");
        in_environment(add(&s.device, "--device", "NAME", "where to compute")
                           .choices({"auto", "cpu", "cpu:plain", "cpu:avx2", "cpu:avx512", "cuda"})
                           .detail("cpu:NAME takes these instructions of the processor instead of its best ones: what "
                                   "another machine would compute."),
                       "STILLHOUSE_DEVICE");
    }
    if (which.seed) {
        Option& seed = add(&s.seed, "--seed", "N", "of all random numbers; a constant unless given");
        seed.in_history = true;
        in_environment(seed, "STILLHOUSE_SEED");
    }
    if (which.precision) {
        Option& precision = add(&s.precision, "--precision", "TYPE", "arithmetic of the network; sums are kept in f64")
                                .choices({"f64", "f32", "bf16"});
        precision.in_history = true;
        in_environment(precision, "STILLHOUSE_PRECISION");
    }
    if (which.shard) {
        add(&s.shard, "--shard", "K/N", "do the K-th of N parts alone")
            .completes("none")
            .detail(
                "K counts from 1. 'slurm' takes the part from SLURM_ARRAY_TASK_ID. tensor-stream cat joins the parts "
                "again.")
            .in_config = false;
    }
    if (which.json) {
        add(&s.json, "--json", "", "print the results as JSON lines on standard output");
    }
    if (which.report) {
        add(&s.report, "--report", "FILE", "write settings, results and times to FILE as JSON")
            .completes("output")
            .in_config = false;
    }
    if (which.dry_run) {
        add(&s.dry_run, "--dry-run", "", "check options and inputs, say what would be done, write nothing").in_config =
            false;
    }
    if (which.history && which.output && which.stream) {
        add(&s.no_history, "--no-history", "", "leave this run out of the stream's history");
    }

    add(&s.quiet, "-q,--quiet", "", "errors alone: no warnings, no closing line");
    add(&s.verbose, "-v,--verbose", "", "say more; with --version: what stillhouse was built with");
    in_environment(add(&s.log_level, "--log-level", "NAME", "what is said on standard error")
                       .choices({"error", "warning", "info", "debug"})
                       .detail("error is -q, debug is -v."),
                   "STILLHOUSE_LOG_LEVEL");
    in_environment(add(&s.color, "--color", "WHEN", "colours on standard error").choices({"auto", "always", "never"}),
                   "STILLHOUSE_COLOR");
    in_environment(
        add(&s.progress, "--progress", "WHEN", "draw progress on standard error")
            .choices({"auto", "always", "never"})
            .detail("auto: when standard error is a terminal and standard output is no pipe, after a second."),
        "STILLHOUSE_PROGRESS");
    Option& config = add(&s.config, "--config", "FILE", "read options from FILE, lines of the form name = value");
    config
        .detail(
            "Options on the command line and in the environment go before those in FILE, and those before a preset.")
        .completes("file")
        .in_config = false;
    in_environment(config, "STILLHOUSE_CONFIG");
    Option& preset = add(&s.preset, "--preset", "NAME", "begin with a named set of options");
    preset.completes("none");
    in_environment(preset, "STILLHOUSE_PRESET");
    add(&s.dump_config, "--dump-config", "", "print the options in force in the form that --config reads").in_config =
        false;
    add(&s.help_short, "-h", "", "short help").in_config = false;
    add(&s.help_long, "--help", "", "this help").in_config = false;
    add(&s.version, "--version", "", "print the version").in_config = false;
    Option& generate = add(&s.generate, "--generate", "WHAT", "man, bash, zsh, fish or examples");
    generate.choices({"man", "bash", "zsh", "fish", "examples"});
    generate.hidden = true;
    generate.in_config = false;

    tool.group(own_group);
}

std::vector<Variable> environment_of(const Tool& tool)
{
    std::vector<Variable> variables;
    for (const Option& option : tool.options) {
        if (!option.variable.empty()) {
            variables.push_back({option.variable, "the value of " + option.flag() + " where it is not given"});
        }
        if (option.variable == "STILLHOUSE_THREADS") {
            variables.push_back({"OMP_NUM_THREADS", "threads, where STILLHOUSE_THREADS and --threads say nothing"});
            variables.push_back({"SLURM_CPUS_PER_TASK", "threads, where none of the above says anything"});
        }
        if (option.name == "shard" && !option.in_history) {
            variables.push_back(
                {"SLURM_ARRAY_TASK_ID", "with _MIN, _STEP and _COUNT: the part that --shard slurm takes"});
        }
    }
    variables.push_back({"STILLHOUSE_DATA_DIR",
                         "presets, where they do not lie in ../share/stillhouse beside the binaries"});
    variables.push_back({"NO_COLOR", "no colours when set and not empty, unless --color says always"});
    return variables;
}

int threads_in_force(const SharedSettings& settings)
{
    if (settings.threads > 0) {
        return static_cast<int>(settings.threads);
    }
    if (const int n = leading_count("OMP_NUM_THREADS")) {
        return n;
    }
    if (const int n = leading_count("SLURM_CPUS_PER_TASK")) {
        return n;
    }
    return available_processors();
}

std::string find_data(const std::string& name)
{
    std::error_code failed;
    const fs::path binary = fs::read_symlink("/proc/self/exe", failed);
    if (!failed) {
        const fs::path beside = binary.parent_path().parent_path() / "share" / "stillhouse" / name;
        if (fs::exists(beside, failed)) {
            return beside.string();
        }
    }
    if (const char* folder = std::getenv("STILLHOUSE_DATA_DIR"); folder != nullptr && *folder != '\0') {
        const fs::path there = fs::path(folder) / name;
        if (fs::exists(there, failed)) {
            return there.string();
        }
    }
    return {};
}

std::vector<std::string> preset_names(const std::string& tool)
{
    std::vector<std::string> names;
    std::error_code failed;
    const std::string folder = find_data("presets/" + tool);
    if (!folder.empty()) {
        for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
            if (entry.path().extension() == ".toml") {
                names.push_back(entry.path().stem().string());
            }
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace stillhouse::cli
