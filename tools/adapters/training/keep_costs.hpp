// SPDX-License-Identifier: Apache-2.0
// Which layers or heads of a teacher cost most to replace, measured one at a time on its own activations.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/training/targets.hpp"
#include "tools/adapters/training/student.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

struct ReplacementCost {
    Index layer = 0;
    Index head = -1;                             // -1: the whole layer
    double kl = 0.0;                             // KL(teacher || student), nats a token
    /// As --keep takes it.
    std::string item() const
    {
        return std::to_string(layer) + (head < 0 ? std::string() : ":" + std::to_string(head));
    }
};

/// The first n layers and heads of such a list, layers before heads.
std::vector<ReplacementCost> costliest(const std::vector<ReplacementCost>& costs, Index n);

/// A line each, then what --keep would be given to keep them.
std::string cost_table(const std::vector<ReplacementCost>& costs);

/// For each layer and each head the divergence of a student in which it alone is replaced, by the closed start of
/// `options`: fitted on the first half of the batches, measured on the rest (with one batch: on the same). Costliest
/// first, layers before heads. `weights`: the whole teacher. Cost: layers (1 + heads) closed starts of one layer.
template <class T>
std::vector<ReplacementCost> replacement_costs(const models::NetworkConfig& teacher,
                                               const models::Parameters<T>& weights, const StudentOptions& options,
                                               std::vector<training::Activations<T>> batches, std::uint64_t seed,
                                               compute::Operations<T>& ops, const Control& control);

}  // namespace stillhouse::adapters
