// SPDX-License-Identifier: Apache-2.0
// Norms, activations and softmax against their formulas, backwards against central differences.
#include <boost/test/unit_test.hpp>

#include "tests/unit/compute/common.hpp"

#include <functional>
#include <limits>
#include <numbers>

using namespace stillhouse;
using compute::Activation;
using compute::Precision;

namespace {

double value_of(Activation f, double x)
{
    switch (f) {
    case Activation::gelu_erf: return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::gelu_tanh:
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::identity: break;
    }
    return x;
}

constexpr Activation all[] = {Activation::gelu_erf, Activation::gelu_tanh, Activation::silu, Activation::relu,
                              Activation::identity};

/// sum of dy * f(x) and its central difference in x[i]
double slope(const std::function<double()>& loss, double& x)
{
    const double kept = x;
    const double h = 1e-5;
    x = kept + h;
    const double up = loss();
    x = kept - h;
    const double down = loss();
    x = kept;
    return (up - down) / (2 * h);
}

}  // namespace

BOOST_AUTO_TEST_CASE(activations_follow_their_formulas)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    const Index n = 20001;
    for (const Activation f : all) {
        const auto check = [&]<class T>(T, double tolerance) {
            Dense<T> x(1, n, 1, 3.0);
            Dense<T> y(1, n);
            Dense<T> dy(1, n, 2);
            Dense<T> dx(1, n);
            backend->on<T>().activate(f, x.row(0), n, y.row(0));
            backend->on<T>().activate_backward(f, x.row(0), dy.row(0), n, dx.row(0));
            double worst = 0;
            double worst_slope = 0;
            for (Index i = 0; i < n; ++i) {
                const double v = x.at(0, i);
                worst = std::max(worst, std::abs(y.at(0, i) - value_of(f, v)) / (1 + std::abs(v)));
                const double h = 1e-5;
                const double d = (value_of(f, v + h) - value_of(f, v - h)) / (2 * h);
                if (std::abs(v) > 2 * h) {
                    worst_slope = std::max(worst_slope, std::abs(dx.at(0, i) - d * dy.at(0, i)));
                }
            }
            BOOST_TEST(worst < tolerance, "activation " << static_cast<int>(f) << ": " << worst);
            BOOST_TEST(worst_slope < std::max(20 * tolerance, 1e-8));
            backend->on<T>().activate(f, x.row(0), n, x.row(0));   // in place
            BOOST_TEST(same_bits(x, y));
            Dense<T> same(1, n, 1, 3.0);
            backend->on<T>().activate_backward(f, same.row(0), dy.row(0), n, dy.row(0));
            BOOST_TEST(same_bits(dy, dx));
        };
        check(float{}, 2.5e-7);
        check(double{}, 5e-16);
    }
}

BOOST_AUTO_TEST_CASE(norms_follow_their_formulas)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    const auto check = [&]<class T>(T, double tolerance) {
        for (const Index n : {1, 7, 64, 193}) {
            Dense<T> x(37, n, 1, 2.0);
            for (T& v : x.data) {
                v += T(100);   // a large mean must not cost the variance
            }
            const Dense<T> weight(1, n, 2);
            const Dense<T> bias(1, n, 3);
            Dense<T> y(37, n);
            Dense<T> z(37, n);
            Dense<T> statistics(37, 2);
            Dense<T> scales(37, 1);
            backend->on<T>().layer_norm(x.in(), weight.row(0), bias.row(0), T(1e-5), y.out(), statistics.row(0));
            backend->on<T>().rms_norm(x.in(), weight.row(0), T(1e-5), z.out(), scales.row(0));
            for (Index i = 0; i < 37; ++i) {
                double mean = 0;
                double square = 0;
                for (Index j = 0; j < n; ++j) {
                    mean += x.at(i, j) / static_cast<double>(n);
                    square += x.at(i, j) * x.at(i, j) / static_cast<double>(n);
                }
                double variance = 0;
                for (Index j = 0; j < n; ++j) {
                    variance += (x.at(i, j) - mean) * (x.at(i, j) - mean) / static_cast<double>(n);
                }
                const double eps = static_cast<double>(T(1e-5));
                BOOST_TEST(std::abs(statistics.at(i, 0) - mean) <= tolerance * 1000);   // the loop's own rounding
                BOOST_TEST(std::abs(statistics.at(i, 1) * std::sqrt(variance + eps) - 1) <= 100 * tolerance);
                BOOST_TEST(std::abs(scales.at(i, 0) * std::sqrt(square + eps) - 1) <= 10 * tolerance);
                for (Index j = 0; j < n; ++j) {
                    const double expected = (x.at(i, j) - mean) / std::sqrt(variance + eps) * weight.at(0, j) +
                                            bias.at(0, j);
                    // x - mean carries the rounding of both, a few hundred in size; the rest is relative.
                    const double bound = 2000 * tolerance / std::sqrt(variance + eps) +
                                         20 * tolerance * (1 + std::abs(expected));
                    BOOST_TEST(std::abs(y.at(i, j) - expected) <= bound * std::max(1.0, std::abs(weight.at(0, j))));
                    BOOST_TEST(std::abs(z.at(i, j) - x.at(i, j) / std::sqrt(square + eps) * weight.at(0, j)) <=
                               20 * tolerance);
                }
            }
        }
    };
    check(float{}, 0x1p-24);
    check(double{}, 0x1p-52);
}

