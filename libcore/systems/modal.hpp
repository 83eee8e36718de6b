// SPDX-License-Identifier: Apache-2.0
// A filter as explicit first taps and a sum of modes, kept as sections that stay smooth where poles meet.
#pragma once

#include "libcore/base/shape.hpp"

#include <complex>
#include <span>
#include <vector>

namespace stillhouse::systems {

/// states 2: poles sign * exp(m +- sqrt(v)): v < 0 a complex pair of angle sqrt(-v), v > 0 two real poles, v = 0 a
/// double pole. states 1: the pole sign * exp(m). states 0: unused row.
struct Section {
    int states = 0;
    double sign = 1.0;
    double m = 0.0;
    double v = 0.0;
};

/// h_t = fir[t] for t < K = fir.size(); for t >= K the sum over the states of
/// readout[i] * (impulse response of the all-pass cascade at t - K), i.e. Re sum_n R_n lambda_n^(t-K).
/// The order is the number of real states.
struct ModalSystem {
    std::vector<double> fir;                     // K >= 1
    std::vector<Section> sections;               // cascade order
    std::vector<double> readout;                 // in the orthonormal cascade basis (cascade.hpp), one a state
    Index order() const;
};

/// Poles and residues of a system: pairs are neighbours, positive imaginary part first, exact conjugates.
struct PolesResidues {
    std::vector<std::complex<double>> poles;
    std::vector<std::complex<double>> residues;
};
PolesResidues poles_and_residues(const ModalSystem& system);

/// Anyone's poles and residues -> sections and readout. Without conjugates present for a complex pole, it stands for
/// the pair with half the residue each. Error{bad_data} on NaN; a pole of exactly 0 becomes a fir tap.
ModalSystem system_from(std::span<const std::complex<double>> poles, std::span<const std::complex<double>> residues,
                        std::span<const double> fir);

/// The same response with at least `taps` explicit first taps: the modes begin later, their sections stay.
ModalSystem with_taps(const ModalSystem& system, Index taps);

/// h_0 .. h_{length-1}, in double.
std::vector<double> impulse_response(const ModalSystem& system, Index length);

/// Impulse responses of the states of the cascade, [order, length] row-major: the orthonormal basis of the readout.
std::vector<double> cascade_basis(std::span<const Section> sections, Index length);

double spectral_radius(const ModalSystem& system);

}  // namespace stillhouse::systems
