// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, as JSON: rates at which memory is read in 1 to 8 streams, and peaks of the products.
#include "tests/bench/peaks.hpp"

#include <cstdio>
#include <cstdlib>

using namespace stillhouse;

/// bench_machine [MIB]...: sizes of the buffers that are read, 90 unless given (the weights of Pythia 70M in bf16).
int main(int argc, char** argv)
{
    std::printf("{\"processor\": \"%s\", \"processors\": %d, \"threads\": [", bench::processor_name().c_str(),
                available_processors());
    for (int threads = 1; threads <= available_processors(); threads *= 2) {
        ThreadPool pool(threads);
        const bench::Peaks peaks = bench::measure_peaks(pool);
        std::printf("%s\n  {\"threads\": %d, \"fma_gflops\": %.0f, \"bf16_gflops\": %.0f, \"int8_gops\": %.0f, "
                    "\"region_us\": %.2f, \"read\": [",
                    threads == 1 ? "" : ",", threads, peaks.fma * 1e-9, peaks.bf16 * 1e-9, peaks.int8 * 1e-9,
                    bench::region_seconds(pool) * 1e6);
        for (int i = 1; i < std::max(2, argc); ++i) {
            const Index size = argc > 1 ? std::atoi(argv[i]) : 90;
            if (size < 1) {
                std::fprintf(stderr, "bench_machine: '%s' is no number of MiB\n", argv[i]);
                return 2;
            }
            const Buffer<std::byte> data = bench::written_memory(size << 20);
            std::printf("%s\n    {\"mib\": %lld", i == 1 ? "" : ",", static_cast<long long>(size));
            for (const int streams : {1, 2, 4, 8}) {
                std::printf(", \"streams_%d_gb_per_s\": %.1f", streams,
                            bench::read_rate(pool, data, streams) * 1e-9);
            }
            std::printf("}");
        }
        std::printf("\n  ]}");
        std::fflush(stdout);
    }
    std::printf("\n]}\n");
    return 0;
}
