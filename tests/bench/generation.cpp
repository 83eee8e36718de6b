// SPDX-License-Identifier: Apache-2.0
// Generation by a student with random weights, as JSON: tokens a second of steps and of prefill, the share of the limit
// measured in the same run, and where the time goes.
#include "libcore/models/best_logits.hpp"
#include "libcore/models/initialize.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/scratch.hpp"
#include "tests/bench/peaks.hpp"

#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>

using namespace stillhouse;
using compute::WeightFormat;

namespace {

struct Settings {
    std::string shape = "70m";
    WeightFormat layers = WeightFormat::bf16;
    WeightFormat head = WeightFormat::bf16;
    int threads = available_processors();
    Index batch = 1;
    Index context = 512;
    Index prefill = 0;                        // tokens; 0: steps are measured
    bool attention = false;
    bool cpu_clock = false;                   // for one thread on a machine that others use too
    bool parts = true;                        // where the time goes
    double seconds = 2.0;
};

struct Shape {
    const char* name;
    Index layers, width, heads;
};

constexpr Shape shapes[] = {{"70m", 6, 512, 8}, {"160m", 12, 768, 12}, {"410m", 24, 1024, 16}, {"1.4b", 24, 2048, 16}};

models::NetworkConfig config_of(const Settings& settings)
{
    for (const Shape& shape : shapes) {
        if (settings.shape != shape.name) {
            continue;
        }
        models::NetworkConfig config;
        config.family = "gpt_neox";
        config.layers = shape.layers;
        config.width = shape.width;
        config.heads = config.kv_heads = shape.heads;
        config.head_dim = shape.width / shape.heads;
        config.ffn = 4 * shape.width;
        config.vocabulary = 50304;
        config.max_positions = 65536;
        config.rotary.dims = config.head_dim / 4;
        config.mixers.resize(static_cast<std::size_t>(shape.layers));
        for (auto& mixer : config.mixers) {
            if (!settings.attention) {
                mixer.kind = models::MixerKind::hyena;
                mixer.channels = shape.width;
                mixer.filters = shape.heads;
                mixer.filter_length = 512;
            }
        }
        return config;
    }
    throw_error(ErrorCode::bad_argument, "shape '" + settings.shape + "' is not 70m, 160m, 410m or 1.4b");
}

/// As initialize_network, but the large matrices with quick numbers of about the same size.
models::Parameters<float> random_weights(const models::NetworkConfig& config)
{
    models::Parameters<float> weights;
    std::uint32_t state = 12345;
    for (const auto& shape : models::network_weights(config)) {
        const bool norm = shape.name.find("norm") != std::string::npos;
        if (element_count(shape.shape) < 4 * config.width && !norm && shape.name.find(".mlp.") == std::string::npos) {
            continue;                         // of a mixer: initialize_mixer makes it
        }
        auto& entry = weights.add(shape.name, shape.shape);
        if (norm || shape.shape.size() == 1) {
            std::fill(entry.values.begin(), entry.values.end(), norm && shape.name.ends_with(".weight") ? 1.0F : 0.0F);
            continue;
        }
        const float size = std::sqrt(1.2F / static_cast<float>(config.width)) * 0x1p-31F;
        for (float& value : entry.values) {
            state = state * 1664525U + 1013904223U;
            value = size * static_cast<float>(static_cast<std::int32_t>(state));
        }
    }
    for (Index i = 0; i < config.layers; ++i) {
        models::initialize_mixer(config, i, 1, weights);
    }
    return weights;
}

/// Median seconds of a call; `mean`, which a busy neighbour shows in, where it is wanted.
double median_seconds(const Settings& settings, const std::function<void()>& call, double* mean = nullptr)
{
    const auto clock = [&] { return settings.cpu_clock ? bench::cpu_seconds() : bench::wall_seconds(); };
    call();
    std::vector<double> times;
    const double begin = bench::wall_seconds();
    do {
        const double before = clock();
        call();
        times.push_back(clock() - before);
    } while (bench::wall_seconds() - begin < settings.seconds || times.size() < 7);
    if (mean != nullptr) {
        *mean = std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

/// The parts of a step, each alone on the same shapes: what "where the time goes" is made of.
void print_parts(const Settings& settings, models::Network<float>& network, models::NetworkState& state, double step)
{
    auto& ops = network.ops();
    const auto& config = network.config();
    const Index batch = settings.batch;
    models::Scratch<float> memory(batch * (config.width * 20 + 2 * config.ffn));
    std::fill_n(memory.data(), memory.size(), 0.5F);
    const Matrix<float> x(memory.data(), batch, config.width);
    float* const rest = memory.data() + x.rows * x.cols;
    const auto layers = static_cast<double>(config.layers);
    Settings brief = settings;
    brief.seconds = 0.3;
    double known = 0;
    const auto print = [&](const char* what, double seconds) {
        std::printf(", \"%s_us\": %.1f", what, seconds * 1e6);
        known += seconds;
    };
    models::NetworkState spare = network.start(batch, models::Execution::recurrent);
    const models::Mixer<float>& mixer = network.mixer(0);
    print("mix", layers * median_seconds(brief, [&] {
        mixer.mix(ops, Sequences<const float>(x.data, batch, 1, config.width), rest, *spare.layers[0], true,
                  rest + 8 * batch * config.width);
    }));
    std::vector<float> ones(static_cast<std::size_t>(config.width), 1.0F);
    print("norms", (2 * layers + 1) * median_seconds(brief, [&] {
        ops.layer_norm(x, ones.data(), ones.data(), 1e-5F, Matrix<float>(rest, batch, config.width), nullptr);
    }));
    print("activation", layers * median_seconds(brief, [&] {
        ops.activate(config.activation, rest, batch * config.ffn, rest);
    }));
    const Index head_rows = config.vocabulary;
    Buffer<float> numbers(head_rows * config.width);
    for (Index i = 0; i < numbers.size(); ++i) {
        numbers[i] = static_cast<float>(i * 7919 % 1009) - 504.0F;
    }
    const compute::PackedMatrix head =
        ops.pack(Matrix<const float>(numbers.data(), head_rows, config.width), settings.head);
    models::BestLogits<float> greedy(batch, config.vocabulary, 1, {});
    const compute::PackedLinear<float> map{x, &head, nullptr, {}, compute::Activation::identity, &greedy};
    print("head", median_seconds(brief, [&] {
        ops.linear_packed(std::span<const compute::PackedLinear<float>>(&map, 1));
    }));
    print("regions", (2 * layers + 1) * bench::region_seconds(ops.pool()));
    std::printf(", \"projections_and_rest_us\": %.1f", (step - known) * 1e6);
    (void)state;
}

int run(const Settings& settings)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, settings.threads);
    models::Network<float> network(config_of(settings), random_weights(config_of(settings)), backend->single());
    const double packing = bench::wall_seconds();
    network.pack(settings.layers, settings.head);
    const double packed_s = bench::wall_seconds() - packing;
    const auto& config = network.config();

    const auto bytes = static_cast<double>(network.bytes_per_step());
    const auto rows = static_cast<double>(settings.prefill > 0 ? settings.prefill * settings.batch : settings.batch);
    const auto body = 12.0 * static_cast<double>(config.layers * config.width * config.width);
    const auto head = static_cast<double>(config.vocabulary * config.width);
    const Buffer<std::byte> memory =
        bench::written_memory((static_cast<Index>(bytes) >> 20 << 20) + (Index{1} << 20));
    const auto limit = [&](const char* when) {
        const bench::Peaks peaks = bench::measure_peaks(backend->pool());
        // Where the processor lacks the instruction there is no peak to hold against it: the memory alone is the limit.
        const auto products = [&](double flop, WeightFormat format) {
            const double peak =
                format == WeightFormat::f32 ? peaks.fma : format == WeightFormat::bf16 ? peaks.bf16 : peaks.int8;
            return peak > 0.0 ? flop / peak : 0.0;
        };
        const double head_rows = static_cast<double>(settings.batch);
        const double computing =
            products(2 * rows * body, settings.layers) + products(2 * head_rows * head, settings.head);
        const double rate = bench::read_rate(backend->pool(), memory, 8, settings.cpu_clock);
        std::printf("\n  \"read_gb_per_s%s\": %.1f, \"fma_gflops%s\": %.0f, \"bf16_gflops%s\": %.0f, \"int8_gops%s\": %.0f, ",
                    when, rate * 1e-9, when, peaks.fma * 1e-9, when, peaks.bf16 * 1e-9, when, peaks.int8 * 1e-9);
        return std::max(bytes / rate, computing);
    };

    std::vector<Index> tokens(static_cast<std::size_t>(settings.batch * std::max(settings.context, settings.prefill)));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<Index>(i * 7919 % 50000);
    }
    std::printf("{\"shape\": \"%s\", \"layers\": \"%s\", \"head\": \"%s\", \"mixer\": \"%s\", \"threads\": %d, "
                "\"batch\": %lld, \"bytes\": %.0f, \"pack_s\": %.3f, \"backend\": \"%s\",",
                settings.shape.c_str(), compute::name(settings.layers), compute::name(settings.head),
                settings.attention ? "attention" : "hyena", settings.threads, static_cast<long long>(settings.batch),
                bytes, packed_s, backend->description().c_str());
    const double least_before = limit("_before");
    double time = 0;
    double mean = 0;
    models::NetworkState state = network.start(settings.batch, models::Execution::recurrent);
    if (settings.prefill > 0) {
        models::Scratch<float> logits(settings.batch * config.vocabulary);
        time = median_seconds(settings, [&] {
            models::NetworkState fresh = network.start(settings.batch, models::Execution::recurrent);
            network.prefill(tokens.data(), settings.prefill, fresh,
                            Matrix<float>(logits.data(), settings.batch, config.vocabulary));
        }, &mean);
    } else {
        network.prefill(tokens.data(), settings.context, state, {});
        models::BestLogits<float> greedy(settings.batch, config.vocabulary, 1, {});
        time = median_seconds(settings, [&] {
            network.step(tokens.data(), state, greedy);
            for (Index b = 0; b < settings.batch; ++b) {
                tokens[static_cast<std::size_t>(b)] = greedy.best(b)[0].id;
            }
        }, &mean);
    }
    const double least = std::min(least_before, limit(""));
    std::printf("\n  \"%s_tokens_per_s\": %.1f, \"mean_tokens_per_s\": %.1f, \"us\": %.1f, \"limit_us\": %.1f, \"share_of_limit\": %.3f",
                settings.prefill > 0 ? "prefill" : "decode", rows / time, rows / mean, time * 1e6, least * 1e6, least / time);
    if (settings.prefill == 0 && settings.parts) {
        print_parts(settings, network, state, time);
    }
    std::printf("}\n");
    return 0;
}

