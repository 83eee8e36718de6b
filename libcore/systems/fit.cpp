// SPDX-License-Identifier: Apache-2.0
// The fit: the problem in its metric, a search for poles, residues in the all-pass basis.
#include "libcore/systems/fit.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/aak.hpp"
#include "libcore/systems/finite.hpp"
#include "libcore/systems/fit_search.hpp"
#include "libcore/systems/hankel.hpp"
#include "libcore/systems/mode_columns.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>

namespace stillhouse::systems {

namespace {

using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double rounding = 1e-6;        // below, trained modes are what the filter was made of

/// The all-pass basis of the sections over some lags, [lags, order]: nearly orthonormal columns.
MatrixXd basis_of(std::span<const Section> sections, Index lags)
{
    const std::vector<double> basis = cascade_basis(sections, lags);
    return Map<const MatrixXd>(basis.data(), lags, static_cast<Index>(basis.size()) / lags);
}

/// Columns of samples in the metric of the problem: sums of squares of what comes back are what is minimised.
MatrixXd in_metric(const FitProblem& problem, MatrixXd samples)
{
    if (!problem.weights.empty()) {
        const VectorXd root = Map<const VectorXd>(problem.weights.data(), samples.rows()).cwiseSqrt();
        return root.asDiagonal() * samples;
    }
    return problem.spectrum.empty() ? samples : in_spectrum(problem, samples);
}

/// Least squares where the columns of B are nearly orthonormal: normal equations and a correction, else pivoted QR.
MatrixXd best_coefficients(const MatrixXd& B, const MatrixXd& g)
{
    const Eigen::LLT<MatrixXd> factor(MatrixXd(B.transpose() * B));
    if (factor.info() != Eigen::Success || factor.rcond() < 1e-4) {
        return B.colPivHouseholderQr().solve(g);
    }
    MatrixXd c = factor.solve(B.transpose() * g);
    c += factor.solve(B.transpose() * (g - B * c));
    return c;
}

void check(std::span<const double> h, const FitOptions& options)
{
    require_finite(h);
    const Index length = static_cast<Index>(h.size());
    if (options.order < 0 || options.fir_taps < 1 || options.min_separation < 0.0 || options.max_radius < 0.0 ||
        options.max_radius >= 1.0) {
        throw_error(ErrorCode::bad_argument, "order " + std::to_string(options.order) + ", " +
                    std::to_string(options.fir_taps) + " first taps, separation " +
                    std::to_string(options.min_separation) + ", radius " + std::to_string(options.max_radius) +
                    "; expected order >= 0, taps >= 1, separation >= 0 and 0 < radius < 1");
    }
    if (!(options.extension >= 1.0) || options.extension > 1e6) {
        throw_error(ErrorCode::bad_argument, "the horizon cannot be " + std::to_string(options.extension) +
                    " filters long; expected 1 .. 1e6");
    }
    const int metrics = (options.objective != Objective::l2 ? 1 : 0) + (options.weights.empty() ? 0 : 1) +
                        (options.input_spectrum.empty() ? 0 : 1) + (options.extension > 1.0 ? 1 : 0);
    if (metrics > 1) {
        throw_error(ErrorCode::unsupported, "weights, an input spectrum, a longer horizon and an objective other than "
                    "l2 exclude each other; ask for one of them");
    }
    double power = 0.0;
    for (std::size_t k = 0; k < options.input_spectrum.size(); ++k) {
        const double p = options.input_spectrum[k];
        if (!std::isfinite(p) || p < 0.0) {
            throw_error(ErrorCode::bad_data, "the input's power at frequency " + std::to_string(k) +
                        " is not a finite number >= 0");
        }
        power += p;
    }
    if (!options.input_spectrum.empty() && (power < 1e-200 || power > 1e200 || options.input_spectrum.size() < 2)) {
        throw_error(ErrorCode::bad_data, "the input spectrum needs two frequencies or more and a power of 1e-200 to "
                    "1e200 in all; its scale is free");
    }
    if (length < options.fir_taps) {
        throw_error(ErrorCode::bad_data, std::to_string(length) + " lags are fewer than the " +
                    std::to_string(options.fir_taps) + " first taps");
    }
    if (!options.weights.empty()) {
        if (options.weights.size() != h.size()) {
            throw_error(ErrorCode::bad_data, std::to_string(options.weights.size()) + " weights for " +
                        std::to_string(length) + " lags; each lag needs one");
        }
        double sum = 0.0;
        for (std::size_t t = 0; t < options.weights.size(); ++t) {
            const double w = options.weights[t];
            if (!std::isfinite(w) || w < 0.0) {
                throw_error(ErrorCode::bad_data, "the weight of lag " + std::to_string(t) +
                            " is not a finite number >= 0");
            }
            sum += static_cast<Index>(t) >= options.fir_taps ? w : 0.0;
        }
        if (sum == 0.0 && length > options.fir_taps) {
            throw_error(ErrorCode::bad_data, "no lag behind the first taps has a weight above 0");
        }
        if (sum > 0.0 && (sum < 1e-200 || sum > 1e200)) {
            throw_error(ErrorCode::bad_data, "the weights add up to less than 1e-200 or more than 1e200; their scale "
                        "is free");
        }
    }
}

/// Filters, their problem, and the search that all orders share.
class Fitter {
public:
    Fitter(std::span<const double> filters, Index length, const FitOptions& options, Index max_order,
           const Control& control)
        : filters_(filters), length_(length), options_(options), max_order_(max_order), control_(control)
    {
        for (std::size_t at = 0; at < filters.size(); at += static_cast<std::size_t>(length)) {
            check(filters.subspan(at, static_cast<std::size_t>(length)), options);
        }
        const Index K = options.fir_taps;
        lags_ = length - K;
        const Index rows = static_cast<Index>(filters.size()) / length;
        problem_.targets = rows;
        const double extended = std::ceil(options.extension * static_cast<double>(length)) - static_cast<double>(K);
        const Index N = std::max(lags_, static_cast<Index>(extended));
        problem_.g.assign(static_cast<std::size_t>(rows * N), 0.0);
        for (Index r = 0; r < rows; ++r) {
            const double* const h = filters.data() + r * length + K;
            double largest = 0.0;
            for (Index t = 0; t < lags_; ++t) {
                largest = std::max(largest, std::fabs(h[t]));
            }
            double unit = largest;
            if (rows > 1 && largest > 0.0) {             // relative errors are summed
                double squares = 0.0;
                for (Index t = 0; t < lags_; ++t) {
                    squares += (h[t] / largest) * (h[t] / largest);
                }
                unit = largest * std::sqrt(squares);
            }
            units_.push_back(unit);
            for (Index t = 0; t < lags_ && unit > 0.0; ++t) {
                problem_.g[static_cast<std::size_t>(r * N + t)] = h[t] / unit;
            }
        }
        if (!options.weights.empty()) {
            problem_.weights.assign(options.weights.begin() + static_cast<std::ptrdiff_t>(K), options.weights.end());
        }
        if (!options.input_spectrum.empty()) {
            problem_.spectrum = spectrum_at_bins(options.input_spectrum, N);
        }
        problem_.endless = options.objective == Objective::h2;
        problem_.slowest = options.max_radius > 0.0 ? std::log(options.max_radius) : -1e-7 / static_cast<double>(N);
        problem_.slowest = std::min(problem_.slowest, -1e-15);
        problem_.separation = options.min_separation;
    }

