// SPDX-License-Identifier: Apache-2.0
// Rates of causal convolutions and their adjoints, in channel samples a second, as JSON.
#include "libcore/base/array.hpp"
#include "libcore/base/random.hpp"
#include "libcore/compute/backend.hpp"
#include "tests/bench/timing.hpp"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv)
{
    using namespace stillhouse;
    const int threads = argc > 1 ? std::atoi(argv[1]) : available_processors();
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, threads);
    std::printf("{\"backend\": \"%s\", \"results\": [", backend->description().c_str());
    const Index batch = 8;
    bool first = true;
    for (const Index channels : {64, 192}) {
        for (const Index length : {256, 512, 1024, 4096}) {
            const Index rows = batch * channels;
            Buffer<float> u(rows * length);
            Buffer<float> h(channels * length);
            Buffer<float> y(rows * length);
            Random random(1, 1);
            for (float& v : u) {
                v = static_cast<float>(random.uniform() - 0.5);
            }
            for (float& v : h) {
                v = static_cast<float>(random.uniform() - 0.5);
            }
            std::vector<Index> filter_of(static_cast<std::size_t>(rows));
            for (Index i = 0; i < rows; ++i) {
                filter_of[static_cast<std::size_t>(i)] = i % channels;
            }
            const Matrix<const float> in(u.data(), rows, length);
            const Matrix<float> filters(h.data(), channels, length);
            const Matrix<float> out(y.data(), rows, length);
            auto& ops = backend->single();
            const double forward = bench::seconds([&] { ops.convolve(in, filters, filter_of.data(), out); });
            const double adjoint = bench::seconds([&] { ops.convolve_adjoint(in, filters, filter_of.data(), out); });
            const double filter = bench::seconds([&] { ops.correlate(in, out, filter_of.data(), filters); });
            const double samples = static_cast<double>(rows * length) * 1e-6;
            std::printf("%s\n  {\"channels\": %lld, \"length\": %lld, \"batch\": %lld, \"convolve_msamples_per_s\": "
                        "%.1f, \"adjoint_msamples_per_s\": %.1f, \"correlate_msamples_per_s\": %.1f}",
                        first ? "" : ",", static_cast<long long>(channels), static_cast<long long>(length),
                        static_cast<long long>(batch), samples / forward, samples / adjoint, samples / filter);
            first = false;
        }
    }
    std::printf("\n]}\n");
    return 0;
}
