// SPDX-License-Identifier: Apache-2.0
// Transforms against sums of exponentials, convolutions and adjoints against naive loops in double.
#include <boost/test/unit_test.hpp>

#include "libcore/compute/fft.hpp"
#include "tests/unit/compute/common.hpp"

#include <numbers>
#include <vector>

using namespace stillhouse;

namespace {

bool is_smooth(Index n)
{
    for (const Index p : {2, 3, 5, 7}) {
        while (n % p == 0) {
            n /= p;
        }
    }
    return n == 1;
}

template <class T>
double relative(const Dense<T>& got, const std::vector<double>& expected)
{
    double error = 0;
    double norm = 0;
    for (Index i = 0; i < got.data.size(); ++i) {
        const double e = expected[static_cast<std::size_t>(i)];
        error += (static_cast<double>(got.data[i]) - e) * (static_cast<double>(got.data[i]) - e);
        norm += e * e;
    }
    return std::sqrt(error / norm);
}

template <class T>
void check_convolutions(Index length, Index taps)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    const Index signals = 5;
    const Dense<T> u(signals, length, 1);
    const Dense<T> dy(signals, length, 2);
    const Dense<T> h(3, taps, 3);
    const std::vector<Index> filter_of{2, 0, 2, 1, 0};
    std::vector<double> y(static_cast<std::size_t>(signals * length));
    std::vector<double> du(y.size());
    const Dense<T> before(3, taps, 4);
    std::vector<double> dh(before.data.begin(), before.data.end());
    for (Index i = 0; i < signals; ++i) {
        const Index f = filter_of[static_cast<std::size_t>(i)];
        for (Index t = 0; t < length; ++t) {
            for (Index s = std::max<Index>(0, t - taps + 1); s <= t; ++s) {
                y[static_cast<std::size_t>(i * length + t)] += h.at(f, t - s) * u.at(i, s);
                du[static_cast<std::size_t>(i * length + s)] += h.at(f, t - s) * dy.at(i, t);
                dh[static_cast<std::size_t>(f * taps + t - s)] += dy.at(i, t) * u.at(i, s);
            }
        }
    }
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
    Dense<T> got(signals, length);
    backend->on<T>().convolve(u.in(), h.in(), filter_of.data(), got.out());
    BOOST_TEST(relative(got, y) < tolerance, "length " << length << " taps " << taps);
    backend->on<T>().convolve_adjoint(dy.in(), h.in(), filter_of.data(), got.out());
    BOOST_TEST(relative(got, du) < tolerance, "length " << length << " taps " << taps);
    Dense<T> filters = Dense<T>(3, taps, 4);
    backend->on<T>().correlate(dy.in(), u.in(), filter_of.data(), filters.out());
    BOOST_TEST(relative(filters, dh) < tolerance, "length " << length << " taps " << taps);
}

}  // namespace

BOOST_AUTO_TEST_CASE(transform_sizes_are_smooth_and_smallest)
{
    for (Index n = 1; n < 3000; ++n) {
        Index expected = n;
        while (!is_smooth(expected)) {
            ++expected;
        }
        BOOST_TEST(compute::fft_size(n) == expected);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(transforms_are_the_sums_they_stand_for, T, decltype(std::tuple<float, double>{}))
{
    for (const Index n : {1, 2, 7, 30, 48, 105}) {
        const compute::RealFft<T> fft(n);
        const Dense<T> x(1, n, 5);
        Buffer<std::complex<T>> spectrum(fft.spectrum_size());
        fft.forward(x.row(0), spectrum.data());
        for (Index f = 0; f < fft.spectrum_size(); ++f) {
            std::complex<double> sum = 0;
            for (Index t = 0; t < n; ++t) {
                sum += std::polar(x.at(0, t), -2 * std::numbers::pi * static_cast<double>(f * t % n) /
                                                  static_cast<double>(n));
            }
            BOOST_TEST(std::abs(std::complex<double>(spectrum[f]) - sum) < 40 * static_cast<double>(n) *
                                                                                   unit_roundoff<T>());
        }
        Buffer<T> back(n);
        fft.inverse(spectrum.data(), back.data());
        for (Index t = 0; t < n; ++t) {
            BOOST_TEST(std::abs(static_cast<double>(back[t]) / static_cast<double>(n) - x.at(0, t)) <
                       40 * unit_roundoff<T>());
        }
    }
}

BOOST_AUTO_TEST_CASE(many_threads_may_plan_and_transform_at_once)
{
    ThreadPool pool(4);
    Buffer<double> sums(64);
    pool.for_each(64, [&](Index i) {
        const Index n = 60 + i % 9;
        const compute::RealFft<double> fft(n);
        Buffer<double> x(n);
        Buffer<std::complex<double>> spectrum(fft.spectrum_size());
        std::fill(x.begin(), x.end(), 1.0);
        fft.forward(x.data(), spectrum.data());
        sums[i] = spectrum[0].real() - static_cast<double>(n);
    });
    for (const double sum : sums) {
        BOOST_TEST(sum == 0.0);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(convolutions_are_the_naive_ones, T, decltype(std::tuple<float, double>{}))
{
    for (const Index length : {1, 2, 31, 128, 300, 1024}) {
        for (const Index taps : {Index{1}, Index{3}, length, length + 5}) {
            check_convolutions<T>(length, taps);
        }
    }
}

BOOST_AUTO_TEST_CASE(nothing_wraps_around)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    const Index n = 64;
    Dense<double> u(1, n);
    Dense<double> h(1, n);
    u.data[n - 1] = 1;
    h.data[n - 1] = 1;
    const Index zero = 0;
    Dense<double> y(1, n, 8);
    backend->real().convolve(u.in(), h.in(), &zero, y.out());
    for (const double v : y.data) {
        BOOST_TEST(std::abs(v) < 1e-15);   // the product lands at 2 n - 2, beyond the end
    }
}
