// SPDX-License-Identifier: Apache-2.0
// The filter forms: responses, random starts, and the way of modes from training to the stream and back.
#include "hyena_test.hpp"
#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

#include <complex>

namespace stillhouse::models
{
namespace
{

using systems::ModalSystem;
using Complex = std::complex<double>;

MixerConfig modal_config(Index filters, Index order, Index length, Index delay)
{
    MixerConfig config;
    config.kind = MixerKind::hyena;
    config.channels = filters;
    config.filters = filters;
    config.form = FilterForm::modal;
    config.filter_order = order;
    config.filter_length = length;
    config.window = config.delay = delay;
    return config;
}

std::vector<double> materialized(const MixerConfig& config, const Parameters<double>& weights)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    const Buffer<double> h = materialize_filters(backend->real(), config, 0, weights);
    return {h.begin(), h.end()};
}

/// The response of a row as filter.hpp has it.
double row_at(double log_decay, double angle, double r0, double r1, double tau)
{
    const double m = -std::exp(log_decay);
    if (angle >= 0.0 && angle <= std::numbers::pi) {
        return (Complex(r0, r1) * std::exp(Complex(m, angle) * tau)).real();
    }
    const double a = angle < 0.0 ? angle : angle - std::numbers::pi;
    const double sign = angle < 0.0 || std::fmod(tau, 2.0) == 0.0 ? 1.0 : -1.0;
    return sign * std::exp((m - std::abs(a)) * tau) * (r0 * std::cosh(a * tau) + r1 * std::sinh(std::abs(a) * tau));
}

double relative(const std::vector<double>& found, const std::vector<double>& wanted)
{
    double error = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        error += (found[i] - wanted[i]) * (found[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    return std::sqrt(error / size);
}

ErrorCode code_of(const std::function<void()>& action)
{
    try {
        action();
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::internal;
}

} // namespace

BOOST_AUTO_TEST_SUITE(filter_forms)

BOOST_AUTO_TEST_CASE(modal_rows_mean_what_the_header_says)
{
    const MixerConfig config = modal_config(2, 9, 300, 3);
    Parameters<double> weights;
    initialize_filter(config, 0, 5, weights);
    auto& angle = weights.at("layers.0.mixer.filter_modes.angle").values;
    angle[1] = -0.01;
    angle[2] = std::numbers::pi + 0.4;
    angle[4] = 2.0; // the single row: a negative pole
    angle[6] = 0.0;
    angle[7] = std::numbers::pi;
    const auto& decay = weights.at("layers.0.mixer.filter_modes.log_decay").values;
    const auto& readout = weights.at("layers.0.mixer.filter_modes.readout").values;
    const auto& fir = weights.at("layers.0.mixer.filter_modes.fir").values;
    const std::vector<double> found = materialized(config, weights);
    std::vector<double> wanted;
    for (Index f = 0; f < 2; ++f) {
        for (Index t = 0; t < 300; ++t) {
            double sum = t == 3 ? fir[f * 4 + 3] : 0.0;
            for (Index s = 0; s < 5 && t > 3; ++s) {
                const Index i = f * 5 + s;
                const bool single = s == 4;
                const double a = single ? (angle[i] > 0.5 * std::numbers::pi ? std::numbers::pi : 0.0) : angle[i];
                sum +=
                    row_at(decay[i], a, readout[2 * i], single ? 0.0 : readout[2 * i + 1], static_cast<double>(t - 4));
            }
            wanted.push_back(sum);
        }
    }
    BOOST_TEST(relative(found, wanted) <= 1e-13);
    BOOST_TEST(std::all_of(found.begin(), found.begin() + 3, [](double x) { return x == 0.0; }));
}

BOOST_AUTO_TEST_CASE(modes_go_out_and_come_back)
{
    for (const Index order : {1, 2, 5, 16}) {
        for (const Index delay : {0, 6}) {
            const MixerConfig config = modal_config(3, order, 200, delay);
            Parameters<double> weights;
            initialize_filter(config, 0, 6, weights);
            auto& angle = weights.at("layers.0.mixer.filter_modes.angle").values;
            if (order == 16) {
                angle[3] = -0.05;
                angle[4] = std::numbers::pi + 0.2;
            }
            const std::vector<double> wanted = materialized(config, weights);
            const auto modes = modes_of(config, 0, weights);
            std::vector<double> responses;
            for (const ModalSystem& system : modes) {
                BOOST_TEST(system.order() == order);
                const auto h = systems::impulse_response(system, 200);
                responses.insert(responses.end(), h.begin(), h.end());
            }
            BOOST_TEST(relative(responses, wanted) <= 1e-10, "order " << order);
            Parameters<double> again;
            set_modes(config, 0, modes, again);
            BOOST_TEST(relative(materialized(config, again), wanted) <= 1e-9, "order " << order);
            // and once more: what was set stays what it is
            Parameters<double> third;
            set_modes(config, 0, modes_of(config, 0, again), third);
            BOOST_TEST(relative(materialized(config, third), wanted) <= 1e-9, "order " << order);
        }
    }
}

/// What filter 0 of one pair of rows is before and after the stream: the order there, and the relative distance.
std::pair<Index, double> through_the_stream(float angle, float other_angle, float readout, float other_readout)
{
    const MixerConfig config = modal_config(1, 4, 512, 0);
    Parameters<float> weights;
    initialize_filter(config, 0, 6, weights);
    for (const Index i : {0, 1}) {
        weights.at("layers.0.mixer.filter_modes.log_decay").values[i] = -22.0F;   // hardly damped
        weights.at("layers.0.mixer.filter_modes.angle").values[i] = i == 0 ? angle : other_angle;
        weights.at("layers.0.mixer.filter_modes.readout").values[2 * i] = i == 0 ? readout : other_readout;
        weights.at("layers.0.mixer.filter_modes.readout").values[2 * i + 1] = 0.0F;
    }
    const auto modes = modes_of(config, 0, weights);
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    const Buffer<float> wanted = materialize_filters(backend->single(), config, 0, weights);
    const std::vector<double> found = systems::impulse_response(modes[0], 512);
    double error = 0.0;
    double size = 1e-300;
    for (Index t = 0; t < 512; ++t) {
        const auto w = static_cast<double>(wanted[t]);
        error += (found[static_cast<std::size_t>(t)] - w) * (found[static_cast<std::size_t>(t)] - w);
        size += w * w;
    }
    return {modes[0].order(), std::sqrt(error / size)};
}

BOOST_AUTO_TEST_CASE(poles_are_one_where_nothing_tells_them_apart)
{
    const float angle = 1.2F;
    const float near = std::nextafter(std::nextafter(angle, 2.0F), 2.0F);
    const auto same = through_the_stream(angle, angle, 1.0F, 0.5F);
    BOOST_TEST(same.first == 2);
    BOOST_TEST(same.second <= 1e-6);
    const auto opposite = through_the_stream(angle, angle, 1.0F, -1.0F);
    BOOST_TEST(opposite.first == 0);
    // a bit apart: two poles still, since over 512 lags that bit shows, most where the residues nearly cancel
    for (const float other : {1.0F, -0.99F}) {
        const auto apart = through_the_stream(angle, near, 1.0F, other);
        BOOST_TEST(apart.first == 4, other);
        BOOST_TEST(apart.second <= 1e-5, other << ": " << apart.second);
    }
    BOOST_TEST(through_the_stream(angle, near, 1.0F, 1e-6F).first == 2);
}

BOOST_AUTO_TEST_CASE(anyone_s_poles)
{
    const MixerConfig config = modal_config(1, 8, 120, 0);
    const auto fitted = [&](const std::vector<Complex>& poles, const std::vector<Complex>& residues,
                            const std::vector<double>& fir) { return systems::system_from(poles, residues, fir); };
    // lower order, more taps than the form has by itself, real poles of one sign, a lone real pole
    const ModalSystem system = fitted({{0.9, 0.0}, {0.5, 0.0}, {0.3, 0.4}, {-0.7, 0.0}},
                                      {{1.0, 0.0}, {-0.4, 0.0}, {0.2, 0.1}, {0.3, 0.0}}, {0.5, 0.25, -1.0});
    Parameters<double> weights;
    set_modes(config, 0, {system}, weights);
    BOOST_TEST(weights.at("layers.0.mixer.filter_modes.fir").shape[1] == 3);
    BOOST_TEST(relative(materialized(config, weights), systems::impulse_response(system, 120)) <= 1e-12);
    BOOST_TEST(modes_of(config, 0, weights)[0].order() == system.order());
    // into entries that have more taps already: the response moves into them
    const ModalSystem shorter = fitted({{0.6, 0.5}}, {{1.0, -2.0}}, {0.5});
    set_modes(config, 0, {shorter}, weights);
    BOOST_TEST(relative(materialized(config, weights), systems::impulse_response(shorter, 120)) <= 1e-12);
    // nothing at all
    ModalSystem nothing;
    nothing.fir = {0.0};
    set_modes(config, 0, {nothing}, weights);
    const auto h = materialized(config, weights);
    BOOST_TEST(std::all_of(h.begin(), h.end(), [](double x) { return x == 0.0; }));
    BOOST_TEST(modes_of(config, 0, weights)[0].order() == 0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_trained_is_refused)
{
    const MixerConfig config = modal_config(1, 4, 100, 0);
    Parameters<double> weights;
    const auto set = [&](const ModalSystem& system, const MixerConfig& with) {
        return code_of([&] {
            Parameters<double> trial;
            set_modes(with, 0, {system}, trial);
        });
    };
    ModalSystem twin; // a fourfold pole
    twin.fir = {1.0};
    twin.sections = {{2, 1.0, -0.1, 0.0}, {2, 1.0, -0.1, 0.0}};
    twin.readout = {1.0, 2.0, -1.0, 0.5};
    BOOST_TEST((set(twin, config) == ErrorCode::unsupported));
    ModalSystem both; // two real poles of different signs beside a pair: no room in two pairs
    both.fir = {1.0};
    both.sections = {{2, 1.0, -0.2, -0.3}, {1, 1.0, -0.3, 0.0}, {1, -1.0, -0.4, 0.0}};
    both.readout = {1.0, 2.0, -1.0, 0.5};
    BOOST_TEST((set(both, config) == ErrorCode::unsupported));
    ModalSystem larger;
    larger.fir = {1.0};
    larger.sections = {{2, 1.0, -0.2, -0.3}, {2, 1.0, -0.3, -0.1}, {2, 1.0, -0.5, -0.2}};
    larger.readout = std::vector<double>(6, 1.0);
    BOOST_TEST((set(larger, config) == ErrorCode::bad_data));
    ModalSystem early; // a response below the delay
    early.fir = {0.0, 0.5, 1.0};
    early.sections = {{2, 1.0, -0.2, -0.3}};
    early.readout = {1.0, 1.0};
    BOOST_TEST((set(early, modal_config(1, 4, 100, 2)) == ErrorCode::bad_data));
    BOOST_TEST((code_of([&] { set_modes(config, 0, {early, early}, weights); }) == ErrorCode::bad_data));
}

BOOST_AUTO_TEST_CASE(starts)
{
    for (const FilterForm form : {FilterForm::free_taps, FilterForm::implicit_mlp, FilterForm::modal}) {
        MixerConfig config = modal_config(6, 7, 150, 5);
        config.form = form;
        Parameters<double> wide;
        Parameters<float> narrow;
        Parameters<double> other;
        initialize_filter(config, 3, 1, wide);
        initialize_filter(config, 3, 1, narrow);
        initialize_filter(config, 3, 2, other);
        const auto wanted = filter_weights(config, 3);
        BOOST_TEST(static_cast<std::size_t>(wide.size()) == wanted.size());
        bool differs = false;
        for (const WeightShape& each : wanted) {
            const auto& a = wide.at(each.name, each.shape).values;
            const auto& b = narrow.at(each.name, each.shape).values;
            const auto& c = other.at(each.name, each.shape).values;
            for (Index i = 0; i < a.size(); ++i) {
                BOOST_REQUIRE(static_cast<float>(a[i]) == b[i]);
                differs = differs || a[i] != c[i];
            }
        }
        BOOST_TEST(differs);
        const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
        const Buffer<double> h = materialize_filters(backend->real(), config, 3, wide);
        double energy = 0.0;
        for (Index f = 0; f < 6; ++f) {
            for (Index t = 0; t < 150; ++t) {
                BOOST_REQUIRE(std::isfinite(h[f * 150 + t]));
                BOOST_REQUIRE((t >= 5 || h[f * 150 + t] == 0.0));
                energy += h[f * 150 + t] * h[f * 150 + t];
            }
        }
        BOOST_TEST(energy > 0.01);
        // what exists is kept, and its shape is looked at
        Parameters<double> kept;
        kept.add(wanted[0].name, wanted[0].shape).values[0] = 42.0;
        initialize_filter(config, 3, 1, kept);
        BOOST_TEST(kept.at(wanted[0].name).values[0] == 42.0);
        Parameters<double> wrong;
        wrong.add(wanted[0].name, {1});
        BOOST_CHECK_THROW(initialize_filter(config, 3, 1, wrong), Error);
        BOOST_CHECK_THROW(make_filter(config, 3, wrong), Error);
    }
}

BOOST_AUTO_TEST_CASE(layouts_of_rows)
{
    // (d, g) at d (order - 1) + g of theirs is g D + d of ours
    const std::vector<Index> rows = filter_rows(FilterRows::order_fastest, 4, 3);
    for (Index d = 0; d < 4; ++d) {
        for (Index g = 0; g < 2; ++g) {
            BOOST_TEST(rows[static_cast<std::size_t>(d * 2 + g)] == g * 4 + d);
        }
    }
    const std::vector<Index> same = filter_rows(FilterRows::order_slowest, 4, 3);
    BOOST_TEST(same[5] == 5);
}

/// Single precision keeps slow poles: decays are stored as logarithms.
BOOST_AUTO_TEST_CASE(slow_poles_in_single_precision)
{
    const MixerConfig config = modal_config(1, 2, 20000, 0);
    ModalSystem slow;
    slow.fir = {0.0};
    slow.sections = {{2, 1.0, -1e-5, -1e-8}};
    slow.readout = {0.01, 0.02};
    Parameters<float> weights;
    set_modes(config, 0, {slow}, weights);
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    const Buffer<float> h = materialize_filters(backend->single(), config, 0, weights);
    const std::vector<double> found(h.begin(), h.end());
    BOOST_TEST(relative(found, systems::impulse_response(slow, 20000)) <= 1e-5);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
