// SPDX-License-Identifier: Apache-2.0
// A student without a gradient step: attention by lag becomes the filter, and one ridge solve a layer refits the
// output projection on the student's own stream.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/training/targets.hpp"

namespace stillhouse::training {

struct LayerReport {
    Index layer = 0;
    bool replaced = false;
    double explained_before = 0.0;              // share of the target's variance, with the teacher's projection
    double explained_after = 0.0;               // and after the refit
};

enum class Refit { yes, no };

/// What is copied from the teacher's attention (`attention`: the weights "layers.i.attention.*", all heads) into the
/// random mixer of a layer: v, the output projection, the queries and keys of the window; short convolutions become
/// the identity, skips 0. With `gates_open`: N = 1: q = k = 1; N > 1: q[i] = 1/N and k[i] = 1 + eps w_i.x with w_i the
/// teacher's key rows less their mean over the head, so that the mixer is exactly h * v.
template <class T>
void copy_attention(const models::NetworkConfig& student, Index layer, const models::NetworkConfig& teacher,
                    const models::Parameters<T>& attention, bool gates_open, models::Parameters<T>& weights);

/// `student` holds the teacher's weights and, in the replaced layers, new mixers (initialize_mixer). In order, layer
/// after layer: the filter of each head becomes the teacher's mean attention by lag (from the window's end on), gates
/// and projections as copy_attention, or, in heads with a filter as wide as the teacher's, the softmax to first order,
///   q.k = 1 + q_t . (k_s - mean k) / sqrt(N)
/// over the channels that rotary positions leave alone, where there are any (the 1 takes channel 0); then W_o, W_s and
/// the bias solve
///   min |W f - y|^2 + lambda |W|^2,  lambda = 1e-4 of the mean diagonal of the centred f f^T, bias free,
/// f the features of the student's own stream s_l, y = x_{l+1} - s_l - MLP(LN2(s_l)) (parallel residual) or
/// x_l + a_l - s_l (sequential; x, a: the teacher's). Layers that stay attention are not refitted.
/// Cost: one pass of teacher attention and one of the student, and F^2 multiply-adds a token and layer.
template <class T>
std::vector<LayerReport> closed_start(models::Network<T>& student, const models::NetworkConfig& teacher,
                                      const models::Parameters<T>& attention,
                                      const std::vector<Activations<T>>& batches, Refit refit,
                                      const Control& control);

}  // namespace stillhouse::training
