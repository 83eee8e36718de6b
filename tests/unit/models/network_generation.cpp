// SPDX-License-Identifier: Apache-2.0
// Token by token equals all at once; a sequence does not feel the batch, and nothing feels the threads.
#include "libcore/base/error.hpp"
#include "libcore/models/attention.hpp"
#include "tests/unit/models/network_test.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>

using namespace stillhouse;
using namespace stillhouse::models;

namespace {

NetworkConfig config_of(int which)
{
    return which == 0 ? neox_config() : llama_config();
}

template <class T>
Buffer<T> forward(const NetworkConfig& config, const std::vector<Index>& tokens, Index batch, int threads)
{
    const auto precision = sizeof(T) == 4 ? compute::Precision::f32 : compute::Precision::f64;
    const auto backend = compute::make_backend("cpu", precision, threads);
    const Network<T> network(config, random_weights<T>(config, 3), backend->on<T>());
    const auto n = static_cast<Index>(tokens.size());
    Buffer<T> logits(n * config.vocabulary);
    network.forward(tokens.data(), batch, n / batch, Matrix<T>(logits.data(), n, config.vocabulary));
    return logits;
}

// Logits [tokens of one sequence, vocabulary]: `prompt` tokens at once (in two parts), the rest one by one.
template <class T>
Buffer<T> step_by_step(const Network<T>& network, const std::vector<Index>& tokens, Index batch, Index prompt)
{
    const NetworkConfig& config = network.config();
    const Index length = static_cast<Index>(tokens.size()) / batch;
    const auto part = [&](Index begin, Index end) {
        std::vector<Index> some;
        for (Index b = 0; b < batch; ++b) {
            some.insert(some.end(), tokens.begin() + b * length + begin, tokens.begin() + b * length + end);
        }
        return some;
    };
    Buffer<T> result(batch * length * config.vocabulary);
    Buffer<T> logits(batch * config.vocabulary);
    const Matrix<T> rows(logits.data(), batch, config.vocabulary);
    NetworkState state = network.start(batch, Execution::recurrent);
    const auto keep = [&](Index t) {
        for (Index b = 0; b < batch; ++b) {
            std::copy_n(rows.row(b), config.vocabulary, result.data() + (b * length + t) * config.vocabulary);
        }
    };
    if (prompt > 1) {
        network.prefill(part(0, prompt / 2).data(), prompt / 2, state, {});
        network.prefill(part(prompt / 2, prompt).data(), prompt - prompt / 2, state, rows);
        keep(prompt - 1);
    }
    for (Index t = prompt > 1 ? prompt : 0; t < length; ++t) {
        network.step(part(t, t + 1).data(), state, rows);
        keep(t);
    }
    BOOST_TEST(state.position == length);
    return result;
}

}  // namespace

