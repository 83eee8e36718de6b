// SPDX-License-Identifier: Apache-2.0
// Losses against stored logits: the formula, the gradient, and that all logits give what a live teacher gives.
#include "libcore/training/stored_logits.hpp"

#include "libcore/base/random.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <numeric>

using namespace stillhouse;
using training::LogitLoss;

namespace {

constexpr Index rows = 3, columns = 11;

struct Case {
    Buffer<double> student{rows * columns}, teacher{rows * columns};
    std::vector<Index> targets{4, -1, 9};

    Case()
    {
        Random random(5, 1);
        for (Index i = 0; i < rows * columns; ++i) {
            student[i] = random.normal();
            teacher[i] = 2.0 * random.normal();
        }
    }

    /// The k largest of each row, and the log of the probability of the others.
    training::TeacherLogits top(Index k) const
    {
        training::TeacherLogits stored{k, columns, {}, {}, {}};
        for (Index r = 0; r < rows; ++r) {
            const double* row = teacher.data() + r * columns;
            std::vector<Index> order(columns);
            std::iota(order.begin(), order.end(), Index{0});
            std::sort(order.begin(), order.end(), [&](Index a, Index b) { return row[a] > row[b]; });
            double all = 0.0, others = 0.0;
            for (Index i = 0; i < columns; ++i) {
                const double p = std::exp(row[order[static_cast<std::size_t>(i)]]);
                all += p;
                others += i < k ? 0.0 : p;
                if (i < k) {
                    stored.ids.push_back(order[static_cast<std::size_t>(i)]);
                    stored.values.push_back(row[order[static_cast<std::size_t>(i)]]);
                }
            }
            stored.rest.push_back(std::log(others) - std::log(all));
        }
        return stored;
    }

    double loss(LogitLoss kind, const training::TeacherLogits& stored, Buffer<double>* gradient = nullptr)
    {
        const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
        Buffer<double> d(rows * columns);
        const double value = training::stored_loss<double>(backend->on<double>(), kind, {student.data(), rows, columns},
                                                           stored, 0, targets.data(), 1.0, {d.data(), rows, columns});
        if (gradient != nullptr) {
            *gradient = std::move(d);
        }
        return value;
    }
};

const LogitLoss kinds[] = {LogitLoss::kl, LogitLoss::ce_kl, LogitLoss::rkl, LogitLoss::jsd, LogitLoss::ce};

}  // namespace

BOOST_TEST_DONT_PRINT_LOG_VALUE(LogitLoss)

BOOST_AUTO_TEST_SUITE(stored_logits)

BOOST_DATA_TEST_CASE(the_gradient_is_that_of_the_loss, kinds, kind)
{
    Case c;
    const auto stored = c.top(4);
    Buffer<double> gradient;
    c.loss(kind, stored, &gradient);
    for (Index i = 0; i < rows * columns; ++i) {
        const double kept = c.student[i], h = 1e-5;
        c.student[i] = kept + h;
        const double up = c.loss(kind, stored);
        c.student[i] = kept - h;
        const double down = c.loss(kind, stored);
        c.student[i] = kept;
        BOOST_TEST(std::fabs((up - down) / (2.0 * h) - gradient[i]) < 1e-8);
    }
}

BOOST_AUTO_TEST_CASE(kl_of_the_largest_is_that_of_k_and_any_other)
{
    Case c;
    const Index k = 4;
    const auto stored = c.top(k);
    double sum = 0.0;
    Index counted = 0;
    for (Index r = 0; r < rows; ++r) {
        if (c.targets[static_cast<std::size_t>(r)] < 0) {
            continue;
        }
        ++counted;
        double zp = 0.0, zq = 0.0, p_rest = 1.0, q_rest = 1.0;
        for (Index j = 0; j < columns; ++j) {
            zp += std::exp(c.teacher[r * columns + j]);
            zq += std::exp(c.student[r * columns + j]);
        }
        for (Index i = 0; i < k; ++i) {
            const Index id = stored.ids[static_cast<std::size_t>(r * k + i)];
            const double p = std::exp(c.teacher[r * columns + id]) / zp, q = std::exp(c.student[r * columns + id]) / zq;
            p_rest -= p;
            q_rest -= q;
            sum += p * std::log(p / q);
        }
        sum += p_rest * std::log(p_rest / q_rest);
    }
    BOOST_TEST(std::fabs(c.loss(LogitLoss::kl, stored) - sum / static_cast<double>(counted)) < 1e-12);
}

BOOST_DATA_TEST_CASE(all_logits_and_k_of_all_are_a_live_teacher, kinds, kind)
{
    Case c;
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    Buffer<double> expected(rows * columns), found;
    const double live = training::logit_loss<double>(
        backend->on<double>(), kind, {c.student.data(), rows, columns}, {c.teacher.data(), rows, columns},
        c.targets.data(), 1.0, {expected.data(), rows, columns});
    const training::TeacherLogits all{0, columns, {c.teacher.begin(), c.teacher.end()}, {}, {}};
    for (const auto& stored : {all, c.top(columns)}) {
        BOOST_TEST(std::fabs(c.loss(kind, stored, &found) - live) < 1e-10);
        for (Index i = 0; i < rows * columns; ++i) {
            BOOST_TEST(std::fabs(found[i] - expected[i]) < 1e-10);
        }
    }
}

BOOST_AUTO_TEST_CASE(mse_of_the_largest_alone_is_refused)
{
    Case c;
    BOOST_CHECK_THROW(c.loss(LogitLoss::mse, c.top(3)), Error);
}

BOOST_AUTO_TEST_SUITE_END()