    std::vector<Fit> at(Index order)
    {
        const Index K = options_.fir_taps;
        std::vector<Fit> fits(static_cast<std::size_t>(problem_.targets));
        for (Index r = 0; r < problem_.targets; ++r) {
            const double* const h = filters_.data() + r * length_;
            fits[static_cast<std::size_t>(r)].system.fir.assign(h, h + K);
        }
        if (*std::max_element(units_.begin(), units_.end()) == 0.0) {
            return fits;
        }
        if (order == 0) {
            for (Index r = 0; r < problem_.targets; ++r) {
                Fit& fit = fits[static_cast<std::size_t>(r)];
                fit.error = units_[static_cast<std::size_t>(r)] > 0.0 ? 1.0 : 0.0;
                fit.objective = fit.error;
            }
            return fits;
        }
        const bool trained = options_.start && options_.start->order() > 0 && options_.start->order() <= order;
        if (trained && inside(options_.start->sections)) {
            std::vector<Fit> same = fits;
            finish(options_.start->sections, same);
            const bool found = std::all_of(same.begin(), same.end(), [](const Fit& f) { return f.error <= rounding; });
            if (found) {
                return same;
            }
        }
        if (order > lags_ / 2) {
            throw_error(ErrorCode::bad_data, "order " + std::to_string(order) + " needs at least " +
                        std::to_string(2 * order) + " lags behind the first taps, found " + std::to_string(lags_) +
                        (order > 1 ? "; lower the order" : "; a longer filter is needed"));
        }
        if (!search_) {
            search_.emplace(problem_, options_.effort, max_order_, control_);
        }
        std::span<const Section> start;
        if (trained && options_.start->order() == order) {
            start = options_.start->sections;
        }
        const FitStep step = search_->best(order, start);
        finish(step.sections, fits);
        for (Fit& fit : fits) {
            fit.iterations = step.iterations;
        }
        return fits;
    }

private:
    bool inside(const std::vector<Section>& sections) const
    {
        return std::all_of(sections.begin(), sections.end(), [&](const Section& s) {
            return s.states == 0 || s.m + (s.states == 2 && s.v > 0.0 ? std::sqrt(s.v) : 0.0) <= problem_.slowest;
        });
    }

