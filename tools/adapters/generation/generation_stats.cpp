// SPDX-License-Identifier: Apache-2.0
// Speeds and sizes.
#include "tools/adapters/generation/generation_stats.hpp"

#include "libcore/models/network.hpp"
#include "tools/adapters/generation/generation_state.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace stillhouse::adapters {

namespace {

constexpr Index streams = 8;
constexpr Index line = 8;                            // words of a cache line

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

}  // namespace stillhouse::adapters
