// SPDX-License-Identifier: Apache-2.0
// Conversions between poles, sections and the all-pass cascade.
#include "libcore/systems/cascade.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::systems {

namespace {

using Complex = std::complex<double>;

/// (1 - l1)(1 - l2) for the poles exp(m +- sqrt(v)).
template <class T>
T distance_to_one(T m, T v)
{
    if (v > T(0)) {
        const T root = std::sqrt(v);
        return std::expm1(m + root) * std::expm1(m - root);
    }
    const T half_sine = std::sin(std::sqrt(-v) / T(2));
    const T radial = std::expm1(m);
    return radial * radial + T(4) * std::exp(m) * half_sine * half_sine;
}

/// (1 + l1)(1 + l2)
template <class T>
T distance_to_minus_one(T m, T v)
{
    if (v > T(0)) {
        const T root = std::sqrt(v);
        return (T(1) + std::exp(m + root)) * (T(1) + std::exp(m - root));
    }
    const T r = std::exp(m);
    return T(1) + T(2) * r * std::cos(std::sqrt(-v)) + r * r;
}

/// log|z| without loss near the unit circle.
double log_modulus(Complex z)
{
    const double x = std::fabs(z.real());
    const double y = std::fabs(z.imag());
    const double squared_less_one = (x - 1.0) * (x + 1.0) + y * y;
    if (std::fabs(squared_less_one) < 0.5) {
        return 0.5 * std::log1p(squared_less_one);
    }
    return std::log(std::hypot(x, y));
}

/// What a section does to a signal a z^-t (z given): amplitude of its states one step ahead, and of its output.
struct Response {
    Complex x[2];
    Complex out;
};

/// (z I - A)^-1 B w and C (z I - A)^-1 B w + D w.
Response respond(const AllPass& s, Complex z, Complex w)
{
    const double k1 = s.sign * (1.0 - s.a);
    if (s.states == 1) {
        const Complex x = s.s1 * w / (z - k1);
        return {{x, 0.0}, s.s1 * x - k1 * w};
    }
    const double a11 = k1;
    const double a12 = s.s1 * s.k2;
    const double a21 = s.s1;
    const double a22 = -k1 * s.k2;
    const Complex b1 = s.s1 * s.s2 * w;
    const Complex b2 = -k1 * s.s2 * w;
    const Complex det = (z - a11) * (z - a22) - a12 * a21;
    const Complex x1 = ((z - a22) * b1 + a12 * b2) / det;
    const Complex x2 = (a21 * b1 + (z - a11) * b2) / det;
    return {{x1, x2}, s.s2 * x2 - s.k2 * w};
}

/// Moves coinciding poles of a copy apart by a relative 1e-6 of their distance to the circle: poles and residues of
/// a repeated pole do not exist, those of the neighbour are what a reader can be shown.
std::vector<Section> separated(std::vector<Section> sections)
{
    for (std::size_t k = 0; k < sections.size(); ++k) {
        Section& s = sections[k];
        if (s.states == 0) {
            continue;
        }
        if (s.states == 2 && std::fabs(s.v) < 1e-14 * s.m * s.m) {
            s.v = 1e-12 * s.m * s.m;
        }
        // Twice as far each time: poles within an ulp of the circle do not move by a millionth of their distance.
        double step = 1e-6;
        for (bool moved = true; moved && step < 1.0; step *= 2.0) {
            moved = false;
            const SectionPoles mine = poles_of(s);
            for (std::size_t j = 0; j < k && !moved; ++j) {
                const SectionPoles other = poles_of(sections[j]);
                for (int a = 0; a < mine.count; ++a) {
                    for (int b = 0; b < other.count; ++b) {
                        moved = moved || std::abs(mine.pole[a] - other.pole[b]) < 1e-7 * -std::expm1(s.m);
                    }
                }
            }
            if (moved) {
                s.m *= 1.0 + step;
            }
        }
    }
    return sections;
}

}  // namespace

Index ModalSystem::order() const
{
    Index n = 0;
    for (const Section& s : sections) {
        n += s.states;
    }
    return n;
}

