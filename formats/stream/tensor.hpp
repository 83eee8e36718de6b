// SPDX-License-Identifier: Apache-2.0
// A tensor as it travels: a name, a type, a shape, attributes, and bytes.
#pragma once

#include "formats/value.hpp"
#include "libcore/base/array.hpp"
#include "libcore/base/dtype.hpp"

#include <string>

namespace stillhouse::formats {

struct TensorHeader {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
    Map attributes;              // what the tensor frame holds under "attributes"
    Map unknown;                 // keys of the frame that this version does not know, passed through

    Index elements() const { return element_count(shape); }
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(elements()) * size_of(dtype); }
    const Value* attribute(std::string_view key) const;
    void set_attribute(std::string_view key, Value value);
};

struct Tensor {
    TensorHeader header;
    Buffer<std::byte> data;      // header.bytes() bytes, little-endian, row-major

    const std::string& name() const { return header.name; }
    template <class T>
    const T* as() const { return reinterpret_cast<const T*>(data.data()); }
    template <class T>
    T* as() { return reinterpret_cast<T*>(data.data()); }
};

/// A record without payload: losses, marks. Its map, "frame" aside.
struct Note {
    Map map;
};

/// What the open frame says.
struct StreamInfo {
    int major = 1;
    int minor = 0;
    std::string kind = "tensors";        // "model" or "tensors"
    List history;                        // one map a tool: {tool, version, settings}
    Map attributes;                      // of the whole stream ("shard" = [k, n] among them)
    Map unknown;
};

}  // namespace stillhouse::formats
