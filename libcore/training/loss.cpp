// SPDX-License-Identifier: Apache-2.0
// Losses of logits, with their gradients.
#include "libcore/training/loss.hpp"

#include <cmath>
#include <vector>

namespace stillhouse::training {

namespace {

/// log softmax of a row in double, into `out`.
template <class T>
void log_softmax(const T* x, Index n, double log_sum, double* out)
{
    for (Index j = 0; j < n; ++j) {
        out[j] = static_cast<double>(x[j]) - log_sum;
    }
}

// Writes d loss / d logits (before the weight) of one row and returns its loss. s and t are log-probabilities.
double row_loss(LogitLoss kind, const double* s, const double* t, Index n, Index target, double* gradient)
{
    double loss = 0.0;
    if (kind == LogitLoss::ce || kind == LogitLoss::ce_kl) {
        for (Index j = 0; j < n; ++j) {
            gradient[j] = std::exp(s[j]);
        }
        gradient[target] -= 1.0;
        loss = -s[target];
    }
    if (kind == LogitLoss::kl || kind == LogitLoss::ce_kl) {
        const bool add = kind == LogitLoss::ce_kl;
        for (Index j = 0; j < n; ++j) {
            const double p = std::exp(t[j]);
            loss += p * (t[j] - s[j]);
            gradient[j] = (add ? gradient[j] : 0.0) + std::exp(s[j]) - p;
        }
    } else if (kind == LogitLoss::rkl) {
        for (Index j = 0; j < n; ++j) {
            loss += std::exp(s[j]) * (s[j] - t[j]);
        }
        for (Index j = 0; j < n; ++j) {
            gradient[j] = std::exp(s[j]) * (s[j] - t[j] - loss);
        }
    } else if (kind == LogitLoss::jsd) {
        // with M the mean distribution, d/ds of half KL(S || M) is half of S (log S/M - KL(S || M)); the terms of
        // d log M cancel between the halves
        double student = 0.0;
        double teacher = 0.0;
        for (Index j = 0; j < n; ++j) {
            const double p = std::exp(s[j]);
            const double q = std::exp(t[j]);
            const double m = std::log(0.5 * (p + q));
            gradient[j] = s[j] - m;
            student += p > 0.0 ? p * (s[j] - m) : 0.0;
            teacher += q > 0.0 ? q * (t[j] - m) : 0.0;
        }
        for (Index j = 0; j < n; ++j) {
            const double p = std::exp(s[j]);
            gradient[j] = p > 0.0 ? 0.5 * p * (gradient[j] - student) : 0.0;
        }
        loss = 0.5 * (student + teacher);
    }
    return loss;
}

}  // namespace

template <class T>
double logit_loss(compute::Operations<T>& ops, LogitLoss kind, Matrix<const T> logits, Matrix<const T> teacher,
                  const Index* targets, T weight, Matrix<T> dlogits)
{
    const Index rows = logits.rows;
    const Index n = logits.cols;
    const bool wants_teacher = kind != LogitLoss::ce;
    const bool wants_target = kind == LogitLoss::ce || kind == LogitLoss::ce_kl;
    STILLHOUSE_CHECK(!wants_teacher || (teacher.rows == rows && teacher.cols == n));
    STILLHOUSE_CHECK(!wants_target || targets != nullptr);

    Index counted = rows;
    if (targets != nullptr) {
        counted = 0;
        for (Index i = 0; i < rows; ++i) {
            counted += targets[i] >= 0 ? 1 : 0;
        }
    }
    const double share = counted > 0 ? static_cast<double>(weight) / static_cast<double>(counted) : 0.0;

    std::vector<double> losses(static_cast<std::size_t>(rows));
    std::vector<double> student_sum(static_cast<std::size_t>(rows));
    std::vector<double> teacher_sum(static_cast<std::size_t>(rows));
    if (kind != LogitLoss::mse) {
        ops.log_sum_exp(logits, student_sum.data());
        if (wants_teacher) {
            ops.log_sum_exp(teacher, teacher_sum.data());
        }
    }
    ops.pool().for_each(rows, [&](Index i) {
        if (targets != nullptr && targets[i] < 0) {
            std::fill_n(dlogits.row(i), n, T(0));
            return;
        }
        const auto at = static_cast<std::size_t>(i);
        if (kind == LogitLoss::mse) {
            double loss = 0.0;
            for (Index j = 0; j < n; ++j) {
                const double d = static_cast<double>(logits(i, j)) - static_cast<double>(teacher(i, j));
                loss += d * d;
                dlogits(i, j) = static_cast<T>(2.0 * d * share / static_cast<double>(n));
            }
            losses[at] = loss / static_cast<double>(n);
            return;
        }
        thread_local std::vector<double> s, t, gradient;
        s.resize(static_cast<std::size_t>(n));
        t.resize(static_cast<std::size_t>(n));
        gradient.assign(static_cast<std::size_t>(n), 0.0);
        log_softmax(logits.row(i), n, student_sum[at], s.data());
        if (wants_teacher) {
            log_softmax(teacher.row(i), n, teacher_sum[at], t.data());
        }
        losses[at] = row_loss(kind, s.data(), t.data(), n, targets != nullptr ? targets[i] : 0, gradient.data());
        for (Index j = 0; j < n; ++j) {
            dlogits(i, j) = static_cast<T>(gradient[static_cast<std::size_t>(j)] * share);
        }
    });
    double sum = 0.0;
    for (const double loss : losses) {
        sum += loss;
    }
    return counted > 0 ? sum / static_cast<double>(counted) : 0.0;
}

template double logit_loss<float>(compute::Operations<float>&, LogitLoss, Matrix<const float>, Matrix<const float>,
                                  const Index*, float, Matrix<float>);
template double logit_loss<double>(compute::Operations<double>&, LogitLoss, Matrix<const double>,
                                   Matrix<const double>, const Index*, double, Matrix<double>);

}  // namespace stillhouse::training
