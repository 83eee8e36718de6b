// SPDX-License-Identifier: Apache-2.0
// Gradient steps of the whole network on its logits.
#pragma once

#include "libcore/models/network.hpp"
#include "libcore/training/adamw.hpp"
#include "libcore/training/stored_logits.hpp"

#include <string>
#include <vector>

namespace stillhouse::training {

/// Equally long rows of tokens, and what a teacher said of them where it is not run beside.
struct TokenRows {
    Index batch = 0;
    Index length = 0;
    std::vector<Index> tokens;           // [batch, length]
    TeacherLogits teacher = {};          // of batch * length rows; empty: none
};

struct EndToEndOptions {
    LogitLoss loss = LogitLoss::ce;
    Schedule rate;
    AdamWOptions adamw;
    double clip = 1.0;
    double dropout = 0.0;                // of the embedding and of what mixers and MLPs add to the stream
    std::uint64_t seed = 0;              // of the dropout
    double average = 0.0;                // decay of the exponential moving average of the weights; 0: none
};

/// Rows of `n` whose logits exist at a time.
Index head_rows(Index n, Index vocabulary);

/// Position t of a row predicts token t + 1; the last position has no target and is left out of every loss.
template <class T>
class EndToEndTrainer {
public:
    /// `trained`: names of weights. Error{bad_argument} when it is empty or a name is not a weight of the network.
    EndToEndTrainer(models::Network<T>& network, const std::vector<std::string>& trained, EndToEndOptions options);

    /// One step on all pieces together; mean loss a token before it. Every loss but ce needs `teacher`, or the logits
    /// in the rows, and as many columns. Error{bad_data} when the loss is not finite.
    double step(const std::vector<TokenRows>& pieces, const models::Network<T>* teacher);

    Index steps() const { return steps_; }
    /// What a checkpoint keeps beside the weights: put back, the next step is bit for bit the one that would have come.
    AdamW<T>& optimizer() { return optimizer_; }
    models::Parameters<T>& average() { return average_; }                // empty without an average
    void resume_at(Index steps);         // after weights, moments and average were put back
    /// Puts the averaged weights into the network (no effect without an average).
    void use_average();

private:
    double accumulate(const TokenRows& rows, const models::Network<T>* teacher, double total, Index tokens_before);

    models::Network<T>& network_;
    EndToEndOptions options_;
    models::Parameters<T> gradient_;
    AdamW<T> optimizer_;
    models::Parameters<T> average_;
    std::vector<models::LayerTape<T>> tapes_;           // their memory stays from step to step
    Index steps_ = 0;
};

}  // namespace stillhouse::training
