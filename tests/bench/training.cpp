// SPDX-License-Identifier: Apache-2.0
// Tokens a second of what training is made of, as JSON, beside the peak of the processor measured in the same run:
// bench_training operator|teacher|tune|kl|layers|convolution [f32|bf16] [threads] [batch] [length] [shape] [seconds].
#include "libcore/base/random.hpp"
#include "libcore/models/initialize.hpp"
#include "libcore/training/end_to_end.hpp"
#include "libcore/training/layerwise.hpp"
#include "libcore/training/trainable.hpp"
#include "tests/bench/peaks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

using namespace stillhouse;

namespace {

struct Shape70 {
    Index layers, width, heads, vocabulary;
};

Shape70 shape_of(const std::string& name)
{
    if (name == "bookworm") {
        return {4, 192, 6, 2048};
    }
    return {6, 512, 8, 50304};            // Pythia 70M
}

models::NetworkConfig teacher_config(const Shape70& shape)
{
    models::NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = shape.layers;
    config.width = shape.width;
    config.heads = config.kv_heads = shape.heads;
    config.head_dim = shape.width / shape.heads;
    config.ffn = 4 * shape.width;
    config.vocabulary = shape.vocabulary;
    config.max_positions = 2048;
    config.rotary.dims = config.head_dim / 4;
    config.mixers.resize(static_cast<std::size_t>(shape.layers));
    return config;
}

models::NetworkConfig student_config(const Shape70& shape, models::FilterForm form, Index length)
{
    models::NetworkConfig config = teacher_config(shape);
    for (auto& mixer : config.mixers) {
        mixer.kind = models::MixerKind::hyena;
        mixer.channels = shape.width;
        mixer.filters = form == models::FilterForm::implicit_mlp ? shape.width : shape.heads;
        mixer.form = form;
        mixer.filter_length = length;
    }
    return config;
}

void fill(Buffer<float>& to, std::uint64_t seed)
{
    Random random(seed, 1);
    for (float& x : to) {
        x = static_cast<float>(random.normal());
    }
}

models::Parameters<float> weights_of(const models::NetworkConfig& config)
{
    return models::initialize_network<float>(config, 1);
}

std::vector<Index> some_tokens(Index n, Index vocabulary)
{
    Random random(3, 1);
    std::vector<Index> tokens;
    for (Index i = 0; i < n; ++i) {
        tokens.push_back(static_cast<Index>(random.uniform() * static_cast<double>(vocabulary)));
    }
    return tokens;
}

struct Clock {
    double wall, cpu;
};

Clock now()
{
    return {bench::wall_seconds(), bench::cpu_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

/// One step of work, and the flop of its products a token; `keep` owns what the step uses.
struct Job {
    std::function<void()> step;
    Index units = 0;                      // tokens, or sequences of the convolution
    double flop = 0.0;                    // a step, matrix products alone
};

struct Settings {
    std::string work;
    compute::Precision precision = compute::Precision::f32;
    Index batch = 8, length = 1024;
    Shape70 shape{};
};

Job operator_step(const Settings& s, compute::Operations<float>& ops)
{
    struct State {
        models::NetworkConfig config;
        models::Parameters<float> weights, gradient;
        std::unique_ptr<models::Mixer<float>> mixer;
        std::unique_ptr<training::AdamW<float>> adamw;
        Buffer<float> u, target, y;
    };
    auto state = std::make_shared<State>();
    Shape70 one = s.shape;
    one.layers = 1;
    state->config = student_config(one, models::FilterForm::implicit_mlp, s.length);
    models::initialize_mixer<float>(state->config, 0, 1, state->weights);
    for (const auto& weight : models::mixer_weights(state->config, 0)) {
        if (training::trained_by_default(weight.name)) {
            state->gradient.add(weight.name, weight.shape);
        }
    }
    state->mixer = models::make_mixer<float>(state->config, 0, state->weights);
    state->mixer->refresh(ops);
    state->adamw = std::make_unique<training::AdamW<float>>(state->gradient, training::AdamWOptions{});
    const Index n = s.batch * s.length * one.width;
    for (auto* each : {&state->u, &state->target, &state->y}) {
        *each = Buffer<float>(n);
    }
    fill(state->u, 1);
    fill(state->target, 2);
    Job job;
    job.units = s.batch * s.length;
    job.flop = 2.0 * 9.0 * static_cast<double>(one.width * one.width * job.units);
    const auto sequences = [s, one](float* x) { return Sequences<float>(x, s.batch, s.length, one.width); };
    job.step = [state, &ops, sequences, n] {
        std::unique_ptr<models::MixerTape> tape;
        state->mixer->forward(ops, sequences(state->u.data()), sequences(state->y.data()), &tape);
        const float scale = 2.0F / static_cast<float>(n);
        float* const y = state->y.data();
        const float* const target = state->target.data();
        constexpr Index piece = 16384;
        ops.pool().for_each((n + piece - 1) / piece, [=](Index t) {
            for (Index i = t * piece; i < std::min(n, (t + 1) * piece); ++i) {
                y[i] = scale * (y[i] - target[i]);
            }
        });
        state->gradient.fill_zero();
        state->mixer->backward(ops, *tape, sequences(state->u.data()), sequences(y), sequences(nullptr),
                               state->gradient);
        state->adamw->step(ops.pool(), state->gradient, 1e-3, state->weights);
        state->mixer->refresh(ops);
    };
    return job;
}

double body_products(const Shape70& shape, bool attention, Index length)
{
    const double per_layer = 12.0 * static_cast<double>(shape.width * shape.width) +
                             (attention ? static_cast<double>(length * shape.width) : 0.0);   // causal: half of 2 L D
    return 2.0 * per_layer * static_cast<double>(shape.layers);
}

Job teacher_forward(const Settings& s, compute::Operations<float>& ops)
{
    const auto config = teacher_config(s.shape);
    auto network = std::make_shared<models::Network<float>>(config, weights_of(config), ops);
    const Index n = s.batch * s.length;
    const auto tokens = some_tokens(n, config.vocabulary);
    auto stream = std::make_shared<Buffer<float>>(n * config.width);
    Job job;
    job.units = n;
    job.flop = body_products(s.shape, true, s.length) * static_cast<double>(n);
    job.step = [=] {
        const Sequences<float> x(stream->data(), s.batch, s.length, config.width);
        network->embed(tokens.data(), n, x.data);
        for (Index i = 0; i < config.layers; ++i) {
            network->layer(i, x, x, nullptr);
        }
    };
    return job;
}

Job tune_step(const Settings& s, compute::Operations<float>& ops)
{
    struct State {
        std::unique_ptr<models::Network<float>> student, teacher;
        std::unique_ptr<training::EndToEndTrainer<float>> trainer;
        std::vector<training::TokenRows> rows;
    };
    auto state = std::make_shared<State>();
    const bool kl = s.work == "kl";
    const auto form = kl ? models::FilterForm::modal : models::FilterForm::implicit_mlp;
    const auto config = student_config(s.shape, form, s.length);
    state->student = std::make_unique<models::Network<float>>(config, weights_of(config), ops);
    if (kl) {
        const auto taught = teacher_config(s.shape);
        state->teacher = std::make_unique<models::Network<float>>(taught, weights_of(taught), ops);
    }
    std::vector<std::string> names;
    for (const auto& weight : models::network_weights(config)) {
        if (training::trained_by_default(weight.name)) {
            names.push_back(weight.name);
        }
    }
    training::EndToEndOptions options;
    options.loss = kl ? training::LogitLoss::kl : training::LogitLoss::ce;
    options.rate.peak = 1e-4;
    state->trainer = std::make_unique<training::EndToEndTrainer<float>>(*state->student, names, options);
    state->rows.push_back({s.batch, s.length, some_tokens(s.batch * s.length, config.vocabulary)});
    Job job;
    job.units = s.batch * s.length;
    const double head = 2.0 * static_cast<double>(s.shape.width * s.shape.vocabulary);
    job.flop = 3.0 * (body_products(s.shape, false, s.length) + head);
    job.flop += kl ? body_products(s.shape, true, s.length) + head : 0.0;
    job.flop *= static_cast<double>(job.units);
    job.step = [state] { state->trainer->step(state->rows, state->teacher.get()); };
    return job;
}

Job layers_step(const Settings& s, compute::Operations<float>& ops)
{
    struct State {
        std::unique_ptr<models::Network<float>> student;
        models::NetworkConfig taught;
        models::Parameters<float> attention;
        std::unique_ptr<training::LayerwiseTrainer<float>> trainer;
        training::Activations<float> activations;
    };
    auto state = std::make_shared<State>();
    const auto config = student_config(s.shape, models::FilterForm::modal, s.length);
    state->taught = teacher_config(s.shape);
    state->student = std::make_unique<models::Network<float>>(config, weights_of(config), ops);
    state->attention = weights_of(state->taught);
    state->trainer = std::make_unique<training::LayerwiseTrainer<float>>(*state->student, state->taught,
                                                                         state->attention,
                                                                         training::LayerwiseOptions{});
    state->activations.batch = s.batch;
    state->activations.length = s.length;
    for (Index i = 0; i <= config.layers; ++i) {
        state->activations.residual.emplace_back(s.batch * s.length * config.width);
        fill(state->activations.residual.back(), static_cast<std::uint64_t>(i));
    }
    Job job;
    job.units = s.batch * s.length;
    job.flop = 2.0 * 17.0 * static_cast<double>(s.shape.width * s.shape.width * s.shape.layers * job.units);
    job.step = [state] { state->trainer->step({&state->activations}); };
    return job;
}

Job convolution(const Settings& s, compute::Operations<float>& ops)
{
    struct State {
        Buffer<float> u, h, y;
        std::vector<Index> filter_of;
    };
    auto state = std::make_shared<State>();
    const Index channels = s.shape.width;
    const Index rows = s.batch * channels;
    state->u = Buffer<float>(rows * s.length);
    state->y = Buffer<float>(rows * s.length);
    state->h = Buffer<float>(channels * s.length);
    fill(state->u, 1);
    fill(state->h, 2);
    for (Index i = 0; i < channels; ++i) {
        state->filter_of.push_back(i);
    }
    Job job;
    job.units = rows;
    // Two channels a complex transform of length 2 L, there and back, and the product.
    const double n = 2.0 * static_cast<double>(s.length);
    job.flop = static_cast<double>(rows) / 2.0 * (2.0 * 5.0 * n * std::log2(n) + 6.0 * n);
    job.step = [=, &ops] {
        ops.convolve_tokens(Sequences<const float>(state->u.data(), s.batch, s.length, channels),
                            Matrix<const float>(state->h.data(), channels, s.length), state->filter_of.data(),
                            Sequences<float>(state->y.data(), s.batch, s.length, channels));
    };
    return job;
}

}  // namespace

int main(int argc, char** argv)
{
    const auto text = [&](int i, const char* otherwise) { return std::string(argc > i ? argv[i] : otherwise); };
    const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
    Settings s;
    s.work = text(1, "operator");
    const std::string type = text(2, "f32");
    s.precision = type == "bf16" ? compute::Precision::bf16 : compute::Precision::f32;
    const int threads = number(3, available_processors());
    s.batch = number(4, s.work == "teacher" ? 2 : 8);
    s.length = number(5, 1024);
    s.shape = shape_of(text(6, "70m"));
    const double limit = number(7, 5);
    const auto backend = compute::make_backend("cpu", s.precision, threads);
    auto& ops = backend->single();
    Job job;
    if (s.work == "operator") {
        job = operator_step(s, ops);
    } else if (s.work == "teacher") {
        job = teacher_forward(s, ops);
    } else if (s.work == "tune" || s.work == "kl") {
        job = tune_step(s, ops);
    } else if (s.work == "layers") {
        job = layers_step(s, ops);
    } else if (s.work == "convolution") {
        job = convolution(s, ops);
    } else {
        std::fprintf(stderr, "bench_training: %s: expected operator, teacher, tune, kl, layers or convolution\n",
                     s.work.c_str());
        return 2;
    }
    const auto before = bench::measure_peaks();
    job.step();
    job.step();
    std::vector<double> wall;
    double cpu = 0.0;
    const Clock begin = now();
    while (wall.size() < 3 || now().wall - begin.wall < limit) {
        const Clock a = now();
        job.step();
        const Clock b = now();
        wall.push_back(b.wall - a.wall);
        cpu += b.cpu - a.cpu;
    }
    const auto after = bench::measure_peaks();
    std::sort(wall.begin(), wall.end());
    const double median = wall[wall.size() / 2];
    const double units = static_cast<double>(job.units);
    const double peak_fma = std::max(before.fma, after.fma) * threads;
    const double peak_bf16 = std::max(before.bf16, after.bf16) * threads;
    const double peak = s.precision == compute::Precision::bf16 && peak_bf16 > 0.0 ? peak_bf16 : peak_fma;
    const double cpu_step = cpu / static_cast<double>(wall.size());
    std::printf("{\"work\": \"%s\", \"dtype\": \"%s\", \"backend\": \"%s\", \"batch\": %lld, \"length\": %lld, "
                "\"width\": %lld, \"threads\": %d, \"steps\": %zu, \"tokens_per_s\": %.1f, \"tokens_per_s_best\": "
                "%.1f, \"tokens_per_cpu_s\": %.1f, \"peak_fma_gflops\": %.1f, \"peak_bf16_gflops\": %.1f, "
                "\"share_of_peak\": %.3f, \"share_of_peak_best\": %.3f, \"share_of_peak_cpu\": %.3f}\n",
                s.work.c_str(), type.c_str(), backend->description().c_str(), static_cast<long long>(s.batch),
                static_cast<long long>(s.length), static_cast<long long>(s.shape.width), threads, wall.size(),
                units / median, units / wall.front(), units / cpu_step, peak_fma * 1e-9, peak_bf16 * 1e-9,
                peak > 0.0 ? job.flop / median / peak : 0.0, peak > 0.0 ? job.flop / wall.front() / peak : 0.0,
                // of what the threads could have done in the CPU time that the work took
                peak > 0.0 ? job.flop / cpu_step / (peak / threads) : 0.0);
    return 0;
}
