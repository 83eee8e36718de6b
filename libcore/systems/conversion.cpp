// SPDX-License-Identifier: Apache-2.0
// From any form of a recurrence back to its modes.
#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/exactness.hpp"

#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stillhouse::systems {

namespace {

using Complex = std::complex<double>;

/// Relative l2 that a conversion may cost: numbers in double place a pole to 1e-16, whose response then changes by that
/// over its distance to the circle.
double conversion_limit(const ModalSystem& system)
{
    return std::max(1e-9, 1e-15 / (1.0 - spectral_radius(system)));
}

/// Inverts exact_numbers: q = 1 - b, (1 - l1)(1 - l2) = a (1 + q).
Section section_of(int states, double a, double k2, double s2, double sign)
{
    Section section{states, sign < 0.0 ? -1.0 : 1.0, 0.0, 0.0};
    if (states == 1) {
        section.m = std::log1p(-a);
        return section;
    }
    section.m = 0.25 * std::log1p(-s2 * s2);                         // s2^2 = 1 - q^2
    if (s2 * s2 > 0.5) {
        section.m = 0.5 * std::log(-k2);
    }
    // near = (e^m - 1)^2 - 4 e^m sinh(r / 2)^2 for v = r^2, and with sin for v = -r^2
    const double q = -k2;
    const double radial = std::expm1(section.m);
    const double square = (radial * radial - a * (1.0 + q)) / (4.0 * std::exp(section.m));
    if (square >= 0.0) {
        const double root = 2.0 * std::asinh(std::sqrt(square));
        section.v = root * root;
    } else {
        const double root = 2.0 * std::asin(std::min(1.0, std::sqrt(-square)));
        section.v = -root * root;
    }
    return section;
}

std::vector<Section> cascade_sections(const Realization& r)
{
    std::vector<Section> sections;
    for (std::size_t k = 0; k + 6 <= r.coefficients.size(); k += 6) {
        const double* row = r.coefficients.data() + k;
        if (row[0] != 0.0) {
            sections.push_back(section_of(static_cast<int>(row[0]), row[1], row[2], row[4], row[5]));
        }
    }
    return sections;
}

std::vector<Section> sections_of_poles(const std::vector<Complex>& poles)
{
    // The conjugates of a real matrix come in pairs; residues do not matter for the sections.
    const std::vector<Complex> ones(poles.size(), 1.0);
    return system_from(poles, ones, std::vector<double>{0.0}).sections;
}

std::vector<Section> sections_of(const Realization& r, const ExtendedStateSpace& space)
{
    if (r.form == Form::cascade) {
        return cascade_sections(r);
    }
    std::vector<Complex> poles;
    if (r.form == Form::modal) {
        for (std::size_t k = 0; k + 5 <= r.coefficients.size(); k += 5) {
            const double* row = r.coefficients.data() + k;
            if (row[0] != 0.0) {
                poles.emplace_back(row[1], row[0] == 2.0 ? row[2] : 0.0);
            }
        }
    } else if (space.A.rows() > 0) {
        const Eigen::VectorXcd values = space.A.cast<double>().eigenvalues();
        for (const Complex value : values) {
            if (value.imag() >= 0.0) {
                poles.push_back(value);          // a complex one stands for its pair
            }
        }
    }
    return sections_of_poles(poles);
}

}  // namespace

ModalSystem modes_of(const Realization& realization)
{
    const ExtendedStateSpace space = extended_state_space(realization, "f64");
    if (!space.A.allFinite() || !space.B.allFinite() || !space.C.allFinite()) {
        throw_error(ErrorCode::bad_data, "the recurrence holds numbers that are not finite");
    }
    ModalSystem system;
    system.fir = realization.fir;
    system.sections = sections_of(realization, space);
    system.readout.assign(static_cast<std::size_t>(system.order()), 0.0);
    const ExtendedStateSpace states = extended_state_space(system);
    system.readout = nearest_readout(states, space);
    const double norm = [&] {
        double sum = 0.0;
        for (const double c : system.readout) {
            sum += c * c;
        }
        return std::sqrt(sum);
    }();
    const double off = all_lags_error(extended_state_space(system), space);
    if (!(off <= conversion_limit(system) * norm)) {
        char text[32];
        std::snprintf(text, sizeof text, "%.2g", off / norm);
        throw_error(ErrorCode::unsupported, "the modes of the " + std::string(name_of(realization.form)) +
                                                " form are off by " + text + " (relative l2); start from the modes or "
                                                "from the cascade");
    }
    return system;
}

}  // namespace stillhouse::systems
