// SPDX-License-Identifier: Apache-2.0
// Vectors of a number of bytes, for bodies that are compiled once for each level of vector instructions.
#pragma once

#include "libcore/base/shape.hpp"

#include <cstring>

/// Of whatever a body of a level calls: it must be compiled with the instructions of its caller.
#define STILLHOUSE_INLINE [[gnu::always_inline]] inline

namespace stillhouse::compute {

/// `lanes` numbers side by side; memory may be unaligned.
template <class T, int Bytes>
struct Register {
    typedef T V __attribute__((vector_size(Bytes)));
    static constexpr Index lanes = Bytes / static_cast<Index>(sizeof(T));

    STILLHOUSE_INLINE static V load(const T* p)
    {
        V v;
        std::memcpy(&v, p, Bytes);
        return v;
    }
    STILLHOUSE_INLINE static void store(T* p, V v) { std::memcpy(p, &v, Bytes); }
};

}  // namespace stillhouse::compute
