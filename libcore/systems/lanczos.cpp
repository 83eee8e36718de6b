// SPDX-License-Identifier: Apache-2.0
// Lanczos with full reorthogonalisation on products by FFT.
#include "libcore/systems/lanczos.hpp"

#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"
#include "libcore/compute/basis.hpp"
#include "libcore/compute/vector.hpp"

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
/// where all eigenvectors would be O(n^3). The norm should be near 1, so that squares neither overflow nor vanish.
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
                if (std::fabs(below[m]) <= std::numeric_limits<double>::epsilon() * scale ||
                    std::fabs(below[m]) < 1e-150) {
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
                r = std::sqrt(f * f + g * g);
                below[i + 1] = r;
                if (r == 0.0) {
                    diagonal[i + 1] -= p;
                    below[m] = 0.0;
                    deflated = true;
                    break;
                }
                const double inverse = 1.0 / r;
                s = f * inverse;
                c = g * inverse;
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

using Step = std::function<void(int side, const double* x, double* y)>;

/// Lanczos on a symmetric operator (one space), or on [0 H; H' 0] from a vector in one of its two spaces: then columns
/// lie in one or the other and half of all products and sums are known to be zero (Golub and Kahan 1965).
class Iteration {
public:
    Iteration(Step step, Index rows, Index cols, const LanczosOptions& options, const Control& control)
        : step_(std::move(step)), options_(options), control_(control), two_(cols > 0), dimension_(rows + cols),
          wanted_(std::min(options.k * (two_ ? 2 : 1), dimension_))
    {
        bases_.emplace_back(rows);
        if (two_) {
            bases_.emplace_back(cols);
        }
        w_ = Buffer<double>(std::max(rows, cols));
        // Keeping more than this costs more passes over the basis than restarting costs steps.
        const Index enough = 2 * wanted_ + 32;
        const bool too_much = enough > 544 || enough * rows > (Index{1} << 26);
        const Index room = std::max(wanted_ + 24, std::min(enough, (Index{96} << 20) / rows));      // 768 MiB
        most_ = two_ ? dimension_ : std::min(dimension_, too_much ? room : dimension_);
        check_at_ = options.enough ? 6 : wanted_ + 8;
    }

    Eigenpairs run()
    {
        fresh(options_.start);
        for (;;) {
            const double b = advance();
            const bool all = columns() == dimension_ && !restarted_;
            const bool full = columns() == most_;
            if (all || full || (taken_ >= check_at_ && taken_ >= least_)) {
                control_.throw_if_stopped();
                look(b, all);
                if (done_) {
                    return result(b);
                }
            }
            double next = check_again_ ? 0.0 : b;
            check_again_ = false;
            if (full) {
                next = restart(next);
            }
            beta_.push_back(next);
            if (next == 0.0) {
                fresh(nullptr);
            } else {
                Basis& basis = bases_[static_cast<std::size_t>(side_)];
                for (Index i = 0; i < basis.rows(); ++i) {
                    w_[i] /= b;
                }
                push(basis);
            }
        }
    }

private:
    using Basis = compute::Basis;

    Index columns() const { return static_cast<Index>(alpha_.size()); }
    const double* column(Index j) const
    {
        const Place& p = places_[static_cast<std::size_t>(j)];
        return bases_[static_cast<std::size_t>(p.side)].column(p.at);
    }

    void push(Basis& basis)
    {
        places_.push_back({side_, basis.size()});
        basis.push(w_.data());
        alpha_.push_back(0.0);
    }

    /// A vector orthogonal to all columns: the one given, or random.
    void fresh(const double* start)
    {
        if (two_) {                      // the space that is further from being full
            side_ = bases_[0].rows() - bases_[0].size() >= bases_[1].rows() - bases_[1].size() ? 0 : 1;
        }
        Basis& basis = bases_[static_cast<std::size_t>(side_)];
        double norm = 0.0;
        while (!(norm > 0.0)) {
            for (Index i = 0; i < basis.rows(); ++i) {
                w_[i] = start != nullptr ? start[i] : random_.normal();
            }
            norm = basis.orthogonalise(w_.data());
            start = nullptr;
        }
        for (Index i = 0; i < basis.rows(); ++i) {
            w_[i] /= norm;
        }
        basis.orthogonalise(w_.data());
        push(basis);
    }

    /// One product, orthogonal to all columns; the norm of what is new, 0 where that is rounding. Sets side_.
    double advance()
    {
        const Index j = columns() - 1;
        const double* q = column(j);
        step_(places_.back().side, q, w_.data());
        side_ = two_ ? 1 - places_.back().side : 0;
        Basis& basis = bases_[static_cast<std::size_t>(side_)];
        const Index n = basis.rows();
        scale_ = std::max(scale_, std::sqrt(compute::dot(w_.data(), w_.data(), n)));
        if (j > 0 && beta_.back() != 0.0) {
            compute::axpy(-beta_.back(), column(j - 1), n, w_.data());
        }
        if (!two_) {
            alpha_.back() = compute::dot(q, w_.data(), n);
            compute::axpy(-alpha_.back(), q, n, w_.data());
        }
        // The recurrence has taken the large parts out; one pass over the basis takes what rounding left.
        double b = basis.orthogonalise(w_.data());
        ++taken_;
        if (basis.size() == n || b <= 1e-14 * scale_ * std::max(1.0, std::sqrt(static_cast<double>(n)) / 8.0)) {
            b = 0.0;
            least_ = std::min(dimension_, 2 * wanted_ + 24);
        }
        return b;
    }

    /// Ritz values, and whether they may be believed.
    void look(double b, bool all)
    {
        std::vector<double> diagonal(alpha_);
        std::vector<double> below(beta_);
        const double unit = scale_ > 0.0 ? 1.0 / scale_ : 1.0;
        for (double& x : diagonal) {
            x *= unit;
        }
        for (double& x : below) {
            x *= unit;
        }
        ritz_ = tridiagonal(std::move(diagonal), std::move(below));
        for (double& x : ritz_.value) {
            x *= scale_;
        }
        order_ = by_modulus(ritz_.value);
        std::vector<double> now;
        double worst = 0.0;
        for (Index i = 0; i < std::min(wanted_, columns()); ++i) {
            const std::size_t at = order_[static_cast<std::size_t>(i)];
            now.push_back(std::fabs(ritz_.value[at]));
            worst = std::max(worst, std::fabs(b * ritz_.last[at]));
        }
        done_ = all || (options_.enough && options_.enough(now));
        if (done_ || columns() < wanted_) {
            check_at_ = taken_ + 6;
            return;
        }
        const double limit = options_.tolerance * now[0];
        if (worst > limit) {
            // Convergence is a little faster than geometric: go most of the way that the last two looks foretell.
            const double rate = last_worst_ > worst ? std::log(last_worst_ / worst) / static_cast<double>(
                                                          std::max<Index>(1, taken_ - last_taken_))
                                                    : 0.0;
            const double away = rate > 0.0 ? 0.7 * std::log(worst / limit) / rate : 8.0;
            check_at_ = taken_ + std::max<Index>(4, static_cast<Index>(std::min(away, 64.0)));
            last_worst_ = worst;
            last_taken_ = taken_;
            return;
        }
        bool same = !options_.probe || now[0] == 0.0;
        if (!same && !seen_.empty()) {
            same = true;
            for (std::size_t i = 0; i < now.size(); ++i) {
                same = same && std::fabs(now[i] - seen_[i]) <= 10.0 * options_.tolerance * now[0];
            }
        }
        done_ = same;
        seen_ = std::move(now);
        check_again_ = true;             // what is left of this Krylov space is below the tolerance: begin another
        check_at_ = taken_ + probe_steps;
        last_worst_ = 0.0;
    }

    /// Keeps the leading Ritz vectors in an order that leaves the projected matrix tridiagonal and only the last of
    /// them coupled to the next column, by b; returns that coupling. (Wu and Simon 2000, in Lanczos form.)
    double restart(double b)
    {
        const Index m = columns();
        const Index keep = std::min(m - 8, wanted_ + std::max<Index>(8, (m - wanted_) / 3));
        Eigen::SelfAdjointEigenSolver<MatrixXd> small;
        small.computeFromTridiagonal(Map<const VectorXd>(alpha_.data(), m), Map<const VectorXd>(beta_.data(), m - 1));
        const std::vector<std::size_t> order =
            by_modulus({small.eigenvalues().data(), small.eigenvalues().data() + m});
        MatrixXd S(m, keep);
        VectorXd theta(keep);
        for (Index i = 0; i < keep; ++i) {
            const Index from = static_cast<Index>(order[static_cast<std::size_t>(i)]);
            S.col(i) = small.eigenvectors().col(from);
            theta(i) = small.eigenvalues()(from);
        }
        const VectorXd s = b * S.row(m - 1).transpose();
        // A reflection turns s to the first axis; Householder's reduction leaves that axis alone.
        VectorXd essential(keep - 1);
        double tau = 0.0;
        double coupling = 0.0;
        s.makeHouseholder(essential, tau, coupling);
        VectorXd v(keep);
        v << 1.0, essential;
        MatrixXd V = MatrixXd::Identity(keep, keep) - tau * v * v.transpose();
        const Eigen::Tridiagonalization<MatrixXd> reduced(V * theta.asDiagonal() * V);
        V = V * MatrixXd(reduced.matrixQ());
        alpha_.resize(static_cast<std::size_t>(keep));
        beta_.resize(static_cast<std::size_t>(keep - 1));
        for (Index i = 0; i < keep; ++i) {               // backwards: the coupled one last
            alpha_[static_cast<std::size_t>(i)] = reduced.diagonal()(keep - 1 - i);
            if (i + 1 < keep) {
                beta_[static_cast<std::size_t>(i)] = reduced.subDiagonal()(keep - 2 - i);
            }
        }
        const MatrixXd columns = (S * V).rowwise().reverse();        // column-major: [keep, m] rows for the basis
        bases_[0].replace(columns.data(), keep);
        places_.resize(static_cast<std::size_t>(keep));
        restarted_ = true;
        return coupling;
    }

    Eigenpairs result(double b)
    {
        Eigenpairs found;
        const Index count = std::min(wanted_, columns());
        for (Index i = 0; i < count; ++i) {
            const std::size_t at = order_[static_cast<std::size_t>(i)];
            found.values.push_back(ritz_.value[at]);
            found.residuals.push_back(std::fabs(b * ritz_.last[at]));
        }
        if (options_.vectors == Vectors::yes) {
            const Index m = columns();
            Eigen::SelfAdjointEigenSolver<MatrixXd> small;
            small.computeFromTridiagonal(Map<const VectorXd>(alpha_.data(), m),
                                         Map<const VectorXd>(beta_.data(), m - 1));
            const std::vector<std::size_t> order =
                by_modulus({small.eigenvalues().data(), small.eigenvalues().data() + m});
            MatrixXd S(m, count);
            for (Index i = 0; i < count; ++i) {
                const std::size_t from = order[static_cast<std::size_t>(i)];
                S.col(i) = small.eigenvectors().col(static_cast<Index>(from));
                found.values[static_cast<std::size_t>(i)] = small.eigenvalues()(static_cast<Index>(from));
            }
            bases_[0].replace(S.data(), count);
            found.vectors.resize(static_cast<std::size_t>(count * dimension_));
            for (Index i = 0; i < count; ++i) {
                std::copy_n(bases_[0].column(i), dimension_, found.vectors.data() + i * dimension_);
            }
        }
        return found;
    }

    static constexpr Index probe_steps = 12;     // of the look for further copies

    struct Place {
        int side;
        Index at;
    };

    Step step_;
    const LanczosOptions& options_;
    const Control& control_;
    bool two_;
    Index dimension_, wanted_;
    Index most_ = 0, check_at_ = 0, least_ = 0, taken_ = 0, last_taken_ = 0;
    std::vector<Basis> bases_;
    std::vector<Place> places_;
    std::vector<double> alpha_, beta_;           // beta_[j] joins columns j and j + 1
    Buffer<double> w_;
    int side_ = 0;
    Random random_{0, 0x68616e6b656cu};
    double scale_ = 0.0, last_worst_ = 0.0;
    bool restarted_ = false, done_ = false, check_again_ = false;
    Ritz ritz_;
    std::vector<std::size_t> order_;
    std::vector<double> seen_;                   // what the values were when they first seemed converged
};

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

Eigenpairs lanczos(const Operator& apply, Index dimension, const LanczosOptions& options, const Control& control)
{
    return Iteration([&](int, const double* x, double* y) { apply(x, y); }, dimension, 0, options, control).run();
}

Eigenpairs lanczos(const Operator& apply, Index dimension, Index k, double tolerance, Vectors vectors,
                   const Control& control)
{
    return lanczos(apply, dimension, {.k = k, .tolerance = tolerance, .vectors = vectors}, control);
}

Eigenpairs golub_kahan(HankelProduct& product, LanczosOptions options, const Control& control)
{
    STILLHOUSE_CHECK(options.vectors == Vectors::no && options.start == nullptr);
    Eigenpairs both = Iteration(
        [&](int side, const double* x, double* y) {
            side == 0 ? product.apply_transposed(x, y) : product.apply(x, y);
        },
        product.rows(), product.cols(), options, control).run();
    // sigma and -sigma both are eigenvalues; zero is one more often.
    Eigenpairs found;
    for (std::size_t i = 0; i < both.values.size() && found.values.size() < static_cast<std::size_t>(options.k); ++i) {
        if (both.values[i] >= 0.0) {
            found.values.push_back(both.values[i]);
            found.residuals.push_back(both.residuals[i]);
        }
    }
    return found;
}

}  // namespace stillhouse::systems