template <class T>
SectionNumbers<T> exact_numbers(const Section& s)
{
    SectionNumbers<T> c;
    c.sign = s.sign < 0.0 ? T(-1) : T(1);
    if (s.states == 0) {
        return c;
    }
    const double slowest = s.m + (s.states == 2 && s.v > 0.0 ? std::sqrt(s.v) : 0.0);
    if (!(slowest < 0.0) || !std::isfinite(s.m) || !std::isfinite(s.v) || s.states < 0 || s.states > 2) {
        throw_error(ErrorCode::bad_data, "a section with " + std::to_string(s.states) + " states, m = " +
                    std::to_string(s.m) + " and v = " + std::to_string(s.v) +
                    " has no pole strictly inside the unit circle; m + sqrt(max(v, 0)) must be negative");
    }
    const T m = s.m;
    if (s.states == 1) {
        c.a = -std::expm1(m);
        c.s1 = std::sqrt(-std::expm1(T(2) * m));
        return c;
    }
    const T near = distance_to_one<T>(m, s.v);
    const T far = distance_to_minus_one<T>(m, s.v);
    const T q = std::exp(T(2) * m);
    c.a = near / (T(1) + q);
    c.b = -std::expm1(T(2) * m);
    c.s1 = std::sqrt(near * far) / (T(1) + q);
    c.s2 = std::sqrt(-std::expm1(T(4) * m));
    return c;
}

template SectionNumbers<long double> exact_numbers(const Section&);

AllPass all_pass(const Section& s)
{
    const SectionNumbers<double> c = exact_numbers<double>(s);
    return {s.states, c.sign, c.a, s.states == 2 ? -std::exp(2.0 * s.m) : 0.0, c.s1, c.s2};
}

SectionPoles poles_of(const Section& s)
{
    SectionPoles result;
    result.count = s.states;
    const double sign = s.sign < 0.0 ? -1.0 : 1.0;
    if (s.states == 1) {
        result.pole[0] = sign * std::exp(s.m);
    } else if (s.states == 2 && s.v >= 0.0) {
        const double root = std::sqrt(s.v);
        result.pole[0] = sign * std::exp(s.m + root);
        result.pole[1] = sign * std::exp(s.m - root);
    } else if (s.states == 2) {
        const double angle = std::sqrt(-s.v);
        const double r = std::exp(s.m);
        const double im = r * std::sin(angle);
        result.pole[0] = {sign * r * std::cos(angle), std::fabs(im)};
        result.pole[1] = std::conj(result.pole[0]);
    }
    return result;
}

Section section_of_pair(Complex upper)
{
    const double angle = std::atan2(std::fabs(upper.imag()), std::fabs(upper.real()));
    return {2, upper.real() < 0.0 ? -1.0 : 1.0, log_modulus(upper), -angle * angle};
}

Section section_of_reals(double a, double b)
{
    const double la = log_modulus(a);
    const double lb = log_modulus(b);
    const double half = 0.5 * (la - lb);
    Section section{2, a < 0.0 ? -1.0 : 1.0, 0.5 * (la + lb), half * half};
    // Rounding must not push a slow pole out of the circle.
    while (section.m + std::sqrt(section.v) >= 0.0) {
        section.v = std::nextafter(section.v, 0.0);
    }
    return section;
}

Section section_of_real(double pole)
{
    return {1, pole < 0.0 ? -1.0 : 1.0, log_modulus(pole), 0.0};
}

PolesResidues poles_and_residues(const ModalSystem& system)
{
    STILLHOUSE_CHECK(static_cast<Index>(system.readout.size()) == system.order());
    const std::vector<Section> sections = separated(system.sections);
    std::vector<AllPass> chain;
    for (const Section& s : sections) {
        chain.push_back(all_pass(s));
    }
    PolesResidues result;
    for (std::size_t k = 0; k < sections.size(); ++k) {
        const SectionPoles poles = poles_of(sections[k]);
        const bool complex_pair = poles.count == 2 && sections[k].v < 0.0;
        for (int which = 0; which < (complex_pair ? 1 : poles.count); ++which) {
            const Complex z = poles.pole[which];
            // Residue at z: the sections before are evaluated, this one contributes its spectral projector, those after
            // are evaluated on what it sends on.
            Complex w = 1.0;
            for (std::size_t j = 0; j < k; ++j) {
                w = chain[j].states == 0 ? w : respond(chain[j], z, w).out;
            }
            std::size_t at = 0;
            for (std::size_t j = 0; j < k; ++j) {
                at += static_cast<std::size_t>(chain[j].states);
            }
            const AllPass& s = chain[k];
            const double k1 = s.sign * (1.0 - s.a);
            Complex residue = 0.0;
            if (s.states == 1) {
                const Complex x = s.s1 * w;
                residue = system.readout[at] * x;
                w = s.s1 * x;
            } else {
                const Complex other = poles.pole[1 - which];
                const Complex b1 = s.s1 * s.s2 * w;
                const Complex b2 = -k1 * s.s2 * w;
                const Complex x1 = ((k1 - other) * b1 + s.s1 * s.k2 * b2) / (z - other);
                const Complex x2 = (s.s1 * b1 + (-k1 * s.k2 - other) * b2) / (z - other);
                residue = system.readout[at] * x1 + system.readout[at + 1] * x2;
                w = s.s2 * x2;
            }
            at += static_cast<std::size_t>(s.states);
            for (std::size_t j = k + 1; j < chain.size(); ++j) {
                if (chain[j].states == 0) {
                    continue;
                }
                const Response r = respond(chain[j], z, w);
                for (int i = 0; i < chain[j].states; ++i) {
                    residue += system.readout[at++] * r.x[i];
                }
                w = r.out;
            }
            result.poles.push_back(z);
            if (complex_pair) {
                result.residues.push_back(residue);
                result.poles.push_back(std::conj(z));
                result.residues.push_back(std::conj(residue));
            } else {
                result.residues.push_back(residue.real());
            }
        }
    }
    return result;
}

