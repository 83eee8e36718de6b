// SPDX-License-Identifier: Apache-2.0
// Packed networks: they compute what plain ones do, hold little, allocate nothing while they generate.
#include <boost/test/unit_test.hpp>

#include "libcore/models/best_logits.hpp"
#include "libcore/models/mixer.hpp"
#include "tests/unit/models/network_test.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>

using namespace stillhouse;
using namespace stillhouse::models;
using compute::WeightFormat;

namespace {

std::atomic<long> allocations{0};

}  // namespace

// Every way to memory of this program is counted: operator new, and the aligned blocks of Buffer. Sanitizers have their
// own, which cannot be replaced.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts = false;
#else
constexpr bool counts = true;
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(std::size_t bytes)
{
    ++allocations;
    if (void* const memory = std::malloc(bytes)) {
        return memory;
    }
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

extern "C" void* __libc_calloc(std::size_t count, std::size_t bytes);
extern "C" void* calloc(std::size_t count, std::size_t bytes) noexcept
{
    ++allocations;
    return __libc_calloc(count, bytes);
}
#endif

namespace {

constexpr std::array formats{WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8};

NetworkConfig small_config(int which)
{
    NetworkConfig config = which % 2 == 0 ? neox_config() : llama_config();
    config.width = 64;
    config.head_dim = config.width / config.heads / 2 * 2;
    config.rotary.dims = 4;
    config.ffn = 160;
    config.vocabulary = 300;
    if (which >= 2) {
        for (MixerConfig& mixer : config.mixers) {
            mixer.kind = MixerKind::hyena;
            mixer.channels = config.heads * config.head_dim;
            mixer.filters = config.heads;
            mixer.filter_length = 64;
            mixer.filter_order = 8;
            mixer.taps = which == 3 ? 2 : 0;
        }
    }
    return config;
}

Parameters<float> weights_of(const NetworkConfig& config)
{
    Parameters<float> weights;
    for (const WeightShape& weight : network_weights(config)) {
        if (weight.name.find(".mixer.") != std::string::npos) {
            continue;
        }
        Random random(3, element_count(weight.shape));
        const bool gain = weight.name.find("norm") != std::string::npos && weight.name.ends_with(".weight");
        for (float& value : weights.add(weight.name, weight.shape).values) {
            value = static_cast<float>((gain ? 1.0 : 0.0) + 0.15 * random.normal());
        }
    }
    for (Index i = 0; i < config.layers; ++i) {
        initialize_mixer(config, i, 5, weights);
    }
    return weights;
}

/// Logits after a prompt and after every step that follows, [step, batch, vocabulary].
template <class T>
std::vector<double> generate(const Network<T>& network, Index batch, Index prompt, Index steps)
{
    const Index vocabulary = network.config().vocabulary;
    std::vector<Index> tokens(static_cast<std::size_t>(batch * prompt));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<Index>((i * 31 + 7) % static_cast<std::size_t>(vocabulary));
    }
    NetworkState state = network.start(batch, Execution::recurrent);
    Buffer<T> logits(batch * vocabulary);
    const Matrix<T> rows(logits.data(), batch, vocabulary);
    std::vector<double> all;
    network.prefill(tokens.data(), prompt, state, rows);
    for (Index step = 0;; ++step) {
        all.insert(all.end(), logits.begin(), logits.end());
        if (step == steps) {
            return all;
        }
        for (Index b = 0; b < batch; ++b) {
            tokens[static_cast<std::size_t>(b)] = (step * 17 + b * 5) % vocabulary;
        }
        network.step(tokens.data(), state, rows);
    }
}

double greatest(const std::vector<double>& a, const std::vector<double>& b)
{
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(a[i] - b[i]));
    }
    return most;
}

}  // namespace

