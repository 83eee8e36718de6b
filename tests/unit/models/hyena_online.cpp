// SPDX-License-Identifier: Apache-2.0
// Exact executions beyond one block of tokens: every cut of a sequence gives what the forward of the whole gives.
#include "hyena_test.hpp"

#include <boost/test/unit_test.hpp>

#include <numeric>

namespace stillhouse::models
{
namespace
{

constexpr Index length = 1100;

/// One number is a prefill of so many tokens, 0 one step; what is left is stepped.
const std::vector<std::vector<Index>> ways{
    {length}, {}, {700, 0, 0, 300}, {1, 127, 128, 0, 255, 1, 0, 500}, {512, 0, 100, 31, 380}};

/// All kinds and forms of small_mixers with filters of `lags` lags, and heads of two widths.
std::vector<NamedMixer> mixers_of(Index lags)
{
    std::vector<NamedMixer> chosen;
    for (NamedMixer each : small_mixers()) {
        MixerConfig& mixer = each.config.mixers[0];
        if (mixer.form == FilterForm::none) {
            continue;
        }
        each.config.max_positions = 2 * length;
        mixer.filter_length = lags;
        chosen.push_back(std::move(each));
    }
    return chosen;
}

template <class T>
Buffer<T> run(compute::Operations<T>& ops, const Mixer<T>& mixer, MixerState& state, const Buffer<T>& x, Index width,
              Index from, Index to, const std::vector<Index>& way)
{
    Buffer<T> y(x.size());
    std::size_t at = 0;
    while (from < to) {
        const Index piece = at < way.size() ? way[at++] : 0;
        const Index count = std::clamp<Index>(piece, 1, to - from);
        const T* const in = x.data() + from * width;
        T* const out = y.data() + from * width;
        if (piece == 0) {
            mixer.step(ops, Matrix<const T>(in, 1, width), state, Matrix<T>(out, 1, width));
        } else {
            mixer.prefill(ops, Sequences<const T>(in, 1, count, width), state, Sequences<T>(out, 1, count, width));
        }
        from += count;
    }
    return y;
}

template <class T>
void against_forward(double limit)
{
    const std::unique_ptr<compute::Backend> backend = backend_for<T>(2);
    auto& ops = backend->template on<T>();
    for (const Index lags : {40, 300, 2000}) {       // within a block, shorter and longer than the sequence
        for (const NamedMixer& each : mixers_of(lags)) {
            const Index width = each.config.width;
            const Parameters<T> weights = mixer_weights_of<T>(each.config, 41);
            const auto mixer = make_hyena_mixer<T>(each.config, 0, weights);
            mixer->refresh(ops);
            const Buffer<T> x = random_values<T>(length * width, 42);
            Buffer<T> wanted(x.size());
            mixer->forward(ops, shaped(x, 1, length), shaped(wanted, 1, length), nullptr);
            const bool modal = each.config.mixers[0].form == FilterForm::modal && lags >= length;
            for (const Execution execution : {Execution::exact_original, Execution::exact_modes}) {
                if (execution == Execution::exact_modes && !modal) {
                    continue;
                }
                for (std::size_t w = 0; w < ways.size(); ++w) {
                    const auto state = mixer->start(1, execution);
                    const Buffer<T> y = run(ops, *mixer, *state, x, width, 0, length, ways[w]);
                    BOOST_TEST(distance_of(y, wanted, y.size()) <= limit,
                               each.name << ", " << lags << " lags, way " << w << ": "
                                         << distance_of(y, wanted, y.size()));
                }
            }
        }
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(hyena_online)

BOOST_AUTO_TEST_CASE(every_cut_is_the_forward)
{
    against_forward<double>(1e-9);
    against_forward<float>(1e-4);
}

/// A state saved anywhere goes on with the same bits, and sequences that began at different times share a batch.
BOOST_AUTO_TEST_CASE(states_move)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    auto& ops = backend->single();
    for (const Index lags : {300, 2000}) {
        for (const NamedMixer& each : mixers_of(lags)) {
            const Index width = each.config.width;
            const Parameters<float> weights = mixer_weights_of<float>(each.config, 43);
            const auto mixer = make_hyena_mixer<float>(each.config, 0, weights);
            mixer->refresh(ops);
            const Buffer<float> x = random_values<float>(length * width, 44);
            for (const Execution execution : {Execution::exact_original, Execution::recurrent}) {
                if (execution == Execution::recurrent && each.config.mixers[0].form != FilterForm::modal) {
                    continue;
                }
                BOOST_TEST_CONTEXT(each.name << ", " << lags << " lags, execution " << static_cast<int>(execution))
                {
                    const auto whole = mixer->start(1, execution);
                    const std::vector<Index> way{390};
                    const Buffer<float> wanted = run(ops, *mixer, *whole, x, width, 0, 800, way);
                    const auto cut = mixer->start(1, execution);
                    run(ops, *mixer, *cut, x, width, 0, 600, way);
                    const auto loaded = mixer->start(1, execution);
                    loaded->load(cut->save());
                    BOOST_TEST(loaded->bytes_per_sequence() == cut->bytes_per_sequence());
                    const Buffer<float> rest = run(ops, *mixer, *loaded, x, width, 600, 800, {});
                    BOOST_TEST(std::equal(rest.data() + 600 * width, rest.data() + 800 * width,
                                          wanted.data() + 600 * width));

                    // the same text from its beginning beside it, and a third that joins
                    const auto batch = mixer->start(2, execution);
                    batch->take(1, *cut, 0);
                    const auto late = mixer->start(1, execution);
                    run(ops, *mixer, *late, x, width, 0, 130, {130});
                    batch->take(2, *late, 0);
                    const Buffer<float> first = run(ops, *mixer, *mixer->start(1, execution), x, width, 0, 200, {});
                    const Buffer<float> third = run(ops, *mixer, *late, x, width, 130, 330, {});
                    for (Index t = 0; t < 200; ++t) {
                        Buffer<float> in(3 * width);
                        Buffer<float> out(3 * width);
                        std::copy_n(x.data() + t * width, width, in.data());
                        std::copy_n(x.data() + (600 + t) * width, width, in.data() + width);
                        std::copy_n(x.data() + (130 + t) * width, width, in.data() + 2 * width);
                        mixer->step(ops, Matrix<const float>(in.data(), 3, width), *batch,
                                    Matrix<float>(out.data(), 3, width));
                        BOOST_REQUIRE(std::equal(out.data(), out.data() + width, first.data() + t * width));
                        BOOST_REQUIRE(std::equal(out.data() + width, out.data() + 2 * width,
                                                 wanted.data() + (600 + t) * width));
                        BOOST_REQUIRE(std::equal(out.data() + 2 * width, out.data() + 3 * width,
                                                 third.data() + (130 + t) * width));
                    }
                }
            }
        }
    }
}

/// No more memory than the filter's length asks for, whatever the text's length.
BOOST_AUTO_TEST_CASE(short_filters_keep_short_histories)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    auto& ops = backend->single();
    const NamedMixer each = mixers_of(200)[0];
    const Parameters<float> weights = mixer_weights_of<float>(each.config, 45);
    const auto mixer = make_hyena_mixer<float>(each.config, 0, weights);
    mixer->refresh(ops);
    const Index width = each.config.width;
    const auto state = mixer->start(1, Execution::exact_original);
    const Index before = state->bytes_per_sequence();
    const Buffer<float> x = random_values<float>(length * width, 46);
    run(ops, *mixer, *state, x, width, 0, length, {900});
    BOOST_TEST(state->bytes_per_sequence() == before + 512 * 12 * 4);    // 2 x 256 rows
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
