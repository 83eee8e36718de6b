// SPDX-License-Identifier: Apache-2.0
// Whether the memory that generation needs is there.
#pragma once

#include "libcore/compute/packed.hpp"
#include "libcore/models/config.hpp"
#include "libcore/models/mixer.hpp"

#include <optional>
#include <string_view>

namespace stillhouse::adapters {

/// How a network is held: the bytes of a number of what is not packed, and of what is.
struct NetworkFormat {
    bool doubles = false;
    compute::WeightFormat layers = compute::WeightFormat::f32;
    compute::WeightFormat head = compute::WeightFormat::f32;
};

/// Past inputs that exact executions keep, of so many tokens of each sequence; none by recurrences.
struct PastInputs {
    models::Execution execution = models::Execution::recurrent;
    Index tokens = 0;
    bool handed_over = false;              // to a recurrence, behind a prompt
};

/// What the words of generate(1) ask for, as far as they say it without the weights: `auto` and a prompt that is
/// scanned are taken for a recurrence. `length`: of the longest prompt and what follows it.
PastInputs past_inputs(std::string_view mode, std::string_view filters, std::string_view prefill, Index prompt,
                       Index length);

/// Their bytes in all layers of a batch, with the responses of modes and what a hand-over takes at a time.
Index past_bytes(const models::NetworkConfig& config, bool doubles, Index batch, const PastInputs& past);

/// Bytes that loading and running a model takes at most: weights while they are packed, states and logits of a batch,
/// activations of a prefill, caches of `length` positions where there is attention, and past inputs.
Index memory_needed(const models::NetworkConfig& config, NetworkFormat format, Index batch, Index length,
                    const PastInputs& past = {});

/// Bytes that this process may still take: of the machine, of its control group, of its address space; the least.
/// Nothing where the system does not say.
std::optional<Index> memory_available();

/// Error{resource} when `needed` is more than there is, saying both.
void check_memory(Index needed);

}  // namespace stillhouse::adapters
