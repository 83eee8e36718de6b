// SPDX-License-Identifier: Apache-2.0
// Long-convolution mixers token by token: recurrence, exact convolution, states kept and chosen.
#include "hyena_test.hpp"
#include "libcore/base/error.hpp"
#include "libcore/systems/realization.hpp"

#include <boost/test/unit_test.hpp>

#include <numeric>
#include <thread>

namespace stillhouse::models
{
namespace
{

constexpr Index batch = 2;

bool has_modes(const NamedMixer& each)
{
    return each.config.mixers[0].form == FilterForm::modal || each.config.mixers[0].kind == MixerKind::linear;
}

/// y of `length` tokens in pieces: each number is a prefill of so many tokens, 0 one step.
template <class T>
Buffer<T> in_pieces(compute::Operations<T>& ops, const Mixer<T>& mixer, MixerState& state, const Buffer<T>& x,
                    Index length, Index width, const std::vector<Index>& pieces)
{
    Buffer<T> y(x.size());
    Index at = 0;
    for (const Index piece : pieces) {
        const Index count = std::max<Index>(piece, 1);
        BOOST_REQUIRE(at + count <= length);
        Buffer<T> in(batch * count * width);
        Buffer<T> out(in.size());
        for (Index b = 0; b < batch; ++b) {
            std::copy_n(x.data() + (b * length + at) * width, count * width, in.data() + b * count * width);
        }
        if (piece == 0) {
            mixer.step(ops, Matrix<const T>(in.data(), batch, width), state, Matrix<T>(out.data(), batch, width));
        } else {
            mixer.prefill(ops, shaped(std::as_const(in), batch, count), state, shaped(out, batch, count));
        }
        for (Index b = 0; b < batch; ++b) {
            std::copy_n(out.data() + b * count * width, count * width, y.data() + (b * length + at) * width);
        }
        at += count;
    }
    BOOST_REQUIRE(at == length);
    return y;
}

const std::vector<std::vector<Index>> ways{
    std::vector<Index>(30, 0), {30}, {7, 0, 0, 1, 12, 0, 2, 0, 0, 1, 0, 0}, {1, 29}, {26, 0, 0, 0, 0}};

template <class T>
void against_forward(double limit)
{
    const std::unique_ptr<compute::Backend> backend = backend_for<T>(2);
    auto& ops = backend->template on<T>();
    constexpr Index length = 30;
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<T> weights = mixer_weights_of<T>(each.config, 21);
        const auto mixer = make_hyena_mixer<T>(each.config, 0, weights);
        mixer->refresh(ops);
        const Index width = each.config.width;
        const Buffer<T> x = random_values<T>(batch * length * width, 22);
        Buffer<T> wanted(x.size());
        mixer->forward(ops, shaped(x, batch, length), shaped(wanted, batch, length), nullptr);
        for (const Execution execution : {Execution::recurrent, Execution::exact_original, Execution::exact_modes}) {
            if (execution != Execution::exact_original && !has_modes(each)) {
                BOOST_CHECK_THROW(mixer->start(batch, execution), Error);
                continue;
            }
            for (const auto& way : ways) {
                const auto state = mixer->start(batch, execution);
                const Buffer<T> y = in_pieces(ops, *mixer, *state, x, length, width, way);
                BOOST_TEST(distance_of(y, wanted, y.size()) <= limit,
                           each.name << ", execution " << static_cast<int>(execution) << ", pieces " << way.size()
                                     << ": " << distance_of(y, wanted, y.size()));
            }
        }
    }
}

/// Trained modes of a modal mixer realized in one form and stored as realize-ssm stores them; the filter is then free,
/// so that nothing but ssm.* can be what runs.
template <class T>
NetworkConfig with_realization(const NetworkConfig& config, systems::Form form, Parameters<T>& weights)
{
    const MixerConfig& mixer = config.mixers[0];
    const auto modes = modes_of(mixer, 0, weights);
    const auto filters = static_cast<Index>(modes.size());
    Index order = 0;
    Index sections = 0;
    for (const auto& system : modes) {
        order = std::max(order, system.order());
        sections = std::max(sections, static_cast<Index>(system.sections.size()));
    }
    Shape shape = systems::coefficient_shape(form, order, sections);
    shape.insert(shape.begin(), filters);
    const std::string prefix = "layers.0.mixer.ssm.";
    auto& coefficients = weights.add(prefix + std::string(systems::name_of(form)), shape);
    const auto taps = static_cast<Index>(modes[0].fir.size());
    auto& fir = weights.add(prefix + "fir", {filters, taps});
    auto& orders = weights.add(prefix + "order", {filters});
    auto* readout = form == systems::Form::cascade ? &weights.add(prefix + "readout", {filters, order}) : nullptr;
    const Index length = 1024;           // beyond any horizon of a prompt that is handed over
    NetworkConfig changed = config;
    changed.mixers[0].form = FilterForm::free_taps;
    changed.mixers[0].filter_length = length;
    auto& taken = weights.add("layers.0.mixer.filter", {filters, length});
    for (Index f = 0; f < filters; ++f) {
        const auto& system = modes[static_cast<std::size_t>(f)];
        const systems::Realization one = systems::realize(system, form);
        const Index each = coefficients.values.size() / filters;
        BOOST_REQUIRE(static_cast<Index>(one.coefficients.size()) <= each);
        BOOST_REQUIRE(one.order == order); // rows of square forms are then complete
        std::transform(one.coefficients.begin(), one.coefficients.end(), coefficients.values.data() + f * each,
                       [](double value) { return static_cast<T>(value); });
        std::transform(one.fir.begin(), one.fir.end(), fir.values.data() + f * taps,
                       [](double value) { return static_cast<T>(value); });
        orders.values[f] = static_cast<T>(one.order);
        if (readout != nullptr) {
            std::transform(one.readout.begin(), one.readout.end(), readout->values.data() + f * order,
                           [](double value) { return static_cast<T>(value); });
        }
        const auto response = systems::impulse_response(system, length);
        std::transform(response.begin(), response.end(), taken.values.data() + f * length,
                       [](double value) { return static_cast<T>(value); });
    }
    return changed;
}

template <class T>
void realized(double limit)
{
    const std::unique_ptr<compute::Backend> backend = backend_for<T>(2);
    auto& ops = backend->template on<T>();
    constexpr Index length = 30;
    for (const NamedMixer& each : small_mixers()) {
        if (each.config.mixers[0].form != FilterForm::modal) {
            continue;
        }
        for (const systems::Form form : {systems::Form::modal, systems::Form::cascade, systems::Form::companion,
                                         systems::Form::balanced, systems::Form::dense}) {
            Parameters<T> weights = mixer_weights_of<T>(each.config, 23);
            NetworkConfig config;
            const bool companion = form == systems::Form::companion; // its coefficients are rounded to f32
            try {
                config = with_realization(each.config, form, weights);
            } catch (const Error& error) {
                BOOST_TEST((companion && error.code() == ErrorCode::unsupported));
                continue;
            }
            const auto mixer = make_hyena_mixer<T>(config, 0, weights);
            mixer->refresh(ops);
            const Buffer<T> x = random_values<T>(batch * length * config.width, 24);
            Buffer<T> wanted(x.size());
            mixer->forward(ops, shaped(x, batch, length), shaped(wanted, batch, length), nullptr);
            for (const Execution execution : {Execution::recurrent, Execution::exact_modes}) {
                const auto state = mixer->start(batch, execution);
                const Buffer<T> y = in_pieces(ops, *mixer, *state, x, length, config.width, ways[2]);
                BOOST_TEST(distance_of(y, wanted, y.size()) <= (companion ? 1e-3 : limit),
                           each.name << ", " << systems::name_of(form) << ": " << distance_of(y, wanted, y.size()));
            }
        }
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(hyena_decode)

BOOST_AUTO_TEST_CASE(every_execution_is_the_forward)
{
    against_forward<double>(1e-10);
    against_forward<float>(5e-5);
}

BOOST_AUTO_TEST_CASE(realizations_run)
{
    realized<double>(1e-9);
    realized<float>(1e-3);
}

/// Beyond the length of the filter the recurrence and its modes go on together, and the original filter ends.
BOOST_AUTO_TEST_CASE(beyond_the_filter)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    constexpr Index length = 600; // beyond the first growth of histories and responses as well
    for (const NamedMixer& each : small_mixers()) {
        if (each.config.mixers[0].form != FilterForm::modal) {
            continue;
        }
        const Parameters<double> weights = mixer_weights_of<double>(each.config, 25);
        const auto mixer = make_hyena_mixer<double>(each.config, 0, weights);
        mixer->refresh(ops);
        const Index width = each.config.width;
        const Buffer<double> x = random_values<double>(batch * length * width, 26);
        std::vector<Index> way{200};
        way.insert(way.end(), 100, 0);
        way.push_back(290);
        way.insert(way.end(), 10, 0);
        std::vector<Buffer<double>> outputs;
        for (const Execution execution : {Execution::recurrent, Execution::exact_modes, Execution::exact_original}) {
            const auto state = mixer->start(batch, execution);
            outputs.push_back(in_pieces(ops, *mixer, *state, x, length, width, way));
        }
        Buffer<double> wanted(x.size());
        mixer->forward(ops, shaped(x, batch, length), shaped(wanted, batch, length), nullptr);
        BOOST_TEST(distance_of(outputs[0], outputs[1], x.size()) <= 1e-9, each.name);
        BOOST_TEST(distance_of(outputs[2], wanted, x.size()) <= 1e-10, each.name);
        BOOST_TEST(distance_of(outputs[0], outputs[2], x.size()) > 1e-6, each.name);
    }
}

/// A fit beside the filter is what exact_modes convolves with, in either spelling.
BOOST_AUTO_TEST_CASE(modes_of_a_fit)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    constexpr Index length = 30;
    const NamedMixer each = small_mixers()[2];
    for (const bool as_sections : {true, false}) {
        Parameters<double> weights = mixer_weights_of<double>(each.config, 27);
        const auto modes = modes_of(each.config.mixers[0], 0, weights);
        const NetworkConfig config = with_realization(each.config, systems::Form::modal, weights);
        const auto filters = static_cast<Index>(modes.size());
        const Index order = modes[0].order();
        const Index sections = static_cast<Index>(modes[0].sections.size());
        const std::string prefix = "layers.0.mixer.filter.";
        auto& fir = weights.add(prefix + "fir", {filters, static_cast<Index>(modes[0].fir.size())});
        auto& first = as_sections ? weights.add(prefix + "sections", {filters, sections, 4})
                                  : weights.add(prefix + "poles", {filters, order, 2});
        auto& second = as_sections ? weights.add(prefix + "cascade", {filters, order})
                                   : weights.add(prefix + "residues", {filters, order, 2});
        for (Index f = 0; f < filters; ++f) {
            const auto& system = modes[static_cast<std::size_t>(f)];
            std::copy(system.fir.begin(), system.fir.end(),
                      fir.values.data() + f * static_cast<Index>(system.fir.size()));
            if (as_sections) {
                for (Index s = 0; s < sections; ++s) {
                    const auto& section = system.sections[static_cast<std::size_t>(s)];
                    double* const row = first.values.data() + (f * sections + s) * 4;
                    row[0] = section.states;
                    row[1] = section.sign;
                    row[2] = section.m;
                    row[3] = section.v;
                }
                std::copy(system.readout.begin(), system.readout.end(), second.values.data() + f * order);
            } else {
                const auto spelled = systems::poles_and_residues(system);
                for (Index i = 0; i < order; ++i) {
                    const auto at = static_cast<std::size_t>(i);
                    first.values[(f * order + i) * 2] = spelled.poles[at].real();
                    first.values[(f * order + i) * 2 + 1] = spelled.poles[at].imag();
                    second.values[(f * order + i) * 2] = spelled.residues[at].real();
                    second.values[(f * order + i) * 2 + 1] = spelled.residues[at].imag();
                }
            }
        }
        weights.erase("layers.0.mixer.ssm.modal");
        const auto mixer = make_hyena_mixer<double>(config, 0, weights);
        mixer->refresh(ops);
        const Buffer<double> x = random_values<double>(batch * length * config.width, 24);
        Buffer<double> wanted(x.size());
        mixer->forward(ops, shaped(x, batch, length), shaped(wanted, batch, length), nullptr);
        const auto state = mixer->start(batch, Execution::exact_modes);
        const Buffer<double> y = in_pieces(ops, *mixer, *state, x, length, config.width, ways[2]);
        BOOST_TEST(distance_of(y, wanted, y.size()) <= 1e-9);
        BOOST_CHECK_THROW(mixer->start(batch, Execution::recurrent), Error);
    }
}

BOOST_AUTO_TEST_CASE(states_are_kept_and_chosen)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    auto& ops = backend->single();
    constexpr Index length = 9;
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<float> weights = mixer_weights_of<float>(each.config, 28);
        const auto mixer = make_hyena_mixer<float>(each.config, 0, weights);
        mixer->refresh(ops);
        const Index width = each.config.width;
        const Buffer<float> x = random_values<float>(batch * length * width, 29);
        const Buffer<float> next = random_values<float>(batch * width, 30);
        for (const Execution execution : {Execution::recurrent, Execution::exact_original, Execution::exact_modes}) {
            if (execution != Execution::exact_original && !has_modes(each)) {
                continue;
            }
            BOOST_TEST_CONTEXT(each.name << ", execution " << static_cast<int>(execution))
            {
                const auto state = mixer->start(batch, execution);
                Buffer<float> y(x.size());
                mixer->prefill(ops, shaped(x, batch, length), *state, shaped(y, batch, length));
                const std::vector<std::byte> saved = state->save();
                const Index bytes = state->bytes_per_sequence();

                Buffer<float> first(batch * width);
                mixer->step(ops, Matrix<const float>(next.data(), batch, width), *state,
                            Matrix<float>(first.data(), batch, width));

                const auto loaded = mixer->start(batch, execution);
                loaded->load(saved);
                BOOST_TEST(loaded->bytes_per_sequence() == bytes);
                Buffer<float> again(batch * width);
                mixer->step(ops, Matrix<const float>(next.data(), batch, width), *loaded,
                            Matrix<float>(again.data(), batch, width));
                BOOST_TEST(std::equal(first.begin(), first.end(), again.begin()));

                const auto chosen = mixer->start(batch, execution);
                chosen->load(saved);
                chosen->select({1, 0, 1});
                Buffer<float> in(3 * width);
                Buffer<float> out(3 * width);
                for (Index i = 0; i < 3; ++i) {
                    std::copy_n(next.data() + (i == 1 ? 0 : width), width, in.data() + i * width);
                }
                mixer->step(ops, Matrix<const float>(in.data(), 3, width), *chosen,
                            Matrix<float>(out.data(), 3, width));
                for (Index i = 0; i < 3; ++i) {
                    BOOST_TEST(std::equal(out.data() + i * width, out.data() + (i + 1) * width,
                                          first.data() + (i == 1 ? 0 : width)));
                }

                const auto other = mixer->start(batch + 1, execution);
                BOOST_CHECK_THROW(other->load(saved), Error);
                std::vector<std::byte> cut(saved.begin(), saved.end() - 1);
                BOOST_CHECK_THROW(loaded->load(cut), Error);
                cut = saved;
                cut.push_back(std::byte{0});
                BOOST_CHECK_THROW(loaded->load(cut), Error);
                BOOST_CHECK_THROW(loaded->load({}), Error);
            }
        }
    }
}

