// SPDX-License-Identifier: Apache-2.0
// An end-to-end training as a checkpoint, and back.
#pragma once

#include "tools/adapters/checkpoint.hpp"
#include "tools/adapters/training/training_rows.hpp"
#include "tools/adapters/training/tuning.hpp"

namespace stillhouse::adapters {

/// All that an end-to-end training needs beside its model and its data: the trained weights, their moments, average and
/// best, the losses and looks so far. Where it is in the data is the record's affair.
template <class T>
struct TuningState {
    models::Network<T>& network;
    const std::vector<std::string>& trained;     // names of weights
    training::EndToEndTrainer<T>& trainer;
    Tuned<T>& done;
};

/// Keys of the record that must agree, and what the user calls them; with a teacher, with stored logits.
std::vector<std::pair<std::string, std::string>> same_tuning(bool teacher, bool dump);

/// `record`: what a later run has to agree with. Views into the state and `rows`.
template <class T>
CheckpointContent checkpoint_of(const TuningState<T>& state, formats::Map record, const RowPosition& rows);

/// Returns where the rows go on. Error{bad_data} naming the tensor that is missing or of another shape.
template <class T>
RowPosition put_back(const Checkpoint& from, TuningState<T> state);

}  // namespace stillhouse::adapters
