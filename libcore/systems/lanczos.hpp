// SPDX-License-Identifier: Apache-2.0
// Hankel matrices as operators, and the few largest eigenvalues of a symmetric operator.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/control.hpp"
#include "libcore/compute/fft.hpp"

#include <complex>
#include <functional>
#include <span>
#include <vector>

namespace stillhouse::systems {

/// The rows x cols matrix H_ij = left_i g_{i+j} right_j (g beyond its end is 0), applied by real transforms of a length
/// P >= min(rows + cols - 1, ...) that lets nothing wrap around. Weights may be empty (all 1).
class HankelProduct {
public:
    HankelProduct(std::span<const double> g, Index rows, Index cols, std::vector<double> left = {},
                  std::vector<double> right = {});
    Index rows() const { return rows_; }
    Index cols() const { return cols_; }
    /// y = H x, x [cols], y [rows].
    void apply(const double* x, double* y);
    /// y = H' x, x [rows], y [cols].
    void apply_transposed(const double* x, double* y);

private:
    void correlate(const double* x, const std::vector<double>& in, Index n_in, double* y,
                   const std::vector<double>& out, Index n_out);

    Index rows_;
    Index cols_;
    std::vector<double> left_;
    std::vector<double> right_;
    compute::RealFft<double> fft_;
    Buffer<std::complex<double>> filter_;
    Buffer<std::complex<double>> spectrum_;
    Buffer<double> signal_;
};

struct Eigenpairs {
    std::vector<double> values;      // signed, by descending modulus
    std::vector<double> vectors;     // [values, dimension] row-major, when asked for
};

enum class Vectors { no, yes };

/// The k eigenvalues of largest modulus of a symmetric operator y = A x of the given dimension, by Lanczos with full
/// reorthogonalisation (classical Gram-Schmidt twice). A breakdown restarts with a random vector orthogonal to what was
/// found; so does convergence, once more, to see a higher multiplicity, which one Krylov space cannot show.
/// Residuals <= tolerance * |largest|. Cost: steps * (product + 4 dimension * steps).
/// Error{stopped}.
Eigenpairs lanczos(const std::function<void(const double*, double*)>& apply, Index dimension, Index k, double tolerance,
                   Vectors vectors, const Control& control);

}  // namespace stillhouse::systems
