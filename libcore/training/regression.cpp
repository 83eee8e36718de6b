// SPDX-License-Identifier: Apache-2.0
// Giving a mixer's filters wanted impulse responses.
#include "libcore/training/regression.hpp"

#include "libcore/models/filter.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/training/adamw.hpp"
#include "libcore/training/trainable.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <cmath>
#include <complex>
#include <map>

namespace stillhouse::training {

namespace {

using models::MixerConfig;
using models::Parameters;
using systems::ModalSystem;

// Steps and rate of the regression of an implicit filter: measured on bookworm's lag profiles (L 512, 6 filters) the
// error no longer falls beyond them.
constexpr Index implicit_steps = 1500;
constexpr double implicit_rate = 3e-3;

/// Pairs with time constants log-spaced in 0.7 .. L and small angles, residues by least squares with a ridge.
ModalSystem spread_over(std::span<const double> h, Index order, Index fir_taps)
{
    using Complex = std::complex<double>;
    const auto length = static_cast<double>(h.size());
    const Index pairs = order / 2;
    const Index n = static_cast<Index>(h.size()) - fir_taps;
    std::vector<Complex> poles;
    for (Index s = 0; s < pairs; ++s) {
        const double x = pairs > 1 ? static_cast<double>(s) / static_cast<double>(pairs - 1) : 0.5;
        poles.push_back(std::polar(std::exp(-std::pow(length / 0.7, -x) / 0.7), 0.3 * std::pow(0.01 / 0.3, x)));
    }
    if (order % 2 == 1) {
        poles.emplace_back(std::exp(-1.0 / std::sqrt(length)), 0.0);
    }
    // columns Re lambda^t and -Im lambda^t of every pole, of unit length, so that the ridge means the same for all
    Eigen::MatrixXd basis(n, order);
    for (Index s = 0; s < static_cast<Index>(poles.size()); ++s) {
        const Complex pole = poles[static_cast<std::size_t>(s)];
        Complex power = 1.0;
        for (Index t = 0; t < n; ++t) {
            basis(t, 2 * s) = power.real();
            if (2 * s + 1 < order) {
                basis(t, 2 * s + 1) = -power.imag();
            }
            power *= pole;
        }
    }
    const Eigen::VectorXd norms = basis.colwise().norm();
    basis = basis * norms.cwiseInverse().asDiagonal();
    const Eigen::Map<const Eigen::VectorXd> g(h.data() + fir_taps, n);
    Eigen::MatrixXd gram = basis.transpose() * basis;
    gram.diagonal().array() += 1e-8;
    const Eigen::VectorXd weights = gram.llt().solve(basis.transpose() * g).cwiseQuotient(norms);
    std::vector<Complex> residues;
    for (Index s = 0; s < static_cast<Index>(poles.size()); ++s) {
        residues.emplace_back(weights(2 * s), 2 * s + 1 < order ? weights(2 * s + 1) : 0.0);
    }
    // a complex pole without its conjugate stands for the pair with half the residue each: what Re R lambda^t is
    return systems::system_from(poles, residues, h.first(static_cast<std::size_t>(fir_taps)));
}

/// Are the residues of a fit small enough for f32 weights and states, and for steps of an optimiser? Poles that nearly
/// meet fit a smooth filter a little better with residues of 1e4 that cancel, and every rounding then shows.
bool well_conditioned(const ModalSystem& system, std::span<const double> h)
{
    constexpr double most = 10.0;
    double largest = 0.0;
    for (const double x : h) {
        largest = std::max(largest, std::fabs(x));
    }
    for (const auto& residue : systems::poles_and_residues(system).residues) {
        if (std::abs(residue) > most * largest) {
            return false;
        }
    }
    return true;
}

/// Does the modal form hold this system? Not nearly double poles, nor real poles of both signs in an even order.
bool held(const MixerConfig& mixer, Index layer, const ModalSystem& system)
{
    try {
        MixerConfig one = mixer;
        one.filters = 1;
        one.order = 2;
        Parameters<double> trial;
        models::set_modes(one, layer, {system}, trial);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) {
            throw;
        }
        return false;
    }
    return true;
}

bool can_be_trained(const MixerConfig& mixer, Index layer, const ModalSystem& system, std::span<const double> h)
{
    return well_conditioned(system, h) && held(mixer, layer, system);
}

/// The start that always exists, and whose residues stay small: so many modes that they do not crowd each other.
ModalSystem spread_modes(const MixerConfig& mixer, Index layer, std::span<const double> h, Index order, Index fir_taps)
{
    ModalSystem system = spread_over(h, order, fir_taps);
    while (order > 2 && !held(mixer, layer, system)) {
        order /= 2;
        system = spread_over(h, order, fir_taps);
    }
    return system;
}

bool all_zero(std::span<const double> h)
{
    return std::all_of(h.begin(), h.end(), [](double x) { return x == 0.0; });
}

/// Distinct rows of `taps` and which of them each row is: filters untied over the channels of a head are equal here,
/// and fits are dear.
std::vector<std::size_t> distinct_rows(Matrix<const double> taps, std::vector<Index>& firsts)
{
    std::map<std::vector<double>, std::size_t> seen;
    std::vector<std::size_t> which;
    for (Index f = 0; f < taps.rows; ++f) {
        const auto [place, inserted] =
            seen.emplace(std::vector<double>(taps.row(f), taps.row(f) + taps.cols), firsts.size());
        if (inserted) {
            firsts.push_back(f);
        }
        which.push_back(place->second);
    }
    return which;
}

template <class T>
void set_modal(const MixerConfig& mixer, Index layer, Matrix<const double> taps, ThreadPool& pool,
               Parameters<T>& weights, const Control& control)
{
    std::vector<Index> firsts;
    const std::vector<std::size_t> which = distinct_rows(taps, firsts);
    std::vector<ModalSystem> fitted(firsts.size());
    pool.for_each(static_cast<Index>(firsts.size()), [&](Index i) {
        control.throw_if_stopped();
        const Index row = firsts[static_cast<std::size_t>(i)];
        const std::span<const double> h(taps.row(row), static_cast<std::size_t>(taps.cols));
        systems::FitOptions options;
        options.order = mixer.filter_order;
        options.fir_taps = mixer.delay + 1;
        ModalSystem& system = fitted[static_cast<std::size_t>(i)];
        if (all_zero(h.subspan(static_cast<std::size_t>(options.fir_taps)))) {
            system.fir.assign(h.begin(), h.begin() + options.fir_taps);
            return;
        }
        system = systems::fit_modal(h, options).system;
        if (!can_be_trained(mixer, layer, system, h)) {
            system = spread_modes(mixer, layer, h, options.order, options.fir_taps);
        }
    });
    std::vector<ModalSystem> all;
    for (const std::size_t i : which) {
        all.push_back(fitted[i]);
    }
    models::set_modes(mixer, layer, all, weights);
}

template <class T>
void regress_implicit(const MixerConfig& mixer, Index layer, Matrix<const double> taps, double energy,
                      compute::Operations<T>& ops, Parameters<T>& weights, const Control& control)
{
    Parameters<T> gradient;
    for (const auto& shape : models::filter_weights(mixer, layer)) {
        if (trained_by_default(shape.name)) {
            gradient.add(shape.name, shape.shape);
        }
    }
    const auto filter = models::make_filter<T>(mixer, layer, weights);
    AdamW<T> optimizer(gradient, {});
    const Schedule rate{Schedule::Shape::cosine, implicit_rate, implicit_steps / 20, implicit_steps, 0.0};
    Buffer<T> response(taps.rows * taps.cols);
    const Matrix<T> h(response.data(), taps.rows, taps.cols);
    for (Index step = 0; step < implicit_steps; ++step) {
        control.throw_if_stopped();
        filter->materialize(ops, h);
        for (Index i = 0; i < response.size(); ++i) {
            response[i] = static_cast<T>(2.0 * (static_cast<double>(response[i]) - taps.data[i]) / energy);
        }
        gradient.fill_zero();
        filter->backward(ops, h, gradient);
        optimizer.step(ops.pool(), gradient, rate.at(step), weights);
    }
}

}  // namespace

