// SPDX-License-Identifier: Apache-2.0
// From the name of a precision to the type that a network is computed in.
#pragma once

#include "libcore/compute/backend.hpp"

#include <string>
#include <string_view>

namespace stillhouse::adapters {

/// Makes the backend and returns body(backend, T{}) with T = double for "f64" and float for "f32" and "bf16" (products of
/// bf16 operands, everything else in f32).
template <class Body>
auto with_precision(std::string_view precision, const std::string& device, int threads, Body&& body)
{
    using compute::Precision;
    const Precision arithmetic = precision == "f64"    ? Precision::f64
                                 : precision == "bf16" ? Precision::bf16
                                                       : Precision::f32;
    const auto backend = compute::make_backend(device, arithmetic, threads);
    return arithmetic == Precision::f64 ? body(*backend, double{}) : body(*backend, float{});
}

}  // namespace stillhouse::adapters
