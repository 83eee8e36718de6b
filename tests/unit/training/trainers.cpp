// SPDX-License-Identifier: Apache-2.0
// Both trainers: losses fall, accumulation is the large batch, threads change no bit, what is frozen stays.
#include "libcore/training/end_to_end.hpp"
#include "libcore/training/layerwise.hpp"
#include "tests/unit/training/networks.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstring>

namespace stillhouse::training {

// what Boost prints of a case
std::ostream& operator<<(std::ostream& out, LayerSchedule x);
std::ostream& operator<<(std::ostream& out, LayerSchedule x) { return out << static_cast<int>(x); }
std::ostream& operator<<(std::ostream& out, LogitLoss x);

}  // namespace stillhouse::training

using namespace stillhouse;
using testing::Residual;
using training::LayerSchedule;
using training::Objective;

namespace {

double total(const std::vector<double>& losses)
{
    double sum = 0.0;
    for (const double loss : losses) {
        sum += loss;
    }
    return sum;
}

training::LayerwiseOptions layerwise(LayerSchedule schedule, Objective objective, Index steps,
                                     double dropout = 0.0)
{
    training::LayerwiseOptions options;
    options.schedule = schedule;
    options.objective = objective;
    options.steps_a_layer = steps;
    options.rate = {training::Schedule::Shape::constant, 1e-2, 0, 0, 0.0};
    options.dropout = dropout;
    return options;
}

template <class T>
bool same_bits(const models::Parameters<T>& a, const models::Parameters<T>& b)
{
    for (const auto& entry : a) {
        const auto& other = b.at(entry.name).values;
        if (std::memcmp(entry.values.data(), other.data(), static_cast<std::size_t>(other.size()) * sizeof(T)) != 0) {
            return false;
        }
    }
    return a.size() == b.size();
}

const auto kinds = boost::unit_test::data::make({LayerSchedule::parallel, LayerSchedule::forced, LayerSchedule::joint});

}  // namespace

BOOST_DATA_TEST_CASE(layerwise_steps_lower_every_layer_s_loss, kinds, schedule)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 2);
    auto& ops = backend->on<float>();
    const auto config = testing::teacher_config(Residual::sequential);
    const models::Network<float> teacher(config, testing::random_weights<float>(config, 1), ops);
    const auto batch = testing::activations(teacher, 8, 24, 2);
    for (const auto objective : {Objective::block, Objective::mixer}) {
        if (schedule == LayerSchedule::joint && objective == Objective::mixer) {
            continue;
        }
        testing::Student<float> student(teacher, testing::hyena(24), ops);
        const auto frozen = student.network->weights().at("layers.1.mlp.up.weight").values.clone();
        training::LayerwiseTrainer<float> trainer(*student.network, config, student.attention,
                                                  layerwise(schedule, objective, 0));
        const auto first = trainer.step({&batch});
        std::vector<double> last;
        for (int i = 0; i < 60; ++i) {
            last = trainer.step({&batch});
        }
        for (std::size_t layer = 0; layer < first.size(); ++layer) {
            BOOST_TEST(last[layer] < 0.7 * first[layer]);
        }
        BOOST_TEST(std::equal(frozen.begin(), frozen.end(),
                              student.network->weights().at("layers.1.mlp.up.weight").values.begin()));
    }
}

BOOST_AUTO_TEST_CASE(progressive_trains_one_layer_after_the_other)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 1), ops);
    const auto batch = testing::activations(teacher, 4, 16, 2);
    testing::Student<double> student(teacher, testing::hyena(16), ops);
    training::LayerwiseTrainer<double> trainer(*student.network, config, student.attention,
                                               layerwise(LayerSchedule::progressive, Objective::block, 2));
    const auto& weights = student.network->weights();
    const auto upper = weights.at("layers.1.mixer.v.weight").values.clone();
    for (int i = 0; i < 2; ++i) {
        const auto loss = trainer.step({&batch});
        BOOST_TEST(loss[0] > 0.0);
        BOOST_TEST(loss[1] == 0.0);
    }
    BOOST_TEST(std::equal(upper.begin(), upper.end(), weights.at("layers.1.mixer.v.weight").values.begin()));
    const auto lower = weights.at("layers.0.mixer.v.weight").values.clone();
    for (int i = 0; i < 2; ++i) {
        const auto loss = trainer.step({&batch});
        BOOST_TEST(loss[0] == 0.0);
        BOOST_TEST(loss[1] > 0.0);
    }
    BOOST_TEST(std::equal(lower.begin(), lower.end(), weights.at("layers.0.mixer.v.weight").values.begin()));
}

