// SPDX-License-Identifier: Apache-2.0
// Memory: what a run takes at most, and what the machine, its control groups and limits leave.
#include "tools/adapters/generation/generation_memory.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/hyena.hpp"
#include "libcore/models/network.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr Index hand_over_tokens = 512;              // to come, that a hand-over looks at

/// The number behind `key` at the beginning of a line of a small file of the system, or of a file that is one number;
/// nothing where there is none ("max").
std::optional<Index> number_in(const std::string& path, const std::string& key = "")
{
    std::ifstream file(path);
    std::string word;
    for (std::string text; std::getline(file, text);) {
        if (text.compare(0, key.size(), key) == 0) {
            long long value = 0;
            if (std::sscanf(text.c_str() + key.size(), " %lld", &value) == 1) {
                return static_cast<Index>(value);
            }
        }
    }
    return std::nullopt;
}

/// What is left of the limits of the control groups that this process is in.
std::optional<Index> control_group_left()
{
    std::optional<Index> least;
    const auto limit = [&](const std::string& folder, const char* most, const char* used) {
        const auto bound = number_in(folder + "/" + most);
        const auto taken = number_in(folder + "/" + used);
        if (bound && taken && *bound < std::numeric_limits<Index>::max() / 2) {
            // Pages of files are given up when others are wanted.
            const Index files = number_in(folder + "/memory.stat", "inactive_file ").value_or(0);
            const Index left = std::max<Index>(*bound - std::max<Index>(*taken - files, 0), 0);
            least = std::min(least.value_or(left), left);
        }
    };
    std::ifstream groups("/proc/self/cgroup");
    for (std::string text; std::getline(groups, text);) {
        const std::size_t first = text.find(':');
        const std::size_t second = text.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = text.substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && controllers.find("memory") == std::string::npos) {
            continue;
        }
        const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        for (std::string path = text.substr(second + 1);; path.resize(path.rfind('/'))) {
            unified ? limit(root + path, "memory.max", "memory.current")
                    : limit(root + path, "memory.limit_in_bytes", "memory.usage_in_bytes");
            if (path.empty() || path == "/" || path.rfind('/') == std::string::npos) {
                break;
            }
        }
    }
    return least;
}

/// Of a matrix as PackedMatrix lays it out.
Index packed_bytes(const Shape& shape, compute::WeightFormat format)
{
    using Packed = compute::PackedMatrix;
    const auto parts = [](Index n, Index each) { return (n + each - 1) / each; };
    const Index at_once = format == compute::WeightFormat::f32 ? 1 : format == compute::WeightFormat::bf16 ? 2 : 4;
    const Index groups = format == compute::WeightFormat::int8 ? parts(shape[1], Packed::group_cols) : 0;
    return parts(shape[0], Packed::panel_rows) * (parts(shape[1], at_once) + groups) * Packed::step_bytes;
}

}  // namespace

PastInputs past_inputs(std::string_view mode, std::string_view filters, std::string_view prefill, Index prompt,
                       Index length)
{
    if (mode == "exact") {
        return {filters == "modes" ? models::Execution::exact_modes : models::Execution::exact_original, length};
    }
    return prefill == "exact" ? PastInputs{models::Execution::exact_original, prompt, true} : PastInputs{};
}

Index past_bytes(const models::NetworkConfig& config, bool doubles, Index batch, const PastInputs& past)
{
    Index numbers = 0;
    Index handed = 0;
    for (Index i = 0; i < config.layers; ++i) {
        const models::MixerConfig& mixer = config.mixers[static_cast<std::size_t>(i)];
        const Index each = models::past_numbers(config, i, past.execution, past.tokens);
        if (each == 0) {
            continue;
        }
        numbers += batch * each;
        if (past.execution == models::Execution::exact_modes) {          // their impulse responses grow as well
            const auto lags = std::bit_ceil(static_cast<std::uint64_t>(std::max<Index>(past.tokens, 1)));
            numbers += (mixer.order - 1) * mixer.filters * static_cast<Index>(lags);
        }
        const Index signals = mixer.head_width > 1 ? mixer.head_width * mixer.head_width : mixer.channels;
        handed = std::max(handed, past.handed_over ? 2 * (past.tokens + hand_over_tokens) * signals : 0);
    }
    return (numbers + handed) * (doubles ? 8 : 4);
}

Index memory_needed(const models::NetworkConfig& config, NetworkFormat format, Index batch, Index length,
                    const PastInputs& past)
{
    const Index number = format.doubles ? 8 : 4;
    Index plain = 0;                                     // as they are loaded
    Index kept = 0;                                      // packed beside them, until each is freed
    for (const models::WeightShape& weight : models::network_weights(config)) {
        const Index n = element_count(weight.shape);
        plain += n * number;
        if (!format.doubles && weight.shape.size() == 2) {
            const bool head = weight.name == "head.weight" || (config.tied && weight.name == "embed.weight");
            const bool rounds =
                format.head != compute::WeightFormat::f32 || format.layers != compute::WeightFormat::f32;
            kept = std::max(kept, packed_bytes(weight.shape, head ? format.head : format.layers) +
                                      (head && rounds ? 2 * n : 0));     // the embedding, rounded
        }
    }
    Index state = 0;
    for (const models::MixerConfig& mixer : config.mixers) {
        const bool attends = mixer.kind == models::MixerKind::attention;
        const Index kept_heads = static_cast<Index>(mixer.kept_heads.size());
        const Index cached = attends ? config.kv_heads * config.head_dim : kept_heads * config.head_dim;
        const Index positions = std::min(length, config.max_positions);
        state += 2 * cached * positions + 2 * mixer.channels * (attends ? 0 : mixer.window);
        if (!attends) {
            const Index inner = mixer.kind == models::MixerKind::linear ? 1 : mixer.filter_order;
            state += mixer.channels * mixer.head_width * inner + 3 * mixer.channels * mixer.short_taps +
                     config.width * mixer.taps;
        }
    }
    const Index widest = 8 * config.width + 2 * config.ffn;
    const Index activations = widest * std::min<Index>(batch * length, 16384);
    return plain + kept + number * (batch * (state + config.vocabulary) + activations) +
           past_bytes(config, format.doubles, batch, past);
}

std::optional<Index> memory_available()
{
    std::optional<Index> least = control_group_left();
    const auto bound = [&](Index bytes) { least = std::min(least.value_or(bytes), std::max<Index>(bytes, 0)); };
    if (const auto machine = number_in("/proc/meminfo", "MemAvailable:")) {
        bound(*machine * 1024);
    }
    rlimit space{};
    if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        const Index pages = number_in("/proc/self/statm").value_or(0);
        bound(static_cast<Index>(space.rlim_cur) - pages * static_cast<Index>(::sysconf(_SC_PAGESIZE)));
    }
    return least;
}

void check_memory(Index needed)
{
    const std::optional<Index> available = memory_available();
    if (available && needed > *available) {
        throw_error(ErrorCode::resource, "needs about " + std::to_string(needed) + " bytes of memory, " +
                                             std::to_string(*available) +
                                             " are available; take a smaller --batch, or a machine with more");
    }
}

}  // namespace stillhouse::adapters
