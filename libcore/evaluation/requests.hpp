// SPDX-License-Identifier: Apache-2.0
// Log-likelihoods of continuations given their contexts: what multiple choice and last-word tasks are made of.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/evaluation/perplexity.hpp"
#include "libcore/models/network.hpp"

#include <vector>

namespace stillhouse::evaluation {

struct Request {
    std::vector<Index> context;          // at least one token
    std::vector<Index> continuation;     // at least one token
};

struct RequestScore {
    double log_likelihood = 0.0;         // sum over the continuation of log p(token | all before), nats
    bool greedy = false;                 // every token of it is the model's first choice
    Index tokens = 0;                    // of the continuation
    Index dropped = 0;                   // tokens cut off the left, so that the input has no more than max_length
};

/// Requests that belong together (the choices of one question); what their inputs begin with in common is computed
/// once.
using RequestGroup = std::vector<Request>;

/// Error{bad_data}: a continuation that is longer than max_length.
void check_length(const Request& request, Index max_length);

/// The input of a request is the last max_length + 1 tokens of context and continuation without the very last; the
/// softmax is over all logits. Groups are batched by length. No bit of a score depends on what else is scored: not on
/// the batch, nor on whether a beginning was shared. `mode` as in `score`; with Mode::parallel only networks of
/// attention alone share beginnings (a transform of another length rounds otherwise).
/// Cost: one pass over the distinct tokens, and the head on scored positions only.
template <class T>
std::vector<std::vector<RequestScore>> score_requests(const models::Network<T>& network, Mode mode,
                                                      const std::vector<RequestGroup>& groups, Index max_length,
                                                      const Control& control);

}  // namespace stillhouse::evaluation