/// The recurrence's memory is what the header says, whatever the sequence's length.
BOOST_AUTO_TEST_CASE(the_state_is_constant)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    auto& ops = backend->single();
    MixerConfig mixer;
    mixer.kind = MixerKind::hyena;
    mixer.channels = 12;
    mixer.filters = 3;
    mixer.filter_length = 50;
    mixer.filter_order = 6;
    mixer.taps = 3;
    for (const Index window : {0, 5}) {
        mixer.window = mixer.delay = window;
        const NetworkConfig config = mixer_network(mixer);
        const Parameters<float> weights = mixer_weights_of<float>(config, 31);
        const auto made = make_hyena_mixer<float>(config, 0, weights);
        made->refresh(ops);
        const auto state = made->start(1, Execution::recurrent);
        const Index numbers = 3 * 16 * 2 + 2 * 10 + 16 * 6 + 3 * window * 12;   // strips of 16 channels, 12 in use
        BOOST_TEST(state->bytes_per_sequence() == numbers * 4);
        const Buffer<float> x = random_values<float>(200 * 10, 32);
        Buffer<float> y(x.size());
        made->prefill(ops, shaped(x, 1, 200), *state, shaped(y, 1, 200));
        BOOST_TEST(state->bytes_per_sequence() == numbers * 4);
    }
}

