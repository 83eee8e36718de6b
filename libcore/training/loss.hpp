// SPDX-License-Identifier: Apache-2.0
// Losses of logits, with their gradients.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/compute/backend.hpp"

namespace stillhouse::training {

/// ce: -log p_s(target); kl: KL(teacher || student); rkl: KL(student || teacher); jsd: Jensen-Shannon with equal
/// weights; ce_kl: their sum; mse: mean over the vocabulary of the squared difference of logits.
enum class LogitLoss { ce, kl, ce_kl, rkl, jsd, mse };

/// Mean over the rows, in nats a token; dlogits[rows, vocabulary] = d loss * weight / d logits. `targets` are next
/// tokens (ce, ce_kl; -1 leaves a row out), `teacher` logits (all but ce). dlogits may be `logits`;
/// a row left out gets a zero gradient and is not counted.
template <class T>
double logit_loss(compute::Operations<T>& ops, LogitLoss kind, Matrix<const T> logits, Matrix<const T> teacher,
                  const Index* targets, T weight, Matrix<T> dlogits);

}  // namespace stillhouse::training
