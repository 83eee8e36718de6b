// SPDX-License-Identifier: Apache-2.0
// Continuations: what is scored, and that no bit hangs on what is scored beside it.
#include "libcore/evaluation/requests.hpp"

#include "libcore/base/random.hpp"
#include "libcore/models/initialize.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>

using namespace stillhouse;
using evaluation::Mode;
using evaluation::RequestGroup;
using evaluation::RequestScore;

namespace {

models::NetworkConfig config_of(models::MixerKind kind, Index window)
{
    models::NetworkConfig config;
    config.family = "gpt_neox";
    config.layers = 2;
    config.width = 32;
    config.heads = config.kv_heads = 4;
    config.head_dim = 8;
    config.ffn = 64;
    config.vocabulary = 61;
    config.max_positions = 256;
    config.rotary.dims = 4;
    models::MixerConfig mixer;
    mixer.kind = kind;
    if (kind != models::MixerKind::attention) {
        mixer.channels = 32;
        mixer.filters = 4;
        mixer.filter_length = 256;
        mixer.filter_order = 8;
        mixer.window = mixer.delay = window;
    }
    config.mixers.assign(2, mixer);
    return config;
}

std::vector<Index> tokens_of(Random& random, Index n)
{
    std::vector<Index> tokens;
    for (Index i = 0; i < n; ++i) {
        tokens.push_back(static_cast<Index>(random.below(61)));
    }
    return tokens;
}

/// Questions with one context and some choices, of many lengths, and single requests.
std::vector<RequestGroup> random_groups(Index n)
{
    Random random(7, 1);
    std::vector<RequestGroup> groups;
    for (Index g = 0; g < n; ++g) {
        const std::vector<Index> context = tokens_of(random, 1 + static_cast<Index>(random.below(90)));
        const std::size_t choices = g % 3 == 0 ? 1 : 4;
        RequestGroup& group = groups.emplace_back();
        for (std::size_t i = 0; i < choices; ++i) {
            group.push_back({context, tokens_of(random, 1 + static_cast<Index>(random.below(20)))});
        }
    }
    return groups;
}

struct Case {
    const char* name;
    models::MixerKind kind;
    Index window;
    Mode mode;
};

const Case cases[] = {{"attention", models::MixerKind::attention, 0, Mode::parallel},
                      {"recurrence", models::MixerKind::hyena, 0, Mode::recurrent},
                      {"recurrence and window", models::MixerKind::hyena, 16, Mode::recurrent},
                      {"convolution", models::MixerKind::hyena, 0, Mode::parallel},
                      {"convolution and window", models::MixerKind::hyena, 16, Mode::parallel}};

}  // namespace

BOOST_AUTO_TEST_CASE(no_bit_of_a_score_depends_on_what_else_is_scored)
{
    const auto groups = random_groups(24);
    for (const Case& one : cases) {
        BOOST_TEST_CONTEXT(one.name) {
            const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
            const auto config = config_of(one.kind, one.window);
            const models::Network<float> network(config, models::initialize_network<float>(config, 3),
                                                 backend->on<float>());
            const auto together = evaluation::score_requests<float>(network, one.mode, groups, 64, {});
            for (std::size_t g = 0; g < groups.size(); ++g) {
                const auto alone = evaluation::score_requests<float>(network, one.mode, {groups[g]}, 64, {});
                for (std::size_t i = 0; i < groups[g].size(); ++i) {
                    BOOST_TEST(together[g][i].log_likelihood == alone[0][i].log_likelihood);
                    BOOST_TEST(together[g][i].greedy == alone[0][i].greedy);
                    // Nor on whether a beginning was shared.
                    const auto single = evaluation::score_requests<float>(network, one.mode, {{groups[g][i]}}, 64, {});
                    BOOST_TEST(together[g][i].log_likelihood == single[0][0].log_likelihood);
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_score_is_the_sum_of_log_probabilities_by_the_definition)
{
    const auto groups = random_groups(9);
    for (const Case& one : cases) {
        BOOST_TEST_CONTEXT(one.name) {
            const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
            const auto config = config_of(one.kind, one.window);
            const models::Network<double> network(config, models::initialize_network<double>(config, 3),
                                                  backend->on<double>());
            const Index longest = 40;
            const auto scores = evaluation::score_requests<double>(network, one.mode, groups, longest, {});
            for (std::size_t g = 0; g < groups.size(); ++g) {
                for (std::size_t i = 0; i < groups[g].size(); ++i) {
                    std::vector<Index> all = groups[g][i].context;
                    const auto& continuation = groups[g][i].continuation;
                    all.insert(all.end(), continuation.begin(), continuation.end());
                    const Index dropped = std::max<Index>(0, static_cast<Index>(all.size()) - longest - 1);
                    all.erase(all.begin(), all.begin() + dropped);
                    const auto n = static_cast<Index>(all.size()) - 1;
                    Buffer<double> logits(n * config.vocabulary);
                    const Matrix<double> l(logits.data(), n, config.vocabulary);
                    network.forward(all.data(), 1, n, l);
                    double sum = 0.0;
                    for (Index t = n - static_cast<Index>(continuation.size()); t < n; ++t) {
                        double total = 0.0;
                        for (Index j = 0; j < config.vocabulary; ++j) {
                            total += std::exp(l(t, j));
                        }
                        sum += l(t, all[static_cast<std::size_t>(t + 1)]) - std::log(total);
                    }
                    BOOST_TEST(std::fabs(scores[g][i].log_likelihood - sum) < 1e-8);
                    BOOST_TEST(scores[g][i].dropped == dropped);
                    BOOST_TEST(scores[g][i].tokens == static_cast<Index>(continuation.size()));
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(the_greedy_continuation_is_known_as_such)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    const auto config = config_of(models::MixerKind::attention, 0);
    const models::Network<float> network(config, models::initialize_network<float>(config, 3), backend->on<float>());
    std::vector<Index> all{5, 9, 11, 2};
    for (Index step = 0; step < 3; ++step) {
        const auto n = static_cast<Index>(all.size());
        Buffer<float> logits(n * config.vocabulary);
        network.forward(all.data(), 1, n, Matrix<float>(logits.data(), n, config.vocabulary));
        const float* const last = logits.data() + (n - 1) * config.vocabulary;
        all.push_back(std::max_element(last, last + config.vocabulary) - last);
    }
    const std::vector<Index> context(all.begin(), all.begin() + 4);
    const std::vector<Index> greedy(all.begin() + 4, all.end());
    std::vector<Index> other = greedy;
    other[1] = (other[1] + 1) % config.vocabulary;
    const auto scores = evaluation::score_requests<float>(network, Mode::parallel,
                                                          {{{context, greedy}, {context, other}}}, 64, {});
    BOOST_TEST(scores[0][0].greedy);
    BOOST_TEST(!scores[0][1].greedy);
}

BOOST_AUTO_TEST_CASE(a_continuation_longer_than_the_context_is_refused)
{
    BOOST_CHECK_THROW(evaluation::check_length({{1}, std::vector<Index>(9, 2)}, 8), Error);
    evaluation::check_length({{1}, std::vector<Index>(8, 2)}, 8);
}
