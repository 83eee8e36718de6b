// SPDX-License-Identifier: Apache-2.0
// Processor time of Hankel spectra and certified bounds by length, and certificates against fits, as JSON.
//     bench_spectrum [FILTERS]     random filters whose bounds are checked against fits (default 10000)
#include "libcore/base/random.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/hankel.hpp"
#include "tests/bench/timing.hpp"
#include "tests/unit/systems/filter_kinds.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using namespace stillhouse;
using namespace stillhouse::systems;

/// A freshly initialised Hyena filter: features of 5 numbers, sines of frequency 10, width 64, two inner layers,
/// exponential window.
std::vector<double> hyena_filter(Index length)
{
    Random random(5, 1);
    constexpr std::size_t width = 64;
    auto weights = [&](std::size_t n, double fan_in) {
        std::vector<double> w(n);
        for (double& x : w) {
            x = (2.0 * random.uniform() - 1.0) / std::sqrt(fan_in);
        }
        return w;
    };
    const std::vector<double> first = weights(5 * width, 5.0);
    const std::vector<double> first_bias = weights(width, 5.0);
    std::vector<std::vector<double>> inner;
    for (int layer = 0; layer < 2; ++layer) {
        inner.push_back(weights(width * width, width));
        inner.push_back(weights(width, width));
    }
    const std::vector<double> last = weights(width, width);
    std::vector<double> h(static_cast<std::size_t>(length));
    std::vector<double> x(width);
    std::vector<double> y(width);
    for (std::size_t t = 0; t < h.size(); ++t) {
        const double at = static_cast<double>(t) / static_cast<double>(length - 1);
        const double angle = 6.283185307179586 * static_cast<double>(t) / static_cast<double>(length);
        const double features[5] = {at, std::cos(1e-4 * angle), std::cos(angle), -std::sin(1e-4 * angle),
                                    -std::sin(angle)};
        for (std::size_t i = 0; i < width; ++i) {
            double sum = first_bias[i];
            for (std::size_t j = 0; j < 5; ++j) {
                sum += first[i * 5 + j] * features[j];
            }
            x[i] = std::sin(10.0 * sum);
        }
        for (std::size_t layer = 0; layer < 2; ++layer) {
            for (std::size_t i = 0; i < width; ++i) {
                double sum = inner[2 * layer + 1][i];
                for (std::size_t j = 0; j < width; ++j) {
                    sum += inner[2 * layer][i * width + j] * x[j];
                }
                y[i] = std::sin(10.0 * sum);
            }
            x.swap(y);
        }
        double sum = 0.0;
        for (std::size_t i = 0; i < width; ++i) {
            sum += last[i] * x[i];
        }
        h[t] = static_cast<float>(sum * std::exp(-6.0 * at));
    }
    return h;
}

void spectra()
{
    std::printf("\"spectra\": [");
    const char* between = "";
    struct Size {
        Index length, k;
        int repeats;
    };
    for (const Size size : {Size{1024, 64, 20}, Size{8192, 64, 5}, Size{65536, 64, 2}, Size{1 << 20, 48, 1}}) {
        const std::vector<double> h = hyena_filter(size.length);
        for (const HankelOperator op : {HankelOperator::window, HankelOperator::zero}) {
            const double begin = bench::cpu_seconds();
            Spectrum spectrum;
            for (int i = 0; i < size.repeats; ++i) {
                spectrum = hankel_spectrum(h, {.top = size.k, .op = op});
            }
            std::printf("%s\n  {\"length\": %lld, \"k\": %lld, \"operator\": \"%s\", \"processor_s\": %.4g, "
                        "\"sigma_k_over_sigma_1\": %.3g}",
                        between, static_cast<long long>(size.length), static_cast<long long>(size.k),
                        op == HankelOperator::window ? "window" : "zero",
                        (bench::cpu_seconds() - begin) / size.repeats, spectrum.sigma.back() / spectrum.sigma[0]);
            std::fflush(stdout);
            between = ",";
        }
    }
    std::printf("\n],\n\"bounds\": [");
    between = "";
    for (const Index length : {1024, 8192, 65536}) {
        const std::vector<double> h = hyena_filter(length);
        for (const Index order : {16, 32, 64}) {
            for (const Index steps : {0, 6, 30}) {
                if (length > 1024 && (order > 16 || steps > 6)) {
                    continue;
                }
                const double begin = bench::cpu_seconds();
                const double bound = l2_lower_bounds(h, std::vector<Index>{order}, {}, {.steps = steps})[0];
                std::printf("%s\n  {\"length\": %lld, \"order\": %lld, \"steps\": %lld, \"processor_s\": %.4g, "
                            "\"bound\": %.6g}",
                            between, static_cast<long long>(length), static_cast<long long>(order),
                            static_cast<long long>(steps), bench::cpu_seconds() - begin, bound);
                between = ",";
            }
        }
    }
    std::printf("\n],\n");
}

void certificates(std::uint64_t n)
{
    long violations = 0;
    long proven = 0;
    std::vector<double> plain_gap;
    std::vector<double> gap;
    for (std::uint64_t seed = 0; seed < n; ++seed) {
        const std::vector<double> h = test::random_filter(seed);
        FitOptions options;
        options.effort = Effort::fast;
        options.order = 1 + static_cast<Index>(seed / test::filter_kinds % 12);
        const std::vector<Index> orders{options.order};
        const double bound = l2_lower_bounds(h, orders)[0];
        const double plain = l2_lower_bounds(h, orders, {}, {.steps = 0})[0];
        const double error = fit_modal(h, options).error;
        violations += error < bound * (1.0 - 1e-6) - 1e-14 ? 1 : 0;
        proven += bound > 0.0 ? 1 : 0;
        if (error > 1e-6 && plain > 0.0) {
            gap.push_back(error / bound);
            plain_gap.push_back(error / plain);
        }
    }
    auto median = [](std::vector<double>& x) {
        std::sort(x.begin(), x.end());
        return x.empty() ? 0.0 : x[x.size() / 2];
    };
    std::printf("\"certificates\": {\"filters\": %llu, \"kinds\": %llu, \"proven\": %ld, \"violations\": %ld, "
                "\"median_error_over_bound\": %.4g, \"median_without_ascent\": %.4g}",
                static_cast<unsigned long long>(n), static_cast<unsigned long long>(test::filter_kinds), proven,
                violations, median(gap), median(plain_gap));
}

}  // namespace

int main(int argc, char** argv)
{
    std::printf("{");
    spectra();
    certificates(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10000);
    std::printf("}\n");
    return 0;
}
