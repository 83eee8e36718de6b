// SPDX-License-Identifier: Apache-2.0
// Element types: names, sizes, and conversions over all values of 16 bits.
#include <boost/test/unit_test.hpp>

#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace stillhouse;

namespace {

/// The nearest of all 16-bit values, ties to the even pattern, found by looking at the neighbours of a candidate.
template <class From>
bool is_nearest(double x, std::uint16_t got, From from)
{
    const double value = static_cast<double>(from(got));
    for (const int step : {-1, 1}) {
        const int magnitude = (got & 0x7FFF) + step;
        if (magnitude < 0 || magnitude > 0x7FFF) {
            continue;
        }
        const auto neighbour = static_cast<std::uint16_t>((got & 0x8000) | magnitude);
        const double other = static_cast<double>(from(neighbour));
        if (!std::isfinite(other)) {
            continue;
        }
        const double here = std::abs(value - x);
        const double there = std::abs(other - x);
        if (there < here || (there == here && (got & 1) != 0)) {
            return false;
        }
    }
    return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(names_and_sizes)
{
    for (const DType type : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32, DType::i16,
                             DType::i8, DType::u32, DType::u16, DType::u8, DType::boolean, DType::c64, DType::c128}) {
        BOOST_TEST((dtype_named(name_of(type)) == type));
        BOOST_TEST(is_floating(type) + is_complex(type) + is_integer(type) == 1);
    }
    BOOST_TEST(name_of(DType::bf16) == "BF16");
    BOOST_TEST(name_of(DType::boolean) == "BOOL");
    BOOST_TEST(size_of(DType::c128) == 16U);
    BOOST_TEST(size_of(DType::u16) == 2U);
    BOOST_TEST(!dtype_named("f32").has_value());
    BOOST_TEST(!dtype_named("").has_value());
}

BOOST_AUTO_TEST_CASE(sixteen_bits_go_round)
{
    for (unsigned int i = 0; i < 0x10000; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        const float h = from_f16(bits);
        const float b = from_bf16(bits);
        if (std::isnan(h)) {
            BOOST_REQUIRE(std::isnan(from_f16(to_f16(h))));
            BOOST_REQUIRE(std::isnan(from_f16(to_f16(static_cast<double>(h)))));
        } else {
            BOOST_REQUIRE(to_f16(h) == bits);
            BOOST_REQUIRE(to_f16(static_cast<double>(h)) == bits);
        }
        if (std::isnan(b)) {
            BOOST_REQUIRE(std::isnan(from_bf16(to_bf16(b))));
            BOOST_REQUIRE(std::isnan(from_bf16(to_bf16(static_cast<double>(b)))));
        } else {
            BOOST_REQUIRE(to_bf16(b) == bits);
            BOOST_REQUIRE(to_bf16(static_cast<double>(b)) == bits);
        }
    }
    BOOST_TEST(from_f16(0x3C00) == 1.0F);
    BOOST_TEST(from_f16(0x0001) == 0x1p-24F);
    BOOST_TEST(from_f16(0x7BFF) == 65504.0F);
}

BOOST_AUTO_TEST_CASE(rounding_is_to_nearest_even_and_once)
{
    Random random(3, 3);
    for (int i = 0; i < 100000; ++i) {
        const double x = random.normal() * std::ldexp(1.0, static_cast<int>(random.below(44)) - 28);
        const float single = static_cast<float>(x);
        if (std::abs(x) < 65504) {
            BOOST_REQUIRE(is_nearest(x, to_f16(x), from_f16));
            BOOST_REQUIRE(is_nearest(static_cast<double>(single), to_f16(single), from_f16));
        }
        BOOST_REQUIRE(is_nearest(x, to_bf16(x), from_bf16));
        BOOST_REQUIRE(is_nearest(static_cast<double>(single), to_bf16(single), from_bf16));
    }
    BOOST_TEST(to_f16(65519.0) == 0x7BFF);
    BOOST_TEST(to_f16(65520.0) == 0x7C00);
    BOOST_TEST(to_f16(0x1p-25) == 0);          // a tie with zero goes to even
    BOOST_TEST(to_f16(0x1.0000001p-25) == 1);
    BOOST_TEST(to_bf16(std::numeric_limits<float>::max()) == 0x7F80);
    BOOST_TEST(to_bf16(-1e300) == 0xFF80);
    // Twice rounded (to float first) this would go down to even.
    BOOST_TEST(to_bf16(1.0 + 0x1p-8 + 0x1p-40) == 0x3F81);
}

BOOST_AUTO_TEST_CASE(conversions_keep_or_refuse)
{
    const std::vector<double> values{0, 1, -2, 3.5};
    std::vector<std::byte> bytes(64);
    for (const DType type : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
        std::vector<double> back(4);
        convert_to(type, values.data(), 4, bytes.data());
        convert_from(type, bytes.data(), 4, back.data());
        BOOST_TEST(back == values);
    }
    for (const DType type : {DType::i64, DType::i32, DType::i16, DType::i8, DType::u32, DType::u16, DType::u8,
                             DType::boolean}) {
        BOOST_CHECK_THROW(convert_to(type, values.data() + 3, 1, bytes.data()), Error);
        const std::vector<std::int64_t> whole{0, 1};
        std::vector<std::int64_t> back(2);
        convert_to(type, whole.data(), 2, bytes.data());
        convert_from(type, bytes.data(), 2, back.data());
        BOOST_TEST(back == whole);
    }
    for (const DType type : {DType::u32, DType::u16, DType::u8, DType::boolean}) {
        BOOST_CHECK_THROW(convert_to(type, values.data() + 2, 1, bytes.data()), Error);
    }
    const std::int64_t wide = 300;
    BOOST_CHECK_THROW(convert_to(DType::u8, &wide, 1, bytes.data()), Error);
    BOOST_CHECK_THROW(convert_to(DType::i8, &wide, 1, bytes.data()), Error);
    const double too_large = 0x1p63;
    BOOST_CHECK_THROW(convert_to(DType::i64, &too_large, 1, bytes.data()), Error);
    std::int64_t integer = 0;
    for (const double bad : std::vector<double>{0.5, 0x1p63, NAN, -INFINITY}) {
        std::memcpy(bytes.data(), &bad, 8);
        BOOST_CHECK_THROW(convert_from(DType::f64, bytes.data(), 1, &integer), Error);
    }
    const double smallest = -0x1p63;
    std::memcpy(bytes.data(), &smallest, 8);
    convert_from(DType::f64, bytes.data(), 1, &integer);
    BOOST_TEST(integer == std::numeric_limits<std::int64_t>::min());
    float single = 0;
    BOOST_CHECK_THROW(convert_from(DType::c64, bytes.data(), 1, &single), Error);
    BOOST_CHECK_THROW(convert_to(DType::c128, &single, 1, bytes.data()), Error);
    // 2^62 + 2^54 is a tie for bf16 (8 bits): the one more decides.
    const std::int64_t above = (std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1;
    std::uint16_t rounded = 0;
    convert_to(DType::bf16, &above, 1, reinterpret_cast<std::byte*>(&rounded));
    BOOST_TEST(from_bf16(rounded) == 0x1p62F + 0x1p55F);
}
