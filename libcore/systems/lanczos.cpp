// SPDX-License-Identifier: Apache-2.0
// Lanczos with full reorthogonalisation on products by FFT.
#include "libcore/systems/lanczos.hpp"

#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace stillhouse::systems {

namespace {

using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Eigenvalues of a symmetric tridiagonal matrix and the last components of its eigenvectors, by implicit QL. O(n^2),
/// where all eigenvectors would be O(n^3).
struct Ritz {
    std::vector<double> value;
    std::vector<double> last;
};

Ritz tridiagonal(std::vector<double> diagonal, std::vector<double> below)
{
    const std::size_t n = diagonal.size();
    std::vector<double> last(n, 0.0);
    last[n - 1] = 1.0;
    below.resize(n, 0.0);
    for (std::size_t l = 0; l < n; ++l) {
        for (int sweep = 0;; ++sweep) {
            std::size_t m = l;
            for (; m + 1 < n; ++m) {
                const double scale = std::fabs(diagonal[m]) + std::fabs(diagonal[m + 1]);
                if (std::fabs(below[m]) <= std::numeric_limits<double>::epsilon() * scale) {
                    break;
                }
            }
            if (m == l) {
                break;
            }
            if (sweep == 100) {
                throw_error(ErrorCode::internal, "the tridiagonal eigenvalue iteration did not converge");
            }
            double g = (diagonal[l + 1] - diagonal[l]) / (2.0 * below[l]);
            double r = std::hypot(g, 1.0);
            g = diagonal[m] - diagonal[l] + below[l] / (g + std::copysign(r, g));
            double s = 1.0;
            double c = 1.0;
            double p = 0.0;
            bool deflated = false;
            for (std::size_t i = m; i-- > l;) {
                const double f = s * below[i];
                const double b = c * below[i];
                r = std::hypot(f, g);
                below[i + 1] = r;
                if (r == 0.0) {
                    diagonal[i + 1] -= p;
                    below[m] = 0.0;
                    deflated = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = diagonal[i + 1] - p;
                r = (diagonal[i] - g) * s + 2.0 * c * b;
                p = s * r;
                diagonal[i + 1] = g + p;
                g = c * r - b;
                const double z = last[i + 1];
                last[i + 1] = s * last[i] + c * z;
                last[i] = c * last[i] - s * z;
            }
            if (!deflated) {
                diagonal[l] -= p;
                below[l] = g;
                below[m] = 0.0;
            }
        }
    }
    return {std::move(diagonal), std::move(last)};
}

std::vector<std::size_t> by_modulus(const std::vector<double>& values)
{
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return std::fabs(values[a]) > std::fabs(values[b]); });
    return order;
}

}  // namespace

HankelProduct::HankelProduct(std::span<const double> g, Index rows, Index cols, std::vector<double> left,
                             std::vector<double> right)
    : rows_(rows), cols_(cols), left_(std::move(left)), right_(std::move(right)),
      fft_(compute::fft_size(rows + cols - 1)), filter_(fft_.spectrum_size()), spectrum_(fft_.spectrum_size()),
      signal_(fft_.size())
{
    // Index i + j reaches rows + cols - 2, so a circle of rows + cols - 1 is large enough and g beyond that is not met.
    const Index known = std::min(static_cast<Index>(g.size()), rows + cols - 1);
    std::copy_n(g.begin(), known, signal_.begin());
    fft_.forward(signal_.data(), filter_.data());
    for (std::complex<double>& x : filter_) {
        x /= static_cast<double>(fft_.size());
    }
}

void HankelProduct::correlate(const double* x, const std::vector<double>& in, Index n_in, double* y,
                              const std::vector<double>& out, Index n_out)
{
    for (Index i = 0; i < n_in; ++i) {
        signal_[i] = in.empty() ? x[i] : x[i] * in[static_cast<std::size_t>(i)];
    }
    std::fill(signal_.begin() + n_in, signal_.end(), 0.0);
    fft_.forward(signal_.data(), spectrum_.data());
    for (Index i = 0; i < spectrum_.size(); ++i) {
        const std::complex<double> a = filter_[i];
        const std::complex<double> b = spectrum_[i];
        spectrum_[i] = {a.real() * b.real() + a.imag() * b.imag(), a.imag() * b.real() - a.real() * b.imag()};
    }
    fft_.inverse(spectrum_.data(), signal_.data());
    for (Index i = 0; i < n_out; ++i) {
        y[i] = out.empty() ? signal_[i] : signal_[i] * out[static_cast<std::size_t>(i)];
    }
}

void HankelProduct::apply(const double* x, double* y) { correlate(x, right_, cols_, y, left_, rows_); }

void HankelProduct::apply_transposed(const double* x, double* y) { correlate(x, left_, rows_, y, right_, cols_); }

