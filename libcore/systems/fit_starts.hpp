// SPDX-License-Identifier: Apache-2.0
// Where a fit begins: Kung's poles, and modes picked greedily from a grid.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/compute/fft.hpp"
#include "libcore/systems/varpro.hpp"

#include <complex>
#include <memory>
#include <vector>

namespace stillhouse::systems {

/// Damped sinusoids of logarithmically spaced decay and all angles, and what each would take off a residual. One object
/// is used by one thread at a time.
class ModeGrid {
public:
    explicit ModeGrid(const FitProblem& problem);

    /// The best pair (or, for one state, the best real pole) for residuals [targets, N].
    Section best(const std::vector<double>& residual, int states);

    /// Of one decay: gain(k) = XX X^2 + XY X Y + YY Y^2 with X - iY the transform of r_t rho^t at bin k.
    struct Ring {
        double decay = 0.0;                  // log rho
        Index used = 0;                      // lags before rho^t is nothing
        compute::RealFft<float> fft;
        std::vector<float> powers;
        std::vector<float> XX, XY, YY;
    };

private:
    const FitProblem& problem_;
    std::shared_ptr<const std::vector<Ring>> rings_;     // the same for all plain problems of one length
    Buffer<float> signal_;
    Buffer<std::complex<float>> spectrum_;
    std::vector<float> gain_;
};

/// The leading eigenvectors of the window Hankel matrix (of several filters: left singular vectors of their matrices
/// side by side), for Kung's method at any order up to theirs.
class KungBasis {
public:
    /// Flat: the window itself. Arcsine: D W D, D^2 = diag(binom(2i, i) / 4^i), whose Frobenius norm is the l2 norm.
    enum class Metric { flat, arcsine };

    KungBasis(const FitProblem& problem, Index order, Metric metric, const Control& control);

    /// Kung 1978: poles of the least squares shift invariance of the first `order` vectors, inside the disc; fast poles
    /// where there are fewer.
    std::vector<Section> sections(Index order) const;

private:
    Index rows_ = 0;
    Index columns_ = 0;
    std::vector<double> vectors_;            // [columns, rows]
    std::vector<double> ratio_;              // a_{i+1} / a_i of the metric, or empty
    std::vector<double> values_;             // moduli of the eigenvalues that belong to the vectors, descending
};

}  // namespace stillhouse::systems