ModalSystem system_from(std::span<const Complex> poles, std::span<const Complex> residues, std::span<const double> fir)
{
    if (poles.size() != residues.size()) {
        throw_error(ErrorCode::bad_data, std::to_string(poles.size()) + " poles but " +
                    std::to_string(residues.size()) + " residues; each pole needs one");
    }
    ModalSystem system;
    system.fir.assign(fir.begin(), fir.end());
    if (system.fir.empty()) {
        throw_error(ErrorCode::bad_data, "no first tap; fir must hold at least h_0");
    }
    for (const double tap : system.fir) {
        if (!std::isfinite(tap)) {
            throw_error(ErrorCode::bad_data, "a first tap is not a finite number");
        }
    }

    struct Mode {
        Complex pole;          // imaginary part >= 0
        Complex residue;       // h_t = Re(residue pole^t)
        bool used = false;
    };
    std::vector<Mode> pairs;
    std::vector<Mode> reals;
    double at_zero = 0.0;
    for (std::size_t n = 0; n < poles.size(); ++n) {
        const Complex p = poles[n];
        const Complex r = residues[n];
        if (!std::isfinite(p.real()) || !std::isfinite(p.imag()) || !std::isfinite(r.real()) ||
            !std::isfinite(r.imag())) {
            throw_error(ErrorCode::bad_data, "pole or residue " + std::to_string(n) + " is not a finite number");
        }
        if (p == 0.0) {
            at_zero += r.real();
        } else if (p.imag() == 0.0) {
            reals.push_back({p, r.real()});
        } else {
            pairs.push_back({p, r});
        }
        if (!(log_modulus(p) < 0.0) && p != 0.0) {
            throw_error(ErrorCode::bad_data, "pole " + std::to_string(n) + " has modulus " +
                        std::to_string(std::abs(p)) + ", not below 1: its recurrence would not decay; " +
                        "scale the poles inside the unit circle");
        }
    }
    // Conjugates that are present are joined to one mode; without one a complex pole stands for the pair.
    std::vector<Mode> modes;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        if (pairs[i].used) {
            continue;
        }
        Complex residue = pairs[i].pole.imag() > 0.0 ? pairs[i].residue : std::conj(pairs[i].residue);
        const Complex upper{pairs[i].pole.real(), std::fabs(pairs[i].pole.imag())};
        for (std::size_t j = i + 1; j < pairs.size(); ++j) {
            if (!pairs[j].used && std::abs(pairs[j].pole - std::conj(pairs[i].pole)) <= 1e-12 * std::abs(upper)) {
                pairs[j].used = true;
                residue += pairs[j].pole.imag() > 0.0 ? pairs[j].residue : std::conj(pairs[j].residue);
                break;
            }
        }
        modes.push_back({upper, residue});
        system.sections.push_back(section_of_pair(upper));
    }
    std::stable_sort(reals.begin(), reals.end(),
                     [](const Mode& a, const Mode& b) { return a.pole.real() > b.pole.real(); });
    for (std::size_t i = 0; i < reals.size(); ++i) {
        const double a = reals[i].pole.real();
        modes.push_back(reals[i]);
        if (i + 1 < reals.size() && (a > 0.0) == (reals[i + 1].pole.real() > 0.0)) {
            modes.push_back(reals[i + 1]);
            system.sections.push_back(section_of_reals(a, reals[i + 1].pole.real()));
            ++i;
        } else {
            system.sections.push_back(section_of_real(a));
        }
    }
    if (at_zero != 0.0) {
        // 0^(t-K) is 1 at t = K alone: lag K becomes a tap and all other modes begin one lag later.
        double tap = at_zero;
        for (Mode& mode : modes) {
            tap += mode.residue.real();
            mode.residue *= mode.pole;
        }
        system.fir.push_back(tap);
    }

    // The states' responses are orthonormal over all lags, so readout_i = sum_t h_t phi_i(t) = Re sum_n R_n Phi_i(l_n)
    // with Phi_i(l) = sum_t phi_i(t) l^t, which each section gives at z = 1 / l.
    system.readout.assign(static_cast<std::size_t>(system.order()), 0.0);
    for (const Mode& mode : modes) {
        const Complex z = 1.0 / mode.pole;
        Complex w = 1.0;
        std::size_t at = 0;
        for (const Section& section : system.sections) {
            const AllPass s = all_pass(section);
            const Response r = respond(s, z, w);
            for (int i = 0; i < s.states; ++i) {
                system.readout[at++] += (mode.residue * r.x[i] * z).real();
            }
            w = r.out;
        }
    }
    return system;
}

