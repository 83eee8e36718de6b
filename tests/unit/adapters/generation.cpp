// SPDX-License-Identifier: Apache-2.0
// Plans of rows, samples and continuations that depend on nothing but their prompt and seed.
#include "tools/adapters/generation/generation.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/generation/generation_io.hpp"
#include "tools/adapters/generation/generation_memory.hpp"
#include "tools/adapters/generation/generation_stats.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/generation/result_lines.hpp"
#include "tools/adapters/text/samples.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <set>

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

using Receiver = adapters::Generator<float>::Receiver;

/// Results in the order of their prompts, and the states behind them where they are wanted.
std::vector<adapters::Continuation> run(const models::Network<float>& network, const adapters::GenerationOptions& how,
                                        const std::vector<Prompt>& prompts, adapters::SpecialTokens special = {0, {9}},
                                        std::vector<adapters::SavedState>* states = nullptr,
                                        adapters::GenerationStats* stats = nullptr)
{
    adapters::Generator<float> generator(network, nullptr, std::move(special), how);
    std::map<Index, adapters::Continuation> results;
    std::map<Index, adapters::SavedState> kept;
    Receiver receiver;
    receiver.each = [&](const adapters::Continuation& one) { BOOST_TEST(results.emplace(one.number, one).second); };
    if (states != nullptr) {
        receiver.save = [&](Index prompt, adapters::SavedState state) { kept.emplace(prompt, std::move(state)); };
    }
    generator.run(prompts, receiver, {});
    std::vector<adapters::Continuation> sorted;
    for (auto& [number, result] : results) {
        sorted.push_back(std::move(result));
    }
    for (auto& [number, state] : kept) {
        states->push_back(std::move(state));
    }
    if (stats != nullptr) {
        *stats = generator.stats();
    }
    return sorted;
}

/// A student whose layers are of the kinds that states differ in: convolutions alone, with a window, with kept heads,
/// of heads one channel wide in a chain of two.
std::unique_ptr<models::Network<float>> student(Teacher& teacher, Index kind, Index positions = 0)
{
    models::NetworkConfig config = teacher.network.config();
    config.max_positions = std::max(config.max_positions, positions);
    for (models::MixerConfig& mixer : config.mixers) {
        mixer = {};
        mixer.kind = models::MixerKind::multihyena;
        mixer.channels = config.attention_width();
        mixer.head_width = config.head_dim;
        mixer.filters = config.heads;
        mixer.filter_length = 64;
        mixer.filter_order = 4;
        if (kind == 1) {
            mixer.window = 3;
            mixer.delay = 3;
        } else if (kind == 2) {
            mixer.kept_heads = {1};
            mixer.filters = config.heads - 1;
        } else if (kind == 3) {
            mixer.kind = models::MixerKind::hyena;
            mixer.head_width = 1;
            mixer.order = 3;
        }
    }
    models::Parameters<float> weights;
    for (const auto& entry : teacher.network.weights()) {
        if (entry.name.find(".attention.") == std::string::npos) {
            auto& copy = weights.add(entry.name, entry.shape);
            std::copy_n(entry.values.data(), entry.values.size(), copy.values.data());
        }
    }
    for (Index layer = 0; layer < config.layers; ++layer) {
        models::initialize_mixer(config, layer, 3, weights);
    }
    return std::make_unique<models::Network<float>>(config, std::move(weights), teacher.backend->on<float>());
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
    const auto alone = run(teacher.network, options(20, 1), prompts);
    const auto together = run(teacher.network, options(20, 4), prompts);
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
    const auto result = run(teacher.network, how, {{0, {1, 2, 3}}}).front();
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
    const auto ended = run(teacher.network, how, {{0, {1}}}).front();
    how.ignore_end = true;
    const auto going = run(teacher.network, how, {{0, {1}}}).front();
    BOOST_REQUIRE(ended.ids.size() <= going.ids.size());
    BOOST_TEST(std::equal(ended.ids.begin(), ended.ids.end(), going.ids.begin()));
    if (ended.end == adapters::End::end_of_text) {
        BOOST_TEST(going.ids[ended.ids.size()] == 9);
    }
    // 128 positions: one token of prompt, then as many as can be fed, and the one drawn from the last.
    BOOST_TEST(going.ids.size() == 128U);
    BOOST_TEST(going.context_full);
}

