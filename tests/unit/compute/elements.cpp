// SPDX-License-Identifier: Apache-2.0
// Elementwise functions against the C library in double, at every level that this processor runs.
#include <boost/test/unit_test.hpp>

#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/vector.hpp"
#include "tests/unit/compute/common.hpp"

#include <limits>
#include <string>
#include <vector>

using namespace stillhouse;

namespace {

using Kernel = void (*)(const float*, Index, float*);

/// |y - exact| in units of the last place of the exact value as a float; below the normal range, of its smallest.
double ulps(float y, double exact)
{
    if (std::abs(exact) > static_cast<double>(std::numeric_limits<float>::max())) {
        return std::isinf(y) && (y > 0) == (exact > 0) ? 0 : 1e9;
    }
    int exponent = 0;
    std::frexp(exact, &exponent);
    const double unit = std::ldexp(1.0, std::max(exponent, -125) - 24);
    return std::abs(static_cast<double>(y) - exact) / unit;
}

double worst_ulps(Kernel kernel, double (*exact)(double), double low, double high)
{
    constexpr Index n = 200001;
    Buffer<float> x(n);
    Buffer<float> y(n);
    for (Index i = 0; i < n; ++i) {
        x[i] = static_cast<float>(low + (high - low) * static_cast<double>(i) / static_cast<double>(n - 1));
    }
    kernel(x.data(), n, y.data());
    double worst = 0;
    for (Index i = 0; i < n; ++i) {
        const double error = ulps(y[i], exact(static_cast<double>(x[i])));
        worst = error > worst || std::isnan(error) ? error : worst;
        if (std::isnan(error)) {
            return error;
        }
    }
    return worst;
}

double sigmoid(double x)
{
    return 1 / (1 + std::exp(-x));
}

}  // namespace

BOOST_AUTO_TEST_CASE(functions_are_within_their_bounds)
{
    struct Case {
        const char* name;
        Kernel compute::cpu::Level::* kernel;
        double (*exact)(double);
        double low, high, bound;
    };
    const std::vector<Case> cases{
        {"exp", &compute::cpu::Level::exp, std::exp, -87.3, 88.7, 2},
        {"exp small", &compute::cpu::Level::exp, std::exp, -1e-3, 1e-3, 2},
        {"exp subnormal", &compute::cpu::Level::exp, std::exp, -104, -87, 2},
        {"erf", &compute::cpu::Level::erf, std::erf, -5, 5, 2},
        {"erf small", &compute::cpu::Level::erf, std::erf, -1e-2, 1e-2, 2},
        {"tanh", &compute::cpu::Level::tanh, std::tanh, -12, 12, 2},
        {"tanh small", &compute::cpu::Level::tanh, std::tanh, -1e-2, 1e-2, 2},
        {"sin", &compute::cpu::Level::sin, std::sin, -20, 20, 2},
        {"sin large", &compute::cpu::Level::sin, std::sin, -1e5, 1e5, 2},
        {"cos", &compute::cpu::Level::cos, std::cos, -20, 20, 2},
        {"cos large", &compute::cpu::Level::cos, std::cos, -1e5, 1e5, 2},
        {"sigmoid", &compute::cpu::Level::sigmoid, sigmoid, -87, 30, 2.5},
    };
    for (const compute::cpu::Level* const* level = compute::cpu::levels(); *level != nullptr; ++level) {
        for (const Case& c : cases) {
            const double worst = worst_ulps((*level)->*c.kernel, c.exact, c.low, c.high);
            BOOST_TEST_MESSAGE((*level)->name << " " << c.name << ": " << worst << " ulp");
            BOOST_TEST(worst <= c.bound, (*level)->name << " " << c.name << ": " << worst << " ulp");
        }
    }
}

BOOST_AUTO_TEST_CASE(ends_and_specials_are_right)
{
    const float inf = std::numeric_limits<float>::infinity();
    const std::vector<float> x{0.0F, -0.0F, inf, -inf, NAN, 200.0F, -200.0F, 1e30F};
    const auto n = static_cast<Index>(x.size());
    std::vector<float> y(x.size());
    for (const compute::cpu::Level* const* level = compute::cpu::levels(); *level != nullptr; ++level) {
        (*level)->exp(x.data(), n, y.data());
        BOOST_TEST((y[0] == 1 && y[1] == 1 && y[2] == inf && y[3] == 0 && std::isnan(y[4])));
        BOOST_TEST((y[5] == inf && y[6] == 0));
        (*level)->erf(x.data(), n, y.data());
        BOOST_TEST((y[0] == 0 && std::signbit(y[1]) && y[2] == 1 && y[3] == -1 && std::isnan(y[4]) && y[5] == 1));
        (*level)->tanh(x.data(), n, y.data());
        BOOST_TEST((y[0] == 0 && std::signbit(y[1]) && y[2] == 1 && y[3] == -1 && std::isnan(y[4]) && y[6] == -1));
        (*level)->sigmoid(x.data(), n, y.data());
        BOOST_TEST((y[0] == 0.5F && y[2] == 1 && y[3] == 0 && std::isnan(y[4]) && y[5] == 1 && y[6] == 0));
    }
    compute::vector_sin(x.data(), n, y.data());
    BOOST_TEST((y[0] == 0 && std::isnan(y[2]) && std::isnan(y[4])));
    BOOST_TEST(y[7] == static_cast<float>(std::sin(static_cast<double>(x[7]))));
    compute::vector_cos(x.data(), n, y.data());
    BOOST_TEST((y[0] == 1 && std::isnan(y[2]) && std::isnan(y[4])));
    BOOST_TEST(y[7] == static_cast<float>(std::cos(static_cast<double>(x[7]))));
}

BOOST_AUTO_TEST_CASE(length_alignment_and_place_do_not_change_bits)
{
    const Dense<float> x(1, 1200, 3, 4.0);
    for (const compute::cpu::Level* const* level = compute::cpu::levels(); *level != nullptr; ++level) {
        for (const Kernel kernel :
             {(*level)->exp, (*level)->erf, (*level)->tanh, (*level)->sin, (*level)->cos, (*level)->sigmoid,
              (*level)->round_bf16}) {
            Dense<float> whole(1, 1200);
            kernel(x.row(0), 1200, whole.row(0));
            for (const Index offset : {0, 1, 5, 16, 33}) {
                for (const Index n : {1, 2, 7, 15, 16, 17, 40, 67}) {
                    Dense<float> part(1, 100);
                    kernel(x.row(0) + offset, n, part.row(0) + 3);
                    BOOST_TEST(same_row(part.row(0) + 3, whole.row(0) + offset, n), (*level)->name << " n " << n);
                }
            }
            Dense<float> place(1, 1200, 3, 4.0);
            kernel(place.row(0), 1200, place.row(0));
            BOOST_TEST(same_bits(place, whole));
        }
    }
}

BOOST_AUTO_TEST_CASE(dot_and_axpy)
{
    for (const Index n : {0, 1, 15, 16, 17, 1000}) {
        const Dense<double> x(1, n, 1);
        const Dense<double> y(1, n, 2);
        double sum = 0;
        for (Index i = 0; i < n; ++i) {
            sum += x.data[i] * y.data[i];
        }
        BOOST_TEST(std::abs(compute::dot(x.row(0), y.row(0), n) - sum) < 1e-12);
        Dense<double> z(1, n, 2);
        compute::axpy(0.5, x.row(0), n, z.row(0));
        for (Index i = 0; i < n; ++i) {
            BOOST_TEST(z.data[i] == y.data[i] + 0.5 * x.data[i]);
        }
    }
}
