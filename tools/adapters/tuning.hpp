// SPDX-License-Identifier: Apache-2.0
// End-to-end training from batches of tokens, with a look at a validation text now and then.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/training/end_to_end.hpp"
#include "tools/adapters/model.hpp"
#include "tools/adapters/scored_text.hpp"
#include "tools/adapters/token_batch.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Weights of the network that `train` names (globs; none: all that are trained by default) and `freeze` does not.
/// Error{bad_argument} when a glob matches no weight.
std::vector<std::string> trained_names(const models::NetworkConfig& config, const std::vector<std::string>& train,
                                       const std::vector<std::string>& freeze);

struct TuningPlan {
    Index steps = -1;                            // at most; -1: to the end of the batches
    Index accumulate = 1;
    std::optional<ScoredText> valid;             // looked at before, ten times on the way, and after
    Index patience = 0;                          // looks without a lower perplexity before it ends; 0: never
};
struct Tuned {
    Index steps = 0;
    Index tokens = 0;
    double first_loss = 0.0, last_loss = 0.0;    // means over the first and the last tenth
    std::vector<std::pair<Index, double>> valid; // step, perplexity
};

/// `begin` is asked for the batches, and for them again when they have ended before the last of plan.steps. With
/// patience the weights of the best look are put back at the end. `say` hears of each look.
template <class T>
Tuned tune(models::Network<T>& network, training::EndToEndTrainer<T>& trainer, const models::Network<T>* teacher,
           const std::function<NextBatch()>& begin, const TuningPlan& plan,
           const std::function<void(const std::string&)>& say, const Control& control);

/// The trained network in the place of the model it came from, then a note {about, steps, tokens, loss_first,
/// loss_last, valid}; finishes the stream. `changed`: names of weights, or empty for all.
template <class T>
void write_tuned(formats::StreamWriter writer, const Model<T>& model, models::Network<T>& network,
                 const std::vector<std::string>& changed, const Tuned& done);

}  // namespace stillhouse::adapters
