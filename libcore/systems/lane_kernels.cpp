// SPDX-License-Identifier: Apache-2.0
// One body for each loop, compiled for each level of vector instructions.
// This file is compiled with -ffp-contract=fast: its vectors are written out, so which product is fused with which sum
// does not depend on how the compiler vectorises.
#include "libcore/systems/lane_kernels.hpp"

#include "libcore/compute/registers.hpp"
#include "libcore/compute/vector.hpp"

#include <string_view>

namespace stillhouse::systems {
namespace {

constexpr Index row = lane_count;

/// Some of the sixteen signals in one register each row, `Slots` slots at a time.
template <class T, int Bytes>
struct Strip : compute::Register<T, Bytes> {
    using typename compute::Register<T, Bytes>::V;
    using compute::Register<T, Bytes>::lanes;
    using compute::Register<T, Bytes>::load;
    using compute::Register<T, Bytes>::store;

    template <int Slots>
    STILLHOUSE_INLINE static void pairs(const T* c, const T* u, Index length, T* states, T* y)
    {
        V x1[Slots];
        V x2[Slots];
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            x1[k] = load(states + 2 * k * row);
            x2[k] = load(states + (2 * k + 1) * row);
        }
        for (Index t = 0; t < length; ++t) {
            const V in = load(u + t * row);
            V out[4] = {load(y + t * row), V{}, V{}, V{}};
#pragma GCC unroll 8
            for (int k = 0; k < Slots; ++k) {
                const T* const at = c + 5 * k * row;
                const V s = load(at);
                const V a = load(at + row);
                const V i = load(at + 2 * row);
                out[k % 2] = load(at + 3 * row) * x1[k] + out[k % 2];
                out[2 + k % 2] = load(at + 4 * row) * x2[k] + out[2 + k % 2];
                const V turned = i * x1[k];
                V next = s * x1[k] + in;
                next = next - a * x1[k];
                x1[k] = next - i * x2[k];
                x2[k] = s * x2[k] + (turned - a * x2[k]);
            }
            store(y + t * row, (out[0] + out[1]) + (out[2] + out[3]));
        }
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            store(states + 2 * k * row, x1[k]);
            store(states + (2 * k + 1) * row, x2[k]);
        }
    }

    template <int Slots>
    STILLHOUSE_INLINE static void singles(const T* c, const T* u, Index length, T* states, T* y)
    {
        V x[Slots];
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            x[k] = load(states + k * row);
        }
        for (Index t = 0; t < length; ++t) {
            const V in = load(u + t * row);
            V out = load(y + t * row);
#pragma GCC unroll 8
            for (int k = 0; k < Slots; ++k) {
                const T* const at = c + 3 * k * row;
                out = load(at + 2 * row) * x[k] + out;
                V next = load(at) * x[k] + in;
                x[k] = next - load(at + row) * x[k];
            }
            store(y + t * row, out);
        }
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            store(states + k * row, x[k]);
        }
    }

    template <int Slots>
    STILLHOUSE_INLINE static void sections(const T* c, T* w, Index length, T* states, T* y)
    {
        V x1[Slots];
        V x2[Slots];
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            x1[k] = load(states + 2 * k * row);
            x2[k] = load(states + (2 * k + 1) * row);
        }
        for (Index t = 0; t < length; ++t) {
            V in = load(w + t * row);
            V out[2] = {load(y + t * row), V{}};
#pragma GCC unroll 8
            for (int k = 0; k < Slots; ++k) {
                const T* const at = c + section_rows * k * row;
                const auto number = [&](LaneSection which) [[gnu::always_inline]] { return load(at + which * row); };
                out[0] = number(section_c1) * x1[k] + out[0];
                out[1] = number(section_c2) * x2[k] + out[1];
                const V rest = number(section_b) * x2[k] - x2[k];
                const V passed = number(section_o2) * x2[k] - number(section_d2) * in;
                const V e = number(section_in) * in + rest;
                V first = number(section_g) * e;
                first = first - number(section_r) * x1[k];
                first = first - number(section_a) * x1[k];
                V second = number(section_h) * x1[k];
                second = number(section_r2) * e + second;
                second = number(section_a2) * e + second;
                x2[k] = second - number(section_s2) * e;
                in = number(section_d) * in + (number(section_o1) * x1[k] + passed);
                x1[k] = number(section_s) * x1[k] + first;
            }
            store(y + t * row, out[0] + out[1]);
            store(w + t * row, in);
        }
