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