ModalSystem with_taps(const ModalSystem& system, Index taps)
{
    ModalSystem result = system;
    const Index have = static_cast<Index>(system.fir.size());
    if (taps <= have) {
        return result;
    }
    const std::vector<double> h = impulse_response(system, taps);
    result.fir = h;
    std::vector<AllPass> chain;
    for (const Section& s : system.sections) {
        if (s.states > 0) {
            chain.push_back(all_pass(s));
        }
    }
    // One lag later the readout is C A: entry j is what C sees one step after the j-th unit state.
    std::vector<double> x(system.readout.size());
    for (Index k = have; k < taps; ++k) {
        std::vector<double> later(x.size(), 0.0);
        for (std::size_t j = 0; j < x.size(); ++j) {
            std::fill(x.begin(), x.end(), 0.0);
            x[j] = 1.0;
            double w = 0.0;
            double* state = x.data();
            for (const AllPass& s : chain) {
                w = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, state, w)
                                  : step_single(s.sign, s.a, s.s1, state, w);
                state += s.states;
            }
            for (std::size_t i = 0; i < x.size(); ++i) {
                later[j] += result.readout[i] * x[i];
            }
        }
        result.readout = later;
    }
    return result;
}

std::vector<double> impulse_response(const ModalSystem& system, Index length)
{
    STILLHOUSE_CHECK(static_cast<Index>(system.readout.size()) == system.order());
    std::vector<double> h(static_cast<std::size_t>(length), 0.0);
    const Index taps = static_cast<Index>(system.fir.size());
    std::copy_n(system.fir.begin(), std::min(taps, length), h.begin());
    std::vector<AllPass> chain;
    for (const Section& s : system.sections) {
        if (s.states > 0) {
            chain.push_back(all_pass(s));
        }
    }
    std::vector<double> x(system.readout.size(), 0.0);
    for (Index t = taps - 1; t < length; ++t) {
        double y = 0.0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            y += system.readout[i] * x[i];
        }
        if (t >= taps) {
            h[static_cast<std::size_t>(t)] = y;
        }
        double w = t == taps - 1 ? 1.0 : 0.0;
        double* state = x.data();
        for (const AllPass& s : chain) {
            w = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, state, w)
                              : step_single(s.sign, s.a, s.s1, state, w);
            state += s.states;
        }
    }
    return h;
}

std::vector<double> cascade_basis(std::span<const Section> sections, Index length)
{
    std::size_t order = 0;
    std::vector<AllPass> chain;
    for (const Section& s : sections) {
        if (s.states > 0) {
            chain.push_back(all_pass(s));
            order += static_cast<std::size_t>(s.states);
        }
    }
    const std::size_t n = static_cast<std::size_t>(length);
    std::vector<double> basis(order * n, 0.0);
    std::vector<double> sent(n, 0.0);                    // the input of the next section, section after section
    if (n > 0) {
        sent[0] = 1.0;
    }
    double* row = basis.data();
    for (const AllPass& s : chain) {
        double x[2] = {0.0, 0.0};
        for (std::size_t t = 0; t < n; ++t) {
            sent[t] = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, x, sent[t])
                                    : step_single(s.sign, s.a, s.s1, x, sent[t]);
            row[t] = x[0];
            if (s.states == 2) {
                row[n + t] = x[1];
            }
        }
        row += static_cast<std::size_t>(s.states) * n;
    }
    return basis;
}

double spectral_radius(const ModalSystem& system)
{
    double radius = 0.0;
    for (const Section& s : system.sections) {
        if (s.states > 0) {
            radius = std::max(radius, std::exp(s.m + (s.states == 2 && s.v > 0.0 ? std::sqrt(s.v) : 0.0)));
        }
    }
    return radius;
}

}  // namespace stillhouse::systems
