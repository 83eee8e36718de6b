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
    std::vector<double> residuals;   // |A x - value x| in exact arithmetic: an eigenvalue is as near as that
    std::vector<double> vectors;     // [values, dimension] row-major, when asked for
};

enum class Vectors { no, yes };

using Operator = std::function<void(const double*, double*)>;

struct LanczosOptions {
    Index k = 1;                         // values wanted
    double tolerance = 1e-13;            // residuals relative to the largest value
    Vectors vectors = Vectors::no;
    bool probe = true;                   // after convergence look once more, from a random vector, for further copies
    const double* start = nullptr;       // first vector; random where there is none
    /// Asked now and then with the leading Ritz values (k or fewer), which only grow: true ends the search.
    std::function<bool(const std::vector<double>&)> enough = {};
};

/// The k eigenvalues of largest modulus of a symmetric operator y = A x of the given dimension, by Lanczos with full
/// reorthogonalisation. A breakdown restarts with a random vector orthogonal to what was found; so does convergence,
/// once more (`probe`), to see a higher multiplicity, which one Krylov space cannot show. Beyond 256 values or 512 MiB
/// the basis stays below 2k + 33 columns by thick restarts. Cost: steps * (product + 4 dimension * columns).
/// Error{stopped}.
Eigenpairs lanczos(const Operator& apply, Index dimension, const LanczosOptions& options, const Control& control);
Eigenpairs lanczos(const Operator& apply, Index dimension, Index k, double tolerance, Vectors vectors,
                   const Control& control);

/// The k largest singular values of a Hankel product that is not symmetric, without squaring it; no vectors.
Eigenpairs golub_kahan(HankelProduct& product, LanczosOptions options, const Control& control);

}  // namespace stillhouse::systems