BOOST_AUTO_TEST_CASE(packed_networks_compute_what_plain_ones_do)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    for (int which = 0; which < 4; ++which) {
        const NetworkConfig config = small_config(which);
        const Network<float> plain(config, weights_of(config), backend->single());
        Parameters<float> weights = weights_of(config);
        Parameters<double> exact;
        for (const auto& entry : weights) {
            auto& copy = exact.add(entry.name, entry.shape);
            std::copy(entry.values.begin(), entry.values.end(), copy.values.begin());
            if (!entry.exact.empty()) {
                copy.values = entry.exact.clone();
            }
        }
        const Network<double> naive(config, std::move(exact), backend->real());
        const std::vector<double> expected = generate(naive, 3, 21, 12);
        double size = 0;
        for (const double value : expected) {
            size = std::max(size, std::abs(value));
        }
        const double limits[] = {1e-4, 0.03 * size, 0.06 * size};
        for (std::size_t f = 0; f < formats.size(); ++f) {
            Network<float> packed(config, weights_of(config), backend->single());
            packed.pack(formats[f], formats[f]);
            const double difference = greatest(generate(packed, 3, 21, 12), expected);
            BOOST_TEST(difference < limits[f],
                       "case " << which << " " << compute::name(formats[f]) << ": " << difference << " of " << size);
            BOOST_TEST((formats[f] == WeightFormat::f32 || difference > 0.0));

            // What evaluation asks for is the same network.
            std::vector<Index> tokens(40);
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                tokens[i] = static_cast<Index>(i * 7 % 300);
            }
            Buffer<float> rows(40 * config.vocabulary);
            Buffer<float> wanted(40 * config.vocabulary);
            packed.forward(tokens.data(), 1, 40, Matrix<float>(rows.data(), 40, config.vocabulary));
            plain.forward(tokens.data(), 1, 40, Matrix<float>(wanted.data(), 40, config.vocabulary));
            double most = 0;
            for (Index i = 0; i < rows.size(); ++i) {
                most = std::max(most, std::abs(static_cast<double>(rows[i]) - static_cast<double>(wanted[i])));
            }
            BOOST_TEST(most < limits[f]);
        }
    }
}

