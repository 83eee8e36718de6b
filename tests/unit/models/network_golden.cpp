// SPDX-License-Identifier: Apache-2.0
// Networks loaded from Hugging Face folders against what transformers computes: values, attention by lag, greedy text.
#define BOOST_TEST_MODULE teachers
#include "formats/npy.hpp"
#include "libcore/models/network.hpp"
#include "tools/adapters/model/model.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace stillhouse;
using namespace stillhouse::models;
namespace fs = std::filesystem;

namespace {

// Greatest absolute differences allowed: what an ordinary implementation of this precision reaches.
struct Limits {
    double logits, residual, mixer, lag;
};

struct Golden {
    fs::path arrays;
    fs::path model;
    bool complete = false;      // every array must be there
    bool trained = false;       // greater logits

    template <class T>
    Limits limits() const
    {
        if constexpr (sizeof(T) == 4) {
            return {trained ? 2e-4 : 5e-5, 5e-5, 3e-5, 2e-6};
        } else {
            return {trained ? 4e-6 : 2e-6, 2e-6, 2e-6, 2e-6};
        }
    }
    template <class T>
    std::optional<std::vector<T>> load(const std::string& name) const
    {
        const fs::path path = arrays / (name + ".npy");
        if (!fs::exists(path)) {
            BOOST_TEST(!complete, path << " is missing");
            return {};
        }
        formats::Fd file = formats::Fd::open_input(path.string());
        const formats::Tensor tensor = formats::read_npy(file, name);
        std::vector<T> values(static_cast<std::size_t>(tensor.header.elements()));
        convert_from(tensor.header.dtype, tensor.data.data(), tensor.header.elements(), values.data());
        return values;
    }
    Shape shape(const std::string& name) const
    {
        formats::Fd file = formats::Fd::open_input((arrays / (name + ".npy")).string());
        return formats::read_npy_header(file).shape;
    }
};

template <class T>
double difference(const T* got, const double* expected, Index n)
{
    double greatest = 0.0;
    for (Index i = 0; i < n; ++i) {
        const double one = std::abs(static_cast<double>(got[i]) - expected[i]);
        greatest = one <= greatest ? greatest : one;   // a NaN is kept
    }
    return greatest;
}

template <class T>
void check_forward(const Golden& golden, const Network<T>& network)
{
    const NetworkConfig& config = network.config();
    const Shape shape = golden.shape("tokens");
    const Index batch = shape.at(0);
    const Index length = shape.at(1);
    const std::vector<Index> tokens = *golden.load<Index>("tokens");
    const Limits limits = golden.limits<T>();
    const Index n = batch * length * config.width;
    const auto residual = golden.load<double>("residual");
    const auto mixer_out = golden.load<double>("attention_out");
    const auto mean_attention = golden.load<double>("mean_attention");
    const auto compare = [&](const std::string& what, const T* got, const std::optional<std::vector<double>>& array,
                             Index at, Index count, double limit) {
        if (array) {
            BOOST_REQUIRE(static_cast<std::size_t>(at + count) <= array->size());
            const double found = difference(got, array->data() + at, count);
            BOOST_TEST(found <= limit, what << ": " << found << ", allowed " << limit);
        }
    };
    Buffer<T> x(n), normed(n), mixed(n);
    const Sequences<T> stream(x.data(), batch, length, config.width);
    const Sequences<T> input(normed.data(), batch, length, config.width);
    network.embed(tokens.data(), batch * length, x.data());
    for (Index i = 0; i < config.layers; ++i) {
        const std::string where = "layer " + std::to_string(i);
        compare(where + " input", x.data(), residual, i * n, n, limits.residual);
        network.mixer_input(i, stream, input);
        Buffer<double> lag(config.heads * length);
        network.mixer(i).sum_attention_by_lag(network.ops(), input, {lag.data(), config.heads, length});
        for (Index head = 0; head < config.heads; ++head) {
            for (Index tau = 0; tau < length; ++tau) {
                lag[head * length + tau] /= static_cast<double>(batch * (length - tau));
            }
        }
        if (mean_attention) {
            const double found = difference(lag.data(), mean_attention->data() + i * lag.size(), lag.size());
            BOOST_TEST(found <= limits.lag, where << " attention by lag: " << found);
        }
        network.layer(i, stream, stream, nullptr, mixed.data());
        compare(where + " mixer", mixed.data(), mixer_out, i * n, n, limits.mixer);
    }
    compare("last output", x.data(), residual, config.layers * n, n, limits.residual);

    Buffer<T> logits(batch * length * config.vocabulary);
    network.forward(tokens.data(), batch, length, {logits.data(), batch * length, config.vocabulary});
    const auto expected = golden.load<double>("logits");
    BOOST_REQUIRE(expected);
    compare("logits", logits.data(), expected, 0, logits.size(), limits.logits);
}

template <class T>
std::vector<Index> greedy(const Network<T>& network, const std::vector<Index>& prompt, std::size_t count)
{
    Buffer<T> logits(network.config().vocabulary);
    const Matrix<T> row(logits.data(), 1, logits.size());
    NetworkState state = network.start(1, Execution::recurrent);
    network.prefill(prompt.data(), static_cast<Index>(prompt.size()), state, row);
    std::vector<Index> text;
    while (true) {
        text.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
        if (text.size() == count) {
            return text;
        }
        network.step(&text.back(), state, row);
    }
}

template <class T>
void check_case(const Golden& golden)
{
    const auto precision = sizeof(T) == 4 ? compute::Precision::f32 : compute::Precision::f64;
    const auto backend = compute::make_backend("cpu", precision, 2);
    auto source = adapters::ModelSource::folder(golden.model.string(), [](const std::string&) {});
    adapters::Model<T> model = source.template load<T>(adapters::ModelSource::Others::drop);
    const Network<T> network(std::move(model.config), std::move(model.weights), backend->template on<T>());
    check_forward(golden, network);

    const auto tokens = *golden.load<Index>("tokens");
    const auto generated = golden.load<Index>("generated");
    BOOST_REQUIRE(generated);
    const auto text = greedy(network, {tokens.begin(), tokens.begin() + 8}, generated->size());
    BOOST_TEST(text == *generated, boost::test_tools::per_element());
    if (fs::exists(golden.arrays / "greedy_from_bos.npy")) {
        const auto from_bos = *golden.load<Index>("greedy_from_bos");
        BOOST_TEST(greedy(network, {1}, from_bos.size()) == from_bos, boost::test_tools::per_element());
    }
}

fs::path shared()
{
    const char* named = std::getenv("STILLHOUSE_SHARED");
    return named != nullptr ? fs::path(named) : fs::path(STILLHOUSE_TEST_DATA) / "../../../shared";
}

void check_both(const Golden& golden)
{
    BOOST_TEST_CONTEXT(golden.arrays.filename().string() << " in f32")
    {
        check_case<float>(golden);
    }
    BOOST_TEST_CONTEXT(golden.arrays.filename().string() << " in f64")
    {
        check_case<double>(golden);
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(small_cases)
{
    for (const char* name : {"neox-bf16", "llama3-bf16"}) {
        const fs::path folder = fs::path(STILLHOUSE_TEST_DATA) / "models" / name;
        check_both({folder, folder, false, false});
    }
}

BOOST_AUTO_TEST_CASE(all_cases)
{
    if (!fs::exists(shared() / "golden")) {
        BOOST_TEST_MESSAGE("skipped: no golden cases at " << shared() << "; STILLHOUSE_SHARED names another place");
        return;
    }
    int cases = 0;
    for (const char* family : {"gpt-neox", "llama"}) {
        for (const auto& entry : fs::directory_iterator(shared() / "golden" / family)) {
            const bool trained = !fs::exists(entry.path() / "config.json");   // its model is among the teachers
            check_both({entry.path(), trained ? shared() / "teachers" / entry.path().filename() : entry.path(), true,
                        trained});
            ++cases;
        }
    }
    BOOST_TEST(cases >= 11);
}
