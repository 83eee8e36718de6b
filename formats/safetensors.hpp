// SPDX-License-Identifier: Apache-2.0
// The safetensors format: read mapped and suspiciously, written atomically.
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/mapped_file.hpp"
#include "formats/stream/tensor.hpp"

#include <string>
#include <vector>

namespace stillhouse::formats {

/// A tensor that lies in a mapped file. `data` need not be aligned to its element.
struct StoredTensor {
    TensorHeader header;                 // U64 is called I64; complex where the metadata say so
    std::string stored;                  // type as the file names it: "F8_E4M3" ...
    const std::byte* data = nullptr;
    bool known = true;                   // false: the type is none of ours and the header's dtype says nothing
};

/// One .safetensors file. Error{bad_data}, all at construction, before anything is believed: header length, JSON, keys,
/// shapes against sizes, offsets outside the file, overlaps, holes, bytes that belong to no tensor.
class SafetensorsFile {
public:
    explicit SafetensorsFile(const std::string& path);

    const std::string& name() const { return file_.name(); }
    const std::vector<StoredTensor>& tensors() const { return tensors_; }    // in the order of their bytes
    const Map& metadata() const { return metadata_; }                        // __metadata__, texts
    const MappedFile& file() const { return file_; }

private:
    MappedFile file_;
    std::vector<StoredTensor> tensors_;
    Map metadata_;
};

/// The bytes of a stored tensor. Error{unsupported} naming the type when it is none of ours; Error{bad_data} when a U64
/// does not fit I64.
const std::byte* checked_data(const StoredTensor& tensor);
/// A copy of it, aligned.
Tensor read_stored(const StoredTensor& tensor);

/// Writes one file: first all headers, then the payloads in the order that `order()` gives (largest elements first, so
/// that each is aligned). C128 becomes [..., 2] F64 and C64 [..., 2] F32; the metadata keep which ones, and attributes,
/// so that reading gives them back.
class SafetensorsWriter {
public:
    /// `metadata`: texts by key, beside "format" = "pt", which other readers want to see.
    SafetensorsWriter(AtomicFile output, std::vector<TensorHeader> headers, const Map& metadata);

    const std::vector<std::size_t>& order() const { return order_; }         // indices into the headers
    void append(const std::byte* data, std::size_t n);                       // payloads, in that order
    void finish();                                                           // all bytes must have been given

private:
    AtomicFile output_;
    std::vector<TensorHeader> headers_;
    std::vector<std::size_t> order_;
    std::uint64_t left_ = 0;
};

}  // namespace stillhouse::formats
