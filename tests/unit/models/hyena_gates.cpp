// SPDX-License-Identifier: Apache-2.0
// Short convolutions and gates, forward and backward, against plain loops: lengths around the blocks of tokens.
#include "libcore/models/hyena_gates.hpp"
#include "hyena_test.hpp"
#include "libcore/compute/backend.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

namespace stillhouse::models
{
namespace
{

constexpr Index batch = 2;
constexpr Index width = 5;
constexpr Index stride = 3 * width + 1; // of the projections, which stand beside each other

/// A signal, its numbers, and its gradients by plain loops.
struct Plain
{
    Index length, taps;
    Buffer<double> z, weight, bias;

    Plain(Index n_tokens, Index n_taps, int seed)
        : length(n_tokens), taps(n_taps), z(random_values<double>(batch * length * stride, seed)),
          weight(random_values<double>(std::max<Index>(1, width * taps), seed + 1)),
          bias(random_values<double>(width, seed + 2))
    {
    }

    ShortSignal<double> signal() const
    {
        return {Matrix<const double>(z.data(), batch * length, width, stride), length, taps > 0 ? weight.data() : nullptr,
                taps > 0 ? bias.data() : nullptr, taps};
    }

    double at(Index row, Index c) const { return z[row * stride + c]; }

    double value(Index row, Index c) const
    {
        if (taps == 0) {
            return at(row, c);
        }
        double sum = bias[c];
        for (Index j = 0; j < taps && j <= row % length; ++j) {
            sum += weight[c * taps + j] * at(row - j, c);
        }
        return sum;
    }

    /// From d, the gradient of every value: of z, weight and bias.
    struct Gradient
    {
        std::vector<double> dz, dweight, dbias;
    };
    template <class D>
    Gradient gradient(const D& d) const
    {
        Gradient g{std::vector<double>(static_cast<std::size_t>(batch * length * width), 0.0),
                   std::vector<double>(static_cast<std::size_t>(width * taps), 0.0),
                   std::vector<double>(static_cast<std::size_t>(width), 0.0)};
        for (Index row = 0; row < batch * length; ++row) {
            for (Index c = 0; c < width; ++c) {
                if (taps == 0) {
                    g.dz[static_cast<std::size_t>(row * width + c)] = d(row, c);
                    continue;
                }
                g.dbias[static_cast<std::size_t>(c)] += d(row, c);
                for (Index j = 0; j < taps && j <= row % length; ++j) {
                    g.dz[static_cast<std::size_t>((row - j) * width + c)] += weight[c * taps + j] * d(row, c);
                    g.dweight[static_cast<std::size_t>(c * taps + j)] += at(row - j, c) * d(row, c);
                }
            }
        }
        return g;
    }
};

/// Where a gradient is received, with ones in what is added to.
struct Received
{
    std::vector<double> dz, dweight, dbias;

