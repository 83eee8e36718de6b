// SPDX-License-Identifier: Apache-2.0
// The closed-form start: exact where it can be, better by the refit, the same for every form that can hold the filter.
#include "libcore/training/closed_start.hpp"
#include "tests/unit/training/networks.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using namespace stillhouse;
using testing::Residual;

namespace {

double distance(const models::Network<double>& a, const models::Network<double>& b, const std::vector<Index>& tokens,
                Index batch)
{
    const Index n = static_cast<Index>(tokens.size());
    const Index vocabulary = a.config().vocabulary;
    Buffer<double> x(n * vocabulary), y(n * vocabulary);
    a.forward(tokens.data(), batch, n / batch, {x.data(), n, vocabulary});
    b.forward(tokens.data(), batch, n / batch, {y.data(), n, vocabulary});
    double worst = 0.0;
    for (Index i = 0; i < x.size(); ++i) {
        worst = std::max(worst, std::fabs(x[i] - y[i]));
    }
    return worst;
}

std::vector<training::Activations<double>> one(training::Activations<double> batch)
{
    std::vector<training::Activations<double>> batches;
    batches.push_back(std::move(batch));
    return batches;
}

}  // namespace

// A window as long as the sequences is the attention itself, so the start must give the teacher back: it checks
// rotary, projections, the order of columns, the targets of both residuals and the solve at once.
BOOST_DATA_TEST_CASE(a_window_over_everything_is_the_teacher,
                     boost::unit_test::data::make({Residual::parallel, Residual::sequential}), residual)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(residual);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 1), ops);
    testing::Student<double> student(teacher, testing::hyena(40, 24), ops);
    const auto batches = one(testing::activations(teacher, 40, 24, 9));
    const auto reports = training::closed_start(*student.network, config, student.attention, batches,
                                                training::Refit::no, {});
    BOOST_TEST(reports.size() == 2u);
    BOOST_TEST(distance(teacher, *student.network, batches[0].tokens, 40) < 1e-9);
    for (const auto& report : reports) {
        BOOST_TEST(report.explained_before > 1.0 - 1e-12);
    }
}

BOOST_DATA_TEST_CASE(the_refit_explains_more, boost::unit_test::data::make({Residual::parallel, Residual::sequential}),
                     residual)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(residual);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 2), ops);
    testing::Student<double> student(teacher, testing::hyena(24), ops);
    const auto batches = one(testing::activations(teacher, 60, 24, 9));
    const auto reports = training::closed_start(*student.network, config, student.attention, batches,
                                                training::Refit::yes, {});
    for (const auto& report : reports) {
        BOOST_TEST(report.explained_after > report.explained_before);
        BOOST_TEST(report.explained_after > 0.05);
        BOOST_TEST(report.explained_after < 1.0);
    }
}

// With heads of another width than the teacher's, N > 1, the gates average to one exactly: the same function as N = 1,
// so the same logits without a refit.
BOOST_AUTO_TEST_CASE(heads_of_any_width_start_as_the_same_convolution)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 3), ops);
    const auto batches = one(testing::activations(teacher, 20, 24, 4));
    testing::Student<double> narrow(teacher, testing::hyena(24), ops);
    training::closed_start(*narrow.network, config, narrow.attention, batches, training::Refit::no, {});
    auto wide = testing::hyena(24);
    wide.kind = models::MixerKind::multihyena;
    wide.head_width = 2;
    testing::Student<double> heads(teacher, wide, ops);
    training::closed_start(*heads.network, config, heads.attention, batches, training::Refit::no, {});
    BOOST_TEST(distance(*narrow.network, *heads.network, batches[0].tokens, 20) < 1e-9);
}

// Heads as wide as the teacher's begin with its softmax to first order: they explain more
// than open gates.
BOOST_AUTO_TEST_CASE(heads_as_wide_as_the_teachers_see_content)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 6), ops);
    const auto batches = one(testing::activations(teacher, 60, 24, 4));
    testing::Student<double> narrow(teacher, testing::hyena(24), ops);
    auto mixer = testing::hyena(24);
    mixer.kind = models::MixerKind::multihyena;
    mixer.head_width = config.head_dim;
    testing::Student<double> heads(teacher, mixer, ops);
    const auto open =
        training::closed_start(*narrow.network, config, narrow.attention, batches, training::Refit::yes, {});
    const auto expanded =
        training::closed_start(*heads.network, config, heads.attention, batches, training::Refit::yes, {});
    BOOST_TEST(1.0 - expanded[0].explained_after < 0.85 * (1.0 - open[0].explained_after));
}

BOOST_AUTO_TEST_CASE(a_modal_filter_of_high_order_starts_as_the_free_one)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    const auto config = testing::teacher_config(Residual::parallel);
    const models::Network<double> teacher(config, testing::random_weights<double>(config, 5), ops);
    const auto batches = one(testing::activations(teacher, 20, 64, 4));
    testing::Student<double> free(teacher, testing::hyena(64), ops);
    const auto exact = training::closed_start(*free.network, config, free.attention, batches, training::Refit::yes, {});
    auto mixer = testing::hyena(64);
    mixer.form = models::FilterForm::modal;
    mixer.filter_order = 8;
    testing::Student<double> modal(teacher, mixer, ops);
    const auto fitted =
        training::closed_start(*modal.network, config, modal.attention, batches, training::Refit::yes, {});
    for (std::size_t i = 0; i < exact.size(); ++i) {
        BOOST_TEST(std::fabs(exact[i].explained_after - fitted[i].explained_after) < 0.05);
    }
}