BOOST_DATA_TEST_CASE(accumulated_pieces_are_the_large_batch, kinds, schedule)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 1), ops);
    const auto whole = testing::activations(teacher, 6, 16, 2);
    std::vector<training::Activations<double>> parts(2);
    for (Index half = 0; half < 2; ++half) {
        auto& part = parts[static_cast<std::size_t>(half)];
        part.batch = 3;
        part.length = 16;
        for (const auto& stream : whole.residual) {
            part.residual.emplace_back(stream.size() / 2);
            std::copy_n(stream.data() + half * stream.size() / 2, stream.size() / 2, part.residual.back().data());
        }
    }
    testing::Student<double> a(teacher, testing::hyena(16), ops), b(teacher, testing::hyena(16), ops);
    training::LayerwiseTrainer<double> one(*a.network, config, a.attention,
                                              layerwise(schedule, Objective::block, 0, 0.1));
    training::LayerwiseTrainer<double> two(*b.network, config, b.attention,
                                              layerwise(schedule, Objective::block, 0, 0.1));
    for (int i = 0; i < 3; ++i) {
        const double x = total(one.step({&whole}));
        const double y = total(two.step({&parts[0], &parts[1]}));
        BOOST_TEST(std::fabs(x - y) < 1e-9 * x);
    }
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit_of_a_training)
{
    std::vector<models::Parameters<float>> results;
    std::vector<double> losses;
    for (const int threads : {1, 2, 5}) {
        const auto backend = compute::make_backend("cpu", compute::Precision::f32, threads);
        auto& ops = backend->on<float>();
        const auto config = testing::teacher_config(Residual::parallel);
        const models::Network<float> teacher(config, testing::random_weights<float>(config, 1), ops);
        const auto batch = testing::activations(teacher, 8, 24, 2);
        testing::Student<float> student(teacher, testing::hyena(24, 4), ops);
        training::LayerwiseTrainer<float> layers(*student.network, config, student.attention,
                                                 layerwise(LayerSchedule::parallel, Objective::block, 0, 0.1));
        std::vector<std::string> names;
        for (const auto& entry : student.network->weights()) {
            names.push_back(entry.name);
        }
        training::EndToEndOptions options;
        options.loss = training::LogitLoss::kl;
        options.rate = {training::Schedule::Shape::constant, 1e-3, 0, 0, 0.0};
        options.dropout = 0.1;
        training::EndToEndTrainer<float> all(*student.network, names, options);
        for (int i = 0; i < 3; ++i) {
            layers.step({&batch});
            losses.push_back(all.step({{8, 24, batch.tokens}}, &teacher));
        }
        results.push_back(student.network->weights().clone());
    }
    BOOST_TEST(same_bits(results[0], results[1]));
    BOOST_TEST(same_bits(results[0], results[2]));
    BOOST_TEST(losses[2] < losses[0]);
}

/// Dropout is keyed by the place of a row in its step, so it too does not see the pieces.
BOOST_AUTO_TEST_CASE(accumulated_rows_are_the_large_batch)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 1), ops);
    const auto tokens = testing::random_tokens(6 * 16, config.vocabulary, 8);
    std::vector<double> losses;
    for (const Index pieces : {1, 3}) {
        testing::Student<double> student(teacher, testing::hyena(16), ops);
        std::vector<std::string> names;
        for (const auto& entry : student.network->weights()) {
            names.push_back(entry.name);
        }
        training::EndToEndOptions options;
        options.loss = training::LogitLoss::kl;
        options.rate = {training::Schedule::Shape::constant, 1e-2, 0, 0, 0.0};
        options.dropout = 0.2;
        training::EndToEndTrainer<double> trainer(*student.network, names, options);
        for (int step = 0; step < 3; ++step) {
            std::vector<training::TokenRows> rows;
            for (Index piece = 0; piece < pieces; ++piece) {
                const auto at = tokens.begin() + piece * 96 / pieces;
                rows.push_back({6 / pieces, 16, {at, at + 96 / pieces}});
            }
            losses.push_back(trainer.step(rows, &teacher));
        }
    }
    for (std::size_t i = 0; i < 3; ++i) {
        BOOST_TEST(std::fabs(losses[i] - losses[i + 3]) < 1e-9 * losses[i]);
    }
}