    explicit Received(const Plain& of)
        : dz(static_cast<std::size_t>(batch * of.length * stride), 0.0),
          dweight(static_cast<std::size_t>(std::max<Index>(1, width * of.taps)), 1.0),
          dbias(static_cast<std::size_t>(width), 1.0)
    {
    }
    ShortGradient<double> target(Index length)
    {
        return {Matrix<double>(dz.data(), batch * length, width, stride), dweight.data(), dbias.data()};
    }
    void compare(const Plain::Gradient& wanted, Index taps) const
    {
        double worst = 0.0;
        for (std::size_t i = 0; i < wanted.dz.size(); ++i) {
            worst = std::max(worst, std::abs(dz[i / width * stride + i % width] - wanted.dz[i]));
        }
        for (std::size_t i = 0; taps > 0 && i < wanted.dweight.size(); ++i) {
            worst = std::max(worst, std::abs(dweight[i] - 1.0 - wanted.dweight[i]));
        }
        for (std::size_t i = 0; taps > 0 && i < wanted.dbias.size(); ++i) {
            worst = std::max(worst, std::abs(dbias[i] - 1.0 - wanted.dbias[i]));
        }
        BOOST_TEST(worst <= 1e-12);
    }
};

template <class Body>
void for_cases(const Body& body)
{
    for (const Index length : {1, 2, 4, 63, 64, 65, 131}) {
        for (const Index taps : {0, 1, 2, 3, 5}) {
            BOOST_TEST_CONTEXT("length " << length << ", taps " << taps)
            {
                body(length, taps);
            }
        }
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(hyena_gates)

BOOST_AUTO_TEST_CASE(products)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& pool = backend->real().pool();
    for_cases([&](Index length, Index taps) {
        const Plain a(length, taps, 1);
        const Plain b(length, taps, 11);
        const Index n = batch * length * width;
        std::vector<double> out(static_cast<std::size_t>(n));
        short_product(pool, a.signal(), b.signal(), Sequences<double>(out.data(), batch, length, width));
        std::vector<double> opened(static_cast<std::size_t>(n));
        short_convolve(pool, a.signal(), Sequences<double>(opened.data(), batch, length, width));
        for (Index i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            BOOST_TEST(std::abs(out[at] - a.value(i / width, i % width) * b.value(i / width, i % width)) <= 1e-13);
            BOOST_TEST(std::abs(opened[at] - a.value(i / width, i % width)) <= 1e-14);
        }

        const Buffer<double> du = random_values<double>(n, 21);
        const Buffer<double> da = random_values<double>(n, 22);
        const Buffer<double> skip = random_values<double>(width, 23);
        const Buffer<double> more = random_values<double>(n, 24);
        const auto d = [&](Index row, Index c) { return du[row * width + c] + skip[c] * da[row * width + c]; };
        for (const bool with_more : {false, true}) {
            Received of_a(a);
            Received of_b(b);
            short_product_backward(pool, a.signal(), b.signal(), du.data(), skip.data(), da.data(),
                                   with_more ? more.data() : nullptr, of_a.target(length), of_b.target(length));
            of_a.compare(a.gradient([&](Index row, Index c) { return d(row, c) * b.value(row, c); }), taps);
            of_b.compare(b.gradient([&](Index row, Index c) {
                return d(row, c) * a.value(row, c) + (with_more ? more[row * width + c] : 0.0);
            }), taps);
        }
        Received alone(a);
        short_convolve_backward(pool, a.signal(), Sequences<const double>(du.data(), batch, length, width),
                                alone.target(length));
        alone.compare(a.gradient([&](Index row, Index c) { return du[row * width + c]; }), taps);
    });
}

BOOST_AUTO_TEST_CASE(skips_and_gates)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& pool = backend->real().pool();
    for_cases([&](Index length, Index taps) {
        const Plain gate(length, taps, 1);
        const Index n = batch * length * width;
        const Buffer<double> y = random_values<double>(n, 31);
        const Buffer<double> u = random_values<double>(n, 32);
        const Buffer<double> d = random_values<double>(n, 33);
        const Buffer<double> skip = random_values<double>(width, 34);
        std::vector<double> out(static_cast<std::size_t>(n));
        std::vector<double> da(static_cast<std::size_t>(n));
        std::vector<double> dskip(static_cast<std::size_t>(width), 1.0);
        skip_and_gate(pool, y.data(), u.data(), skip.data(), gate.signal(),
                      Sequences<double>(out.data(), batch, length, width));
        Received received(gate);
        skip_and_gate_backward(pool, y.data(), u.data(), skip.data(), gate.signal(), d.data(), da.data(),
                               received.target(length), dskip.data());
        std::vector<double> wanted_skip(static_cast<std::size_t>(width), 1.0);
        for (Index i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const double opened = gate.value(i / width, i % width);
            BOOST_TEST(std::abs(out[at] - (y[i] + skip[i % width] * u[i]) * opened) <= 1e-13);
            BOOST_TEST(std::abs(da[at] - d[i] * opened) <= 1e-13);
            wanted_skip[static_cast<std::size_t>(i % width)] += d[i] * opened * u[i];
        }
        for (std::size_t c = 0; c < wanted_skip.size(); ++c) {
            BOOST_TEST(std::abs(dskip[c] - wanted_skip[c]) <= 1e-12);
        }
        received.compare(gate.gradient([&](Index row, Index c) {
            return d[row * width + c] * (y[row * width + c] + skip[c] * u[row * width + c]);
        }), taps);

        Buffer<double> du = random_values<double>(n, 35);
        const Buffer<double> before = du.clone();
        add_skipped(pool, skip.data(), u.data(), Sequences<double>(du.data(), batch, length, width));
        for (Index i = 0; i < n; ++i) {
            BOOST_TEST(std::abs(du[i] - before[i] - skip[i % width] * u[i]) <= 1e-14);
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
