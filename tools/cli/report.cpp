// SPDX-License-Identifier: Apache-2.0
// What remains of a run: its entry in the history, --report, and the closing line.
#include "formats/json.hpp"
#include "libcore/base/version.hpp"
#include "tools/cli/state.hpp"
#include "tools/cli/values.hpp"

#include <cstdio>
#include <sys/resource.h>
#include <unistd.h>

namespace stillhouse::cli {

namespace {

std::string size_text(double bytes)
{
    const char* unit = "B";
    for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
        if (bytes < 1000) {
            break;
        }
        bytes /= 1024;
        unit = next;
    }
    char text[32];
    std::snprintf(text, sizeof text, bytes >= 10 || *unit == 'B' ? "%.0f %s" : "%.1f %s", bytes, unit);
    return text;
}

double peak_bytes()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

double elapsed(const Context::State& state)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - state.begin).count();
}

}  // namespace

std::optional<Traffic> traffic()
{
    std::FILE* file = std::fopen("/proc/self/io", "re");
    if (file == nullptr) {
        return std::nullopt;
    }
    Traffic traffic;
    const int found = std::fscanf(file, "rchar: %lf wchar: %lf", &traffic.in, &traffic.out);
    std::fclose(file);
    return found == 2 ? std::optional(traffic) : std::nullopt;
}

formats::Map history_settings(const Tool& tool)
{
    formats::Map settings;
    for (const Option& option : tool.options) {
        if (option.in_history) {
            formats::Value value = to_value(option.target);
            if (!value.is_null()) {
                settings.emplace_back(option.key(), std::move(value));
            }
        }
    }
    return settings;
}

void write_report(Context::State& state)
{
    formats::Map all{{"schema", std::int64_t{1}},
                     {"tool", state.tool->name},
                     {"version", build_version},
                     {"settings", history_settings(*state.tool)}};
    for (auto& entry : state.report) {
        all.push_back(std::move(entry));
    }
    if (!state.results.empty()) {
        all.emplace_back("results", std::move(state.results));
    }
    all.emplace_back("threads", std::int64_t{threads_in_force(*state.settings)});
    all.emplace_back("seconds", elapsed(state));
    all.emplace_back("peak_bytes", static_cast<std::int64_t>(peak_bytes()));
    const std::string text = formats::to_json(all, 2) + "\n";
    formats::AtomicFile file(state.settings->report,
                             state.settings->force ? formats::Overwrite::replace : formats::Overwrite::refuse);
    file.fd().write_full(text);
    file.commit();
}

std::string closing_line(const Context::State& state)
{
    std::vector<std::string> facts = state.notes;
    if (const auto now = traffic(); now && state.traffic_before) {
        facts.push_back(size_text(now->in - state.traffic_before->in) + " in");
        facts.push_back(size_text(now->out - state.traffic_before->out) + " out");
    }
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f s", elapsed(state));
    std::string time = seconds;
    if (state.tool->shared_options.threads) {
        const int n = threads_in_force(*state.settings);
        time += " (" + std::to_string(n) + (n == 1 ? " thread)" : " threads)");
    }
    facts.push_back(time);
    facts.push_back("peak " + size_text(peak_bytes()));
    return join(facts, ", ");
}

void print(const std::string& text)
{
    formats::Fd fd(STDOUT_FILENO, "standard output", false);
    fd.write_full(text);
    fd.close();
}

}  // namespace stillhouse::cli