BOOST_DATA_TEST_CASE(end_to_end_loss_has_the_gradient_that_moves_it,
                     boost::unit_test::data::make({training::LogitLoss::ce, training::LogitLoss::kl}), loss)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::sequential);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 1), ops);
    testing::Student<double> student(teacher, testing::hyena(20), ops);
    const training::TokenRows rows{3, 20, testing::random_tokens(60, config.vocabulary, 8)};
    // one step of plain descent along the gradient: AdamW with beta 0 and a huge epsilon is rate / epsilon times it
    training::EndToEndOptions options;
    options.loss = loss;
    options.clip = 0.0;
    options.adamw = {.beta1 = 0.0, .beta2 = 0.0, .epsilon = 1e9};
    options.rate = {training::Schedule::Shape::constant, 1e9 * 1e-6, 0, 0, 0.0};
    std::vector<std::string> names;
    for (const auto& entry : student.network->weights()) {
        names.push_back(entry.name);
    }
    const auto before = student.network->weights().clone();
    training::EndToEndTrainer<double> trainer(*student.network, names, options);
    const double first = trainer.step({rows}, &teacher);
    double square = 0.0;                                  // |gradient|^2, from the step it made
    for (const auto& entry : before) {
        const auto& after = student.network->weights().at(entry.name).values;
        for (Index i = 0; i < after.size(); ++i) {
            const double g = (entry.values[i] - after[i]) / 1e-6;
            square += g * g;
        }
    }
    const double second = trainer.step({rows}, &teacher);
    BOOST_TEST(square > 1e-3);
    BOOST_TEST(std::fabs((first - second) - 1e-6 * square) < 1e-3 * 1e-6 * square);
}

/// Products of bf16 operands, sums and weights in f32: where training in f32 gets, this gets within a hundredth.
BOOST_AUTO_TEST_CASE(training_in_bf16_reaches_the_loss_of_f32)
{
    double ends[2];
    double begins[2];
    const compute::Precision precisions[] = {compute::Precision::f32, compute::Precision::bf16};
    for (int i = 0; i < 2; ++i) {
        const auto backend = compute::make_backend("cpu", precisions[i], 2);
        auto& ops = backend->on<float>();
        const auto config = testing::teacher_config(Residual::parallel);
        const models::Network<float> teacher(config, testing::random_weights<float>(config, 1), ops);
        testing::Student<float> student(teacher, testing::hyena(32, 4), ops);
        std::vector<std::string> names;
        for (const auto& entry : student.network->weights()) {
            names.push_back(entry.name);
        }
        training::EndToEndOptions options;
        options.loss = training::LogitLoss::kl;
        options.rate = {training::Schedule::Shape::linear, 1e-2, 5, 60, 0.0};
        training::EndToEndTrainer<float> trainer(*student.network, names, options);
        ends[i] = 0.0;
        for (std::uint64_t step = 0; step < 60; ++step) {
            const double loss =
                trainer.step({{8, 32, testing::random_tokens(8 * 32, config.vocabulary, 100 + step)}}, &teacher);
            begins[i] = step == 0 ? loss : begins[i];
            ends[i] += step >= 50 ? loss / 10.0 : 0.0;
        }
    }
    BOOST_TEST(begins[0] != begins[1]);          // something is rounded
    BOOST_TEST(ends[0] < 0.5 * begins[0]);
    BOOST_TEST(std::fabs(ends[1] - ends[0]) < 0.01 * ends[0]);
}
