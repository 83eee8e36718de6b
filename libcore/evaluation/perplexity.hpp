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

/// Windows of at most `context` tokens at 0, S, 2S ...; each scores what the one before did not reach. The first token
/// of the sequence, and of a window that has no context (stride == context), is not scored; nor is a last window of one
/// token.
std::vector<Window> windows(Index tokens, Index context, Index stride);

/// The harness' rolling windows (lm-evaluation-harness): every token is scored, the first from `prefix`; the tokens
/// given here begin with that prefix. Full windows share one token, the last uses the last `context` tokens.
std::vector<Window> rolling_windows(Index tokens, Index context);

struct Scores {
    std::vector<double> window_nll;           // summed in each window, nats
    std::vector<Index> window_tokens;         // scored in each window
    std::vector<double> position_nll;         // summed by position in the window (predicted from that many tokens)
    std::vector<Index> position_tokens;
    // against another model, where one was given, summed in each window
    std::vector<double> reference_nll;
    std::vector<double> kl;                   // of KL(reference || model), nats
    std::vector<double> agreements;           // both have the same first choice

    Index tokens() const;
    double mean() const;                      // nats a token
    double standard_error() const;            // of the mean, windows as the units of a ratio estimate
};
/// Of sum(sums) / sum(counts), the pairs being independent; NaN where there are fewer than two.
double ratio_standard_error(const std::vector<double>& sums, const std::vector<Index>& counts);
double total(const std::vector<double>& values);

/// parallel: attention, and convolutions with their filters, over the whole window at once;
/// recurrent: convolutions by their recurrence, token after token, as generation runs them.
enum class Mode { parallel, recurrent };

/// Scores `tokens` through `windows`; equal windows are batched, results do not depend on it. `reference` (may be null)
/// is run in parallel over the same windows and must have the same vocabulary.
template <class T>
Scores score(const models::Network<T>& network, Mode mode, const models::Network<T>* reference,
             const std::vector<Index>& tokens, const std::vector<Window>& windows, const Control& control);

}  // namespace stillhouse::evaluation
