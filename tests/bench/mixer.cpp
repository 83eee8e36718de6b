// SPDX-License-Identifier: Apache-2.0
// What mixers cost in generation, as JSON, in processor time of one thread: `scan`, recurrences against FFT convolution
// with a Vandermonde product; `exact`, relaxed multiplication against sums over the whole past; `share`, the mixing part
// of prefill and step.
#include "libcore/base/random.hpp"
#include "libcore/compute/fft.hpp"
#include "libcore/compute/vector.hpp"
#include "libcore/models/hyena.hpp"
#include "libcore/models/initialize.hpp"
#include "libcore/models/network.hpp"
#include "libcore/systems/recurrence_bank.hpp"
#include "tests/bench/timing.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace stillhouse;

namespace {

/// Least and median seconds of `first` and `second`, called in turns.
struct Pair {
    double least[2], median[2];
};
template <class A, class B>
Pair alternate(int rounds, const A& first, const B& second)
{
    std::vector<double> times[2];
    for (int i = 0; i < rounds; ++i) {
        const double begin = bench::cpu_seconds();
        first();
        const double middle = bench::cpu_seconds();
        second();
        times[0].push_back(middle - begin);
        times[1].push_back(bench::cpu_seconds() - middle);
    }
    Pair result{};
    for (int which : {0, 1}) {
        std::sort(times[which].begin(), times[which].end());
        result.least[which] = times[which].front();
        result.median[which] = times[which][times[which].size() / 2];
    }
    return result;
}

void fill(Buffer<float>& values, std::uint64_t seed, double size = 1.0)
{
    Random random(seed, 3);
    for (float& value : values) {
        value = static_cast<float>(size * random.normal());
    }
}

const char* separator(bool& first)
{
    return std::exchange(first, false) ? "" : ",";
}

/// Tied to heads of 64 channels, order 16.
std::vector<systems::Realization> random_bank(Index filters, Index order, systems::Form form)
{
    std::vector<systems::Realization> bank;
    for (Index f = 0; f < filters; ++f) {
        Random random(7, static_cast<std::uint64_t>(f));
        std::vector<std::complex<double>> poles;
        std::vector<std::complex<double>> residues;
        for (Index k = 0; k < order / 2; ++k) {
            const double angle = 3.1 * (static_cast<double>(k) + 0.2 + 0.6 * random.uniform()) /
                                 static_cast<double>(order / 2);
            poles.push_back(std::polar(1.0 - std::exp(-1.6 - 3.0 * random.uniform()), angle));
            residues.emplace_back(random.normal(), random.normal());
        }
        bank.push_back(systems::realize(systems::system_from(poles, residues, std::vector<double>{0.5}), form));
    }
    return bank;
}

/// Transposes blocks of sixteen channels, transforms them forth and back in single precision by FFTW, H being ready,
/// and multiplies them with the powers of the poles for the state.
struct Convolution {
    Index length, width, filters, order;
    compute::RealFft<float> fft;
    Buffer<std::complex<float>> spectra;
    Buffer<float> powers;
    Buffer<float> rows, work;
    Buffer<std::complex<float>> frequency;

