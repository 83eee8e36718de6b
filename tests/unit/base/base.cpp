// SPDX-License-Identifier: Apache-2.0
// Errors, shapes, buffers, stopping, and random numbers against the published vectors.
#define BOOST_TEST_MODULE base
#include <boost/test/unit_test.hpp>

#include "libcore/base/array.hpp"
#include "libcore/base/control.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

using namespace stillhouse;

BOOST_AUTO_TEST_CASE(errors_gather_their_context)
{
    try {
        with_context("l3.mts", [] {
            with_context("tensor layers.0.mixer.filter", [] { throw_error(ErrorCode::bad_data, "cut short"); });
        });
        BOOST_FAIL("nothing thrown");
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::bad_data));
        BOOST_TEST(std::string(error.what()) == "l3.mts: tensor layers.0.mixer.filter: cut short");
    }
    BOOST_TEST(with_context("here", [] { return 7; }) == 7);
    try {
        STILLHOUSE_CHECK(1 + 1 == 3);
        BOOST_FAIL("nothing thrown");
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::internal));
        BOOST_TEST(std::string(error.what()).find("1 + 1 == 3") != std::string::npos);
        BOOST_TEST(std::string(error.what()).find("base.cpp") != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(shapes_count_without_overflow)
{
    BOOST_TEST(element_count({}) == 1);
    BOOST_TEST(element_count({4, 512, 192}) == 4 * 512 * 192);
    BOOST_TEST(element_count({3, 0, 5}) == 0);
    BOOST_TEST(element_count({Index{1} << 62}) == Index{1} << 62);
    BOOST_CHECK_THROW(element_count({Index{1} << 62, 2}), Error);
    BOOST_CHECK_THROW(element_count({Index{1} << 40, Index{1} << 40, 0}), Error);
    BOOST_CHECK_THROW(element_count({0, Index{1} << 40, Index{1} << 40}), Error);
    BOOST_CHECK_THROW(element_count({4, -1}), Error);
    BOOST_TEST(to_string(Shape{4, 512, 192}) == "[4, 512, 192]");
    BOOST_TEST(to_string(Shape{}) == "[]");
}

BOOST_AUTO_TEST_CASE(buffers_are_aligned_zeroed_and_move)
{
    for (const Index n : {1, 3, 64, 1000}) {
        Buffer<float> a(n);
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
        for (const float v : a) {
            BOOST_TEST(v == 0.0F);
        }
        a[n - 1] = 5;
        const Buffer<float> copy = a.clone();
        Buffer<float> b = std::move(a);
        b[n - 1] = 6;
        BOOST_TEST(copy[n - 1] == 5);
        BOOST_TEST(b.size() == n);
    }
    BOOST_TEST(Buffer<double>(0).empty());
    try {
        const Buffer<double> huge(Index{1} << 58);
        BOOST_FAIL("allocated");
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::resource));
        BOOST_TEST(std::string(error.what()).find("2305843009213693952") != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(control_stops_and_tells)
{
    struct Counter : Progress {
        Index seen = 0;
        void at(Index done, Index, const std::string&) override { seen = done; }
    } counter;
    std::atomic<bool> stop{false};
    const Control control{&stop, &counter};
    control.at(3, 4, "step");
    BOOST_TEST(counter.seen == 3);
    control.throw_if_stopped();
    stop = true;
    BOOST_CHECK_EXCEPTION(control.throw_if_stopped(), Error,
                          [](const Error& error) { return error.code() == ErrorCode::stopped; });
    Control{}.throw_if_stopped();
    Control{}.at(1, 2, "nobody listens");
}

BOOST_AUTO_TEST_CASE(philox_gives_the_published_vectors)
{
    using Words = std::array<std::uint32_t, 4>;
    // Known answers of the authors' Random123 distribution, philox4x32 with 10 rounds.
    const Words zeros = philox({0, 0, 0, 0}, {0, 0});
    BOOST_TEST((zeros == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t f = 0xffffffff;
    const Words ones = philox({f, f, f, f}, {f, f});
    BOOST_TEST((ones == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    const Words pi = philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
    BOOST_TEST((pi == Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

BOOST_AUTO_TEST_CASE(random_is_addressable_and_distributed)
{
    Random a(5, 1);
    std::vector<std::uint32_t> words;
    for (int i = 0; i < 20; ++i) {
        words.push_back(a.word());
    }
    Random b(5, 1);
    b.seek(13);
    BOOST_TEST(b.word() == words[13]);
    BOOST_TEST(b.position() == 14);
    BOOST_TEST(Random(5, 2).word() != words[0]);
    BOOST_TEST(Random(6, 1).word() != words[0]);

    Random r(1, 3);
    const int n = 200000;
    double sum = 0;
    double square = 0;
    double uniform = 0;
    std::vector<int> counts(7);
    for (int i = 0; i < n; ++i) {
        const double v = r.normal();
        sum += v;
        square += v * v;
        const double u = r.uniform();
        BOOST_REQUIRE((u >= 0 && u < 1));
        uniform += u;
        ++counts[r.below(7)];
    }
    // Five standard errors of each estimate.
    BOOST_TEST(std::abs(sum / n) < 5 / std::sqrt(n));
    BOOST_TEST(std::abs(square / n - 1) < 5 * std::sqrt(2.0 / n));
    BOOST_TEST(std::abs(uniform / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
    for (const int count : counts) {
        BOOST_TEST(std::abs(count - n / 7.0) < 5 * std::sqrt(n / 7.0));
    }
    BOOST_TEST(r.below(1) == 0U);
    for (int i = 0; i < 100; ++i) {
        BOOST_TEST(r.below((std::uint64_t{1} << 63) + 1) <= std::uint64_t{1} << 63);
    }
}
