// SPDX-License-Identifier: Apache-2.0
// A student without a gradient step: attention by lag becomes the filter, and one ridge solve a layer refits the
// output projection on the student's own stream (transformer-distillation.md 2.3-2.5).
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"

namespace stillhouse::training {

/// Teacher activations of sequences kept in memory, all layers: what --start-tokens bounds.
template <class T>
struct StartBatch {
    Index batch = 0;
    Index length = 0;
    std::vector<Index> tokens;                  // [batch, length]
    std::vector<Buffer<T>> residual;            // layers + 1 of [batch, length, D]: before each layer, after the last
};

struct ClosedStartReport {
    struct Layer {
        double explained_before = 0.0;          // 1 - relative MSE of the block's contribution, before the refit
        double explained_after = 0.0;
    };
    std::vector<Layer> layers;
};

/// `student` has the teacher's weights and random new mixers of the wanted configuration (initialize_mixer), and
/// still the teacher's attention weights of the replaced layers under "layers.i.attention." in `teacher_attention`.
/// Sets filters, gates, v and out; then refits layer by layer, in order, lambda = 1e-4 of the mean diagonal.
template <class T>
ClosedStartReport closed_start(models::Network<T>& student, const models::NetworkConfig& teacher,
                               const models::Parameters<T>& teacher_attention,
                               const std::vector<StartBatch<T>>& batches, const Control& control);

}  // namespace stillhouse::training
