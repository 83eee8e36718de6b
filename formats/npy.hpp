// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy: read in versions 1 to 3, both orders, both byte orders; written in version 1.
#pragma once

#include "formats/fd.hpp"
#include "formats/stream/tensor.hpp"

#include <functional>
#include <string>

namespace stillhouse::formats {

struct NpyHeader {
    DType dtype = DType::f64;            // u64 is read as i64, values checked
    Shape shape;
    bool fortran = false;                // first index fastest
    bool swapped = false;                // big-endian
    bool was_u64 = false;
};

/// Reads magic and header; the payload follows. Error{bad_data}: not .npy, damaged; Error{unsupported}: objects, texts,
/// dates, structures, other types, by their names.
NpyHeader read_npy_header(Fd& input);

/// The whole array, row-major and little-endian, as a tensor called `name`. Error{bad_data}: shorter or longer than its
/// header says.
Tensor read_npy(Fd& input, const std::string& name);
/// The same behind a header that is already read.
Tensor read_npy(Fd& input, const NpyHeader& header, const std::string& name);
/// The payload in order, in pieces of whole elements and about a MiB, in constant memory (column-major: the whole).
void read_npy_pieces(Fd& input, const NpyHeader& header, const std::function<void(const std::byte*, std::size_t)>& use);

/// The bytes before the payload, a multiple of 64 and at least `least`. BF16, which .npy lacks, is for the caller to
/// widen: Error{unsupported}.
std::string npy_header(DType dtype, const Shape& shape, std::size_t least = 0);

}  // namespace stillhouse::formats
