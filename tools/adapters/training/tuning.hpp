// SPDX-License-Identifier: Apache-2.0
// End-to-end training from batches of tokens, with a look at a validation text now and then.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/training/end_to_end.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/evaluation/scored_text.hpp"
#include "tools/adapters/training/training_rows.hpp"
#include "tools/adapters/training/training_watch.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Weights of the network that `train` names (globs; none: all that are trained by default) and `freeze` does not.
/// Error{bad_argument} when a glob matches no weight.
std::vector<std::string> trained_names(const models::NetworkConfig& config, const std::vector<std::string>& train,
                                       const std::vector<std::string>& freeze);

/// Error{bad_data} when their logits cannot be compared.
void check_teacher(const models::NetworkConfig& teacher, const models::NetworkConfig& student);

/// Lags of the longest filter of all layers; 0: there is none.
Index longest_filter(const models::NetworkConfig& config);
/// Error{bad_argument} when rows of `context` tokens exceed the positions of an attention of this network, the `who`.
void check_positions(Index context, const models::NetworkConfig& config, const std::string& who);

struct TuningPlan {
    Index steps = -1;                            // at most; -1: to the end of the batches
    Index accumulate = 1;
    std::optional<ScoredText> valid;             // looked at before, ten times on the way, and after
    Index patience = 0;                          // looks without a lower perplexity before it ends; 0: never
    std::function<double(Index)> rate;           // of a step, for the log
};
template <class T>
struct Tuned {
    Index steps = 0;
    Index tokens = 0;
    std::vector<double> losses;                  // before each step
    std::vector<std::pair<Index, double>> valid; // step, perplexity
    models::Parameters<T> best;                  // with patience: the weights of the lowest perplexity
    Index best_look = -1;                        // its place in `valid`

    bool looked() const { return !valid.empty() && valid.back().first == steps; }
    Index looks_since_best() const { return static_cast<Index>(valid.size()) - 1 - best_look; }
};

/// The rows of a training: the next batch (`again` when the data may begin anew), and what has been given is used.
struct RowFeed {
    std::function<std::optional<training::TokenRows>(bool again)> next;
    std::function<void()> used;
    std::function<const RowPosition&()> position;
    std::function<void(RowPosition)> seek;
};
template <class Rows>
RowFeed feed_of(Rows& rows, const Control& control)
{
    return {[&rows, control](bool again) { return rows.next(again, control); }, [&rows] { rows.used(); },
            [&rows]() -> const RowPosition& { return rows.position(); },
            [&rows](RowPosition position) { rows.seek(std::move(position)); }};
}

/// Goes on with `done`; batches begin anew where they have ended before the last of plan.steps. After each step `done`
/// is whole and `watch` hears. With patience the weights of the best look are put back at the end. `say` hears of each
/// look.
template <class T>
void tune(models::Network<T>& network, training::EndToEndTrainer<T>& trainer, const models::Network<T>* teacher,
          const RowFeed& feed, const TuningPlan& plan, Tuned<T>& done, TrainingWatch& watch,
          const std::function<void(const std::string&)>& say, const Control& control);

/// The trained network in the place of the model it came from, then a note {about, steps, tokens, loss_first,
/// loss_last, valid}; finishes the stream. `changed`: names of weights, or empty for all.
template <class T>
void write_tuned(formats::StreamWriter writer, const Model<T>& model, models::Network<T>& network,
                 const std::vector<std::string>& changed, const Tuned<T>& done);

}  // namespace stillhouse::adapters
