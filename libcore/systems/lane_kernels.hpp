// SPDX-License-Identifier: Apache-2.0
// Inner loops of recurrences of sixteen signals side by side, chosen once at run time for the processor.
#pragma once

#include "libcore/base/shape.hpp"

#include <string_view>

namespace stillhouse::systems {

/// Signals of a block. The same for every processor, so that a saved state fits any other.
inline constexpr Index lane_count = 16;

/// Every array is rows of 16 numbers, one a signal; u, w and y have `length` rows, one a token, and states go from row
/// to row of a slot in registers, eight slots (of narrow processors four) at a time. y is added to, in an order that
/// depends on the number of slots alone. A signal's bits depend neither on `length` nor on the other signals.
template <class T>
struct LaneKernels {
    /// Slots of two states; c holds rows s, a, i, c1, c2 a slot (s = +-1, a = s times the damping):
    ///     y += c1 x1 + c2 x2;  x1' = s x1 - a x1 - i x2 + u;  x2' = s x2 - a x2 + i x1
    void (*pairs)(Index slots, const T* c, const T* u, Index length, T* states, T* y);
    /// Slots of one state; c holds rows s, a, c1: y += c1 x;  x' = s x - a x + u
    void (*singles)(Index slots, const T* c, const T* u, Index length, T* states, T* y);
    /// Sections of the all-pass cascade, two states a slot (of a section of one the second stays zero); c holds the
    /// rows of LaneSection. w is the input of the first and is overwritten by the output of the last.
    void (*sections)(Index slots, const T* c, T* w, Index length, T* states, T* y);
    /// c: a[order] then b[order] rows; states are the past v: y += b x;  v = u - a x;  x' = (v, x without its last)
    void (*companion)(Index order, const T* c, const T* u, Index length, T* states, T* y);
    /// c: A[order, order] column after column, B[order], C[order] rows: y += C x;  x' = A x + B u. next: [order] rows.
    void (*dense)(Index order, const T* c, const T* u, Index length, T* states, T* next, T* y);
    /// c: fir[taps] rows; past: the last taps - 1 inputs, newest first. y = sum_k fir_k u[t - k] (overwritten), and
    /// fed[t] = u[t - taps + 1]; fed may not be u.
    void (*taps)(Index taps, const T* c, const T* u, Index length, T* past, T* fed, T* y);
};

/// Rows of a slot of `sections`: with w its input,
///     y += c1 x1 + c2 x2;  e = in w - (x2 - b x2)
///     x1' = s x1 - a x1 - r x1 + g e;  x2' = h x1 - (s' e - a' e - r' e);  w' = o1 x1 + o2 x2 + d w - d' w
enum LaneSection { section_b, section_in, section_s, section_a, section_r, section_g, section_h, section_s2, section_a2,
                   section_r2, section_o1, section_o2, section_d, section_d2, section_c1, section_c2, section_rows };

template <class T>
const LaneKernels<T>& lane_kernels() noexcept;
/// Those of one level, "avx512", "avx2" or "plain"; null where this processor does not run it. For tests.
template <class T>
const LaneKernels<T>* lane_kernels_of(std::string_view level) noexcept;

}  // namespace stillhouse::systems