    /// Residues and errors of all filters for these poles.
    void finish(const std::vector<Section>& sections, std::vector<Fit>& fits) const
    {
        const Index N = problem_.length();
        const Map<const MatrixXd> g(problem_.g.data(), N, problem_.targets);
        const MatrixXd B = basis_of(sections, N);
        // Over all lags the basis is orthonormal.
        const MatrixXd c = problem_.endless ? MatrixXd(B.transpose() * g)
                                            : best_coefficients(in_metric(problem_, B), in_metric(problem_, g));
        const MatrixXd model = B * c;
        const MatrixXd rest = g - model;
        const MatrixXd weighed = in_metric(problem_, rest);
        const MatrixXd whole = in_metric(problem_, g);
        for (Index r = 0; r < problem_.targets; ++r) {
            Fit& fit = fits[static_cast<std::size_t>(r)];
            fit.system.sections = sections;
            fit.system.readout.assign(c.col(r).data(), c.col(r).data() + c.rows());
            const double unit = units_[static_cast<std::size_t>(r)];
            for (double& x : fit.system.readout) {
                x *= unit;
            }
            if (unit == 0.0) {
                continue;
            }
            fit.error = rest.col(r).head(lags_).norm() / g.col(r).norm();
            double squares = weighed.col(r).squaredNorm();
            if (problem_.endless) {                      // what rings on beyond the filter's end
                squares += std::max(c.col(r).squaredNorm() - model.col(r).squaredNorm(), 0.0);
            }
            fit.objective = std::sqrt(squares) / whole.col(r).norm();
        }
    }

    std::span<const double> filters_;
    Index length_;
    const FitOptions& options_;
    Index max_order_;
    const Control& control_;
    Index lags_ = 0;
    FitProblem problem_;
    std::vector<double> units_;              // what each filter was divided by
    std::optional<FitSearch> search_;
};

}  // namespace

Fit fit_modal(std::span<const double> h, const FitOptions& options, const Control& control)
{
    if (options.objective == Objective::hankel) {
        return fit_hankel(h, options, control);
    }
    return Fitter(h, static_cast<Index>(h.size()), options, options.order, control).at(options.order).front();
}

std::vector<Fit> fit_orders(std::span<const double> h, std::span<const Index> orders, FitOptions options,
                            const Control& control)
{
    std::vector<Fit> fits;
    if (orders.empty()) {
        return fits;
    }
    options.order = *std::max_element(orders.begin(), orders.end());
    if (options.objective == Objective::hankel) {
        for (const Index order : orders) {
            options.order = order;
            fits.push_back(fit_hankel(h, options, control));
        }
        return fits;
    }
    Fitter fitter(h, static_cast<Index>(h.size()), options, options.order, control);
    for (const Index order : orders) {
        fits.push_back(fitter.at(order).front());
    }
    return fits;
}

std::vector<Fit> fit_shared(std::span<const double> filters, Index length, const FitOptions& options,
                            const Control& control)
{
    if (length < 1 || filters.empty() || static_cast<Index>(filters.size()) % length != 0) {
        throw_error(ErrorCode::bad_data, std::to_string(filters.size()) + " taps are no whole number of filters of " +
                    std::to_string(length));
    }
    if (options.objective == Objective::hankel) {
        throw_error(ErrorCode::unsupported, "the Hankel norm has an optimum for each filter by itself; share poles in "
                    "the l2 or h2 norm");
    }
    return Fitter(filters, length, options, options.order, control).at(options.order);
}

Fit fit_to_tolerance(std::span<const double> h, double tolerance, Index max_order, FitOptions options,
                     const Control& control)
{
    if (!(tolerance >= 0.0) || max_order < 2) {
        throw_error(ErrorCode::bad_argument, "tolerance " + std::to_string(tolerance) + " up to order " +
                    std::to_string(max_order) + "; expected a tolerance >= 0 and an order of at least 2");
    }
    if (options.objective == Objective::hankel) {
        throw_error(ErrorCode::unsupported, "the tolerance is one of the l2 error, which the Hankel norm does not "
                    "minimise; ask for an order");
    }
    check(h, options);
    const Index lags = static_cast<Index>(h.size()) - options.fir_taps;
    std::vector<Index> orders;
    for (Index d = 2; d <= max_order && d <= lags / 2; d += 2) {
        orders.push_back(d);
    }
    if (orders.empty()) {
        options.order = 0;
        return fit_modal(h, options, control);
    }
    // Orders that provably miss the tolerance need no fit.
    const std::vector<double> bounds =
        l2_lower_bounds(h.subspan(static_cast<std::size_t>(options.fir_taps) - 1), orders, control, {.steps = 0});
    options.order = orders.back();
    Fitter fitter(h, static_cast<Index>(h.size()), options, orders.back(), control);
    Fit fit;
    for (std::size_t i = 0; i < orders.size(); ++i) {
        if (bounds[i] > tolerance && i + 1 < orders.size()) {
            continue;
        }
        fit = fitter.at(orders[i]).front();
        if (fit.error <= tolerance) {
            break;
        }
    }
    return fit;
}

}  // namespace stillhouse::systems
