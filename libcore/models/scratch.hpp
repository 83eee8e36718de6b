// SPDX-License-Identifier: Apache-2.0
// Temporary arrays that are reused from call to call instead of being allocated and zeroed each time.
#pragma once

#include "libcore/base/array.hpp"

#include <cstddef>

namespace stillhouse::models {

/// The store behind Scratch: a buffer of at least so many bytes, and back.
Buffer<std::byte> take_scratch(std::size_t bytes);
void give_scratch(Buffer<std::byte> bytes) noexcept;

/// Memory for n elements, contents undefined, 64-byte aligned; goes back to a small store of the calling thread when
/// the object dies (on whichever thread that is). Throws Error{resource}.
template <class T>
class Scratch {
public:
    Scratch() = default;
    explicit Scratch(Index n) : bytes_(take_scratch(static_cast<std::size_t>(n) * sizeof(T))), size_(n) {}
    Scratch(Scratch&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
    Scratch& operator=(Scratch&& other) noexcept
    {
        std::swap(bytes_, other.bytes_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Scratch() { give_scratch(std::move(bytes_)); }

    T* data() const noexcept { return reinterpret_cast<T*>(const_cast<std::byte*>(bytes_.data())); }
    Index size() const noexcept { return size_; }

private:
    Buffer<std::byte> bytes_;
    Index size_ = 0;
};

}  // namespace stillhouse::models
