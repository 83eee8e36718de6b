// SPDX-License-Identifier: Apache-2.0
// Losses of logits: closed forms, and gradients against finite differences.
#include "libcore/base/random.hpp"
#include "libcore/training/loss.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cmath>

namespace stillhouse::training {

// what Boost prints of a case
std::ostream& operator<<(std::ostream& out, LogitLoss x);
std::ostream& operator<<(std::ostream& out, LogitLoss x) { return out << static_cast<int>(x); }

}  // namespace stillhouse::training

using namespace stillhouse;
using training::LogitLoss;

namespace {

constexpr Index rows = 5;
constexpr Index columns = 11;

struct Case {
    Buffer<double> student{rows * columns};
    Buffer<double> teacher{rows * columns};
    std::vector<Index> targets{3, 0, -1, 10, 7};
    Case()
    {
        Random random(5, 1);
        for (Index i = 0; i < rows * columns; ++i) {
            student[i] = 2.0 * random.normal();
            teacher[i] = 2.0 * random.normal();
        }
    }
    double loss(LogitLoss kind, compute::Operations<double>& ops, Buffer<double>* gradient = nullptr)
    {
        Buffer<double> scratch(rows * columns);
        Buffer<double>& out = gradient != nullptr ? *gradient : scratch;
        return training::logit_loss<double>(ops, kind, {student.data(), rows, columns}, {teacher.data(), rows, columns},
                                            targets.data(), 1.0, {out.data(), rows, columns});
    }
};

}  // namespace

BOOST_DATA_TEST_CASE(gradient_is_the_finite_difference,
                     boost::unit_test::data::make({LogitLoss::ce, LogitLoss::kl, LogitLoss::ce_kl, LogitLoss::rkl,
                                                   LogitLoss::jsd, LogitLoss::mse}),
                     kind)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->on<double>();
    Case c;
    Buffer<double> gradient(rows * columns);
    c.loss(kind, ops, &gradient);
    for (Index i = 0; i < rows * columns; ++i) {
        constexpr double h = 1e-5;
        const double x = c.student[i];
        c.student[i] = x + h;
        const double up = c.loss(kind, ops);
        c.student[i] = x - h;
        const double down = c.loss(kind, ops);
        c.student[i] = x;
        BOOST_TEST(std::fabs(gradient[i] - (up - down) / (2 * h)) < 1e-8);
    }
}

BOOST_AUTO_TEST_CASE(divergences_vanish_where_the_models_agree_and_only_there)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->on<double>();
    for (const auto kind : {LogitLoss::kl, LogitLoss::rkl, LogitLoss::jsd, LogitLoss::mse}) {
        Case c;
        BOOST_TEST(c.loss(kind, ops) > 1e-2);
        std::copy(c.teacher.begin(), c.teacher.end(), c.student.begin());
        BOOST_TEST(std::fabs(c.loss(kind, ops)) < 1e-12);
    }
}

BOOST_AUTO_TEST_CASE(cross_entropy_of_equal_logits_is_the_logarithm_of_their_number)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    Case c;
    std::fill(c.student.begin(), c.student.end(), 0.5);
    BOOST_TEST(std::fabs(c.loss(LogitLoss::ce, backend->on<double>()) - std::log(double(columns))) < 1e-12);
}