WeightFormat format_of(const std::string& name)
{
    for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8}) {
        if (name == compute::name(format)) {
            return format;
        }
    }
    throw_error(ErrorCode::bad_argument, "weights '" + name + "' are not f32, bf16 or int8");
}

}  // namespace

/// bench_generation [shape=70m] [weights=bf16] [head=..] [threads=N] [batch=1] [context=512] [prefill=TOKENS]
/// [mixer=hyena|attention] [clock=wall|cpu] [parts=yes|no] [seconds=2]
int main(int argc, char** argv)
{
    try {
        Settings settings;
        for (int i = 1; i < argc; ++i) {
            const std::string argument = argv[i];
            const std::string key = argument.substr(0, argument.find('='));
            const std::string value = argument.substr(std::min(argument.size(), key.size() + 1));
            if (key == "shape") {
                settings.shape = value;
            } else if (key == "weights") {
                settings.layers = settings.head = format_of(value);
            } else if (key == "head") {
                settings.head = format_of(value);
            } else if (key == "threads") {
                settings.threads = std::stoi(value);
            } else if (key == "batch") {
                settings.batch = std::stol(value);
            } else if (key == "context") {
                settings.context = std::stol(value);
            } else if (key == "prefill") {
                settings.prefill = std::stol(value);
            } else if (key == "mixer") {
                settings.attention = value == "attention";
            } else if (key == "clock") {
                settings.cpu_clock = value == "cpu";
            } else if (key == "parts") {
                settings.parts = value != "no";
            } else if (key == "seconds") {
                settings.seconds = std::stod(value);
            } else {
                throw_error(ErrorCode::bad_argument, "argument '" + key + "' is not known");
            }
        }
        return run(settings);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_generation: %s\n", error.what());
        return 1;
    }
}
