// SPDX-License-Identifier: Apache-2.0
// Gradients of networks and of attention against central differences in double.
#include "libcore/models/attention.hpp"
#include "tests/unit/models/network_test.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>

using namespace stillhouse;
using namespace stillhouse::models;

namespace {

constexpr double delta = 2e-4;

// Fourth order central difference of f at x.
template <class F>
double slope(double& x, const F& f)
{
    const double at = x;
    const auto value = [&](double step) {
        x = at + step;
        return f();
    };
    const double near = value(delta) - value(-delta);
    const double far = value(2 * delta) - value(-2 * delta);
    x = at;
    return (8.0 * near - far) / (12.0 * delta);
}

void compare(const std::string& name, Buffer<double>& values, const Buffer<double>& gradient, Index step,
             const std::function<double()>& f)
{
    double scale = 0.0;
    for (const double g : gradient) {
        scale = std::max(scale, std::abs(g));
    }
    BOOST_TEST(scale > 0.0, name << " has no gradient");
    for (Index i = 0; i < values.size(); i += step) {
        const double expected = slope(values[i], f);
        BOOST_TEST(std::abs(expected - gradient[i]) <= 1e-7 * scale,
                   name << "[" << i << "]: " << gradient[i] << ", by differences " << expected);
    }
    // Elements that were skipped move along a direction of their own.
    Random random(11, static_cast<std::uint64_t>(values.size()));
    const Buffer<double> start = values.clone();
    Buffer<double> direction(values.size());
    double found = 0.0;
    double size = 0.0;
    for (Index i = 0; i < values.size(); ++i) {
        direction[i] = random.normal();
        found += direction[i] * gradient[i];
        size += std::abs(direction[i] * gradient[i]);
    }
    double along = 0.0;
    const double expected = slope(along, [&] {
        for (Index i = 0; i < values.size(); ++i) {
            values[i] = start[i] + along * direction[i];
        }
        return f();
    });
    std::copy(start.begin(), start.end(), values.begin());
    BOOST_TEST(std::abs(expected - found) <= 1e-7 * size, name << ": " << found << ", by differences " << expected);
}

Buffer<double> normals(Index n, std::uint64_t stream)
{
    Buffer<double> values(n);
    Random random(7, stream);
    for (double& value : values) {
        value = random.normal();
    }
    return values;
}

double inner(const Buffer<double>& a, const Buffer<double>& b)
{
    double sum = 0.0;
    for (Index i = 0; i < a.size(); ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

NetworkConfig variant(int which)
{
    NetworkConfig config = which % 2 == 0 ? neox_config() : llama_config();
    if (which == 2) {   // sequential, tied, tanh gelu, rotary over the whole head
        config.parallel_residual = false;
        config.tied = true;
        config.activation = compute::Activation::gelu_tanh;
        config.rotary.dims = 6;
    }
    if (which == 3) {   // grouped heads beside a gated MLP with biases, in parallel
        config.parallel_residual = true;
        config.attention_bias = true;
        config.mlp_bias = true;
        config.tied = false;
        config.rotary.scaling = Rotary::Scaling::llama3;
        config.rotary.factor = 8;
        config.rotary.original_max_positions = 16;
    }
    MixerConfig mixer;
    mixer.kind = MixerKind::hyena;
    mixer.channels = config.attention_width();
    mixer.filters = config.heads;
    mixer.filter_length = 16;
    if (which == 4) {   // a student: convolution below, attention above
        mixer.form = FilterForm::modal;
        mixer.filter_order = 4;
        mixer.taps = 2;
        config.mixers[0] = mixer;
    }
    if (which == 5) {   // heads with a window beside one that stays, below an implicit filter
        mixer.form = FilterForm::implicit_mlp;
        mixer.implicit.features = 3;
        mixer.implicit.width = 5;
        mixer.implicit.frequency = 2.0;
        mixer.order = 3;
        config.mixers[1] = mixer;
        mixer.kind = MixerKind::multihyena;
        mixer.form = FilterForm::free_taps;
        mixer.order = 2;
        mixer.head_width = 2;
        mixer.filters = 2;
        mixer.window = mixer.delay = 3;
        mixer.kept_heads = {1};
        config.mixers[0] = mixer;
    }
    return config;
}

}  // namespace

static void a_whole_network_of(int which)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    const NetworkConfig config = variant(which);
    Parameters<double> weights = random_weights<double>(config, 3);
    for (Index i = 0; i < config.layers; ++i) {
        if (config.mixers[static_cast<std::size_t>(i)].kind != MixerKind::attention) {
            for (const WeightShape& weight : mixer_weights(config, i)) {
                if (weight.name.find(".filter") != std::string::npos) {
                    weights.erase(weight.name);   // poles in the circle, a grid of positions
                }
            }
            initialize_mixer(config, i, 3, weights);
        }
    }
    Network<double> network(config, std::move(weights), backend->real());
    const Index batch = 2;
    const Index length = 7;
    const std::vector<Index> tokens = random_tokens(config, batch * length, 5);
    const Buffer<double> weight_of = normals(batch * length * config.vocabulary, 1);
    Buffer<double> logits(weight_of.size());
    const Matrix<double> logit_rows(logits.data(), batch * length, config.vocabulary);
    const auto loss = [&] {
        network.refresh();
        network.forward(tokens.data(), batch, length, logit_rows);
        return inner(logits, weight_of);
    };

    Parameters<double> gradient = network.weights().zeros_like();
    const Index n = batch * length * config.width;
    std::vector<Buffer<double>> stream;
    std::vector<LayerTape<double>> tapes(static_cast<std::size_t>(config.layers));
    stream.emplace_back(n);
    network.embed(tokens.data(), batch * length, stream[0].data());
    for (Index i = 0; i < config.layers; ++i) {
        stream.emplace_back(n);
        network.layer(i, {stream[static_cast<std::size_t>(i)].data(), batch, length, config.width},
                      {stream.back().data(), batch, length, config.width}, &tapes[static_cast<std::size_t>(i)]);
    }
    Buffer<double> dx(n);
    network.head_backward(Matrix<const double>(stream.back().data(), batch * length, config.width),
                          Matrix<const double>(weight_of.data(), batch * length, config.vocabulary),
                          Matrix<double>(dx.data(), batch * length, config.width), gradient);
    const Sequences<double> dstream(dx.data(), batch, length, config.width);
    for (Index i = config.layers - 1; i >= 0; --i) {
        network.layer_backward(i, tapes[static_cast<std::size_t>(i)], dstream, dstream, gradient);
    }
    network.embed_backward(tokens.data(), batch * length, dx.data(), gradient);

    loss();
    Buffer<double> again(logits.size());
    network.head(Matrix<const double>(stream.back().data(), batch * length, config.width),
                 Matrix<double>(again.data(), batch * length, config.vocabulary));
    BOOST_TEST(greatest_difference(again, logits) == 0.0, "a tape changes the forward");
    for (auto& entry : network.weights()) {
        // A bias of all keys moves every score of a query alike, so that its gradient is nothing but rotary.
        compare(entry.name, entry.values, gradient.at(entry.name).values, entry.values.size() > 60 ? 7 : 1, loss);
    }
}

BOOST_AUTO_TEST_CASE(a_whole_network)
{
    for (const int which : {0, 1, 2, 3, 4, 5}) {
        BOOST_TEST_CONTEXT("case " << which)
        {
            a_whole_network_of(which);
        }
    }
}

/// What is dropped is a function of its place: a second forward drops the same, so that differences see it fixed.
BOOST_AUTO_TEST_CASE(a_network_with_dropout)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    for (const int which : {0, 1}) {                 // parallel and sequential
        const NetworkConfig config = variant(which);
        Network<double> network(config, random_weights<double>(config, 3), backend->real());
        const Index batch = 2, length = 5;
        const std::vector<Index> tokens = random_tokens(config, batch * length, 5);
        const Index n = batch * length * config.width;
        const Buffer<double> weight_of = normals(n, 1);
        std::vector<LayerTape<double>> tapes(static_cast<std::size_t>(config.layers));
        std::vector<Buffer<double>> stream;
        for (Index i = 0; i <= config.layers; ++i) {
            stream.emplace_back(n);
        }
        const auto sequences = [&](Buffer<double>& data) {
            return Sequences(data.data(), batch, length, config.width);
        };
        const auto loss = [&] {
            network.embed(tokens.data(), batch * length, stream[0].data());
            for (std::size_t i = 0; i < tapes.size(); ++i) {
                tapes[i].dropout = {0.3, 17, 4, 120};
                network.layer(static_cast<Index>(i), sequences(stream[i]), sequences(stream[i + 1]), &tapes[i]);
            }
            return inner(stream.back(), weight_of);
        };
        const double with = loss();
        Parameters<double> gradient = network.weights().zeros_like();
        Buffer<double> dx = weight_of.clone();
        for (std::size_t i = tapes.size(); i-- > 0;) {
            network.layer_backward(static_cast<Index>(i), tapes[i], sequences(dx), sequences(dx), gradient);
        }
        network.embed_backward(tokens.data(), batch * length, dx.data(), gradient);
        for (auto& entry : network.weights()) {
            if (entry.name.starts_with("layers.") && !entry.name.ends_with(".k.bias")) {
                compare(entry.name, entry.values, gradient.at(entry.name).values, 11, loss);
            }
        }
        Buffer<double> plain(n);
        network.embed(tokens.data(), batch * length, plain.data());
        for (Index i = 0; i < config.layers; ++i) {
            network.layer(i, sequences(plain), sequences(plain), nullptr);
        }
        BOOST_TEST(std::abs(with - inner(plain, weight_of)) > 1e-3);
    }
}