static void steps_equal_the_forward_of(int which)
{
    const NetworkConfig config = config_of(which);
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    const Network<double> network(config, random_weights<double>(config, 3), backend->real());
    const Index batch = 3;
    const Index length = 150;
    const std::vector<Index> tokens = random_tokens(config, batch * length, 9);
    const Buffer<double> whole = forward<double>(config, tokens, batch, 2);
    for (const Index prompt : {1, 2, 63, 64, 100, 130}) {
        const Buffer<double> stepped = step_by_step(network, tokens, batch, prompt);
        const Index first = prompt > 1 ? prompt - 1 : 0;
        for (Index b = 0; b < batch; ++b) {
            for (Index i = (b * length + first) * config.vocabulary; i < (b + 1) * length * config.vocabulary; ++i) {
                BOOST_TEST_REQUIRE(std::abs(stepped[i] - whole[i]) < 1e-11);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(steps_equal_the_forward)
{
    for (const int which : {0, 1}) {
        BOOST_TEST_CONTEXT("case " << which)
        {
            steps_equal_the_forward_of(which);
        }
    }
}

static void a_sequence_alone_has_the_same_bits_of(int which)
{
    const NetworkConfig config = config_of(which);
    const Index batch = 5;
    const Index length = 101;
    const std::vector<Index> tokens = random_tokens(config, batch * length, 9);
    const Buffer<float> together = forward<float>(config, tokens, batch, 2);
    const Buffer<float> serial = forward<float>(config, tokens, batch, 1);
    BOOST_TEST(greatest_difference(together, serial) == 0.0, "threads change bits");
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    const Network<float> network(config, random_weights<float>(config, 3), backend->single());
    const Buffer<float> stepped = step_by_step(network, tokens, batch, 70);
    for (Index b = 0; b < batch; ++b) {
        for (const Index n : {Index(37), Index(64), length}) {   // a shorter one is the beginning of a longer one
            const std::vector<Index> own(tokens.begin() + b * length, tokens.begin() + b * length + n);
            const Buffer<float> alone = forward<float>(config, own, 1, 2);
            for (Index i = 0; i < alone.size(); ++i) {
                BOOST_TEST_REQUIRE(alone[i] == together[b * length * config.vocabulary + i]);
            }
        }
        const std::vector<Index> own(tokens.begin() + b * length, tokens.begin() + (b + 1) * length);
        const Buffer<float> alone = step_by_step(network, own, 1, 70);
        for (Index i = 69 * config.vocabulary; i < alone.size(); ++i) {
            BOOST_TEST_REQUIRE(alone[i] == stepped[b * length * config.vocabulary + i]);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_sequence_alone_has_the_same_bits)
{
    for (const int which : {0, 1}) {
        BOOST_TEST_CONTEXT("case " << which)
        {
            a_sequence_alone_has_the_same_bits_of(which);
        }
    }
}

BOOST_AUTO_TEST_CASE(attention_by_its_formula)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    const Index length = 133;
    const Index heads = 4;
    const Index kv_heads = 2;
    const Index width = 6;
    Rotary rotary;
    rotary.dims = 4;
    rotary.theta = 100.0;
    rotary.scaling = Rotary::Scaling::linear;
    rotary.factor = 2.0;
    Random random(5, 5);
    const auto numbers = [&](Index n) {
        Buffer<double> values(n);
        for (double& value : values) {
            value = random.normal();
        }
        return values;
    };
    Buffer<double> q = numbers(length * heads * width);
    Buffer<double> k = numbers(length * kv_heads * width);
    const Buffer<double> v = numbers(length * kv_heads * width);
    const Buffer<double> plain_q = q.clone();
    const Buffer<double> plain_k = k.clone();
    // The turned q . k depends on the distance alone: plane i turns by distance * theta^(-2i/dims) / factor.
    const auto score = [&](Index head, Index t, Index s) {
        const double* a = plain_q.data() + (t * heads + head) * width;
        const double* b = plain_k.data() + (s * kv_heads + head / 2) * width;
        double sum = a[4] * b[4] + a[5] * b[5];
        for (int i = 0; i < 2; ++i) {
            const double angle = static_cast<double>(t - s) * (i == 0 ? 1.0 : 0.1) / 2.0;
            sum += std::cos(angle) * (a[i] * b[i] + a[i + 2] * b[i + 2])
                   + std::sin(angle) * (a[i] * b[i + 2] - a[i + 2] * b[i]);
        }
        return sum / std::sqrt(static_cast<double>(width));
    };
    for (const Index window : {0, 1, 16, 70}) {
        const SoftmaxAttention<double> attention({heads, kv_heads, width, window}, rotary);
        q = plain_q.clone();
        k = plain_k.clone();
        Buffer<double> y(q.size());
        attention.forward(backend->real(), {q.data(), 1, length, heads * width},
                          {k.data(), 1, length, kv_heads * width}, {v.data(), 1, length, kv_heads * width},
                          {y.data(), 1, length, heads * width}, nullptr);
        Buffer<double> expected(y.size());
        for (Index head = 0; head < heads; ++head) {
            for (Index t = 0; t < length; ++t) {
                double total = 0.0;
                double* row = expected.data() + (t * heads + head) * width;
                for (Index s = window > 0 ? std::max<Index>(0, t - window + 1) : 0; s <= t; ++s) {
                    const double weight = std::exp(score(head, t, s));
                    total += weight;
                    for (Index d = 0; d < width; ++d) {
                        row[d] += weight * v[(s * kv_heads + head / 2) * width + d];
                    }
                }
                for (Index d = 0; d < width; ++d) {
                    row[d] /= total;
                }
            }
        }
        BOOST_TEST(greatest_difference(y, expected) < 1e-12, "window " << window);
    }
}

BOOST_AUTO_TEST_CASE(a_window_token_by_token)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->real();
    Rotary rotary;
    rotary.dims = 4;
    const Index batch = 2;
    const Index length = 90;
    for (const Index window : {1, 3, 16, 64, 100}) {
        const SoftmaxAttention<double> attention({2, 2, 4, window}, rotary);
        Random random(11, static_cast<std::uint64_t>(window));
        Buffer<double> inputs[3];
        for (Buffer<double>& input : inputs) {
            input = Buffer<double>(batch * length * 8);
            for (double& value : input) {
                value = random.normal();
            }
        }
        Buffer<double> q = inputs[0].clone();
        Buffer<double> k = inputs[1].clone();
        Buffer<double> whole(q.size());
        const auto all = [&](auto& buffer) { return Sequences(buffer.data(), batch, length, Index(8)); };
        attention.forward(ops, all(q), all(k), all(inputs[2]), all(whole), nullptr);
        for (const Index prompt : {0, 2, 17, 70}) {
            AttentionCache<double> cache(attention.geometry(), batch);
            Buffer<double> got(q.size());
            const auto take = [&](Index begin, Index n, bool step) {
                Buffer<double> parts[4];
                for (int i = 0; i < 4; ++i) {
                    parts[i] = Buffer<double>(batch * n * 8);
                    for (Index b = 0; b < batch && i < 3; ++b) {
                        std::copy_n(all(inputs[i]).token(b, begin), n * 8, parts[i].data() + b * n * 8);
                    }
                }
                const auto part = [&](Buffer<double>& one) { return Sequences(one.data(), batch, n, Index(8)); };
                if (step) {
                    attention.step(ops, part(parts[0]).rows(), part(parts[1]).rows(), part(parts[2]).rows(), cache,
                                   part(parts[3]).rows());
                } else {
                    attention.prefill(ops, part(parts[0]), part(parts[1]), part(parts[2]), cache, part(parts[3]));
                }
                for (Index b = 0; b < batch; ++b) {
                    std::copy_n(parts[3].data() + b * n * 8, n * 8, all(got).token(b, begin));
                }
            };
            if (prompt > 0) {
                take(0, prompt / 2, false);
                take(prompt / 2, prompt - prompt / 2, false);
            }
            for (Index t = prompt; t < length; ++t) {
                take(t, 1, true);
            }
            BOOST_TEST(greatest_difference(got, whole) < 1e-13, "window " << window << ", prompt " << prompt);
            BOOST_TEST(cache.bytes_per_sequence() == window * 2 * 8 * 8);
        }
    }
}

static void a_state_is_saved_and_selected_of(int which)
{
    const NetworkConfig config = config_of(which);
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    const Network<float> network(config, random_weights<float>(config, 3), backend->single());
    const Index batch = 3;
    const Index length = 70;
    const std::vector<Index> tokens = random_tokens(config, batch * length, 9);
    NetworkState state = network.start(batch, Execution::recurrent);
    network.prefill(tokens.data(), length, state, {});
    BOOST_TEST(state.bytes_per_sequence() == config.layers * 128 * config.kv_heads * config.head_dim * 2 * 4);

    NetworkState other = network.start(batch, Execution::recurrent);
    for (std::size_t i = 0; i < other.layers.size(); ++i) {
        std::vector<std::byte> bytes = state.layers[i]->save();
        other.layers[i]->load(bytes);
        bytes.pop_back();
        BOOST_CHECK_THROW(other.layers[i]->load(bytes), Error);
    }
    other.position = length;
    const std::vector<Index> order{2, 0};
    for (auto& layer : other.layers) {
        layer->select(order);
    }
    other.batch = 2;
    const std::vector<Index> next{1, 2, 3};
    const std::vector<Index> chosen{3, 1};
    Buffer<float> from_all(batch * config.vocabulary);
    Buffer<float> from_chosen(2 * config.vocabulary);
    network.step(next.data(), state, Matrix<float>(from_all.data(), batch, config.vocabulary));
    network.step(chosen.data(), other, Matrix<float>(from_chosen.data(), 2, config.vocabulary));
    for (Index i = 0; i < 2; ++i) {
        for (Index v = 0; v < config.vocabulary; ++v) {
            BOOST_TEST(from_chosen[i * config.vocabulary + v]
                       == from_all[order[static_cast<std::size_t>(i)] * config.vocabulary + v]);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_state_is_saved_and_selected)
{
    for (const int which : {0, 1}) {
        BOOST_TEST_CONTEXT("case " << which)
        {
            a_state_is_saved_and_selected_of(which);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    NetworkConfig config = neox_config();
    Network<float> network(config, random_weights<float>(config, 3), backend->single());
    std::vector<Index> tokens(161, 0);
    Buffer<float> logits(161 * config.vocabulary);
    BOOST_CHECK_THROW(network.forward(tokens.data(), 1, 161, {logits.data(), 161, config.vocabulary}), Error);
    tokens[3] = config.vocabulary;
    BOOST_CHECK_THROW(network.forward(tokens.data(), 1, 8, {logits.data(), 8, config.vocabulary}), Error);
    tokens[3] = -1;
    BOOST_CHECK_THROW(network.forward(tokens.data(), 1, 8, {logits.data(), 8, config.vocabulary}), Error);

    Parameters<float> weights = random_weights<float>(config, 3);
    weights.erase("layers.1.mlp.down.bias");
    BOOST_CHECK_THROW(Network<float>(config, std::move(weights), backend->single()), Error);
    const auto refused = [&](auto change) {
        NetworkConfig wrong = neox_config();
        change(wrong);
        BOOST_CHECK_THROW(check(wrong), Error);
    };
    refused([](NetworkConfig& c) { c.kv_heads = 3; });
    refused([](NetworkConfig& c) { c.rotary.dims = 3; });
    refused([](NetworkConfig& c) { c.rotary.dims = 8; });
    refused([](NetworkConfig& c) { c.mixers.pop_back(); });
    refused([](NetworkConfig& c) { c.ffn = 0; });
    const auto hyena = [](NetworkConfig& c) -> MixerConfig& {
        MixerConfig& mixer = c.mixers[0];
        mixer.kind = MixerKind::multihyena;
        mixer.channels = 12;
        mixer.head_width = 3;
        mixer.filters = 4;
        mixer.filter_length = 16;
        return mixer;
    };
    NetworkConfig right = neox_config();
    hyena(right);
    BOOST_CHECK_NO_THROW(check(right));
    refused([&](NetworkConfig& c) { hyena(c).head_width = 5; });
    refused([&](NetworkConfig& c) { hyena(c).filters = 3; });
    refused([&](NetworkConfig& c) { hyena(c).order = 3; });
    refused([&](NetworkConfig& c) { hyena(c).kept_heads = {2}; });
    refused([&](NetworkConfig& c) { hyena(c).kept_heads = {0, 1}; });
    refused([&](NetworkConfig& c) { hyena(c).delay = 4; });
}
