// SPDX-License-Identifier: Apache-2.0
// States of sequences in files (--save-state, --load-state): written for one prompt or for each of many.
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "tools/adapters/generation/generation.hpp"

#include <map>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// What a state is of; a network of which any of it differs cannot go on from it.
struct StateOrigin {
    std::string model;                           // its fingerprint
    std::string precision;                       // "f32", or as "bf16, head int8"
    models::Execution execution = models::Execution::recurrent;
    Index layers = 0;
    Index vocabulary = 0;
};

/// Writes states in the order of their prompts, whatever the order in which they come: states.N.tokens (the last
/// tokens; attributes: how many there were, the hash of all, the place among the random numbers), states.N.logits,
/// states.N.layers.I.
class StateWriter {
public:
    StateWriter(formats::AtomicFile output, const StateOrigin& origin, Index sequences);
    void add(Index prompt, SavedState state);
    void finish();                               // all have come

private:
    void write(Index place, const SavedState& state);

    formats::StreamWriter writer_;
    Index sequences_ = 0;
    Index next_ = 0;
    std::map<Index, SavedState> early_;
};

/// All states of a file. Error{bad_data}: of another model, precision or execution, cut or damaged, or no states.
std::vector<SavedState> read_states(formats::StreamReader& reader, const StateOrigin& origin);

/// "recurrent", "exact", "exact, filters of the modes".
const char* name_of(models::Execution execution);

}  // namespace stillhouse::adapters
