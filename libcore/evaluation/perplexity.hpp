// SPDX-License-Identifier: Apache-2.0
// Perplexity over windows of a text with its standard error, and the distance of two models
// on the same windows.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"

#include <optional>
#include <vector>

namespace stillhouse::evaluation {

/// An input of `length` tokens from `begin` on. The tokens at positions first_scored ... length of the text after
/// `begin` are scored: token begin + p is predicted from the p tokens before it in the window.
struct Window {
    Index begin = 0;
    Index length = 0;
    Index first_scored = 1;
};

/// Blocks at 0, S, 2S ... of at most `context` predicted tokens each and the same rule everywhere: a window scores what
/// the one before did not reach; the first token of the sequence, and of a block that has no context, is not scored.
/// With stride == context the last, incomplete block is left out, as the papers do; with overlap it is scored.
std::vector<Window> windows(Index tokens, Index context, Index stride);

/// The harness' rolling windows (lm-evaluation-harness): every token is scored, the first from `prefix`; the tokens
/// given here begin with that prefix. Full windows share one token, the last uses the last `context` tokens.
std::vector<Window> rolling_windows(Index tokens, Index context);

struct Scores {
    std::vector<double> window_nll;           // summed in each window, nats
    std::vector<Index> window_tokens;         // scored in each window
    std::vector<double> position_nll;         // summed by position in the window (predicted from that many tokens)
    std::vector<Index> position_tokens;
    // against another model, where one was given
    double kl = 0.0;                          // sum of KL(reference || model)
    Index agreements = 0;                     // both have the same first choice
    std::vector<double> reference_nll;        // summed in each window

    Index tokens() const;
    double mean() const;                      // nats a token
    double standard_error() const;            // of the mean, windows as the units of a ratio estimate
};
double ratio_standard_error(const std::vector<double>& sums, const std::vector<Index>& counts);

/// How a network is run over a window.
enum class Mode { parallel, recurrent, exact_original, exact_modes };

/// Scores `tokens` through `windows`; equal windows are batched, results do not depend on it. `reference` (may be null)
/// is run in parallel over the same windows and must have the same vocabulary.
template <class T>
Scores score(const models::Network<T>& network, Mode mode, const models::Network<T>* reference,
             const std::vector<Index>& tokens, const std::vector<Window>& windows, const Control& control);

}  // namespace stillhouse::evaluation
