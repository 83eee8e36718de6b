// SPDX-License-Identifier: Apache-2.0
// Losses of logits, with their gradients.
#include "libcore/training/loss.hpp"

#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stillhouse::training {

namespace {

constexpr Index piece = 512;     // columns worked on while they are in the first cache

/// Of one row, student s and teacher t: what a loss needs of `count` columns from `first` on.
template <class T>
struct Columns {
    T s[piece];                  // log-probabilities
    T t[piece];
    T p[piece];                  // probabilities
    T q[piece];
    Index first = 0;
    Index count = 0;

    Columns(const T* student, T student_sum, const T* teacher, T teacher_sum, Index from, Index n)
        : first(from), count(n)
    {
        for (Index j = 0; j < n; ++j) {
            s[j] = student[from + j] - student_sum;
        }
        compute::vector_exp(s, n, p);
        if (teacher != nullptr) {
            for (Index j = 0; j < n; ++j) {
                t[j] = teacher[from + j] - teacher_sum;
            }
            compute::vector_exp(t, n, q);
        }
    }
};

/// sum_j a_j (x_j - y_j), in T in 16 lanes: a piece is short; the pieces are added in double.
template <class T>
double weighted_difference(const T* a, const T* x, const T* y, Index n)
{
    T difference[piece];
    for (Index j = 0; j < n; ++j) {
        difference[j] = x[j] - y[j];
    }
    return static_cast<double>(compute::dot(a, difference, n));
}

/// log((p + q) / 2)
template <class T>
void log_means(const Columns<T>& at, T* m)
{
    for (Index j = 0; j < at.count; ++j) {
        m[j] = std::log(T(0.5) * (at.p[j] + at.q[j]));
    }
}

/// The loss of one row and d loss / d logits times share. The sums of logits are logarithms of sums of exponentials.
template <class T>
double row_loss(LogitLoss kind, const T* student, double student_sum, const T* teacher, double teacher_sum, Index n,
                Index target, T share, T* gradient)
{
    const auto each = [&](const auto& body) {
        for (Index first = 0; first < n; first += piece) {
            body(Columns<T>(student, static_cast<T>(student_sum), teacher, static_cast<T>(teacher_sum), first,
                            std::min(piece, n - first)));
        }
    };
    double loss = 0.0;
    switch (kind) {
    case LogitLoss::ce:
    case LogitLoss::kl:
    case LogitLoss::ce_kl: {
        const T from_target = kind == LogitLoss::kl ? T(0) : T(1);
        const T from_teacher = kind == LogitLoss::ce ? T(0) : T(1);
        if (kind != LogitLoss::kl) {
            loss = student_sum - static_cast<double>(student[target]);
        }
        each([&](const Columns<T>& at) {
            const T both = (from_target + from_teacher) * share;
            T* const to = gradient + at.first;
            if (kind == LogitLoss::ce) {
                for (Index j = 0; j < at.count; ++j) {
                    to[j] = share * at.p[j];
                }
            } else {
                loss += weighted_difference(at.q, at.t, at.s, at.count);
                for (Index j = 0; j < at.count; ++j) {
                    to[j] = both * at.p[j] - share * at.q[j];
                }
            }
        });
        if (kind != LogitLoss::kl) {
            gradient[target] -= share;
        }
        break;
    }
    case LogitLoss::rkl:
        each([&](const Columns<T>& at) { loss += weighted_difference(at.p, at.s, at.t, at.count); });
        each([&](const Columns<T>& at) {
            for (Index j = 0; j < at.count; ++j) {
                gradient[at.first + j] = share * at.p[j] * (at.s[j] - at.t[j] - static_cast<T>(loss));
            }
        });
        break;
    case LogitLoss::jsd: {
        // with M the mean distribution, d/ds of half KL(S || M) is half of S (log S/M - KL(S || M)); the terms of
        // d log M cancel between the halves
        double of_student = 0.0;
        double of_teacher = 0.0;
        each([&](const Columns<T>& at) {
            T m[piece];
            log_means(at, m);
            for (Index j = 0; j < at.count; ++j) {
                of_student += at.p[j] > T(0) ? static_cast<double>(at.p[j] * (at.s[j] - m[j])) : 0.0;
                of_teacher += at.q[j] > T(0) ? static_cast<double>(at.q[j] * (at.t[j] - m[j])) : 0.0;
            }
        });
        each([&](const Columns<T>& at) {
            T m[piece];
            log_means(at, m);
            for (Index j = 0; j < at.count; ++j) {
                const T slope = at.s[j] - m[j] - static_cast<T>(of_student);
                gradient[at.first + j] = at.p[j] > T(0) ? T(0.5) * share * at.p[j] * slope : T(0);
            }
        });
        loss = 0.5 * (of_student + of_teacher);
        break;
    }
    case LogitLoss::mse:
        for (Index j = 0; j < n; ++j) {
            const T d = student[j] - teacher[j];
            loss += static_cast<double>(d) * static_cast<double>(d);
            gradient[j] = T(2) * d * (share / static_cast<T>(n));
        }
        loss /= static_cast<double>(n);
        break;
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
        // dlogits may be `logits`: a row is read again while it is written
        thread_local std::vector<T> gradient;
        gradient.resize(static_cast<std::size_t>(n));
        losses[at] = row_loss<T>(kind, logits.row(i), student_sum[at], wants_teacher ? teacher.row(i) : nullptr,
                                 teacher_sum[at], n, wants_target ? targets[i] : 0, static_cast<T>(share),
                                 gradient.data());
        std::copy_n(gradient.data(), n, dlogits.row(i));
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
