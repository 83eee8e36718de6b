// SPDX-License-Identifier: Apache-2.0
// Rates of the products that networks are made of, beside Eigen, oneDNN and the rate at which memory is read, as JSON.
#include "libcore/base/array.hpp"
#include "libcore/base/random.hpp"
#include "libcore/compute/backend.hpp"
#include "tests/bench/peaks.hpp"
#include "tests/bench/timing.hpp"

#include <Eigen/Core>
#ifdef STILLHOUSE_BENCH_DNNL
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace stillhouse;
using compute::Precision;
using compute::Transpose;

Buffer<float> random_numbers(Index n)
{
    Buffer<float> x(n);
    Random random(1, 1);
    for (float& v : x) {
        v = static_cast<float>(random.uniform() - 0.5);
    }
    return x;
}

void print(const char* name, Index m, Index n, Index k, double seconds, bool& first)
{
    const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    std::printf("%s\n  {\"operation\": \"%s\", \"m\": %lld, \"n\": %lld, \"k\": %lld, \"us\": %.2f, \"gflops\": %.1f, "
                "\"weights_gb_per_s\": %.2f}",
                first ? "" : ",", name, static_cast<long long>(m), static_cast<long long>(n),
                static_cast<long long>(k), seconds * 1e6, flops / seconds * 1e-9,
                4.0 * static_cast<double>(n) * static_cast<double>(k) / seconds * 1e-9);
    std::fflush(stdout);
    first = false;
}

}  // namespace

int main(int argc, char** argv)
{
    const int threads = argc > 1 ? std::atoi(argv[1]) : available_processors();
    const auto single = compute::make_backend("cpu", Precision::f32, threads);
    const auto rounded = compute::make_backend("cpu", Precision::bf16, threads);
    std::printf("{\"backend\": \"%s\", \"read_gb_per_s\": %.1f, \"results\": [", single->description().c_str(),
                bench::read_rate(single->pool(), bench::written_memory(Index{256} << 20), 8) * 1e-9);
    bool first = true;
    const Index shapes[][3] = {{4096, 192, 192}, {4096, 768, 192}, {4096, 192, 768}, {512, 2048, 192},
                               {1, 2048, 192},   {32, 2048, 192},  {512, 192, 192},  {8192, 512, 512},
                               {1, 50304, 512},  {64, 50304, 512}, {192, 192, 4096}};
    for (const auto& [m, n, k] : shapes) {
        const Buffer<float> x = random_numbers(m * k);
        const Buffer<float> w = random_numbers(n * k);
        Buffer<float> y(m * n);
        const Matrix<const float> in(x.data(), m, k);
        const Matrix<const float> weights(w.data(), n, k);
        const Matrix<float> out(y.data(), m, n);
        const auto time = [&](const char* name, auto&& call) { print(name, m, n, k, bench::seconds(call), first); };
        time("linear f32", [&] { single->single().linear(in, weights, nullptr, out); });
        time("linear bf16", [&] { rounded->single().linear(in, weights, nullptr, out); });
        if (m <= 512) {
            time("linear_decode f32", [&] { single->single().linear_decode(in, weights, nullptr, out); });
        }
        time("gemm f32, a transposed", [&] {
            single->single().gemm(1.0F, Matrix<const float>(x.data(), k, m), Transpose::yes,
                                  Matrix<const float>(w.data(), k, n), Transpose::no, 0.0F, out);
        });
        using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
        time("Eigen f32, one call, one thread", [&] {
            Eigen::Map<Rows>(y.data(), m, n).noalias() =
                Eigen::Map<const Rows>(x.data(), m, k) * Eigen::Map<const Rows>(w.data(), n, k).transpose();
        });
#ifdef STILLHOUSE_BENCH_DNNL
        time("oneDNN sgemm, its threads", [&] {
            dnnl::sgemm('N', 'T', m, n, k, 1.0F, x.data(), k, w.data(), k, 0.0F, y.data(), n);
        });
#endif
    }
    std::printf("\n]}\n");
    return 0;
}
