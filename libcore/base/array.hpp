// SPDX-License-Identifier: Apache-2.0
// Owning 64-byte aligned arrays, and the views that functions take.
#pragma once

#include "libcore/base/error.hpp"
#include "libcore/base/shape.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace stillhouse {

/// 64-byte aligned storage, zeroed; throws Error{resource} with the size asked for.
std::byte* allocate_aligned(std::size_t bytes);
void free_aligned(std::byte* bytes) noexcept;

/// Fixed-size aligned buffer of trivially copyable elements, zero-initialised. Moves, and copies only by `clone`.
template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    Buffer() = default;
    explicit Buffer(Index n)
        : data_(reinterpret_cast<T*>(allocate_aligned(static_cast<std::size_t>(n) * sizeof(T)))), size_(n)
    {
    }
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0))
    {
    }
    Buffer& operator=(Buffer&& other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Buffer() { free_aligned(reinterpret_cast<std::byte*>(data_)); }

    Buffer clone() const
    {
        Buffer copy(size_);
        std::copy_n(data_, size_, copy.data_);
        return copy;
    }

    T* data() noexcept { return data_; }
    const T* data() const noexcept { return data_; }
    Index size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T& operator[](Index i) noexcept { return data_[i]; }
    const T& operator[](Index i) const noexcept { return data_[i]; }
    T* begin() noexcept { return data_; }
    T* end() noexcept { return data_ + size_; }
    const T* begin() const noexcept { return data_; }
    const T* end() const noexcept { return data_ + size_; }
    std::span<T> span() noexcept { return {data_, static_cast<std::size_t>(size_)}; }
    std::span<const T> span() const noexcept { return {data_, static_cast<std::size_t>(size_)}; }

private:
    T* data_ = nullptr;
    Index size_ = 0;
};

/// Row-major matrix in somebody else's memory: element (i, j) at data[i * stride + j].
template <class T>
struct Matrix {
    T* data = nullptr;
    Index rows = 0;
    Index cols = 0;
    Index stride = 0;

    Matrix() = default;
    Matrix(T* d, Index r, Index c) : data(d), rows(r), cols(c), stride(c) {}
    Matrix(T* d, Index r, Index c, Index s) : data(d), rows(r), cols(c), stride(s) {}
    operator Matrix<const T>() const { return {data, rows, cols, stride}; }

    T& operator()(Index i, Index j) const { return data[i * stride + j]; }
    T* row(Index i) const { return data + i * stride; }
};

/// A batch of equally long sequences, [batch, length, width], contiguous, token-major.
template <class T>
struct Sequences {
    T* data = nullptr;
    Index batch = 0;
    Index length = 0;
    Index width = 0;

    Sequences() = default;
    Sequences(T* d, Index b, Index l, Index w) : data(d), batch(b), length(l), width(w) {}
    operator Sequences<const T>() const { return {data, batch, length, width}; }

    Index tokens() const { return batch * length; }
    Index size() const { return batch * length * width; }
    T* token(Index b, Index t) const { return data + (b * length + t) * width; }
    Matrix<T> rows() const { return {data, tokens(), width}; }
};

}  // namespace stillhouse
