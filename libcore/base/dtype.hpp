// SPDX-License-Identifier: Apache-2.0
// Element types by their safetensors names, and conversions among them.
#pragma once

#include "libcore/base/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stillhouse {

/// C64 and C128 are (re, im) pairs of F32 and F64.
enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u32, u16, u8, boolean, c64, c128 };

std::size_t size_of(DType type) noexcept;                                // bytes an element
std::string_view name_of(DType type) noexcept;                           // "F64" ... "C128"
std::optional<DType> dtype_named(std::string_view name) noexcept;
bool is_floating(DType type) noexcept;                                   // f64 f32 f16 bf16
bool is_complex(DType type) noexcept;
bool is_integer(DType type) noexcept;                                    // the rest, boolean included

/// Round to nearest even, subnormals and NaN kept (a NaN stays a quiet NaN).
std::uint16_t to_bf16(float x) noexcept;
float from_bf16(std::uint16_t x) noexcept;
std::uint16_t to_f16(float x) noexcept;
std::uint16_t to_f16(double x) noexcept;   // rounds once
std::uint16_t to_bf16(double x) noexcept;  // rounds once
float from_f16(std::uint16_t x) noexcept;

/// Converts n real elements of any type (not complex) into T in {float, double, std::int64_t}.
/// Throws Error{bad_data} for a complex source, or a fractional or overflowing value into an integer.
template <class T>
void convert_from(DType source, const std::byte* from, Index n, T* to);

/// Converts n elements of T in {float, double, std::int64_t} to any real type; integers are checked for range.
template <class T>
void convert_to(DType target, const T* from, Index n, std::byte* to);

}  // namespace stillhouse
