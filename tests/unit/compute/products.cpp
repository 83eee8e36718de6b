// SPDX-License-Identifier: Apache-2.0
// Products against naive loops in double, for every transposition, odd shapes, strides and every level.
#include <boost/test/unit_test.hpp>

#include "libcore/base/dtype.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "tests/unit/compute/common.hpp"

#include <array>
#include <vector>

using namespace stillhouse;
using compute::Precision;
using compute::Transpose;

namespace {

constexpr std::array<Precision, 3> precisions{Precision::f64, Precision::f32, Precision::bf16};

double operand(double value, Precision precision)
{
    return precision == Precision::bf16 ? static_cast<double>(from_bf16(to_bf16(value))) : value;
}

/// |error| of each element against 4 u (sqrt(k) + 4) sum |a b|: far above rounding of blocked sums, far below a slip.
template <class T>
void check_gemm(Precision precision, Index m, Index n, Index k, Transpose ta, Transpose tb, double alpha, double beta)
{
    const auto backend = compute::make_backend("cpu", precision, 2);
    const Dense<T> a(ta == Transpose::no ? m : k, ta == Transpose::no ? k : m, 1);
    const Dense<T> b(tb == Transpose::no ? k : n, tb == Transpose::no ? n : k, 2);
    const Dense<T> before(m, n, 3);
    Dense<T> c(m, n, 3);
    if (beta == 0.0) {
        for (T& v : c.data) {
            v = static_cast<T>(NAN);   // must be ignored
        }
    }
    backend->on<T>().gemm(static_cast<T>(alpha), a.in(), ta, b.in(), tb, static_cast<T>(beta), c.out());
    double worst = 0;
    for (Index i = 0; i < m; ++i) {
        for (Index j = 0; j < n; ++j) {
            double sum = 0;
            double size = 0;
            for (Index p = 0; p < k; ++p) {
                const double product = operand(ta == Transpose::no ? a.at(i, p) : a.at(p, i), precision) *
                                       operand(tb == Transpose::no ? b.at(p, j) : b.at(j, p), precision);
                sum += product;
                size += std::abs(product);
            }
            const double expected = alpha * sum + (beta == 0.0 ? 0.0 : beta * before.at(i, j));
            const double scale = std::abs(alpha) * size + std::abs(beta * before.at(i, j)) + 1e-30;
            const double error = std::abs(c.at(i, j) - expected) / scale;
            worst = std::isnan(error) || error > worst ? error : worst;
            if (std::isnan(error)) {
                BOOST_FAIL("not a number at " << i << ", " << j);
            }
        }
    }
    BOOST_TEST(worst <= 4 * unit_roundoff<T>() * (std::sqrt(static_cast<double>(k)) + 4),
               "m " << m << " n " << n << " k " << k << ": " << worst);
}

}  // namespace

