// SPDX-License-Identifier: Apache-2.0
// Losses against stored logits.
#include "libcore/training/stored_logits.hpp"

#include <cmath>
#include <limits>

namespace stillhouse::training {

namespace {

// Stands for the logarithm of nothing: exp gives 0, and differences stay finite.
constexpr double log_nothing = -1e4;

double log_sum(const double* x, Index n)
{
    double most = -std::numeric_limits<double>::infinity();
    for (Index i = 0; i < n; ++i) {
        most = std::max(most, x[i]);
    }
    double sum = 0.0;
    for (Index i = 0; i < n; ++i) {
        sum += std::exp(x[i] - most);
    }
    return most + std::log(sum);
}

/// Logits of the k + 1 outcomes of a row, up to a constant: the teacher's from its values and the mass of the rest.
template <class T>
void teacher_outcomes(const TeacherLogits& teacher, Index row, T* out)
{
    const Index k = teacher.top;
    const double* values = teacher.values.data() + row * k;
    const double top = log_sum(values, k);
    const double rest = teacher.rest[static_cast<std::size_t>(row)];
    for (Index i = 0; i < k; ++i) {
        out[i] = static_cast<T>(values[i] - top);
    }
    // softmax of (values - top, z) gives the rest its mass where z = log(p_r / (1 - p_r))
    const double mass = std::min(std::exp(rest), 1.0 - 1e-12);
    out[k] = static_cast<T>(mass > 0.0 ? std::log(mass) - std::log1p(-mass) : log_nothing);
}

/// The student's: logits at the ids, and the log of the sum of the exponentials of the others, which is returned.
template <class T>
double student_outcomes(const T* logits, Index vocabulary, const Index* ids, Index k, T* out, std::vector<bool>& named)
{
    named.assign(static_cast<std::size_t>(vocabulary), false);
    for (Index i = 0; i < k; ++i) {
        STILLHOUSE_CHECK(ids[i] >= 0 && ids[i] < vocabulary);
        named[static_cast<std::size_t>(ids[i])] = true;
        out[i] = logits[ids[i]];
    }
    double most = -std::numeric_limits<double>::infinity();
    for (Index j = 0; j < vocabulary; ++j) {
        most = named[static_cast<std::size_t>(j)] ? most : std::max(most, static_cast<double>(logits[j]));
    }
    double sum = 0.0;
    for (Index j = 0; j < vocabulary; ++j) {
        sum += named[static_cast<std::size_t>(j)] ? 0.0 : std::exp(static_cast<double>(logits[j]) - most);
    }
    const double others = sum > 0.0 ? most + std::log(sum) : log_nothing;
    out[k] = static_cast<T>(others);
    return others;
}

template <class T>
double top_loss(compute::Operations<T>& ops, LogitLoss kind, Matrix<const T> logits, const TeacherLogits& teacher,
                Index first, const Index* targets, T weight, Matrix<T> dlogits)
{
    const Index rows = logits.rows;
    const Index n = logits.cols;
    const Index k = teacher.top;
    Buffer<T> student(rows * (k + 1)), taught(rows * (k + 1));
    Buffer<double> others(rows);
    ops.pool().for_each(rows, [&](Index i) {
        thread_local std::vector<bool> named;
        others[i] = student_outcomes(logits.row(i), n, teacher.ids.data() + (first + i) * k, k,
                                     student.data() + i * (k + 1), named);
        teacher_outcomes(teacher, first + i, taught.data() + i * (k + 1));
    });
    const Matrix<T> outcomes(student.data(), rows, k + 1);
    const LogitLoss plain = kind == LogitLoss::ce_kl ? LogitLoss::kl : kind;
    double loss = logit_loss<T>(ops, plain, outcomes, Matrix<const T>(taught.data(), rows, k + 1), targets, weight,
                                outcomes);

    // what each outcome's gradient is to the logits; z_r = log sum of the others, so d z_r / d s_j = exp(s_j - z_r)
    Buffer<T> spread(rows * n);
    const Matrix<T> d(spread.data(), rows, n);
    ops.pool().for_each(rows, [&](Index i) {
        const T* of_outcome = student.data() + i * (k + 1);
        T* row = d.row(i);
        for (Index j = 0; j < n; ++j) {
            const double part = std::exp(static_cast<double>(logits(i, j)) - others[i]);
            row[j] = static_cast<T>(static_cast<double>(of_outcome[k]) * part);
        }
        for (Index j = 0; j < k; ++j) {
            row[teacher.ids[static_cast<std::size_t>((first + i) * k + j)]] = of_outcome[j];
        }
    });
    const bool with_ce = kind == LogitLoss::ce_kl;
    if (with_ce) {
        loss += logit_loss<T>(ops, LogitLoss::ce, logits, {}, targets, weight, dlogits);
    }
    ops.pool().for_each(rows, [&](Index i) {
        for (Index j = 0; j < n; ++j) {
            dlogits(i, j) = with_ce ? dlogits(i, j) + d(i, j) : d(i, j);
        }
    });
    return loss;
}

}  // namespace

template <class T>
double stored_loss(compute::Operations<T>& ops, LogitLoss kind, Matrix<const T> logits, const TeacherLogits& teacher,
                   Index first, const Index* targets, T weight, Matrix<T> dlogits)
{
    if (kind == LogitLoss::ce) {
        return logit_loss<T>(ops, kind, logits, {}, targets, weight, dlogits);
    }
    if (teacher.vocabulary > 0 && teacher.vocabulary != logits.cols) {
        throw_error(ErrorCode::bad_data, "the teacher's logits have " + std::to_string(teacher.vocabulary) +
                                             " columns, the student's " + std::to_string(logits.cols));
    }
    if (teacher.top > 0) {
        if (kind == LogitLoss::mse) {
            throw_error(ErrorCode::bad_argument,
                        "mse compares all logits: dump them without --top-k, or take another --loss");
        }
        return top_loss<T>(ops, kind, logits, teacher, first, targets, weight, dlogits);
    }
    Buffer<T> all(logits.rows * logits.cols);
    const double* from = teacher.values.data() + first * logits.cols;
    for (Index i = 0; i < all.size(); ++i) {
        all[i] = static_cast<T>(from[i]);
    }
    return logit_loss<T>(ops, kind, logits, Matrix<const T>(all.data(), logits.rows, logits.cols), targets, weight,
                         dlogits);
}

template double stored_loss<float>(compute::Operations<float>&, LogitLoss, Matrix<const float>, const TeacherLogits&,
                                   Index, const Index*, float, Matrix<float>);
template double stored_loss<double>(compute::Operations<double>&, LogitLoss, Matrix<const double>,
                                    const TeacherLogits&, Index, const Index*, double, Matrix<double>);

}  // namespace stillhouse::training
