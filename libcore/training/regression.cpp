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
#include <map>
#include <numbers>

namespace stillhouse::training {

namespace {

using models::MixerConfig;
using models::Parameters;
using systems::ModalSystem;

// Steps and rate of the regression of an implicit filter: measured on bookworm's lag profiles (L 512, 6 filters) the
// error no longer falls beyond them.
constexpr Index implicit_steps = 1500;
constexpr double implicit_rate = 3e-3;

/// Pairs with time constants log-spaced in 0.7 .. L and small angles, readout by least squares: the start that always
/// exists (transformer-distillation.md 2.6).
ModalSystem spread_modes(std::span<const double> h, Index order, Index fir_taps)
{
    ModalSystem system;
    system.fir.assign(h.begin(), h.begin() + fir_taps);
    const auto length = static_cast<double>(h.size());
    const Index pairs = order / 2;
    for (Index s = 0; s < pairs; ++s) {
        const double x = pairs > 1 ? static_cast<double>(s) / static_cast<double>(pairs - 1) : 0.5;
        const double time_constant = 0.7 * std::pow(length / 0.7, x);
        const double angle = 0.3 * std::pow(0.01 / 0.3, x);
        system.sections.push_back({2, 1.0, -1.0 / time_constant, -angle * angle});
    }
    if (order % 2 == 1) {
        system.sections.push_back({1, 1.0, -1.0 / std::sqrt(length), 0.0});
    }
    const Index n = static_cast<Index>(h.size()) - fir_taps;
    const std::vector<double> basis = systems::cascade_basis(system.sections, n);
    using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Eigen::Map<const Rows> e(basis.data(), order, n);
    const Eigen::Map<const Eigen::VectorXd> g(h.data() + fir_taps, n);
    Eigen::MatrixXd gram = e * e.transpose();
    gram.diagonal().array() += 1e-12 * gram.diagonal().maxCoeff();
    const Eigen::VectorXd readout = gram.llt().solve(e * g);
    system.readout.assign(readout.data(), readout.data() + order);
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
        // what cannot be trained in separate poles (double poles, odd signs) takes the spread start instead
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
            system = spread_modes(h, options.order, options.fir_taps);
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

template double regress_filter<float>(const models::NetworkConfig&, Index, Matrix<const double>,
                                      compute::Operations<float>&, Parameters<float>&, const Control&);
template double regress_filter<double>(const models::NetworkConfig&, Index, Matrix<const double>,
                                       compute::Operations<double>&, Parameters<double>&, const Control&);

}  // namespace stillhouse::training