#pragma GCC unroll 8
        for (int k = 0; k < Slots; ++k) {
            store(states + 2 * k * row, x1[k]);
            store(states + (2 * k + 1) * row, x2[k]);
        }
    }

    STILLHOUSE_INLINE static void companion(Index order, const T* c, const T* u, Index length, T* states, T* y)
    {
        for (Index t = 0; t < length; ++t) {
            V out = load(y + t * row);
            V v = load(u + t * row);
            for (Index i = 0; i < order; ++i) {
                const V x = load(states + i * row);
                out = load(c + (order + i) * row) * x + out;
                v = v - load(c + i * row) * x;
            }
            for (Index i = order - 1; i > 0; --i) {
                store(states + i * row, load(states + (i - 1) * row));
            }
            if (order > 0) {
                store(states, v);
            }
            store(y + t * row, out);
        }
    }

    STILLHOUSE_INLINE static void dense(Index order, const T* c, const T* u, Index length, T* states, T* next, T* y)
    {
        const T* const b = c + order * order * row;
        for (Index t = 0; t < length; ++t) {
            const V in = load(u + t * row);
            V out = load(y + t * row);
            for (Index i = 0; i < order; ++i) {
                V sum = load(b + i * row) * in;
                for (Index j = 0; j < order; ++j) {
                    sum = load(c + (j * order + i) * row) * load(states + j * row) + sum;
                }
                store(next + i * row, sum);
                out = load(b + (order + i) * row) * load(states + i * row) + out;
            }
            for (Index i = 0; i < order; ++i) {
                store(states + i * row, load(next + i * row));
            }
            store(y + t * row, out);
        }
    }

    STILLHOUSE_INLINE static void taps(Index taps, const T* c, const T* u, Index length, T* past, T* fed, T* y)
    {
        for (Index t = 0; t < length; ++t) {
            const V in = load(u + t * row);
            V out = load(c) * in;
            for (Index k = 1; k < taps; ++k) {
                out = load(c + k * row) * load(past + (k - 1) * row) + out;
            }
            store(fed + t * row, taps > 1 ? load(past + (taps - 2) * row) : in);
            for (Index k = taps - 2; k > 0; --k) {
                store(past + k * row, load(past + (k - 1) * row));
            }
            if (taps > 1) {
                store(past, in);
            }
            store(y + t * row, out);
        }
    }
};

/// Runs over `slots` slots, at most `Most` in registers at a time.
template <int Most, class Body>
STILLHOUSE_INLINE void by_slots(Index slots, const Body& body)
{
    Index k = 0;
    for (; k + Most <= slots; k += Most) {
        body.template run<Most>(k);
    }
    if constexpr (Most > 4) {
        if (k + 4 <= slots) {
            body.template run<4>(k);
            k += 4;
        }
    }
    if (k + 2 <= slots) {
        body.template run<2>(k);
        k += 2;
    }
    if (k < slots) {
        body.template run<1>(k);
    }
}

/// All sixteen signals: strip after strip of them.
template <class T, int Bytes, int Most>
struct Level {
    using S = Strip<T, Bytes>;

    struct Pairs {
        const T* c;
        const T* u;
        Index length;
        T* states;
        T* y;
        template <int Slots>
        STILLHOUSE_INLINE void run(Index k) const
        {
            S::template pairs<Slots>(c + 5 * k * row, u, length, states + 2 * k * row, y);
        }
    };
    struct Singles {
        const T* c;
        const T* u;
        Index length;
        T* states;
        T* y;
        template <int Slots>
        STILLHOUSE_INLINE void run(Index k) const
        {
            S::template singles<Slots>(c + 3 * k * row, u, length, states + k * row, y);
        }
    };
    struct Sections {
        const T* c;
        T* w;
        Index length;
        T* states;
        T* y;
        template <int Slots>
        STILLHOUSE_INLINE void run(Index k) const
        {
            S::template sections<Slots>(c + section_rows * k * row, w, length, states + 2 * k * row, y);
        }
    };