template <class T>
double regress_filter(const models::NetworkConfig& config, Index layer, Matrix<const double> taps,
                      compute::Operations<T>& ops, Parameters<T>& weights, const Control& control)
{
    const MixerConfig& mixer = config.mixers.at(static_cast<std::size_t>(layer));
    double energy = 0.0;
    for (Index i = 0; i < taps.rows * taps.cols; ++i) {
        energy += taps.data[i] * taps.data[i];
    }
    if (mixer.form == models::FilterForm::modal) {
        set_modal(mixer, layer, taps, ops.pool(), weights, control);
    } else if (mixer.form == models::FilterForm::implicit_mlp) {
        regress_implicit(mixer, layer, taps, std::max(energy, 1e-300), ops, weights, control);
    } else {
        auto& entry = weights.at("layers." + std::to_string(layer) + ".mixer.filter");
        STILLHOUSE_CHECK(entry.values.size() == taps.rows * taps.cols);
        std::transform(taps.data, taps.data + taps.rows * taps.cols, entry.values.begin(),
                       [](double x) { return static_cast<T>(x); });
    }
    const Buffer<T> reached = models::materialize_filters(ops, mixer, layer, weights);
    double error = 0.0;
    for (Index i = 0; i < reached.size(); ++i) {
        const double d = static_cast<double>(reached[i]) - taps.data[i];
        error += d * d;
    }
    return energy > 0.0 ? std::sqrt(error / energy) : 0.0;
}

ModalSystem trainable_modes(const MixerConfig& mixer, Index layer, const ModalSystem& fitted, std::span<const double> h,
                            const Control& control)
{
    if (can_be_trained(mixer, layer, fitted, h)) {
        return fitted;
    }
    systems::FitOptions options;
    options.fir_taps = static_cast<Index>(fitted.fir.size());
    options.effort = systems::Effort::fast;
    // an odd order cannot end with a real pole of either sign
    const Index order = fitted.order();
    for (const Index fewer : {order - 1, 3 * order / 4, order / 2}) {
        if (fewer > 0) {
            options.order = fewer;
            ModalSystem system = systems::fit_modal(h, options, control).system;
            if (can_be_trained(mixer, layer, system, h)) {
                return system;
            }
        }
    }
    return spread_modes(mixer, layer, h, fitted.order(), options.fir_taps);
}

template double regress_filter<float>(const models::NetworkConfig&, Index, Matrix<const double>,
                                      compute::Operations<float>&, Parameters<float>&, const Control&);
template double regress_filter<double>(const models::NetworkConfig&, Index, Matrix<const double>,
                                       compute::Operations<double>&, Parameters<double>&, const Control&);

}  // namespace stillhouse::training
