// SPDX-License-Identifier: Apache-2.0
// Losses against a teacher's logits that were stored before: all of them, or the largest and the mass of the rest.
#pragma once

#include "libcore/training/loss.hpp"

#include <vector>

namespace stillhouse::training {

/// Of n rows: all logits [n, vocabulary] (top 0), or of each row the `top` largest [n, top], their ids, and the log of
/// the probability of all others [n] (-infinity where there are none).
struct TeacherLogits {
    Index top = 0;
    Index vocabulary = 0;
    std::vector<double> values;
    std::vector<Index> ids;
    std::vector<double> rest;

    bool empty() const { return values.empty(); }
};

/// logit_loss against rows first, first + 1, ... of `teacher`. With the largest logits alone p and q are compared on
/// k + 1 outcomes, the k ids and "any other", of probability p_r and q_r = 1 - sum of q over the ids:
///   KL = sum_i p_i log(p_i / q_i) + p_r log(p_r / q_r)
/// and in the same way rkl and jsd; the gradient of an outcome z is handed to the logits it is made of, to logit j of
/// the others as q_j / q_r of that of "any other". ce is of the whole vocabulary as ever. mse needs all logits
/// (Error{bad_argument}). Ids are distinct within a row and below the vocabulary. Error{bad_data}: another vocabulary.
template <class T>
double stored_loss(compute::Operations<T>& ops, LogitLoss kind, Matrix<const T> logits, const TeacherLogits& teacher,
                   Index first, const Index* targets, T weight, Matrix<T> dlogits);

}  // namespace stillhouse::training