    STILLHOUSE_INLINE static void pairs(Index slots, const T* c, const T* u, Index length, T* states, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            by_slots<Most>(slots, Pairs{c + l, u + l, length, states + l, y + l});
        }
    }
    STILLHOUSE_INLINE static void singles(Index slots, const T* c, const T* u, Index length, T* states, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            by_slots<Most>(slots, Singles{c + l, u + l, length, states + l, y + l});
        }
    }
    STILLHOUSE_INLINE static void sections(Index slots, const T* c, T* w, Index length, T* states, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            by_slots<Most>(slots, Sections{c + l, w + l, length, states + l, y + l});
        }
    }
    STILLHOUSE_INLINE static void companion(Index order, const T* c, const T* u, Index length, T* states, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            S::companion(order, c + l, u + l, length, states + l, y + l);
        }
    }
    STILLHOUSE_INLINE static void dense(Index order, const T* c, const T* u, Index length, T* states, T* next, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            S::dense(order, c + l, u + l, length, states + l, next + l, y + l);
        }
    }
    STILLHOUSE_INLINE static void taps(Index count, const T* c, const T* u, Index length, T* past, T* fed, T* y)
    {
        for (Index l = 0; l < row; l += S::lanes) {
            S::taps(count, c + l, u + l, length, past + l, fed + l, y + l);
        }
    }
};

#define STILLHOUSE_LEVEL(level, target_text, bytes, most, T)                                                          \
    target_text void pairs_##level##_##T(Index n, const T* c, const T* u, Index length, T* states, T* y)              \
    {                                                                                                                 \
        Level<T, bytes, most>::pairs(n, c, u, length, states, y);                                                     \
    }                                                                                                                 \
    target_text void singles_##level##_##T(Index n, const T* c, const T* u, Index length, T* states, T* y)            \
    {                                                                                                                 \
        Level<T, bytes, most>::singles(n, c, u, length, states, y);                                                   \
    }                                                                                                                 \
    target_text void sections_##level##_##T(Index n, const T* c, T* w, Index length, T* states, T* y)                 \
    {                                                                                                                 \
        Level<T, bytes, most>::sections(n, c, w, length, states, y);                                                  \
    }                                                                                                                 \
    target_text void companion_##level##_##T(Index n, const T* c, const T* u, Index length, T* states, T* y)          \
    {                                                                                                                 \
        Level<T, bytes, most>::companion(n, c, u, length, states, y);                                                 \
    }                                                                                                                 \
    target_text void dense_##level##_##T(Index n, const T* c, const T* u, Index length, T* states, T* next, T* y)     \
    {                                                                                                                 \
        Level<T, bytes, most>::dense(n, c, u, length, states, next, y);                                               \
    }                                                                                                                 \
    target_text void taps_##level##_##T(Index n, const T* c, const T* u, Index length, T* past, T* fed, T* y)         \
    {                                                                                                                 \
        Level<T, bytes, most>::taps(n, c, u, length, past, fed, y);                                                   \
    }                                                                                                                 \
    constexpr LaneKernels<T> level##_##T = {pairs_##level##_##T,     singles_##level##_##T, sections_##level##_##T,   \
                                            companion_##level##_##T, dense_##level##_##T,   taps_##level##_##T};

STILLHOUSE_LEVEL(plain, , 16, 4, float)
STILLHOUSE_LEVEL(plain, , 16, 4, double)
#if defined(__x86_64__)
#define STILLHOUSE_AVX2 [[gnu::target("avx2,fma")]]
#define STILLHOUSE_AVX512 [[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]]
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, 4, float)
STILLHOUSE_LEVEL(avx2, STILLHOUSE_AVX2, 32, 4, double)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, 8, float)
STILLHOUSE_LEVEL(avx512, STILLHOUSE_AVX512, 64, 8, double)
#endif

}  // namespace

template <class T>
const LaneKernels<T>* lane_kernels_of(std::string_view level) noexcept
{
    const auto pick = [](const LaneKernels<float>& single, const LaneKernels<double>& real) {
        if constexpr (sizeof(T) == sizeof(float)) {
            return &single;
        } else {
            return &real;
        }
    };
#if defined(__x86_64__)
    const std::string_view best = compute::vector_level();
    if (level == "avx512" && best == "avx512") {
        return pick(avx512_float, avx512_double);
    }
    if (level == "avx2" && (best == "avx2" || best == "avx512")) {
        return pick(avx2_float, avx2_double);
    }
#endif
    return level == "plain" ? pick(plain_float, plain_double) : nullptr;
}

template <class T>
const LaneKernels<T>& lane_kernels() noexcept
{
    static const LaneKernels<T>* const chosen = lane_kernels_of<T>(compute::vector_level());
    return chosen != nullptr ? *chosen : *lane_kernels_of<T>("plain");
}

template const LaneKernels<float>* lane_kernels_of(std::string_view) noexcept;
template const LaneKernels<double>* lane_kernels_of(std::string_view) noexcept;
template const LaneKernels<float>& lane_kernels() noexcept;
template const LaneKernels<double>& lane_kernels() noexcept;

}  // namespace stillhouse::systems
