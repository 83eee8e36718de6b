// SPDX-License-Identifier: Apache-2.0
// Errors and CPU time of the modal fit on .npy filters, one JSON line for each filter and order. fit.py compares them.
// bench_fit EFFORT ORDERS FILTERS.npy ...      (EFFORT fast|normal|thorough, ORDERS as 4,8,16)
#include "libcore/base/error.hpp"
#include "libcore/systems/fit.hpp"
#include "tests/bench/filter_rows.hpp"
#include "tests/bench/timing.hpp"

#include <cstdio>
#include <string>

using namespace stillhouse;

namespace {

systems::Effort effort_of(const std::string& name)
{
    if (name != "fast" && name != "normal" && name != "thorough") {
        throw_error(ErrorCode::bad_argument, "effort '" + name + "' is not fast, normal or thorough");
    }
    return name == "fast"     ? systems::Effort::fast
           : name == "normal" ? systems::Effort::normal
                              : systems::Effort::thorough;
}

void run(systems::FitOptions options, const char* effort, const std::vector<Index>& orders,
         const bench::FilterRows& filters)
{
    for (std::size_t row = 0; row < filters.rows.size(); ++row) {
        for (const Index order : orders) {
            options.order = order;
            const double begin = bench::cpu_seconds();
            try {
                const systems::Fit fit = systems::fit_modal(filters.rows[row], options);
                std::printf("{\"file\": \"%s\", \"channel\": %zu, \"length\": %lld, \"order\": %lld, "
                            "\"effort\": \"%s\", \"rel_l2\": %.17g, \"iterations\": %lld, \"cpu_ms\": %.4f}\n",
                            filters.name.c_str(), row, static_cast<long long>(filters.length),
                            static_cast<long long>(order), effort, fit.error,
                            static_cast<long long>(fit.iterations), 1e3 * (bench::cpu_seconds() - begin));
            } catch (const Error& error) {
                std::fprintf(stderr, "%s, filter %zu, order %lld: %s\n", filters.name.c_str(), row,
                             static_cast<long long>(order), error.what());
            }
            std::fflush(stdout);
        }
    }
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "bench_fit EFFORT ORDERS FILTERS.npy ...\n");
        return 2;
    }
    try {
        systems::FitOptions options;
        options.effort = effort_of(argv[1]);
        const std::vector<Index> orders = bench::orders_of(argv[2]);
        for (int i = 3; i < argc; ++i) {
            run(options, argv[1], orders, bench::read_filter_rows(argv[i]));
        }
    } catch (const Error& error) {
        std::fprintf(stderr, "bench_fit: %s\n", error.what());
        return 2;
    }
    return 0;
}
