// SPDX-License-Identifier: Apache-2.0
// What a running tool is given: its shared settings, its streams, its voice.
#include "tools/cli/context.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/version.hpp"
#include "tools/cli/signals.hpp"
#include "tools/cli/state.hpp"
#include "tools/cli/values.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace stillhouse::cli {

namespace {

constexpr std::size_t results_block = 1 << 16;

[[noreturn]] void refuse(std::string message)
{
    throw_error(ErrorCode::bad_argument, std::move(message));
}

bool is_standard(const std::string& path)
{
    return path.empty() || path == "-";
}

/// Of an array job: part K of N from the task's number, the least, the step and the count.
Shard slurm_shard()
{
    const auto number = [](const char* name) {
        const char* text = std::getenv(name);
        Index value = -1;
        if (text != nullptr) {
            std::from_chars(text, text + std::strlen(text), value);
        }
        return value;
    };
    const Index id = number("SLURM_ARRAY_TASK_ID"), least = number("SLURM_ARRAY_TASK_MIN");
    const Index count = number("SLURM_ARRAY_TASK_COUNT"), step = std::max<Index>(1, number("SLURM_ARRAY_TASK_STEP"));
    if (id < 0 || least < 0 || count < 1 || (id - least) % step != 0 || (id - least) / step >= count) {
        refuse(
            "--shard slurm: SLURM_ARRAY_TASK_ID, _MIN and _COUNT do not say which part this is; run it in an array job "
            "or give K/N");
    }
    return {(id - least) / step + 1, count};
}

/// An output that exists already and is a regular file: the rest (devices, FIFOs) is written directly.
void refuse_existing(const std::string& path, bool force)
{
    std::error_code failed;
    const auto status = std::filesystem::status(path, failed);
    if (failed || !std::filesystem::exists(status)) {
        return;
    }
    if (std::filesystem::is_directory(status)) {
        throw_error(ErrorCode::io, path + ": is a folder; name a file");
    }
    if (!force && std::filesystem::is_regular_file(status)) {
        throw_error(ErrorCode::io, path + ": exists; give -f to overwrite it");
    }
}

/// A file that cannot be created should be known before the work, not after it.
void refuse_unwritable(const std::string& path)
{
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    const std::string name = folder.empty() ? "." : folder.string();
    if (::access(name.c_str(), W_OK | X_OK) != 0) {
        throw_error(ErrorCode::io, path + ": cannot write into " + name + ": " + std::strerror(errno));
    }
}

/// `file` is there already, and what a model folder is made of.
bool is_part_of(const std::string& folder, const std::string& file)
{
    std::error_code failed;
    const std::filesystem::path path(file);
    const std::string kind = path.extension().string();
    const std::string parent = path.parent_path().string();
    return (kind == ".json" || kind == ".safetensors") && std::filesystem::is_directory(folder, failed) &&
           std::filesystem::exists(path, failed) && formats::same_file(folder, parent.empty() ? "." : parent);
}

/// The two names are the same place: one existing file, one name of a file to come, or a file of the folder `a`.
bool same_place(const std::string& a, const std::string& b)
{
    return !is_standard(a) && !is_standard(b) && (a == b || formats::same_file(a, b) || is_part_of(a, b));
}

/// Everything that this run reads: what was opened, what is to be, and the files that options name.
std::vector<std::string> inputs_of(const Context::State& state)
{
    std::vector<std::string> inputs = state.inputs;
    if (state.tool->positional.target != nullptr) {
        inputs.insert(inputs.end(), state.tool->positional.target->begin(), state.tool->positional.target->end());
    }
    for (const Option& option : state.tool->options) {
        if (option.completion != "file") {
            continue;
        }
        if (const auto* one = std::get_if<std::string*>(&option.target)) {
            inputs.push_back(**one);
        } else if (const auto* maybe = std::get_if<std::optional<std::string>*>(&option.target)) {
            inputs.push_back((*maybe)->value_or(""));
        } else if (const auto* several = std::get_if<std::vector<std::string>*>(&option.target)) {
            inputs.insert(inputs.end(), (*several)->begin(), (*several)->end());
        }
    }
    return inputs;
}

bool is_device(const std::string& path)
{
    std::error_code failed;
    const auto status = std::filesystem::status(path, failed);
    return !failed && std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

}  // namespace

Shard parse_shard(const std::string& text)
{
    if (text.empty()) {
        return {};
    }
    if (text == "slurm") {
        return slurm_shard();
    }
    const std::size_t slash = text.find('/');
    Shard shard;
    try {
        shard = {parse_count(text.substr(0, slash)),
                 slash == std::string::npos ? 0 : parse_count(text.substr(slash + 1))};
    } catch (const Error&) {
        shard.parts = 0;
    }
    if (shard.parts < 1 || shard.part < 1 || shard.part > shard.parts) {
        refuse("--shard " + text + ": K/N with K from 1 to N is expected, or slurm");
    }
    return shard;
}

Context::Context(std::unique_ptr<State> state) : state_(std::move(state)) {}
Context::~Context() = default;

int Context::threads() const { return threads_in_force(*state_->settings); }
const std::string& Context::device() const { return state_->settings->device; }
std::uint64_t Context::seed() const { return state_->settings->seed; }
const std::string& Context::precision() const { return state_->settings->precision; }
Shard Context::shard() const { return state_->shard; }
bool Context::dry_run() const { return state_->settings->dry_run; }
Exit Context::planned(const std::string& plan)
{
    note(plan + "; nothing is written");
    return Exit::ok;
}

bool Context::json() const { return state_->settings->json; }
bool Context::verbose() const { return state_->settings->log_level == "debug"; }
const std::string& Context::output() const { return state_->settings->output; }

formats::Overwrite Context::overwrite() const
{
    return state_->settings->force ? formats::Overwrite::replace : formats::Overwrite::refuse;
}

formats::StreamReader Context::open_stream(const std::string& path)
{
    if (is_standard(path) && is_terminal(STDIN_FILENO)) {
        throw NeedsHelp{};
    }
    return formats::StreamReader(open_input(path));
}

formats::Fd Context::open_input(const std::string& path)
{
    const std::string name = path.empty() ? "-" : path;
    if (name == "-" && std::find(state_->inputs.begin(), state_->inputs.end(), "-") != state_->inputs.end()) {
        refuse("'-' is given twice: standard input can be read once");
    }
    for (const std::string& output : state_->outputs) {
        if (same_place(name, output) && !is_device(name)) {
            refuse(name + ": is both input and output; write to another file");
        }
    }
    state_->inputs.push_back(name);
    return formats::Fd::open_input(name);
}

void Context::check_output(bool binary)
{
    const SharedSettings& s = *state_->settings;
    if (binary && writes_stream() && is_standard(s.output) && is_terminal(STDOUT_FILENO)) {
        refuse("standard output is a terminal: the output is binary; give -o FILE, or a pipe");
    }
    if (state_->checked) {
        return;
    }
    state_->checked = true;
    const auto check = [&](const std::string& path) {
        if (is_standard(path) || s.dry_run) {
            return;
        }
        const std::vector<std::string> inputs = inputs_of(*state_);
        for (const std::string& input : inputs) {
            if (same_place(input, path) && !is_device(path)) {
                refuse(path + ": is both input and output; write to another file");
            }
        }
        refuse_existing(path, s.force);
        if (!is_device(path)) {
            refuse_unwritable(path);
        }
    };
    check(s.output);
    check(s.report);
    if (same_place(s.output, s.report) && !is_device(s.report)) {
        refuse(s.report + ": is both -o and --report; give two names");
    }
}

bool Context::prints_results() const
{
    const SharedSettings& s = *state_->settings;
    const Tool::Shared& which = state_->tool->shared_options;
    if (s.json || !which.stream || !which.output) {
        return true;
    }
    return which.json && which.table && s.output.empty() && is_terminal(STDOUT_FILENO);
}

bool Context::writes_stream() const
{
    const Tool::Shared& which = state_->tool->shared_options;
    return which.stream && which.output && (!prints_results() || !state_->settings->output.empty());
}

formats::Map Context::history_entry() const
{
    // The version without its commit: bytes must not depend on where they were made.
    return {{"tool", state_->tool->name}, {"version", version}, {"settings", history_settings(*state_->tool)}};
}

formats::StreamWriter Context::create_stream(formats::StreamInfo info)
{
    check_output(true);
    if (state_->tool->shared_options.history && !state_->settings->no_history) {
        info.history.emplace_back(history_entry());
    }
    return formats::StreamWriter(create_output(), info);
}

formats::AtomicFile Context::create_output()
{
    const std::string& path = state_->settings->output;
    STILLHOUSE_CHECK(!dry_run());            // a tool that has the option says what it would do, and ends before this
    check_output(false);
    state_->created_output = true;
    state_->outputs.push_back(is_standard(path) ? "-" : path);
    return formats::AtomicFile(is_standard(path) ? "-" : path, overwrite());
}

formats::AtomicFile Context::create_file(const std::string& path)
{
    STILLHOUSE_CHECK(!dry_run());
    claim_output(path);
    return formats::AtomicFile(path.empty() ? "-" : path, overwrite());
}

void Context::claim_output(const std::string& path, bool goes_on)
{
    const std::string name = path.empty() ? "-" : path;
    std::vector<std::string> taken = state_->outputs;
    if (!state_->created_output && !state_->settings->output.empty()) {
        taken.push_back(state_->settings->output);
    }
    for (const std::string& input : inputs_of(*state_)) {
        if (same_place(input, name) && !is_device(name)) {
            refuse(name + ": is both input and output; write to another file");
        }
    }
    for (const std::string& output : taken) {
        if ((name == "-" && output == "-") || (same_place(output, name) && !is_device(name))) {
            refuse((name == "-" ? "standard output" : name) +
                   ": is the output of two things; give one of them a file of "
                   "its own");
        }
    }
    if (name != "-" && !dry_run()) {
        refuse_existing(name, goes_on || state_->settings->force);
    }
    state_->outputs.push_back(name);
}

void Context::print_results() { state_->finish_results(); }

void Context::result(const formats::Value& json, const std::string& text)
{
    if (!state_->settings->report.empty()) {
        state_->results.push_back(json);
    }
    if (!prints_results()) {
        return;
    }
    state_->voice->erase();
    state_->pending += state_->settings->json ? formats::to_json(json) : text;
    if (!state_->pending.empty() && state_->pending.back() != '\n') {
        state_->pending += '\n';
    }
    const Tool::Shared& which = state_->tool->shared_options;
    if (which.output && !which.stream && !is_standard(state_->settings->output) && !state_->results_file) {
        state_->results_file.emplace(create_output());
    }
    // A person sees a line at once; a pipe gets blocks.
    if (state_->pending.size() >= results_block || (!state_->results_file && is_terminal(STDOUT_FILENO))) {
        formats::Fd standard(STDOUT_FILENO, "standard output", false);
        formats::Fd& fd = state_->results_file ? state_->results_file->fd() : standard;
        fd.write_full(state_->pending);
        state_->pending.clear();
    }
}

void Context::State::finish_results()
{
    if (results_file) {
        results_file->fd().write_full(pending);
        results_file->commit();
        results_file.reset();
    } else if (!pending.empty()) {
        print(pending);
    }
    pending.clear();
}

formats::Map& Context::report() { return state_->report; }
bool Context::reports() const { return !state_->settings->report.empty(); }

Control Context::control() { return {&stop_flag(), state_->voice}; }

void Context::warn(const std::string& message) { state_->voice->warning(message); }
void Context::info(const std::string& message) { state_->voice->debug(message); }
void Context::note(const std::string& fact) { state_->notes.push_back(fact); }
void Context::kept_for_resume() { state_->kept_for_resume = true; }

}  // namespace stillhouse::cli