BOOST_AUTO_TEST_CASE(dropout_keeps_the_mean_and_depends_on_the_place_alone)
{
    ThreadPool one(1), three(3);
    constexpr Index n = 100000;
    Buffer<double> x(n);
    std::fill(x.begin(), x.end(), 1.0);
    const Dropout dropout{0.25, 5, 9, 0};
    Buffer<double> y(n), again(n);
    drop(one, dropout, 3, x.data(), n, y.data());
    const double kept = static_cast<double>(n - std::count(y.begin(), y.end(), 0.0)) / n;
    BOOST_TEST(std::abs(kept - 0.75) < 0.01);
    BOOST_TEST(*std::max_element(y.begin(), y.end()) == 1.0 / 0.75);
    drop(three, dropout, 3, x.data(), n, again.data());
    BOOST_TEST(std::equal(y.begin(), y.end(), again.begin()));
    // a piece of it, wherever it is cut
    const Dropout later{0.25, 5, 9, 30001};
    drop(three, later, 3, x.data(), n - 30001, again.data());
    BOOST_TEST(std::equal(y.begin() + 30001, y.end(), again.begin()));
    const auto same = [&](const Dropout& other, std::uint32_t place) {
        drop(one, other, place, x.data(), n, again.data());
        Index equal = 0;
        for (Index i = 0; i < n; ++i) {
            equal += (y[i] == 0.0) == (again[i] == 0.0) ? 1 : 0;
        }
        return static_cast<double>(equal) / n;
    };
    for (const double share : {same({0.25, 5, 10, 0}, 3), same({0.25, 6, 9, 0}, 3), same(dropout, 4)}) {
        BOOST_TEST(std::abs(share - (0.75 * 0.75 + 0.25 * 0.25)) < 0.01);   // as two that have nothing in common
    }
}

