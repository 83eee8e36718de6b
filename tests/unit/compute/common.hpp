// SPDX-License-Identifier: Apache-2.0
// Random matrices and comparisons for the tests of libcore/compute.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/random.hpp"
#include "libcore/compute/backend.hpp"

#include <cmath>
#include <cstring>

namespace stillhouse {

template <class T>
struct Dense {
    Index rows;
    Index cols;
    Buffer<T> data;

    Dense(Index r, Index c) : rows(r), cols(c), data(r * c) {}
    Dense(Index r, Index c, std::uint64_t seed, double size = 1.0) : Dense(r, c)
    {
        Random random(seed, 77);
        for (T& v : data) {
            v = static_cast<T>(size * random.normal());
        }
    }
    Matrix<T> out() { return {data.data(), rows, cols}; }
    Matrix<const T> in() const { return {data.data(), rows, cols}; }
    T* row(Index i) { return data.data() + i * cols; }
    const T* row(Index i) const { return data.data() + i * cols; }
    double at(Index i, Index j) const { return static_cast<double>(data[i * cols + j]); }
};

template <class T>
bool same_bits(const Dense<T>& a, const Dense<T>& b)
{
    return a.data.size() == b.data.size() &&
           (a.data.empty() ||
            std::memcmp(a.data.data(), b.data.data(), static_cast<std::size_t>(a.data.size()) * sizeof(T)) == 0);
}

template <class T>
bool same_row(const T* a, const T* b, Index n)
{
    return n == 0 || std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(T)) == 0;
}

template <class T>
constexpr double unit_roundoff()
{
    return sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
}

}  // namespace stillhouse