BOOST_AUTO_TEST_CASE(gemm_is_the_naive_product)
{
    struct Case {
        Index m, n, k;
    };
    const std::vector<Case> cases{{1, 1, 1},    {3, 5, 7},     {12, 32, 16},  {13, 33, 17},  {48, 256, 64},
                                  {49, 257, 65}, {100, 70, 300}, {7, 19, 513}, {65, 1, 1025}, {1, 300, 40},
                                  {60, 2, 40001}};
    for (const Precision precision : precisions) {
        for (const Case& c : cases) {
            for (const Transpose ta : {Transpose::no, Transpose::yes}) {
                for (const Transpose tb : {Transpose::no, Transpose::yes}) {
                    if (precision == Precision::f64) {
                        check_gemm<double>(precision, c.m, c.n, c.k, ta, tb, 1.0, 0.0);
                        check_gemm<double>(precision, c.m, c.n, c.k, ta, tb, -0.5, 1.0);
                    } else {
                        check_gemm<float>(precision, c.m, c.n, c.k, ta, tb, 1.0, 0.0);
                        check_gemm<float>(precision, c.m, c.n, c.k, ta, tb, -0.5, 0.75);
                    }
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(an_empty_sum_leaves_beta_c)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    Dense<float> c(3, 4, 9);
    const Dense<float> before(3, 4, 9);
    const Matrix<const float> a(nullptr, 3, 0);
    const Matrix<const float> b(nullptr, 0, 4);
    backend->single().gemm(1.0F, a, Transpose::no, b, Transpose::no, 2.0F, c.out());
    for (Index i = 0; i < 12; ++i) {
        BOOST_TEST(c.data[i] == 2.0F * before.data[i]);
    }
    backend->single().gemm(1.0F, a, Transpose::no, b, Transpose::no, 0.0F, c.out());
    BOOST_TEST(c.data[5] == 0.0F);
    // No rows, no columns: nothing happens.
    backend->single().linear(Matrix<const float>(nullptr, 0, 4), before.in(), nullptr, Matrix<float>(nullptr, 0, 3));
}

BOOST_AUTO_TEST_CASE(linear_and_linear_decode_are_the_naive_projection)
{
    for (const Precision precision : precisions) {
        const auto backend = compute::make_backend("cpu", precision, 2);
        for (const Index k : {1, 15, 16, 100, 192, 600}) {
            for (const Index n : {1, 3, 30, 65, 200}) {
                for (const Index rows : {1, 2, 5, 6, 7, 32, 50}) {
                    const auto check = [&]<class T>(T) {
                        const Dense<T> x(rows, k, 4);
                        const Dense<T> w(n, k, 5);
                        const Dense<T> bias(1, n, 6);
                        Dense<T> y(rows, n);
                        Dense<T> z(rows, n);
                        backend->on<T>().linear(x.in(), w.in(), bias.row(0), y.out());
                        backend->on<T>().linear_decode(x.in(), w.in(), bias.row(0), z.out());
                        double worst = 0;
                        for (Index i = 0; i < rows; ++i) {
                            for (Index j = 0; j < n; ++j) {
                                double sum = bias.at(0, j);
                                double size = std::abs(sum);
                                for (Index p = 0; p < k; ++p) {
                                    const double v = operand(x.at(i, p), precision) * operand(w.at(j, p), precision);
                                    sum += v;
                                    size += std::abs(v);
                                }
                                worst = std::max(worst, std::abs(y.at(i, j) - sum) / size);
                                worst = std::max(worst, std::abs(z.at(i, j) - sum) / size);
                            }
                        }
                        BOOST_TEST(worst <= 4 * unit_roundoff<T>() * (std::sqrt(static_cast<double>(k)) + 4),
                                   "k " << k << " n " << n << " rows " << rows << ": " << worst);
                    };
                    if (precision == Precision::f64) {
                        check(double{});
                    } else {
                        check(float{});
                    }
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(strides_are_respected)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 1);
    const Dense<float> x(5, 40, 1);
    const Dense<float> w(7, 50, 2);
    Dense<float> y(5, 30);
    const Matrix<const float> part(x.row(0) + 3, 5, 20, 40);
    const Matrix<const float> weights(w.row(0) + 9, 7, 20, 50);
    for (const bool decode : {false, true}) {
        std::fill(y.data.begin(), y.data.end(), 99.0F);
        const Matrix<float> out(y.row(0) + 11, 5, 7, 30);
        if (decode) {
            backend->single().linear_decode(part, weights, nullptr, out);
        } else {
            backend->single().linear(part, weights, nullptr, out);
        }
        for (Index i = 0; i < 5; ++i) {
            for (Index j = 0; j < 30; ++j) {
                if (j < 11 || j >= 18) {
                    BOOST_TEST(y.at(i, j) == 99.0);
                    continue;
                }
                double sum = 0;
                for (Index p = 0; p < 20; ++p) {
                    sum += x.at(i, 3 + p) * w.at(j - 11, 9 + p);
                }
                BOOST_TEST(std::abs(y.at(i, j) - sum) < 1e-5);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(every_level_of_this_processor_multiplies_alike)
{
    const Index k = 77;
    for (const compute::cpu::Level* const* level = compute::cpu::levels(); *level != nullptr; ++level) {
        const auto& kernels = (*level)->single;
        const Index width = kernels.panels.panel_cols;
        const Dense<float> x(kernels.panels.tile_rows, k, 1);
        const Dense<float> w(width, k, 2);
        Dense<float> packed(k, width);
        kernels.panels.transpose(w.row(0), k, width, k, packed.row(0), width);
        BOOST_TEST(packed.at(5, 3) == w.at(3, 5));
        for (Index rows = 1; rows <= x.rows; ++rows) {
            Dense<float> y(rows, width);
            Dense<float> z(rows, width);
            kernels.panels.multiply(rows, width, k, x.row(0), k, 1, packed.row(0), y.row(0), width, {});
            kernels.dots(x.row(0), k, rows, w.row(0), k, width, k, nullptr, z.row(0), width);
            for (Index i = 0; i < rows; ++i) {
                for (Index j = 0; j < width; ++j) {
                    double sum = 0;
                    for (Index p = 0; p < k; ++p) {
                        sum += x.at(i, p) * w.at(j, p);
                    }
                    BOOST_TEST(std::abs(y.at(i, j) - sum) < 2e-5, (*level)->name);
                    BOOST_TEST(std::abs(z.at(i, j) - sum) < 2e-5, (*level)->name);
                }
            }
        }
    }
}
