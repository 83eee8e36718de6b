// SPDX-License-Identifier: Apache-2.0
// Token-major convolutions and their adjoints against naive loops in double, at every level of instructions' widths.
#include <boost/test/unit_test.hpp>

#include "tests/unit/compute/common.hpp"

#include <tuple>
#include <vector>

using namespace stillhouse;

namespace {

double distance(const double* a, const double* b, std::size_t n)
{
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < n; ++i) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return std::sqrt(error / norm);
}

template <class T>
double distance(const Buffer<T>& a, const std::vector<double>& b)
{
    const std::vector<double> wide(a.begin(), a.end());
    return distance(wide.data(), b.data(), b.size());
}

template <class T>
void check_tokens(Index batch, Index length, Index width, Index filters, Index taps)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    auto& ops = backend->on<T>();
    const Dense<T> u(batch * length, width, 1);
    const Dense<T> dy(batch * length, width, 2);
    const Dense<T> h(filters, taps, 3);
    Dense<T> dh(filters, taps, 4);
    std::vector<Index> filter_of;
    for (Index c = 0; c < width; ++c) {
        filter_of.push_back((c * 7 + 3) % filters);
    }
    std::vector<double> y(static_cast<std::size_t>(batch * length * width));
    std::vector<double> du(y.size());
    std::vector<double> lags(dh.data.begin(), dh.data.end());
    for (Index b = 0; b < batch; ++b) {
        for (Index t = 0; t < length; ++t) {
            for (Index s = std::max<Index>(0, t - taps + 1); s <= t; ++s) {
                for (Index c = 0; c < width; ++c) {
                    const Index f = filter_of[static_cast<std::size_t>(c)];
                    y[static_cast<std::size_t>((b * length + t) * width + c)] +=
                        h.at(f, t - s) * u.at(b * length + s, c);
                    du[static_cast<std::size_t>((b * length + s) * width + c)] +=
                        h.at(f, t - s) * dy.at(b * length + t, c);
                    lags[static_cast<std::size_t>(f * taps + t - s)] +=
                        dy.at(b * length + t, c) * u.at(b * length + s, c);
                }
            }
        }
    }
    const auto in = [&](const Dense<T>& x) { return Sequences<const T>(x.data.data(), batch, length, width); };
    Dense<T> got(batch * length, width);
    const Sequences<T> out(got.data.data(), batch, length, width);
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
    const std::string what = "batch " + std::to_string(batch) + " length " + std::to_string(length) + " width " +
                             std::to_string(width) + " taps " + std::to_string(taps);
    ops.convolve_tokens(in(u), h.in(), filter_of.data(), out);
    BOOST_TEST(distance(got.data, y) < tolerance, what);
    ops.convolve_tokens_backward(in(dy), in(u), h.in(), filter_of.data(), out, dh.out());
    BOOST_TEST(distance(got.data, du) < tolerance, what);
    BOOST_TEST(distance(dh.data, lags) < tolerance, what);
    std::fill(got.data.begin(), got.data.end(), T(0));
    ops.convolve_tokens_backward(in(dy), in(u), h.in(), filter_of.data(), out, Matrix<T>());
    BOOST_TEST(distance(got.data, du) < tolerance, what);
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(token_major_convolutions_are_the_naive_ones, T, decltype(std::tuple<float, double>{}))
{
    for (const Index length : {1, 2, 7, 8, 9, 31, 64, 130, 600}) {
        for (const Index taps : {Index{1}, Index{3}, length, length + 5}) {
            check_tokens<T>(length > 100 ? 1 : 3, length, length > 100 ? 33 : 70, 5, taps);
        }
    }
    check_tokens<T>(2, 40, 1, 1, 40);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(token_major_sequences_do_not_see_their_batch, T, decltype(std::tuple<float, double>{}))
{
    const Index length = 50;
    const Index width = 40;
    const Dense<T> u(3 * length, width, 1);
    const Dense<T> h(1, length, 2);
    const std::vector<Index> filter_of(static_cast<std::size_t>(width), 0);
    Dense<T> together(3 * length, width);
    Dense<T> alone(length, width);
    Dense<T> du(3 * length, width);
    Dense<T> dh(1, length);
    for (const int threads : {1, 2, 3}) {
        const auto backend = compute::make_backend("cpu", compute::Precision::f32, threads);
        auto& ops = backend->on<T>();
        ops.convolve_tokens({u.data.data(), 3, length, width}, h.in(), filter_of.data(),
                            {together.data.data(), 3, length, width});
        ops.convolve_tokens({u.row(2 * length), 1, length, width}, h.in(), filter_of.data(),
                            {alone.data.data(), 1, length, width});
        BOOST_TEST(same_row(together.row(2 * length), alone.row(0), length * width));
        Dense<T> du_now(3 * length, width);
        Dense<T> dh_now(1, length);
        ops.convolve_tokens_backward({together.data.data(), 3, length, width}, {u.data.data(), 3, length, width},
                                     h.in(), filter_of.data(), {du_now.data.data(), 3, length, width}, dh_now.out());
        if (threads > 1) {
            BOOST_TEST(same_bits(du, du_now));
            BOOST_TEST(same_bits(dh, dh_now));
        }
        du = std::move(du_now);
        dh = std::move(dh_now);
    }
}