/// A filter whose readout is 0 has no modes; a bank may hold some or nothing but such filters.
BOOST_AUTO_TEST_CASE(filters_without_modes)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    constexpr Index length = 30;
    for (const NamedMixer& each : small_mixers()) {
        for (const bool all : {false, true}) {
            Parameters<double> weights = mixer_weights_of<double>(each.config, 35);
            auto* readout = weights.find("layers.0.mixer.filter_modes.readout");
            if (readout == nullptr) {
                continue;
            }
            const Index one = readout->values.size() / readout->shape[0];
            std::fill_n(readout->values.data(), all ? readout->values.size() : one, 0.0);
            const auto mixer = make_hyena_mixer<double>(each.config, 0, weights);
            mixer->refresh(ops);
            const Buffer<double> x = random_values<double>(batch * length * each.config.width, 36);
            Buffer<double> wanted(x.size());
            mixer->forward(ops, shaped(x, batch, length), shaped(wanted, batch, length), nullptr);
            for (const Execution execution : {Execution::recurrent, Execution::exact_modes}) {
                const auto state = mixer->start(batch, execution);
                const Buffer<double> y = in_pieces(ops, *mixer, *state, x, length, each.config.width, ways[2]);
                BOOST_TEST(distance_of(y, wanted, y.size()) <= 1e-10, each.name);
            }
        }
    }
}

