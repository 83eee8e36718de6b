// SPDX-License-Identifier: Apache-2.0
// One section of the orthogonal all-pass cascade: its coefficients, its step, its value at a point.
#pragma once

#include "libcore/systems/modal.hpp"

namespace stillhouse::systems {

/// Coefficients of a section. With k1 = sign (1 - a), two states and the section's input w:
///     e = k2 x2 + s2 w,  x1' = k1 x1 + s1 e,  x2' = s1 x1 - k1 e,  w' = s2 x2 - k2 w
/// and one state: x' = k1 x + s1 w,  w' = s1 x - k1 w. The 3 x 3 (2 x 2) map (x, w) -> (x', w') is orthogonal.
/// `a` is kept instead of k1, so that a pole at 1 - 1e-9 survives single precision.
struct AllPass {
    int states = 0;
    double sign = 1.0;
    double a = 0.0;
    double k2 = 0.0;
    double s1 = 0.0;
    double s2 = 0.0;
};

/// Accurate for slow poles: no entry comes from a subtraction of near-equal numbers. Requires m < 0 and poles inside
/// the unit circle (Error{bad_data} otherwise).
AllPass all_pass(const Section& section);

/// One step of one section in arithmetic T: x (its 1 or 2 states) is updated, the next section's input returned.
template <class T>
inline T step_pair(T sign, T a, T k2, T s1, T s2, T* x, T w)
{
    const T x1 = x[0];
    const T x2 = x[1];
    const T e = k2 * x2 + s2 * w;
    x[0] = sign * (x1 - a * x1) + s1 * e;
    x[1] = s1 * x1 - sign * (e - a * e);
    return s2 * x2 - k2 * w;
}

template <class T>
inline T step_single(T sign, T a, T s1, T* x, T w)
{
    const T x1 = x[0];
    x[0] = sign * (x1 - a * x1) + s1 * w;
    return s1 * x1 - sign * (w - a * w);
}

/// The same numbers as a recurrence in T holds them: k1 = sign (1 - a - rest), k2 = -(1 - b). Rounded to T, k2 and s1
/// alone would move the modulus of a pole by 1e-7, and a its angle: of a pole at 1 - 1e-4 that is 1e-3 of its decay. So
/// a is held in two parts, and a and b take up what the rounding of s1 adds to k1^2 + s1^2 = 1: the product of the
/// poles, (1 - b)(k1^2 + s1^2), and their sum, k1 (2 - b), stay what they are.
template <class T>
struct SectionNumbers {
    T sign = T(1);
    T a = T(0);
    T rest = T(0);
    T b = T(0);
    T s1 = T(0);
    T s2 = T(0);
};

template <class T>
SectionNumbers<T> section_numbers(const AllPass& s)
{
    SectionNumbers<T> c;
    c.sign = static_cast<T>(s.sign);
    c.s1 = static_cast<T>(s.s1);
    c.s2 = static_cast<T>(s.s2);
    long double a = s.a;
    if (s.states == 2) {
        const long double b = static_cast<long double>(s.s2) * s.s2 / (1.0L - s.k2);       // s2^2 = 1 - k2^2
        long double held = b;
        for (int round = 0; round < 3; ++round) {
            // k1^2 + s1^2 - 1, which is all rounding; b takes it up, and a what that adds to k1 (2 - b), the sum of
            // the poles
            const long double more = static_cast<long double>(c.s1) * c.s1 - a * (2.0L - a);
            const long double change = more * (1.0L - b) / (1.0L + more);
            held = b + change;
            a = (s.a * (2.0L - b) - change) / (2.0L - held);
        }
        c.b = static_cast<T>(held);
    }
    c.a = static_cast<T>(a);
    c.rest = static_cast<T>(a - c.a);
    return c;
}

/// From m and v themselves, in arithmetic T (double, long double). Errors as all_pass.
template <class T>
SectionNumbers<T> exact_numbers(const Section& section);

/// The same steps with these numbers.
template <class T>
inline T step_pair(const SectionNumbers<T>& c, T* x, T w)
{
    const T x1 = x[0];
    const T x2 = x[1];
    const T e = c.s2 * w - (x2 - c.b * x2);
    x[0] = c.sign * (x1 - (c.a * x1 + c.rest * x1)) + c.s1 * e;
    x[1] = c.s1 * x1 - c.sign * (e - (c.a * e + c.rest * e));
    return c.s2 * x2 + (w - c.b * w);
}

template <class T>
inline T step_single(const SectionNumbers<T>& c, T* x, T w)
{
    const T x1 = x[0];
    x[0] = c.sign * (x1 - (c.a * x1 + c.rest * x1)) + c.s1 * w;
    return c.s1 * x1 - c.sign * (w - (c.a * w + c.rest * w));
}

/// The poles of a section, the one with positive imaginary part first (of real ones the larger modulus).
struct SectionPoles {
    int count = 0;
    std::complex<double> pole[2];
};
SectionPoles poles_of(const Section& section);

/// The section of one pole pair or one real pole; `upper` has |.| in (0, 1).
Section section_of_pair(std::complex<double> upper);
Section section_of_reals(double a, double b);          // of equal sign
Section section_of_real(double pole);

}  // namespace stillhouse::systems
