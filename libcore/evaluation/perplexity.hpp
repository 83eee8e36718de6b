// SPDX-License-Identifier: Apache-2.0
// Perplexity over windows of a text, with its standard error (transformer-distillation.md 3.4, 3.5).
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"

namespace stillhouse::evaluation {

struct Window {
    Index begin = 0;          // first token of the input
    Index length = 0;         // tokens of the input
    Index scored_from = 0;    // first position within the input whose NEXT token is scored
};

/// Windows begin at 0, S, 2S ...; each scores what the one before did not reach; the first token of a sequence, and of
/// a block that has no context, is not scored. The last, incomplete block is left out only when stride == context
/// (as the papers do); with overlap it is scored.
std::vector<Window> windows(Index tokens, Index context, Index stride);

struct Scores {
    std::vector<double> nll;          // of every scored token, in order
    std::vector<double> block_nll;    // sum in each window
    std::vector<Index> block_tokens;
    double mean() const;              // nats a token
    double standard_error() const;    // of the mean, over blocks
};

}  // namespace stillhouse::evaluation