BOOST_AUTO_TEST_CASE(neither_batch_nor_threads_change_a_bit)
{
    const auto one = compute::make_backend("cpu", compute::Precision::f32, 1);
    const auto three = compute::make_backend("cpu", compute::Precision::f32, 3);
    for (const int which : {0, 2, 3}) {
        const NetworkConfig config = small_config(which);
        for (const WeightFormat format : formats) {
            Network<float> a(config, weights_of(config), one->single());
            Network<float> b(config, weights_of(config), three->single());
            a.pack(format, format);
            b.pack(format, format);
            for (const Index batch : {2, 20}) {
                BOOST_TEST(generate(a, batch, 9, 4) == generate(b, batch, 9, 4));
            }
            const std::vector<double> alone = generate(a, 1, 9, 4);
            const std::vector<double> many = generate(b, 20, 9, 4);
            for (Index i = 0; i < config.vocabulary; ++i) {   // the prompt of sequence 0 is the same
                BOOST_TEST_REQUIRE(alone[static_cast<std::size_t>(i)] == many[static_cast<std::size_t>(i)]);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(packed_networks_hold_little_and_refuse_training)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    const NetworkConfig config = small_config(2);
    Network<float> network(config, weights_of(config), backend->single());
    const Index before = network.bytes_per_step();
    network.pack(WeightFormat::int8, WeightFormat::int8);
    BOOST_TEST(network.bytes_per_step() < before * 3 / 8);
    const auto& plain = static_cast<const Network<float>&>(network).weights();
    BOOST_TEST(plain.at("layers.0.mlp.up.weight").values.empty());
    BOOST_TEST(plain.at("layers.1.mixer.out.weight").values.empty());
    BOOST_TEST(plain.at("head.weight").values.empty());
    BOOST_TEST(plain.at("embed.weight").values.empty());
    BOOST_CHECK_THROW(network.weights(), Error);

    // Everything that is held is counted, once: 64 columns make one group of scales, 160 as well.
    for (const bool tied : {false, true}) {
        NetworkConfig sized = config;
        sized.tied = tied;
        Index numbers = 0;
        Index small = 0;                                   // of vectors and filters, which stay as they are
        Index bytes = 0;
        const auto packed_bytes = [](Index rows, Index cols) { return (rows + 15) / 16 * 64 * (cols / 4 + 1); };
        Network<float> one(sized, weights_of(sized), backend->single());
        for (const auto& entry : static_cast<const Network<float>&>(one).weights()) {
            const bool matrix = entry.shape.size() == 2 && entry.shape[1] % 32 == 0 && entry.shape[0] >= 48;
            numbers += entry.values.size();
            small += matrix ? 0 : entry.values.size() * 4 + entry.exact.size() * 8;
            bytes += matrix && (tied || entry.name != "embed.weight") ? packed_bytes(entry.shape[0], entry.shape[1]) : 0;
        }
        const Index exact = one.bytes_held() - 4 * numbers;
        BOOST_TEST(exact >= 0);
        one.pack(WeightFormat::int8, WeightFormat::int8);
        BOOST_TEST(one.bytes_held() == small + bytes + 2 * config.vocabulary * config.width);
    }
    NetworkConfig tied = neox_config();
    tied.tied = true;
    const Network<double> all(tied, random_weights<double>(tied, 1), backend->real());
    BOOST_TEST(all.bytes_held() == all.weights().elements() * 8);

    Network<double> real(config, random_weights<double>(config, 1), backend->real());
    BOOST_CHECK_THROW(real.pack(WeightFormat::bf16, WeightFormat::bf16), Error);

    Parameters<float> bad = weights_of(config);
    bad.at("layers.1.mlp.down.weight").values[77] = std::numeric_limits<float>::quiet_NaN();
    Network<float> other(config, std::move(bad), backend->single());
    BOOST_CHECK_EXCEPTION(other.pack(WeightFormat::int8, WeightFormat::int8), Error, [](const Error& error) {
        return error.code() == ErrorCode::bad_data
               && std::string(error.what()).find("layers.1.mlp.down.weight") != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(the_best_logits_are_those_of_the_whole)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 3);
    const NetworkConfig config = small_config(2);
    Network<float> network(config, weights_of(config), backend->single());
    network.pack(WeightFormat::bf16, WeightFormat::int8);
    std::vector<bool> allowed(static_cast<std::size_t>(config.vocabulary), true);
    for (std::size_t i = 0; i < allowed.size(); i += 3) {
        allowed[i] = false;
    }
    for (const Index batch : {1, 30}) {
        for (const Index k : {1, 5, 300}) {
            for (const bool all : {true, false}) {
                const std::vector<Index> tokens(static_cast<std::size_t>(batch), 4);
                NetworkState state = network.start(batch, Execution::recurrent);
                NetworkState same = network.start(batch, Execution::recurrent);
                BestLogits<float> best(batch, config.vocabulary, k, all ? std::vector<bool>{} : allowed);
                Buffer<float> logits(batch * config.vocabulary);
                network.step(tokens.data(), state, best);
                network.step(tokens.data(), same, Matrix<float>(logits.data(), batch, config.vocabulary));
                for (Index b = 0; b < batch; ++b) {
                    std::vector<std::pair<float, Index>> order;
                    for (Index i = 0; i < config.vocabulary; ++i) {
                        if (all || allowed[static_cast<std::size_t>(i)]) {
                            order.emplace_back(-logits[b * config.vocabulary + i], i);
                        }
                    }
                    std::sort(order.begin(), order.end());
                    const auto found = best.best(b);
                    BOOST_TEST_REQUIRE(found.size() == std::min(order.size(), static_cast<std::size_t>(k)));
                    for (std::size_t i = 0; i < found.size(); ++i) {
                        BOOST_TEST_REQUIRE(found[i].id == order[i].second);
                        BOOST_TEST_REQUIRE(found[i].logit == -order[i].first);
                    }
                }
            }
        }
    }
    BestLogits<float> best(1, 64, 1, {});
    std::vector<float> row(64, 1.0F);
    row[40] = std::numeric_limits<float>::quiet_NaN();
    best.begin(1);
    best.take(0, 0, 0, Matrix<const float>(row.data(), 1, 64));
    BOOST_CHECK_THROW(best.best(0), Error);
}

BOOST_AUTO_TEST_CASE(steps_allocate_nothing)
{
    for (const int threads : {1, 3}) {
        const auto backend = compute::make_backend("cpu", compute::Precision::f32, threads);
        for (const WeightFormat format : formats) {
            const NetworkConfig config = small_config(2);
            const long before_any = allocations;
            const Buffer<float> one(100);
            BOOST_TEST((allocations == before_any + 1) == counts);
            const long none = allocations;
            Network<float> network(config, weights_of(config), backend->single());
            BOOST_TEST((allocations - none > 50) == counts);
            network.pack(format, format);
            for (const Index batch : {1, 40}) {
                std::vector<Index> tokens(static_cast<std::size_t>(batch), 4);
                NetworkState state = network.start(batch, Execution::recurrent);
                BestLogits<float> best(batch, config.vocabulary, 4, {});
                const auto step = [&] {
                    network.step(tokens.data(), state, best);
                    for (Index b = 0; b < batch; ++b) {
                        tokens[static_cast<std::size_t>(b)] = best.best(b)[0].id;
                    }
                };
                // Each thread keeps its own scratch, which it takes when it first gets a share of the work.
                for (int i = 0; i < 300; ++i) {
                    step();
                }
                const long before = allocations;
                for (int i = 0; i < 100; ++i) {
                    step();
                }
                BOOST_TEST(allocations - before == 0, compute::name(format) << ", batch " << batch << ", " << threads
                                                                            << " threads: " << allocations - before);
            }
        }
    }
}