    Convolution(Index t, Index d, Index f, Index n)
        : length(t), width(d), filters(f), order(n), fft(2 * t), spectra(f * fft.spectrum_size()),
          powers(f * n * t), rows(16 * t), work(2 * t), frequency(fft.spectrum_size())
    {
        fill(powers, 5);
        for (Index i = 0; i < filters; ++i) {
            fill(work, static_cast<std::uint64_t>(i), 1e-3);
            fft.forward(work.data(), frequency.data());      // which wants aligned memory
            std::copy_n(frequency.data(), fft.spectrum_size(), spectra.data() + i * fft.spectrum_size());
        }
    }
    void run(const float* u, float* y, float* state)
    {
        for (Index c0 = 0; c0 < width; c0 += 16) {
            for (Index t = 0; t < length; ++t) {
                for (Index c = 0; c < 16; ++c) {
                    rows[c * length + t] = u[t * width + c0 + c];
                }
            }
            for (Index c = 0; c < 16; ++c) {
                const Index f = (c0 + c) * filters / width;
                std::copy_n(rows.data() + c * length, length, work.data());
                std::fill_n(work.data() + length, length, 0.0F);
                for (Index k = 0; k < order; ++k) {
                    state[(c0 + c) * order + k] = compute::dot(
                        static_cast<const float*>(powers.data()) + (f * order + k) * length,
                        static_cast<const float*>(rows.data()) + c * length, length);
                }
                fft.forward(work.data(), frequency.data());
                const std::complex<float>* const h = spectra.data() + f * fft.spectrum_size();
                for (Index k = 0; k < fft.spectrum_size(); ++k) {
                    const auto a = frequency[k];
                    frequency[k] = {a.real() * h[k].real() - a.imag() * h[k].imag(),
                                    a.real() * h[k].imag() + a.imag() * h[k].real()};
                }
                fft.inverse(frequency.data(), work.data());
                std::copy_n(work.data(), length, rows.data() + c * length);
            }
            for (Index t = 0; t < length; ++t) {
                for (Index c = 0; c < 16; ++c) {
                    y[t * width + c0 + c] = rows[c * length + t];
                }
            }
        }
    }
};

void scan()
{
    bool first = true;
    std::printf("{\"level\": \"%s\", \"order\": 16, \"scan\": [", compute::vector_level());
    for (const auto& [length, width] : {std::pair<Index, Index>{128, 512}, {512, 512}, {2048, 512}, {8192, 512},
                                        {2048, 2048}}) {
        for (const systems::Form form : {systems::Form::modal, systems::Form::cascade}) {
            const Index filters = width / 64;
            const systems::RecurrenceBank<float> bank(random_bank(filters, 16, form), 0);
            std::vector<Index> filter_of;
            for (Index c = 0; c < width; ++c) {
                filter_of.push_back(c * filters / width);
            }
            const auto lanes = bank.lanes(filter_of);
            Buffer<float> u(length * width);
            Buffer<float> y(length * width);
            Buffer<float> states(lanes.blocks() * lanes.state_size());
            Buffer<float> other(width * 16);
            fill(u, 1);
            Convolution convolution(length, width, filters, 16);
            Buffer<float> in(32 * 16);
            const auto all = [&] {
                for (Index t0 = 0; t0 < length; t0 += 32) {
                    for (Index block = 0; block < lanes.blocks(); ++block) {
                        for (Index t = 0; t < 32; ++t) {
                            std::copy_n(u.data() + (t0 + t) * width + block * 16, 16, in.data() + t * 16);
                        }
                        lanes.scan(block, in.data(), 32, states.data() + block * lanes.state_size(), in.data());
                        for (Index t = 0; t < 32; ++t) {
                            std::copy_n(in.data() + t * 16, 16, y.data() + (t0 + t) * width + block * 16);
                        }
                    }
                }
            };
            const Pair times = alternate(7, all, [&] { convolution.run(u.data(), y.data(), other.data()); });
            std::printf("%s\n  {\"length\": %lld, \"width\": %lld, \"form\": \"%s\", \"in_double\": %s, \"scan_ms\": "
                        "[%.4f, %.4f], \"fft_and_vandermonde_ms\": [%.4f, %.4f], \"ratio_of_medians\": %.2f}",
                        separator(first), static_cast<long long>(length), static_cast<long long>(width),
                        std::string(systems::name_of(form)).c_str(), lanes.in_double() ? "true" : "false",
                        1e3 * times.least[0], 1e3 * times.median[0], 1e3 * times.least[1], 1e3 * times.median[1],
                        times.median[1] / times.median[0]);
            std::fflush(stdout);
        }
    }
    std::printf("\n]}\n");
}

models::NetworkConfig student(Index layers, Index width, Index filters, Index lags, models::FilterForm form)
{
    models::NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = layers;
    config.width = width;
    config.heads = config.kv_heads = std::max<Index>(1, width / 64);
    config.head_dim = width / config.heads;
    config.ffn = 4 * width;
    config.vocabulary = 512;
    config.max_positions = Index{1} << 30;
    config.rotary.dims = 16;
    config.mixers.resize(static_cast<std::size_t>(layers));
    for (auto& mixer : config.mixers) {
        mixer.kind = models::MixerKind::hyena;
        mixer.channels = width;
        mixer.filters = filters;
        mixer.filter_length = lags;
        mixer.form = form;
    }
    return config;
}

/// Steps of one mixer of width 64 with given filters of 65,536 lags, all of it, beside the sums alone.
void exact(Index most)
{
    constexpr Index width = 64;
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    auto& ops = backend->single();
    const models::NetworkConfig config = student(1, width, width, 65536, models::FilterForm::free_taps);
    models::Parameters<float> weights;
    models::initialize_hyena(config, 0, 1, weights);
    const auto mixer = models::make_hyena_mixer<float>(config, 0, weights);
    mixer->refresh(ops);
    Buffer<float> x(most * width);
    fill(x, 2);
    bool first = true;
    std::printf("{\"width\": %lld, \"lags\": 65536, \"exact\": [", static_cast<long long>(width));
    for (Index tokens = 1024; tokens <= most; tokens *= 4) {
        Buffer<float> y(tokens * width);
        const auto state = mixer->start(1, models::Execution::exact_original);
        double worst = 0.0;
        const double begin = bench::cpu_seconds();
        for (Index t = 0; t < tokens; ++t) {
            const double before = bench::cpu_seconds();
            mixer->step(ops, Matrix<const float>(x.data() + t * width, 1, width), *state,
                        Matrix<float>(y.data() + t * width, 1, width));
            worst = std::max(worst, bench::cpu_seconds() - before);
        }
        const double stepped = bench::cpu_seconds() - begin;

        Buffer<float> wanted(tokens * width);
        mixer->forward(ops, Sequences<const float>(x.data(), 1, tokens, width),
                       Sequences<float>(wanted.data(), 1, tokens, width), nullptr);
        double error = 0.0;
        double size = 1.0;
        for (Index i = 0; i < tokens * width; ++i) {
            error = std::max(error, static_cast<double>(std::fabs(y[i] - wanted[i])));
            size = std::max(size, static_cast<double>(std::fabs(wanted[i])));
        }

        // the sums alone: of each channel a dot product over all its past, both in one run of memory
        Buffer<float> past(width * tokens);
        Buffer<float> reversed(width * tokens);
        fill(past, 3);
        fill(reversed, 4);
        float sink = 0.0F;
        const double naive_begin = bench::cpu_seconds();
        for (Index t = 0; t < tokens; ++t) {
            for (Index c = 0; c < width; ++c) {
                sink += compute::dot(static_cast<const float*>(past.data()) + c * tokens,
                                     static_cast<const float*>(reversed.data()) + (c + 1) * tokens - t - 1, t + 1);
            }
        }
        const double naive = bench::cpu_seconds() - naive_begin;
        std::printf("%s\n  {\"tokens\": %lld, \"seconds\": %.4f, \"us_per_token\": %.2f, \"us_longest\": %.0f, "
                    "\"naive_seconds\": %.4f, \"naive_us_per_token\": %.2f, \"ratio\": %.2f, "
                    "\"against_forward\": %.2e, \"state_bytes\": %lld%s}",
                    separator(first), static_cast<long long>(tokens), stepped, 1e6 * stepped / static_cast<double>(tokens),
                    1e6 * worst, naive, 1e6 * naive / static_cast<double>(tokens), naive / stepped, error / size,
                    static_cast<long long>(state->bytes_per_sequence()), std::isnan(sink) ? " " : "");
        std::fflush(stdout);
    }
    std::printf("\n]}\n");
}

/// The mixing part of all layers against the whole, 70M shape without its head, weights in bf16.
void share()
{
    const auto backend = compute::make_backend("cpu", compute::Precision::bf16, 1);
    auto& ops = backend->single();
    constexpr Index width = 512;
    constexpr Index layers = 6;
    models::NetworkConfig config = student(layers, width, 8, 512, models::FilterForm::modal);
    for (auto& mixer : config.mixers) {
        mixer.filter_order = 16;
    }
    models::Network<float> network(config, models::initialize_network<float>(config, 1), ops);
    network.pack(compute::WeightFormat::bf16, compute::WeightFormat::bf16);
    bool first = true;
    std::printf("{\"backend\": \"%s\", \"share\": [", backend->description().c_str());
    for (const auto& [batch, length] : {std::pair<Index, Index>{1, 512}, {1, 8192}, {1, 1}, {8, 1}, {64, 1}, {256, 1}}) {
        std::vector<Index> tokens(static_cast<std::size_t>(batch * length));
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            tokens[i] = static_cast<Index>(i * 7919 % 512);
        }
        models::NetworkState state = network.start(batch, models::Execution::recurrent);
        const Index chunk = std::min<Index>(length, 1024);
        Buffer<float> stream(batch * chunk * width);
        Buffer<float> z(batch * chunk * 3 * width);
        Buffer<float> c(batch * chunk * width);
        Buffer<float> logits(batch * 512);
        fill(z, 9);
        const auto whole = [&] {
            for (Index t = 0; t < length; t += chunk) {
                if (length == 1) {
                    network.step(tokens.data(), state, Matrix<float>(logits.data(), batch, 512));
                } else {
                    network.prefill_stream(tokens.data() + t, state, Sequences<float>(stream.data(), 1, chunk, width));
                }
            }
        };
        const auto mixing = [&] {
            for (Index t = 0; t < length; t += chunk) {
                for (Index i = 0; i < layers; ++i) {
                    network.mixer(i).mix(ops, Sequences<const float>(stream.data(), batch, chunk, width), z.data(),
                                         *state.layers[static_cast<std::size_t>(i)], length == 1, c.data());
                }
            }
        };
        whole();
        const Pair times = alternate(length == 1 ? 50 : 5, whole, mixing);
        const double tokens_now = static_cast<double>(batch * length);
        std::printf("%s\n  {\"batch\": %lld, \"tokens\": %lld, \"whole_us_per_token\": %.3f, "
                    "\"mixing_us_per_token\": %.3f, \"share\": %.4f, \"state_bytes\": %lld}",
                    separator(first), static_cast<long long>(batch), static_cast<long long>(length),
                    1e6 * times.median[0] / tokens_now, 1e6 * times.median[1] / tokens_now,
                    times.median[1] / times.median[0], static_cast<long long>(state.bytes_per_sequence()));
        std::fflush(stdout);
    }
    std::printf("\n]}\n");
}

}  // namespace

int main(int argc, char** argv)
{
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "scan") {
        scan();
    } else if (what == "exact") {
        exact(argc > 2 ? std::atoll(argv[2]) : 65536);
    } else if (what == "share") {
        share();
    } else {
        std::fprintf(stderr, "usage: bench_mixer scan | exact [TOKENS] | share\n");
        return 2;
    }
    return 0;
}
