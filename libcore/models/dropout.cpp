// SPDX-License-Identifier: Apache-2.0
// Dropout by counters.
#include "libcore/models/dropout.hpp"

#include "libcore/base/random.hpp"
#include "libcore/models/elementwise.hpp"

namespace stillhouse::models {

template <class T>
void drop(ThreadPool& pool, const Dropout& dropout, std::uint32_t place, const T* x, Index n, T* y)
{
    // The key differs from that of every Random of this seed.
    const auto half = [](std::uint64_t value, int which) { return static_cast<std::uint32_t>(value >> (32 * which)); };
    const std::array<std::uint32_t, 2> key{half(dropout.seed, 0) ^ half(dropout.step, 1),
                                           half(dropout.seed, 1) ^ 0x64726f70U};
    const double limit = dropout.rate * 0x1p32;
    const T scale = static_cast<T>(1.0 / (1.0 - dropout.rate));
    for_pieces(pool, n, [&](Index begin, Index end) {
        std::array<std::uint32_t, 4> words{};
        for (Index i = begin; i < end; ++i) {
            const std::uint64_t e = dropout.first + static_cast<std::uint64_t>(i);
            if (i == begin || e % 4 == 0) {
                words = philox({half(e / 4, 0), half(e / 4, 1), place, half(dropout.step, 0)}, key);
            }
            y[i] = static_cast<double>(words[e % 4]) < limit ? T(0) : x[i] * scale;
        }
    });
}

template void drop(ThreadPool&, const Dropout&, std::uint32_t, const float*, Index, float*);
template void drop(ThreadPool&, const Dropout&, std::uint32_t, const double*, Index, double*);

}  // namespace stillhouse::models
