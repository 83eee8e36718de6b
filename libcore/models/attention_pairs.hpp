// SPDX-License-Identifier: Apache-2.0
// Softmax attention whose products multiply pairs of bf16 numbers and add in f32.
#pragma once

#include "libcore/compute/pair_attention.hpp"
#include "libcore/models/attention.hpp"

namespace stillhouse::models {

/// y = softmax(q k^T / sqrt(head_dim)) v as SoftmaxAttention::forward has it, q and k turned already, query t of a
/// sequence at position before + t of the keys: q, k, v and the unnormalised exponentials are rounded to bf16, scores,
/// sums and the normaliser are f32. statistics may be null.
void attend_in_pairs(compute::Operations<float>& ops, const compute::PairAttention& kernels,
                     const AttentionGeometry& geometry, Sequences<const float> q, Sequences<const float> k,
                     Sequences<const float> v, Index before, Sequences<float> y, float* statistics);

}  // namespace stillhouse::models