BOOST_AUTO_TEST_CASE(norm_backwards_are_the_slopes)
{
    const auto backend = compute::make_backend("cpu", Precision::f64, 2);
    auto& ops = backend->real();
    const Index rows = 35;   // three blocks of rows, the last one short
    const Index n = 13;
    for (const bool layer : {true, false}) {
        Dense<double> x(rows, n, 1);
        Dense<double> weight(1, n, 2);
        Dense<double> bias(1, n, 3);
        const Dense<double> dy(rows, n, 4);
        Dense<double> y(rows, n);
        Dense<double> statistics(rows, 2);
        const auto loss = [&] {
            if (layer) {
                ops.layer_norm(x.in(), weight.row(0), bias.row(0), 1e-3, y.out(), statistics.row(0));
            } else {
                ops.rms_norm(x.in(), weight.row(0), 1e-3, y.out(), statistics.row(0));
            }
            double sum = 0;
            for (Index i = 0; i < rows * n; ++i) {
                sum += y.data[i] * dy.data[i];
            }
            return sum;
        };
        loss();
        Dense<double> dx(rows, n);
        Dense<double> dweight(1, n);
        Dense<double> dbias(1, n);
        dweight.data[2] = 10;   // gradients are added to
        if (layer) {
            ops.layer_norm_backward(x.in(), weight.row(0), statistics.row(0), dy.in(), dx.out(), dweight.row(0),
                                    dbias.row(0));
        } else {
            ops.rms_norm_backward(x.in(), weight.row(0), statistics.row(0), dy.in(), dx.out(), dweight.row(0));
        }
        for (Index i = 0; i < rows * n; i += 7) {
            BOOST_TEST(std::abs(dx.data[i] - slope(loss, x.data[i])) < 1e-7);
        }
        for (Index j = 0; j < n; ++j) {
            BOOST_TEST(std::abs(dweight.data[j] - (j == 2 ? 10 : 0) - slope(loss, weight.data[j])) < 1e-7);
            BOOST_TEST(std::abs(dbias.data[j] - (layer ? slope(loss, bias.data[j]) : 0)) < 1e-7);
        }
    }
}

BOOST_AUTO_TEST_CASE(softmax_and_log_sum_exp)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    const auto check = [&]<class T>(T, double tolerance) {
        for (const Index n : {1, 5, 16, 130, 1100}) {
            Dense<T> x(n, n, 1, 20.0);
            Dense<double> lse(1, n);
            backend->on<T>().log_sum_exp(x.in(), lse.row(0));
            for (const Index first : {Index{1}, n}) {
                Dense<T> y(n, n);
                backend->on<T>().softmax(x.in(), T(0.5), first, y.out());
                for (Index i = 0; i < n; ++i) {
                    const Index count = std::min(n, first + i);
                    double top = -std::numeric_limits<double>::infinity();
                    for (Index j = 0; j < n; ++j) {
                        top = std::max(top, x.at(i, j));
                    }
                    double sum = 0;
                    double all_sum = 0;
                    for (Index j = 0; j < n; ++j) {
                        sum += j < count ? std::exp(0.5 * (x.at(i, j) - top)) : 0;
                        all_sum += std::exp(x.at(i, j) - top);
                    }
                    double worst = 0;
                    for (Index j = 0; j < n; ++j) {
                        const double expected = j < count ? std::exp(0.5 * (x.at(i, j) - top)) / sum : 0;
                        worst = std::max(worst, std::abs(y.at(i, j) - expected));
                    }
                    BOOST_TEST(worst < 100 * tolerance);
                    BOOST_TEST(std::abs(lse.data[i] - top - std::log(all_sum)) < 100 * tolerance);
                }
                if (first == n) {
                    Dense<T> place(n, n, 1, 20.0);
                    backend->on<T>().softmax(place.in(), T(0.5), first, place.out());
                    BOOST_TEST(same_bits(place, y));
                }
            }
        }
    };
    check(float{}, 0x1p-24);
    check(double{}, 0x1p-53);
}
