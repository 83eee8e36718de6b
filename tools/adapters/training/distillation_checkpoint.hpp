// SPDX-License-Identifier: Apache-2.0
// A layer-wise training as a checkpoint, and back.
#pragma once

#include "tools/adapters/checkpoint.hpp"
#include "tools/adapters/training/distillation.hpp"

namespace stillhouse::adapters {

/// All that a layer-wise training needs beside its input: the weights and moments of the new mixers, the place in the
/// dump, losses and the reports of the start. The frozen rest comes with the input again.
template <class T>
struct DistillationState {
    models::Network<T>& student;
    training::LayerwiseTrainer<T>& trainer;
    typename Distillation<T>::Progressed& done;
    std::vector<training::LayerReport>& start;
};

/// Keys of the record that must agree, and what the user calls them. `file`: content_key of the input; a file may go on
/// where a pipe began, and a pipe with a part of the input where a file did.
std::vector<std::pair<std::string, std::string>> same_distillation(const Checkpoint& from, const std::string& file);

FirstBatch first_batch(const Checkpoint& from);

/// `record`: what a later run has to agree with. Views into the state.
template <class T>
CheckpointContent checkpoint_of(const DistillationState<T>& state, formats::Map record, FirstBatch first);

/// Error{bad_data} naming the tensor that is missing or of another shape.
template <class T>
void put_back(const Checkpoint& from, DistillationState<T> state);

}  // namespace stillhouse::adapters