Eigenpairs lanczos(const std::function<void(const double*, double*)>& apply, Index dimension, Index k, double tolerance,
                   Vectors vectors, const Control& control)
{
    k = std::min(k, dimension);
    constexpr Index probe = 12;          // steps of the look for further copies
    std::vector<double> basis;           // column after column
    std::vector<double> alpha;
    std::vector<double> beta;            // beta[j] joins columns j and j + 1
    VectorXd w(dimension);
    Random random(0, 0x68616e6b656cu);

    auto orthogonalise = [&] {
        const Map<const MatrixXd> Q(basis.data(), dimension, static_cast<Index>(alpha.size()));
        for (int pass = 0; pass < 2; ++pass) {
            const VectorXd c = Q.transpose() * w;
            w.noalias() -= Q * c;
        }
    };
    auto fresh = [&] {
        for (Index i = 0; i < dimension; ++i) {
            w(i) = random.normal();
        }
        w.normalize();
        orthogonalise();
        w.normalize();
    };
    auto push = [&] {
        basis.insert(basis.end(), w.data(), w.data() + dimension);
        alpha.push_back(0.0);
    };
    fresh();
    push();
    double scale = 0.0;
    bool broke_down = false;
    Index check_at = std::min(dimension, k + 4);
    Index confirmed_from = -1;           // steps when the values first seemed converged
    std::vector<double> seen;            // what they were then
    Ritz ritz;
    std::vector<std::size_t> order;
    for (;;) {
        const Index j = static_cast<Index>(alpha.size());
        const double* q = basis.data() + (j - 1) * dimension;
        apply(q, w.data());
        alpha.back() = w.dot(Map<const VectorXd>(q, dimension));
        scale = std::max({scale, std::fabs(alpha.back()), w.norm()});
        orthogonalise();
        double b = w.norm();
        if (j == dimension) {
            b = 0.0;
        } else if (b <= 1e-14 * scale * std::max(1.0, std::sqrt(static_cast<double>(dimension)) / 8.0)) {
            b = 0.0;
            broke_down = true;
        }
        const Index least = broke_down ? std::min(dimension, 2 * k + 40) : 0;
        if (j == dimension || (j >= check_at && j >= least)) {
            control.throw_if_stopped();
            ritz = tridiagonal(alpha, beta);
            order = by_modulus(ritz.value);
            bool converged = j == dimension;
            if (!converged && j >= k) {
                converged = true;
                for (Index i = 0; i < k && converged; ++i) {
                    converged = std::fabs(b * ritz.last[order[static_cast<std::size_t>(i)]]) <=
                                tolerance * std::fabs(ritz.value[order[0]]);
                }
            }
            if (converged) {
                std::vector<double> now;
                for (Index i = 0; i < k; ++i) {
                    now.push_back(std::fabs(ritz.value[order[static_cast<std::size_t>(i)]]));
                }
                bool same = j == dimension || (!now.empty() && now[0] == 0.0);
                if (!same && confirmed_from >= 0) {
                    same = true;
                    for (std::size_t i = 0; i < now.size(); ++i) {
                        same = same && std::fabs(now[i] - seen[i]) <= 10.0 * tolerance * now[0];
                    }
                }
                if (same) {
                    break;
                }
                seen = now;
                confirmed_from = j;
                check_at = std::min(dimension, j + probe);
                b = 0.0;                 // what is left of this Krylov space is below the tolerance
            } else {
                check_at = std::min(dimension, j + 8);
            }
        }
        beta.push_back(b);
        if (b == 0.0) {
            fresh();
        } else {
            w /= b;
        }
        push();
    }

    Eigenpairs result;
    for (Index i = 0; i < k; ++i) {
        result.values.push_back(ritz.value[order[static_cast<std::size_t>(i)]]);
    }
    if (vectors == Vectors::yes) {
        const Index steps = static_cast<Index>(alpha.size());
        Eigen::SelfAdjointEigenSolver<MatrixXd> small;
        small.computeFromTridiagonal(Map<const VectorXd>(alpha.data(), steps),
                                     Map<const VectorXd>(beta.data(), steps - 1));
        const std::vector<double> values(small.eigenvalues().data(), small.eigenvalues().data() + steps);
        const std::vector<std::size_t> sorted = by_modulus(values);
        const Map<const MatrixXd> Q(basis.data(), dimension, steps);
        result.vectors.resize(static_cast<std::size_t>(k * dimension));
        for (Index i = 0; i < k; ++i) {
            const Index from = static_cast<Index>(sorted[static_cast<std::size_t>(i)]);
            Map<VectorXd>(result.vectors.data() + i * dimension, dimension).noalias() =
                Q * small.eigenvectors().col(from);
            result.values[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>(from)];
        }
    }
    return result;
}

}  // namespace stillhouse::systems