/// Behind a prompt that the filters have read: where they are what the modes stand for nothing changes; where the modes
/// miss a part, they take up what they can of it.
BOOST_AUTO_TEST_CASE(prompts_are_handed_over)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->real();
    constexpr Index length = 60;
    double sum = 0.0;
    for (const Index prompt : {1, 3, 40}) {
        for (const NamedMixer& each : small_mixers()) {
            if (each.config.mixers[0].kind == MixerKind::linear || each.config.mixers[0].form != FilterForm::modal) {
                continue;
            }
            for (const bool missed : {false, true}) {
                Parameters<double> weights = mixer_weights_of<double>(each.config, 37);
                const NetworkConfig config = with_realization(each.config, systems::Form::cascade, weights);
                if (missed) {
                    auto& filter = weights.at("layers.0.mixer.filter");
                    for (Index i = 0; i < filter.values.size(); ++i) {
                        const auto lag = static_cast<double>(i % filter.shape[1] - config.mixers[0].delay);
                        filter.values[i] += lag < 0.0 ? 0.0 : 0.3 * std::pow(0.97, lag) * std::cos(0.2 * lag);
                    }
                }
                const auto mixer = make_hyena_mixer<double>(config, 0, weights);
                mixer->refresh(ops);
                const Index width = config.width;
                const Buffer<double> x = random_values<double>(batch * length * width, 38);
                std::vector<Index> way{prompt};
                way.insert(way.end(), length - prompt, 0);
                const auto exact = mixer->start(batch, Execution::exact_original);
                const auto own = mixer->start(batch, Execution::recurrent);
                const Buffer<double> wanted = in_pieces(ops, *mixer, *exact, x, length, width, way);
                const Buffer<double> by_itself = in_pieces(ops, *mixer, *own, x, length, width, way);

                const auto read = mixer->start(batch, Execution::exact_original);
                std::unique_ptr<MixerState> handed;
                double error = 0.0;
                double without = 0.0;
                for (Index t = 0; t < length; t += t == 0 ? prompt : 1) {
                    const Index count = t == 0 ? prompt : 1;
                    Buffer<double> in(batch * count * width);
                    Buffer<double> out(in.size());
                    for (Index b = 0; b < batch; ++b) {
                        std::copy_n(x.data() + (b * length + t) * width, count * width, in.data() + b * count * width);
                    }
                    if (t == 0) {
                        mixer->prefill(ops, shaped(std::as_const(in), batch, count), *read, shaped(out, batch, count));
                        handed = mixer->hand_over(ops, *read);
                        continue;
                    }
                    mixer->step(ops, Matrix<const double>(in.data(), batch, width), *handed,
                                Matrix<double>(out.data(), batch, width));
                    for (Index i = 0; i < batch * width; ++i) {
                        const Index place = (i / width * length + t) * width + i % width;
                        error += std::pow(out[i] - wanted[place], 2);
                        without += std::pow(by_itself[place] - wanted[place], 2);
                    }
                }
                BOOST_TEST_CONTEXT(each.name << ", prompt " << prompt << ", missed " << missed)
                {
                    if (!missed) {
                        BOOST_TEST(error < 1e-12);
                    } else if (prompt == 40) {
                        sum += error / without;          // tokens after the prompt err as before
                    }
                    BOOST_TEST_MESSAGE(each.name << ", prompt " << prompt << ": squared error " << error
                                                 << " against " << without);
                }
            }
        }
    }
    BOOST_TEST(sum < 3 * 0.8);                           // three mixers
}

