// SPDX-License-Identifier: Apache-2.0
// Element types, and conversions that round once and refuse what does not fit.
#include "libcore/base/dtype.hpp"

#include "libcore/base/error.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

namespace stillhouse {

namespace {

struct Description {
    std::string_view name;
    std::size_t size;
};

// In the order of the enumerators.
constexpr std::array<Description, 14> descriptions{{{"F64", 8},
                                                    {"F32", 4},
                                                    {"F16", 2},
                                                    {"BF16", 2},
                                                    {"I64", 8},
                                                    {"I32", 4},
                                                    {"I16", 2},
                                                    {"I8", 1},
                                                    {"U32", 4},
                                                    {"U16", 2},
                                                    {"U8", 1},
                                                    {"BOOL", 1},
                                                    {"C64", 8},
                                                    {"C128", 16}}};

/// Rounds a double to a small IEEE format of `mantissa` stored bits and exponents of `bias`, nearest even, once.
template <int mantissa, int bias>
std::uint16_t round_to_small(double x) noexcept
{
    constexpr int exponent_bits = 15 - mantissa;
    constexpr std::uint64_t infinity = ((std::uint64_t{1} << exponent_bits) - 1) << mantissa;
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    const std::uint64_t sign = (bits >> 63) << 15;
    const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
    if (magnitude > 0x7FF0000000000000U) {
        const std::uint64_t payload = (magnitude & 0xFFFFFFFFFFFFFU) >> (52 - mantissa);
        const std::uint64_t quiet = std::uint64_t{1} << (mantissa - 1);
        return static_cast<std::uint16_t>(sign | infinity | quiet | payload);
    }
    if (magnitude == 0x7FF0000000000000U) {
        return static_cast<std::uint16_t>(sign | infinity);
    }
    const int exponent = static_cast<int>(magnitude >> 52) - 1023;
    if (exponent < 1 - bias - mantissa - 1) {
        return static_cast<std::uint16_t>(sign);   // less than half the smallest subnormal
    }
    // Bits of the significand that fall away: more of them below the normal range.
    const int drop = 52 - mantissa + (exponent < 1 - bias ? 1 - bias - exponent : 0);
    const std::uint64_t significand = (magnitude & 0xFFFFFFFFFFFFFU) | 0x10000000000000U;
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    const std::uint64_t kept = significand >> drop;
    const std::uint64_t rest = significand & ((half << 1) - 1);
    const std::uint64_t up = rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0;
    // The hidden bit is added to the exponent, and so is a carry out of the significand.
    const std::uint64_t base =
        exponent < 1 - bias ? 0 : (static_cast<std::uint64_t>(exponent + bias - 1) << mantissa);
    const std::uint64_t result = base + kept + up;
    return static_cast<std::uint16_t>(sign | (result >= infinity ? infinity : result));
}

template <class Raw>
Raw load(const std::byte* from, Index i) noexcept
{
    Raw raw;
    std::memcpy(&raw, from + static_cast<std::size_t>(i) * sizeof(Raw), sizeof(Raw));
    return raw;
}

template <class Raw>
void store(std::byte* to, Index i, Raw raw) noexcept
{
    std::memcpy(to + static_cast<std::size_t>(i) * sizeof(Raw), &raw, sizeof(Raw));
}

[[noreturn]] void refuse(double value, Index i, std::string_view target)
{
    throw_error(ErrorCode::bad_data, "element " + std::to_string(i) + " is " + std::to_string(value) +
                                         ", which is no value of type " + std::string(target));
}

/// value as the integer To, exactly; 2^63 as a double is the first value too large for 64 bits.
template <class To, class From>
To to_integer(From value, Index i, std::string_view target)
{
    if constexpr (std::is_floating_point_v<From>) {
        const double x = static_cast<double>(value);
        const double low = static_cast<double>(std::numeric_limits<To>::min());
        const double high = std::ldexp(1.0, std::numeric_limits<To>::digits);
        if (!(x >= low && x < high && x == std::trunc(x))) {
            refuse(x, i, target);
        }
        return static_cast<To>(x);
    } else {
        if (!std::in_range<To>(value)) {
            refuse(static_cast<double>(value), i, target);
        }
        return static_cast<To>(value);
    }
}

template <class T>
constexpr std::string_view name_of_element()
{
    return std::is_same_v<T, double> ? "F64" : std::is_same_v<T, float> ? "F32" : "I64";
}

template <class Raw, class T>
void convert_plain(const std::byte* from, Index n, T* to)
{
    if constexpr (std::is_same_v<Raw, T>) {
        if (n > 0) {
            std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
        }
    } else {
        for (Index i = 0; i < n; ++i) {
            if constexpr (std::is_integral_v<T>) {
                to[i] = to_integer<T>(load<Raw>(from, i), i, name_of_element<T>());
            } else {
                to[i] = static_cast<T>(load<Raw>(from, i));
            }
        }
    }
}

template <class T, class Widen>
void convert_small(const std::byte* from, Index n, T* to, const Widen& widen)
{
    for (Index i = 0; i < n; ++i) {
        const float value = widen(load<std::uint16_t>(from, i));
        if constexpr (std::is_integral_v<T>) {
            to[i] = to_integer<T>(value, i, name_of_element<T>());
        } else {
            to[i] = static_cast<T>(value);
        }
    }
}

template <class Raw, class T>
void store_plain(DType target, const T* from, Index n, std::byte* to)
{
    if constexpr (std::is_same_v<Raw, T>) {
        if (n > 0) {
            std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
        }
    } else {
        for (Index i = 0; i < n; ++i) {
            if constexpr (std::is_integral_v<Raw>) {
                store<Raw>(to, i, to_integer<Raw>(from[i], i, name_of(target)));
            } else {
                store<Raw>(to, i, static_cast<Raw>(from[i]));
            }
        }
    }
}

/// An integer of 64 bits to a double that rounds to 16 bits as the integer itself would: every bit lost is kept as
/// a sticky last bit (round to odd), so the second rounding sees on which side of a tie it lies.
double to_odd_double(std::int64_t value) noexcept
{
    double nearest = static_cast<double>(value);
    if (std::abs(nearest) < 0x1p53) {
        return nearest;
    }
    const std::uint64_t magnitude =
        value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
    const std::uint64_t sticky = (magnitude & 0x7FFU) != 0 ? 0x800U : 0;
    const double odd = static_cast<double>((magnitude & ~std::uint64_t{0x7FF}) | sticky);
    return value < 0 ? -odd : odd;
}

template <class T>
double widened(T value) noexcept
{
    if constexpr (std::is_integral_v<T>) {
        return to_odd_double(value);
    } else {
        return static_cast<double>(value);
    }
}

}  // namespace

std::size_t size_of(DType type) noexcept
{
    return descriptions[static_cast<std::size_t>(type)].size;
}

std::string_view name_of(DType type) noexcept
{
    return descriptions[static_cast<std::size_t>(type)].name;
}

std::optional<DType> dtype_named(std::string_view name) noexcept
{
    for (std::size_t i = 0; i < descriptions.size(); ++i) {
        if (descriptions[i].name == name) {
            return static_cast<DType>(i);
        }
    }
    return std::nullopt;
}

bool is_floating(DType type) noexcept
{
    return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

bool is_complex(DType type) noexcept
{
    return type == DType::c64 || type == DType::c128;
}

bool is_integer(DType type) noexcept
{
    return !is_floating(type) && !is_complex(type);
}

std::uint16_t to_bf16(float x) noexcept
{
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
        return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
    }
    return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

float from_bf16(std::uint16_t x) noexcept
{
    return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

std::uint16_t to_f16(float x) noexcept
{
    return round_to_small<10, 15>(static_cast<double>(x));
}

std::uint16_t to_f16(double x) noexcept
{
    return round_to_small<10, 15>(x);
}

std::uint16_t to_bf16(double x) noexcept
{
    return round_to_small<7, 127>(x);
}

float from_f16(std::uint16_t x) noexcept
{
    const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000U) << 16;
    const std::uint32_t exponent = (x >> 10) & 0x1FU;
    const std::uint32_t mantissa = x & 0x3FFU;
    if (exponent == 0x1F) {
        const std::uint32_t quiet = mantissa != 0 ? 0x400000U : 0;
        return std::bit_cast<float>(sign | 0x7F800000U | quiet | (mantissa << 13));
    }
    if (exponent == 0) {
        const float value = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

template <class T>
void convert_from(DType source, const std::byte* from, Index n, T* to)
{
    switch (source) {
    case DType::f64: return convert_plain<double>(from, n, to);
    case DType::f32: return convert_plain<float>(from, n, to);
    case DType::f16: return convert_small(from, n, to, from_f16);
    case DType::bf16:                                // a function that the compiler sees: it makes vectors of it
        return convert_small(from, n, to, [](std::uint16_t x) {
            return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
        });
    case DType::i64: return convert_plain<std::int64_t>(from, n, to);
    case DType::i32: return convert_plain<std::int32_t>(from, n, to);
    case DType::i16: return convert_plain<std::int16_t>(from, n, to);
    case DType::i8: return convert_plain<std::int8_t>(from, n, to);
    case DType::u32: return convert_plain<std::uint32_t>(from, n, to);
    case DType::u16: return convert_plain<std::uint16_t>(from, n, to);
    case DType::u8: return convert_plain<std::uint8_t>(from, n, to);
    case DType::boolean:
        for (Index i = 0; i < n; ++i) {
            to[i] = static_cast<T>(load<std::uint8_t>(from, i) != 0 ? 1 : 0);
        }
        return;
    case DType::c64:
    case DType::c128: break;
    }
    throw_error(ErrorCode::bad_data, "elements of type " + std::string(name_of(source)) + " are complex where real " +
                                         std::string(name_of_element<T>()) + " is wanted");
}

template <class T>
void convert_to(DType target, const T* from, Index n, std::byte* to)
{
    switch (target) {
    case DType::f64: return store_plain<double>(target, from, n, to);
    case DType::f32: return store_plain<float>(target, from, n, to);
    case DType::f16:
        for (Index i = 0; i < n; ++i) {
            store<std::uint16_t>(to, i, to_f16(widened(from[i])));
        }
        return;
    case DType::bf16:
        for (Index i = 0; i < n; ++i) {
            store<std::uint16_t>(to, i, to_bf16(widened(from[i])));
        }
        return;
    case DType::i64: return store_plain<std::int64_t>(target, from, n, to);
    case DType::i32: return store_plain<std::int32_t>(target, from, n, to);
    case DType::i16: return store_plain<std::int16_t>(target, from, n, to);
    case DType::i8: return store_plain<std::int8_t>(target, from, n, to);
    case DType::u32: return store_plain<std::uint32_t>(target, from, n, to);
    case DType::u16: return store_plain<std::uint16_t>(target, from, n, to);
    case DType::u8: return store_plain<std::uint8_t>(target, from, n, to);
    case DType::boolean:
        for (Index i = 0; i < n; ++i) {
            const auto value = to_integer<std::uint8_t>(from[i], i, name_of(target));
            if (value > 1) {
                refuse(static_cast<double>(value), i, name_of(target));
            }
            store<std::uint8_t>(to, i, value);
        }
        return;
    case DType::c64:
    case DType::c128: break;
    }
    throw_error(ErrorCode::bad_data,
                "real elements cannot be stored as complex type " + std::string(name_of(target)) + " here");
}

template void convert_from<float>(DType, const std::byte*, Index, float*);
template void convert_from<double>(DType, const std::byte*, Index, double*);
template void convert_from<std::int64_t>(DType, const std::byte*, Index, std::int64_t*);
template void convert_to<float>(DType, const float*, Index, std::byte*);
template void convert_to<double>(DType, const double*, Index, std::byte*);
template void convert_to<std::int64_t>(DType, const std::int64_t*, Index, std::byte*);

}  // namespace stillhouse