/// Many prompts of different lengths, whose texts end at different places.
std::vector<Prompt> uneven(Index count)
{
    std::vector<Prompt> prompts;
    for (Index i = 0; i < count; ++i) {
        prompts.push_back({i, {}, nullptr});
        for (Index t = 0; t <= i * 5 % 7; ++t) {
            prompts.back().ids.push_back(static_cast<Token>((i * 11 + t * 3) % 160));
        }
    }
    return prompts;
}

BOOST_AUTO_TEST_CASE(sequences_join_and_leave)
{
    Teacher teacher;
    const adapters::SpecialTokens ends{0, {3, 7, 9, 12, 20, 31, 44, 58, 90, 101}};
    for (Index kind = -1; kind < 3; ++kind) {
        const auto own = kind >= 0 ? student(teacher, kind) : nullptr;
        const models::Network<float>& network = own ? *own : teacher.network;
        const std::vector<Prompt> prompts = uneven(23);
        const auto alone = run(network, options(30, 1), prompts, ends);
        BOOST_REQUIRE(alone.size() == prompts.size());
        std::set<std::size_t> lengths;
        for (const auto& one : alone) {
            lengths.insert(one.ids.size());
        }
        BOOST_TEST(lengths.size() > 3U);                            // else nothing is tested
        for (const Index batch : {2, 5, 64}) {
            adapters::GenerationStats stats;
            const auto together = run(network, options(30, batch), prompts, ends, nullptr, &stats);
            BOOST_REQUIRE(together.size() == prompts.size());
            for (std::size_t i = 0; i < prompts.size(); ++i) {
                BOOST_TEST(alone[i].ids == together[i].ids, boost::test_tools::per_element());
                BOOST_TEST(alone[i].logprobs == together[i].logprobs, boost::test_tools::per_element());
                BOOST_TEST((alone[i].end == together[i].end));
            }
            // No place of the batch stays empty while prompts wait: the last to begin has at most 29 steps left, and
            // with every step before that all places are taken.
            if (batch == 5) {
                BOOST_TEST(stats.stepped_tokens > (stats.steps - 29) * batch);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(greedy_texts_are_the_same_with_and_without_logits)
{
    Teacher teacher;
    auto how = options(25, 3);
    how.sampling.greedy = true;
    const auto stored = run(teacher.network, how, uneven(7));
    how.logprobs = false;
    const auto fused = run(teacher.network, how, uneven(7));
    for (std::size_t i = 0; i < stored.size(); ++i) {
        BOOST_TEST(stored[i].ids == fused[i].ids, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(top_k_of_all_ids)
{
    Teacher teacher;
    models::NetworkConfig config = teacher.network.config();
    const Index rows = config.vocabulary;
    config.vocabulary = 100;
    models::Parameters<float> weights;
    for (const auto& entry : teacher.network.weights()) {
        Shape shape = entry.shape;
        shape[0] = shape[0] == rows ? config.vocabulary : shape[0];
        auto& copy = weights.add(entry.name, shape);
        std::copy_n(entry.values.data(), copy.values.size(), copy.values.data());
    }
    const models::Network<float> network(config, std::move(weights), teacher.backend->on<float>());
    std::vector<Prompt> prompts = uneven(7);
    for (Prompt& prompt : prompts) {
        for (Token& id : prompt.ids) {
            id %= 100;
        }
    }
    for (const Index top_k : {99, 100, 120}) {
        auto how = options(25, 3);
        how.sampling.top_k = top_k;
        how.sampling.temperature = 3;
        const auto stored = run(network, how, prompts);
        how.logprobs = false;
        const auto fused = run(network, how, prompts);
        for (std::size_t i = 0; i < stored.size(); ++i) {
            BOOST_TEST(stored[i].ids == fused[i].ids, boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(few_states_wait_for_a_slower_one)
{
    Teacher teacher;
    std::vector<Prompt> prompts{{0, {1}, nullptr}};                 // goes on to the last of 128 positions
    for (Index i = 1; i < 40; ++i) {
        prompts.push_back({i, std::vector<Token>(126, static_cast<Token>(i)), nullptr});
    }
    auto how = options(200, 2);
    how.ignore_end = true;
    std::set<Index> early;
    Index next = 0;
    std::size_t most = 0;
    Receiver receiver;
    receiver.save = [&](Index prompt, adapters::SavedState) {
        early.insert(prompt);
        most = std::max(most, early.size());
        while (early.erase(next) > 0) {
            ++next;
        }
    };
    adapters::Generator<float>(teacher.network, nullptr, {0, {9}}, how).run(prompts, receiver, {});
    BOOST_TEST(next == 40);
    BOOST_TEST(most > 2U);
    BOOST_TEST(most <= 8U);
}

BOOST_AUTO_TEST_CASE(states_of_another_text)
{
    Teacher teacher;
    for (Index kind = -1; kind < 3; ++kind) {
        const auto own = kind >= 0 ? student(teacher, kind) : nullptr;
        const models::Network<float>& network = own ? *own : teacher.network;
        std::vector<adapters::SavedState> states;
        run(network, options(3, 1), {{0, {1, 2, 3}}}, {0, {}}, &states);
        BOOST_REQUIRE(states.size() == 1U);
        BOOST_CHECK_NO_THROW(run(network, options(3, 1), {{0, {}, &states[0]}}));
        ++states[0].count;
        BOOST_CHECK_THROW(run(network, options(3, 1), {{0, {}, &states[0]}}), Error);
        if (kind >= 0) {                                            // the position that follows six numbers
            const Index far = Index{1} << 62 | 1;
            states[0].count = far;
            std::copy_n(reinterpret_cast<const std::byte*>(&far), sizeof far, states[0].layers[0].data() + 6 * sizeof far);
            BOOST_CHECK_THROW(run(network, options(3, 1), {{0, {}, &states[0]}}), Error);
        }
    }
}

BOOST_AUTO_TEST_CASE(saved_states_go_on_as_if_nothing_had_been)
{
    Teacher teacher;
    for (Index kind = -1; kind < 3; ++kind) {
        const auto own = kind >= 0 ? student(teacher, kind) : nullptr;
        const models::Network<float>& network = own ? *own : teacher.network;
        const std::vector<Prompt> prompts = uneven(6);
        auto how = options(24, 4);
        how.ignore_end = true;
        const auto whole = run(network, how, prompts);
        how.tokens = 10;
        std::vector<adapters::SavedState> states;
        const auto first = run(network, how, prompts, {0, {9}}, &states);
        BOOST_REQUIRE(states.size() == prompts.size());
        how.tokens = 14;
        std::vector<Prompt> rest;
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            BOOST_TEST(states[i].count == static_cast<Index>(prompts[i].ids.size()) + 10);
            adapters::SavedState text;
            text.add(prompts[i].ids.data(), static_cast<Index>(prompts[i].ids.size()));
            text.add(first[i].ids.data(), 10);
            BOOST_TEST(states[i].prefix == text.prefix);
            BOOST_TEST(states[i].tail == text.tail, boost::test_tools::per_element());
            rest.push_back({static_cast<Index>(i), {}, &states[i]});
        }
        const auto second = run(network, how, rest);
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            std::vector<Token> both = first[i].ids;
            both.insert(both.end(), second[i].ids.begin(), second[i].ids.end());
            BOOST_TEST(both == whole[i].ids, boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(the_tail_of_a_long_text)
{
    std::vector<Token> ids(200);
    std::iota(ids.begin(), ids.end(), 1);
    adapters::SavedState at_once, in_parts;
    at_once.add(ids.data(), 200);
    in_parts.add(ids.data(), 3);
    in_parts.add(ids.data() + 3, 150);
    in_parts.add(ids.data() + 153, 47);
    BOOST_TEST(at_once.count == 200);
    BOOST_TEST(at_once.prefix == in_parts.prefix);
    BOOST_TEST(at_once.tail == in_parts.tail, boost::test_tools::per_element());
    BOOST_TEST(at_once.tail == std::vector<Token>(ids.end() - 64, ids.end()), boost::test_tools::per_element());
    std::swap(ids[0], ids[1]);
    adapters::SavedState other;
    other.add(ids.data(), 200);
    BOOST_TEST(other.prefix != at_once.prefix);
}

BOOST_AUTO_TEST_CASE(lines_of_prompts)
{
    std::vector<std::string> found;
    const auto read = [&](const std::string& text, bool may_be_empty = false) {
        found.clear();
        adapters::for_each_prompt(text, may_be_empty, [&](Index line, std::string_view prompt) {
            found.push_back(std::to_string(line) + ":" + std::string(prompt));
        });
    };
    read("a\nb\r\nc");
    BOOST_TEST(found == (std::vector<std::string>{"1:a", "2:b", "3:c"}), boost::test_tools::per_element());
    read("a\n\n", true);
    BOOST_TEST(found == (std::vector<std::string>{"1:a", "2:"}), boost::test_tools::per_element());
    const auto refused = [&](const std::string& text) {
        try {
            read(text);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    BOOST_TEST(refused("").find("no prompt") != std::string::npos);
    BOOST_TEST(refused("a\n\nb").find("line 2: is empty") == 0U);
    BOOST_TEST(refused("a\nb\n\xC3(\n").find("line 3: is not UTF-8") == 0U);
    BOOST_TEST(refused("a\xE2\x82").find("line 1: is not UTF-8") == 0U);
}

BOOST_AUTO_TEST_CASE(lines_that_survive)
{
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / "stillhouse-result-lines";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    const std::string output = (folder / "out").string();
    const std::string settings = "{\"settings\": 1}";
    const auto line = [](int prompt) { return "{\"prompt\": " + std::to_string(prompt) + "}"; };
    {
        adapters::ResultLines lines(output, false, settings, 4);
        lines.add(2, line(2));
        lines.add(0, line(0));
    }
    std::ofstream(output + ".partial", std::ios::app) << "{\"torn";
    const auto refused = [&](const std::string& made_by, Index total) {
        try {
            adapters::ResultLines lines(output, true, made_by, total);
        } catch (const Error& error) {
            return std::string(error.what()).substr(output.size() + std::string(".partial: ").size());
        }
        return std::string();
    };
    BOOST_TEST(refused("{\"settings\": 2}", 4).find("its lines were made with other settings") == 0U);
    BOOST_TEST(refused(settings, 2).find("line 2: no result of one of 2 prompts") == 0U);
    {
        std::string text = formats::read_file(output + ".partial");
        const std::string kept = text;
        text[text.find("\"prompt\": 0", 0) + 10] = '1';                             // a line that is JSON all the same
        std::ofstream(output + ".partial", std::ios::trunc) << text;
        BOOST_TEST(refused(settings, 4).find("line 3: is damaged") == 0U);
        std::ofstream(output + ".partial", std::ios::trunc) << kept;
    }
    adapters::ResultLines lines(output, true, settings, 4);
    BOOST_TEST(refused(settings, 4).find("another run keeps the lines") == 0U);
    BOOST_TEST(lines.done() == 2);
    BOOST_TEST((lines.has(0) && !lines.has(1) && lines.has(2)));
    const auto written = [&] {
        formats::Fd file(::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), output, true);
        lines.write_to(file);
        return formats::read_file(output);
    };
    BOOST_TEST(written() == line(0) + "\n");
    lines.add(3, line(3));
    BOOST_TEST(written() == line(0) + "\n");
    lines.add(1, line(1));
    BOOST_TEST(written() == line(0) + "\n" + line(1) + "\n" + line(2) + "\n" + line(3) + "\n");
    lines.remove();
    BOOST_TEST(!std::filesystem::exists(output + ".partial"));
    std::filesystem::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(memory_that_is_there)
{
    Teacher teacher;
    const models::NetworkConfig& config = teacher.network.config();
    const Index small = adapters::memory_needed(config, {}, 1, 16);
    BOOST_TEST(small > teacher.network.weights().elements() * 4);
    BOOST_TEST(small < teacher.network.weights().elements() * 12 + (1 << 20));
    BOOST_TEST(adapters::memory_needed(config, {true}, 1, 16) > small);
    BOOST_TEST(adapters::memory_needed(config, {}, 100, 16) > small);
    // int8 has four bytes of scales for each row and 512 columns; formats cost what they hold
    adapters::NetworkFormat narrow;
    narrow.layers = narrow.head = compute::WeightFormat::int8;
    BOOST_TEST(adapters::memory_needed(config, narrow, 1, 16) < small);
    BOOST_REQUIRE(adapters::memory_available().has_value());
    BOOST_CHECK_NO_THROW(adapters::check_memory(1));
    BOOST_CHECK_THROW(adapters::check_memory(*adapters::memory_available() * 2 + (Index{1} << 40)), Error);
}

/// What is asked for beforehand is what states then hold, for filters shorter and longer than the text.
BOOST_AUTO_TEST_CASE(memory_of_exact_histories)
{
    using models::Execution;
    Teacher teacher;
    for (Index kind = 0; kind < 4; ++kind) {
        const auto network = student(teacher, kind, 1024);
        const models::NetworkConfig& config = network->config();
        for (const Index tokens : {1, 100, 700}) {
            const std::vector<Index> ids(static_cast<std::size_t>(2 * tokens), 5);
            const auto growth = [&](Execution execution) {
                models::NetworkState state = network->start(2, execution);
                const Index before = state.bytes_per_sequence();
                network->prefill(ids.data(), tokens, state, {});
                return 2 * (state.bytes_per_sequence() - before);
            };
            BOOST_TEST(adapters::past_bytes(config, false, 2, {Execution::exact_original, tokens}) ==
                       growth(Execution::exact_original) - growth(Execution::recurrent));
            BOOST_TEST(adapters::past_bytes(config, false, 2, {Execution::exact_modes, tokens}) >=
                       growth(Execution::exact_modes) - growth(Execution::recurrent));
        }
        const auto needed = [&](std::string_view mode, std::string_view prefill) {
            return adapters::memory_needed(config, {}, 64, 5000,
                                           adapters::past_inputs(mode, "original", prefill, 4000, 5000));
        };
        BOOST_TEST(needed("exact", "scan") - needed("recurrent", "scan") ==
                   adapters::past_bytes(config, false, 64, {Execution::exact_original, 5000}));
        BOOST_TEST(needed("recurrent", "exact") > needed("recurrent", "scan"));
        BOOST_TEST(needed("auto", "scan") == needed("recurrent", "scan"));
    }
}

BOOST_AUTO_TEST_CASE(memory_is_read)
{
    ThreadPool pool(2);
    const double rate = adapters::read_rate(pool, 1 << 22);
    BOOST_TEST(rate > 1e8);                                       // below a tenth of a gigabyte no machine is
    BOOST_TEST(rate < 1e13);
}

BOOST_AUTO_TEST_CASE(prompts_of_a_user)
{
    BOOST_TEST(adapters::parse_ids("1, 2,3") == (std::vector<Token>{1, 2, 3}), boost::test_tools::per_element());
    BOOST_CHECK_THROW(adapters::parse_ids("1 2"), Error);
    BOOST_CHECK_THROW(adapters::parse_ids("1,x"), Error);
    BOOST_CHECK_THROW(adapters::parse_ids("-1"), Error);
    Teacher teacher;
    const models::NetworkConfig& config = teacher.network.config();
    using adapters::PromptInput;
    using Kind = PromptInput::Kind;
    const std::function<void(const std::string&)> notice;
    const auto make = [&](const std::string& ids) {
        return adapters::make_prompts({Kind::ids, ids, {}}, {}, nullptr, {4, {}}, config, notice);
    };
    BOOST_TEST(make("").front().ids == std::vector<Token>{4}, boost::test_tools::per_element());
    BOOST_CHECK_THROW(make("160"), Error);                       // of 160
    std::string many = "1";
    for (int i = 0; i < 128; ++i) {
        many += ",1";
    }
    BOOST_CHECK_THROW(make(many), Error);                        // 129 of 128 positions
    BOOST_CHECK_THROW(adapters::make_prompts({Kind::text, "a", {}}, {}, nullptr, {4, {}}, config, notice), Error);
    const std::vector<adapters::SavedState> two(2);
    BOOST_CHECK_THROW(adapters::make_prompts({Kind::ids, "1", {}}, two, nullptr, {4, {}}, config, notice), Error);
    const std::vector<adapters::SavedState> one(1);
    BOOST_TEST(adapters::make_prompts({Kind::ids, "", {}}, one, nullptr, {4, {}}, config, notice).front().ids.empty());
}