static void attention_alone_of(Index window)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->real();
    Rotary rotary;
    rotary.dims = 4;
    const SoftmaxAttention<double> attention({4, 2, 5, window}, rotary);
    const Index batch = 2;
    const Index length = 131;   // several blocks of keys and strips of queries
    Buffer<double> q = normals(batch * length * 20, 1);
    Buffer<double> k = normals(batch * length * 10, 2);
    Buffer<double> v = normals(batch * length * 10, 3);
    const Buffer<double> weight_of = normals(q.size(), 4);
    Buffer<double> y(q.size());
    Buffer<double> statistics(batch * length * 4);
    const auto wide = [&](auto& buffer) { return Sequences(buffer.data(), batch, length, Index(20)); };
    const auto narrow = [&](auto& buffer) { return Sequences(buffer.data(), batch, length, Index(10)); };
    const auto loss = [&] {
        Buffer<double> turned_q = q.clone();
        Buffer<double> turned_k = k.clone();
        attention.forward(ops, wide(turned_q), narrow(turned_k), narrow(v), wide(y), nullptr);
        return inner(y, weight_of);
    };
    Buffer<double> turned_q = q.clone();
    Buffer<double> turned_k = k.clone();
    Buffer<double> dq(q.size());
    Buffer<double> dk(k.size());
    Buffer<double> dv(v.size());
    attention.forward(ops, wide(turned_q), narrow(turned_k), narrow(v), wide(y), statistics.data());
    attention.backward(ops, wide(turned_q), narrow(turned_k), narrow(v), statistics.data(), wide(weight_of),
                       wide(dq), narrow(dk), narrow(dv));
    compare("v", v, dv, 37, loss);
    if (window == 1) {   // a token that sees itself alone has weight 1 whatever q and k are
        BOOST_TEST(inner(dq, dq) < 1e-20);
        BOOST_TEST(inner(dk, dk) < 1e-20);
    } else {
        compare("q", q, dq, 53, loss);
        compare("k", k, dk, 41, loss);
    }
}

BOOST_AUTO_TEST_CASE(attention_alone)
{
    for (const Index window : {0, 1, 5, 64, 200}) {
        BOOST_TEST_CONTEXT("case " << window)
        {
            attention_alone_of(window);
        }
    }
}
