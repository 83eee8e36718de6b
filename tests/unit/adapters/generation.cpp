// SPDX-License-Identifier: Apache-2.0
// Plans of rows, samples and continuations that depend on nothing but their prompt and seed.
#include "tools/adapters/generation.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/generation_io.hpp"
#include "tools/adapters/model.hpp"
#include "tools/adapters/samples.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <filesystem>

using namespace stillhouse;
using adapters::Prompt;

namespace {

struct Teacher {
    std::unique_ptr<compute::Backend> backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    models::Network<float> network = [&] {
        auto model =
            adapters::ModelSource::folder(std::string(STILLHOUSE_TEST_DATA) + "/models/neox-bf16", {}).load<float>();
        return models::Network<float>(model.config, std::move(model.weights), backend->on<float>());
    }();
};

adapters::GenerationOptions options(Index tokens, Index batch)
{
    adapters::GenerationOptions result;
    result.tokens = tokens;
    result.batch = batch;
    result.seed = 5;
    result.logprobs = true;
    return result;
}

std::vector<adapters::Continuation> run(Teacher& teacher, const adapters::GenerationOptions& how,
                                        const std::vector<Prompt>& prompts)
{
    adapters::Generator<float> generator(teacher.network, nullptr, {0, {9}}, how);
    std::vector<adapters::Continuation> results;
    generator.run(prompts, [&](const adapters::Continuation& one) { results.push_back(one); }, {});
    return results;
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_of_a_plan)
{
    const adapters::RowPlan plan{100, 16, 4};                    // six full rows and four tokens
    BOOST_TEST(plan.batches() == 3);
    BOOST_TEST(plan.batch_at(0).rows == 4);
    BOOST_TEST(plan.batch_at(1).rows == 2);
    BOOST_TEST(plan.batch_at(2).rows == 1);
    BOOST_TEST(plan.batch_at(2).length == 4);
    BOOST_TEST(plan.batch_at(2).first_row == 6);
    BOOST_TEST((adapters::RowPlan{64, 16, 4}.batches()) == 1);
    BOOST_TEST((adapters::RowPlan{5, 16, 4}.batches()) == 1);
    BOOST_TEST((adapters::RowPlan{5, 16, 4}.batch_at(0).length) == 5);
}

BOOST_AUTO_TEST_CASE(samples_do_not_depend_on_their_neighbours)
{
    Teacher teacher;
    // End of text is common here, so that going on after it is seen.
    const adapters::SampledRows<float> rows(teacher.network, {3, {3, 7, 8, 9, 10, 11}}, {}, 11);
    constexpr Index length = 24;
    std::vector<Index> all(8 * length), some(2 * length), part(8);
    rows.draw(0, 8, length, all.data(), {});
    rows.draw(5, 2, length, some.data(), {});
    rows.draw(6, 1, 8, part.data(), {});
    BOOST_TEST(std::equal(some.begin(), some.end(), all.begin() + 5 * length));
    BOOST_TEST(std::equal(part.begin(), part.end(), all.begin() + 6 * length));
    Index ends = 0;
    for (Index r = 0; r < 8; ++r) {
        BOOST_TEST(all[static_cast<std::size_t>(r * length)] == 3);
        for (Index t = 0; t + 1 < length; ++t) {
            const Index now = all[static_cast<std::size_t>(r * length + t)];
            if (now >= 7 && now <= 11) {
                BOOST_TEST(all[static_cast<std::size_t>(r * length + t + 1)] == 3);
                ++ends;
            }
        }
    }
    BOOST_TEST(ends > 0);
    BOOST_CHECK_THROW((adapters::SampledRows<float>(teacher.network, {}, {}, 1)), Error);
}

BOOST_AUTO_TEST_CASE(texts_do_not_depend_on_the_batch)
{
    Teacher teacher;
    const std::vector<Prompt> prompts{{0, {1, 2, 3}}, {1, {4}}, {2, {7, 8, 2}},
                                      {3, {1, 2, 3}}, {4, {5}}, {5, {6, 6, 6}}};
    const auto alone = run(teacher, options(20, 1), prompts);
    const auto together = run(teacher, options(20, 4), prompts);
    BOOST_REQUIRE(alone.size() == prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        BOOST_TEST(alone[i].number == static_cast<Index>(i));
        BOOST_TEST(alone[i].ids == together[i].ids, boost::test_tools::per_element());
        BOOST_TEST(alone[i].logprobs == together[i].logprobs, boost::test_tools::per_element());
    }
    BOOST_TEST((alone[0].ids != alone[3].ids));                    // the same prompt, another number
}

BOOST_AUTO_TEST_CASE(log_probabilities_are_of_the_whole_vocabulary)
{
    Teacher teacher;
    auto how = options(3, 1);
    how.sampling.greedy = true;
    const auto result = run(teacher, how, {{0, {1, 2, 3}}}).front();
    const Index vocabulary = teacher.network.config().vocabulary;
    std::vector<Index> tokens{1, 2, 3};
    for (std::size_t i = 0; i < result.ids.size(); ++i) {
        const Index n = static_cast<Index>(tokens.size());
        Buffer<float> logits(n * vocabulary);
        teacher.network.forward(tokens.data(), 1, n, {logits.data(), n, vocabulary});
        const float* last = logits.data() + (n - 1) * vocabulary;
        double total = 0.0;
        for (Index v = 0; v < vocabulary; ++v) {
            total += std::exp(static_cast<double>(last[v]));
        }
        BOOST_TEST(result.logprobs[i] == static_cast<double>(last[result.ids[i]]) - std::log(total),
                   boost::test_tools::tolerance(1e-4));
        tokens.push_back(result.ids[i]);
    }
}

BOOST_AUTO_TEST_CASE(the_end_of_a_text)
{
    Teacher teacher;
    auto how = options(200, 1);
    const auto ended = run(teacher, how, {{0, {1}}}).front();
    how.ignore_end = true;
    const auto going = run(teacher, how, {{0, {1}}}).front();
    BOOST_REQUIRE(ended.ids.size() <= going.ids.size());
    BOOST_TEST(std::equal(ended.ids.begin(), ended.ids.end(), going.ids.begin()));
    if (ended.end == adapters::End::end_of_text) {
        BOOST_TEST(going.ids[ended.ids.size()] == 9);
    }
    // 128 positions: one token of prompt, then as many as can be fed, and the one drawn from the last.
    BOOST_TEST(going.ids.size() == 128U);
    BOOST_TEST(going.context_full);
}

BOOST_AUTO_TEST_CASE(a_saved_state_goes_on_as_if_nothing_had_been)
{
    Teacher teacher;
    auto how = options(24, 1);
    how.ignore_end = true;
    adapters::Generator<float> generator(teacher.network, nullptr, {0, {}}, how);
    const Prompt prompt{0, {1, 2, 3}};
    const auto whole = generator.run_one(prompt, {}, nullptr, nullptr, {});
    how.tokens = 10;
    adapters::SavedState state;
    const auto first = adapters::Generator<float>(teacher.network, nullptr, {0, {}}, how)
                           .run_one(prompt, {}, nullptr, &state, {});
    BOOST_TEST(state.tokens.size() == 13U);
    how.tokens = 14;
    const auto second = adapters::Generator<float>(teacher.network, nullptr, {0, {}}, how)
                            .run_one({0, {}}, {}, &state, nullptr, {});
    std::vector<Token> both = first.ids;
    both.insert(both.end(), second.ids.begin(), second.ids.end());
    BOOST_TEST(both == whole.ids, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(prompts_of_a_user)
{
    BOOST_TEST(adapters::parse_ids("1, 2,3") == (std::vector<Index>{1, 2, 3}), boost::test_tools::per_element());
    BOOST_CHECK_THROW(adapters::parse_ids("1 2"), Error);
    BOOST_CHECK_THROW(adapters::parse_ids("1,x"), Error);
    BOOST_CHECK_THROW(adapters::parse_ids("-1"), Error);
    Teacher teacher;
    const models::NetworkConfig& config = teacher.network.config();
    using adapters::PromptInput;
    using Kind = PromptInput::Kind;
    Index replaced = 0;
    const auto make = [&](const std::string& ids) {
        return adapters::make_prompts({Kind::ids, ids, false}, nullptr, {4, {}}, config, &replaced);
    };
    BOOST_TEST(make("").front().ids == std::vector<Index>{4}, boost::test_tools::per_element());
    BOOST_CHECK_THROW(make("160"), Error);                       // of 160
    std::string many = "1";
    for (int i = 0; i < 128; ++i) {
        many += ",1";
    }
    BOOST_CHECK_THROW(make(many), Error);                        // 129 of 128 positions
    BOOST_CHECK_THROW(adapters::make_prompts({Kind::text, "a", false}, nullptr, {4, {}}, config, &replaced), Error);
}
