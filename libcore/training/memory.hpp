// SPDX-License-Identifier: Apache-2.0
// What a training needs of memory, counted before it begins.
#pragma once

#include "libcore/training/end_to_end.hpp"
#include "libcore/training/layerwise.hpp"

namespace stillhouse::training {

/// Bytes, by what they are for; the greatest of the phases counts. The resident memory of a process stays below this
/// and a tenth more, and comes to three quarters of it.
struct MemoryPlan {
    double program = 24.0 * 1024 * 1024; // with its tables, a tokenizer, and buffers of input and output
    double weights = 0.0;
    double moments = 0.0;                // gradients, both moments, average and best weights
    double activations = 0.0;            // tapes, the streams, and what a backward adds
    double logits = 0.0;
    double data = 0.0;                   // batches of a dump that are read or kept

    double total() const { return program + weights + moments + activations + logits + data; }
};

/// The shape of a step's piece.
struct PieceShape {
    Index batch = 0;
    Index length = 0;
};

/// A run of EndToEndTrainer on pieces of this shape; `teacher` null: none is run beside. `copies`: sets of the trained
/// weights beside gradient and moments (average, best).
template <class T>
MemoryPlan end_to_end_memory(const models::Network<T>& student, const std::vector<std::string>& trained,
                             const models::Network<T>* teacher, PieceShape piece, Index copies);

/// A closed start on `start_tokens` tokens (0: none), then LayerwiseTrainer. `teacher_numbers`: of all its weights.
template <class T>
MemoryPlan layerwise_memory(const models::NetworkConfig& student, Index teacher_numbers,
                            const LayerwiseOptions& options, PieceShape piece, Index start_tokens);

}  // namespace stillhouse::training
