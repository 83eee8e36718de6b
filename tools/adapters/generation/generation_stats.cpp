// SPDX-License-Identifier: Apache-2.0
// Speeds, sizes, and the memory of the machine.
#include "tools/adapters/generation/generation_stats.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/hyena.hpp"
#include "libcore/models/network.hpp"
#include "tools/adapters/generation/generation_state.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sys/resource.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr Index streams = 8;
constexpr Index line = 8;                            // words of a cache line
constexpr Index hand_over_tokens = 512;              // to come, that a hand-over looks at

/// Reads `lines` lines of each of eight neighbouring runs, the runs side by side.
std::uint64_t read_streams(const std::uint64_t* words, Index lines)
{
    std::array<std::uint64_t, line> sums{};
    for (Index i = 0; i < lines * line; i += line) {
        for (Index s = 0; s < streams; ++s) {
            const std::uint64_t* from = words + s * lines * line + i;
            for (Index j = 0; j < line; ++j) {
                sums[static_cast<std::size_t>(j)] += from[j];
            }
        }
    }
    std::uint64_t all = 0;
    for (const std::uint64_t sum : sums) {
        all += sum;
    }
    return all;
}

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

double read_rate(ThreadPool& pool, Index bytes)
{
    constexpr Index lines = 512;                         // of a stream in a task: 8 streams of 32 KiB
    constexpr Index words = lines * line * streams;
    const Index tasks = std::max<Index>((bytes + words * 8 - 1) / (words * 8), 4);
    Buffer<std::uint64_t> memory(tasks * words);
    std::fill(memory.begin(), memory.end(), 0);          // what was never written is one page of zeros
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(tasks));
    double best = 0.0;
    double spent = 0.0;
    for (int pass = 0; pass < 3 || spent < 0.1; ++pass) {
        const auto start = std::chrono::steady_clock::now();
        pool.for_each(tasks, [&](Index i) {
            sums[static_cast<std::size_t>(i)] += read_streams(memory.data() + i * words, lines);
        });
        const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        spent += s;
        best = std::max(best, static_cast<double>(tasks * words * 8) / s);
    }
    // The sums are zero, which the compiler does not know: it has to read.
    return std::all_of(sums.begin(), sums.end(), [](std::uint64_t sum) { return sum == 0; }) ? best : 0.0;
}

template <class T>
formats::Map to_json(const GenerationStats& stats, const models::Network<T>& network, models::Execution execution,
                     bool measure)
{
    const auto rate = [](Index n, double s) { return s > 0.0 ? static_cast<double>(n) / s : 0.0; };
    const Index step_bytes = network.bytes_per_step();
    const double steps_per_s = rate(stats.steps, stats.decode_s);
    const double tokens_per_step = rate(stats.stepped_tokens, static_cast<double>(stats.steps));
    formats::Map map{
        {"mode", network.config().attends_only() ? "attention" : name_of(execution)},
        {"prefill",
         formats::Map{{"tokens", stats.prefill_tokens}, {"tokens_per_s", rate(stats.prefill_tokens, stats.prefill_s)}}},
        {"decode", formats::Map{{"tokens", stats.decode_tokens},
                                {"tokens_per_s", rate(stats.stepped_tokens, stats.decode_s)},
                                {"steps", stats.steps},
                                {"sequences_per_step", tokens_per_step}}},
        {"first_token_s", stats.first_token_s},
        {"state_bytes", stats.state_bytes},
        {"weight_bytes", network.bytes_held()},
        {"weight_bytes_per_token", tokens_per_step > 0.0 ? static_cast<double>(step_bytes) / tokens_per_step
                                                         : static_cast<double>(step_bytes)}};
    if (measure) {
        const double limit = read_rate(network.ops().pool(), step_bytes);
        map.emplace_back("read_limit_bytes_per_s", limit);
        // A step reads the weights once and the state of every sequence, which it also writes.
        const double bytes =
            static_cast<double>(step_bytes) + tokens_per_step * 2.0 * static_cast<double>(stats.state_bytes);
        map.emplace_back("share_of_read_limit", limit > 0.0 ? bytes * steps_per_s / limit : 0.0);
    }
    return map;
}
template formats::Map to_json(const GenerationStats&, const models::Network<float>&, models::Execution, bool);
template formats::Map to_json(const GenerationStats&, const models::Network<double>&, models::Execution, bool);

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
