// SPDX-License-Identifier: Apache-2.0
// Errors and CPU time of the modal fit on .npy filters, one JSON line for each filter and order. fit.py compares them.
// bench_fit EFFORT ORDERS FILTERS.npy ...      (EFFORT fast|normal|thorough, ORDERS as 4,8,16)
#include "formats/fd.hpp"
#include "formats/npy.hpp"
#include "libcore/base/error.hpp"
#include "libcore/systems/fit.hpp"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

using namespace stillhouse;

namespace {

std::vector<double> row_of(const formats::Tensor& tensor, Index row, Index length)
{
    std::vector<double> h(static_cast<std::size_t>(length));
    const float* const from = tensor.as<float>() + row * length;
    for (Index t = 0; t < length; ++t) {
        h[static_cast<std::size_t>(t)] = from[t];
    }
    return h;
}

double cpu_seconds()
{
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "bench_fit EFFORT ORDERS FILTERS.npy ...\n");
        return 2;
    }
    const std::string effort = argv[1];
    systems::FitOptions options;
    options.effort = effort == "fast"   ? systems::Effort::fast
                     : effort == "thorough" ? systems::Effort::thorough
                                            : systems::Effort::normal;
    std::vector<Index> orders;
    for (const char* p = argv[2]; *p != '\0'; p += *p == ',' ? 1 : 0) {
        char* end = nullptr;
        orders.push_back(std::strtol(p, &end, 10));
        p = end;
    }
    for (int i = 3; i < argc; ++i) {
        formats::Fd input = formats::Fd::open_input(argv[i]);
        const formats::Tensor filters = formats::read_npy(input, argv[i]);
        const Index length = filters.header.shape.back();
        const std::string path = argv[i];
        const std::string name = path.substr(path.rfind('/') + 1);
        for (Index row = 0; row * length < filters.header.elements(); ++row) {
            const std::vector<double> h = row_of(filters, row, length);
            for (const Index order : orders) {
                options.order = order;
                const double begin = cpu_seconds();
                try {
                    const systems::Fit fit = systems::fit_modal(h, options);
                    std::printf("{\"file\": \"%s\", \"channel\": %lld, \"length\": %lld, \"order\": %lld, "
                                "\"effort\": \"%s\", \"rel_l2\": %.17g, \"iterations\": %lld, \"cpu_ms\": %.4f}\n",
                                name.c_str(), static_cast<long long>(row), static_cast<long long>(length),
                                static_cast<long long>(order), effort.c_str(), fit.error,
                                static_cast<long long>(fit.iterations), 1e3 * (cpu_seconds() - begin));
                } catch (const Error& error) {
                    std::fprintf(stderr, "%s, filter %lld, order %lld: %s\n", name.c_str(),
                                 static_cast<long long>(row), static_cast<long long>(order), error.what());
                }
                std::fflush(stdout);
            }
        }
    }
    return 0;
}
