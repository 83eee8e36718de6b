// SPDX-License-Identifier: Apache-2.0
// Continuing prompts: prefill, then token by token, until length, end of text or a stop text.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/sampling.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/model_config.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

struct GenerationOptions {
    Index tokens = 128;                          // at most, of each prompt
    bool ignore_end = false;                     // go on after the end of text
    std::vector<std::string> stops;              // a text that ends the continuation and is not part of it
    models::Sampling sampling;
    std::uint64_t seed = 0;
    bool logprobs = false;
    Index batch = 8;
    models::Execution execution = models::Execution::recurrent;
};

enum class End { length, end_of_text, stop };
const char* name_of(End end);                    // "length", "end_of_text", "stop"

struct Prompt {
    Index number = 0;                            // decides which random numbers its continuation takes
    std::vector<Index> ids;
};

/// The end-of-text token and the stop text are not part of it.
struct Continuation {
    Index number = 0;
    std::vector<Token> ids;
    std::string text;                            // empty without a tokenizer
    std::vector<double> logprobs;                // natural, over the whole vocabulary at temperature 1
    End end = End::length;
    bool context_full = false;                   // ended because attention has no more positions
};

struct GenerationStats {
    Index prefill_tokens = 0;
    double prefill_s = 0.0;
    Index decode_tokens = 0;
    double decode_s = 0.0;
    Index state_bytes = 0;                       // of one sequence at its longest
};

/// One sequence at rest: its tokens, the state behind them, the logits that the next token is drawn from.
struct SavedState {
    models::Execution execution = models::Execution::recurrent;
    std::vector<Index> tokens;
    std::uint64_t drawn = 0;                     // words of the random generator used so far
    std::vector<std::vector<std::byte>> layers;
    std::vector<double> logits;
};

/// Positions after which attention layers (or kept heads) cannot go on; -1 when nothing limits the length.
Index context_limit(const models::NetworkConfig& config);

template <class T>
class Generator {
public:
    /// tokenizer may be null: ids alone. The network must outlive it.
    Generator(const models::Network<T>& network, const models::Tokenizer* tokenizer, SpecialTokens special,
              GenerationOptions options);

    /// Pieces of the text of a lone prompt as they become certain.
    using Sink = std::function<void(const std::string& piece, Token id)>;

    /// Continues every prompt; results in the order given. Prompts of equal length share a batch; a text depends
    /// neither on the batch nor on its neighbours. `each` (may be empty) receives results as soon as they and those
    /// before them are there. Error{bad_data} naming a prompt that is empty, longer than the context, or has foreign
    /// ids.
    void run(const std::vector<Prompt>& prompts, const std::function<void(const Continuation&)>& each,
             const Control& control);

    /// One prompt, shown as it comes, from `from` when given (the prompt then continues its text and may be empty),
    /// leaving its state in `to` when given.
    Continuation run_one(const Prompt& prompt, const Sink& sink, const SavedState* from, SavedState* to,
                         const Control& control);

    const GenerationStats& stats() const { return stats_; }

private:
    struct Row;
    std::vector<Continuation> run_batch(const std::vector<const Prompt*>& prompts, const Sink& sink,
                                        const SavedState* from, SavedState* to, const Control& control);
    void prefill(const std::vector<const Prompt*>& prompts, models::NetworkState& state, Matrix<T> logits,
                 const Control& control);
    void choose(std::vector<Row>& rows, Matrix<const T> logits) const;
    bool accept(Row& row, const Sink& sink, Index limit) const;

    const models::Network<T>& network_;
    const models::Tokenizer* tokenizer_;
    SpecialTokens special_;
    GenerationOptions options_;
    std::vector<bool> allowed_;
    GenerationStats stats_;
};

}  // namespace stillhouse::adapters