/// What is computed from the weights is shared by states that begin and run at the same time, and made anew by refresh.
BOOST_AUTO_TEST_CASE(states_share_what_the_weights_give)
{
    constexpr Index length = 700;
    constexpr int runs = 3;
    for (NamedMixer each : small_mixers()) {
        if (each.config.mixers[0].form != FilterForm::modal) {
            continue;
        }
        each.config.max_positions = length;
        const Index width = each.config.width;
        const Buffer<float> x = random_values<float>(batch * length * width, 51);
        const auto backend = backend_for<float>(1);
        Parameters<float> weights = mixer_weights_of<float>(each.config, 52);
        const auto shared = make_hyena_mixer<float>(each.config, 0, weights);
        for (const std::uint64_t seed : {52, 53}) {                     // the second time with other weights
            const Parameters<float> changed = mixer_weights_of<float>(each.config, seed);
            for (auto& entry : weights) {
                entry.values = changed.at(entry.name).values.clone();
                entry.exact = changed.at(entry.name).exact.clone();
            }
            shared->refresh(backend->single());
            for (const Execution execution : {Execution::exact_original, Execution::exact_modes}) {
                const auto texts = [&](const Mixer<float>& mixer, Index tokens, compute::Operations<float>& ops) {
                    const auto state = mixer.start(batch, execution);
                    Buffer<float> y(x.size());
                    const auto run = [&](MixerState& from, Index begin, Index end) {
                        Buffer<float> in(batch * width);
                        for (Index t = begin; t < end; ++t) {
                            for (Index b = 0; b < batch; ++b) {
                                std::copy_n(x.data() + (b * length + t) * width, width, in.data() + b * width);
                            }
                            mixer.step(ops, Matrix<const float>(in.data(), batch, width), from,
                                       Matrix<float>(y.data() + t * batch * width, batch, width));
                        }
                    };
                    run(*state, 0, tokens);
                    if (execution == Execution::exact_original) {
                        run(*mixer.hand_over(ops, *state), tokens, std::min(tokens + 20, length));
                    }
                    return y;
                };
                std::vector<Buffer<float>> found(runs);
                std::vector<std::thread> threads;
                for (int i = 0; i < runs; ++i) {                        // of different lengths
                    threads.emplace_back([&, i] {
                        const auto own = backend_for<float>(1);
                        found[static_cast<std::size_t>(i)] = texts(*shared, length - 250 * i, own->single());
                    });
                }
                for (std::thread& thread : threads) {
                    thread.join();
                }
                for (int i = 0; i < runs; ++i) {
                    const auto fresh = make_hyena_mixer<float>(each.config, 0, weights);
                    fresh->refresh(backend->single());
                    const Buffer<float> wanted = texts(*fresh, length - 250 * i, backend->single());
                    const Buffer<float>& one = found[static_cast<std::size_t>(i)];
                    BOOST_TEST(std::equal(wanted.begin(), wanted.end(), one.begin()),
                               each.name << ", execution " << static_cast<int>(execution) << ", text " << i
                                         << ", weights " << seed);
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named)
{
    const NamedMixer each = small_mixers()[2];
    const auto message = [&](const NetworkConfig& config, const Parameters<float>& weights) {
        try {
            make_hyena_mixer<float>(config, 0, weights);
        } catch (const Error& error) {
            BOOST_TEST((error.code() == ErrorCode::bad_data));
            return std::string(error.what());
        }
        return std::string();
    };
    for (const WeightShape& wanted : hyena_weights(each.config, 0)) {
        Parameters<float> weights = mixer_weights_of<float>(each.config, 1);
        weights.erase(wanted.name);
        BOOST_TEST(message(each.config, weights).find(wanted.name) != std::string::npos);
        weights.add(wanted.name, {7});
        BOOST_TEST(message(each.config, weights).find(wanted.name) != std::string::npos);
    }
    NetworkConfig uneven = small_mixers()[5].config; // three heads
    uneven.mixers[0].filters = 2;
    const Parameters<float> weights = mixer_weights_of<float>(uneven, 1);
    BOOST_TEST(message(uneven, weights).find("2 filters") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit)
{
    constexpr Index length = 30;
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<float> weights = mixer_weights_of<float>(each.config, 33);
        const Buffer<float> x = random_values<float>(batch * length * each.config.width, 34);
        for (const Execution execution : {Execution::recurrent, Execution::exact_original}) {
            if (execution == Execution::recurrent && !has_modes(each)) {
                continue;
            }
            std::vector<Buffer<float>> outputs;
            for (const int threads : {1, 3}) {
                const auto backend = compute::make_backend("cpu", compute::Precision::f32, threads);
                auto& ops = backend->single();
                const auto mixer = make_hyena_mixer<float>(each.config, 0, weights);
                mixer->refresh(ops);
                const auto state = mixer->start(batch, execution);
                outputs.push_back(in_pieces(ops, *mixer, *state, x, length, each.config.width, ways[2]));
            }
            BOOST_TEST(std::equal(outputs[0].begin(), outputs[0].end(), outputs[1].begin()), each.name);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
