// SPDX-License-Identifier: Apache-2.0
// Continuing prompts: prefill, then token by token, until length, end of text or a stop text.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/sampling.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

struct GenerationOptions {
    Index tokens = 128;                          // at most, of each prompt
    bool ignore_end = false;                     // go on after the end of text
    std::vector<std::string> stops;              // a text that ends the continuation and is not part of it; UTF-8
    models::Sampling sampling;
    std::uint64_t seed = 0;
    bool logprobs = false;
    Index batch = 8;
    models::Execution execution = models::Execution::recurrent;
    bool exact_prefill = false;                  // a recurrence begins with what the filters make of the prompt
};

enum class End { length, end_of_text, stop };
const char* name_of(End end);                    // "length", "end_of_text", "stop"

/// One sequence at rest: the state behind its tokens and the logits that the next one is drawn from. Of the tokens
/// themselves only how many they were, a hash of all of them, and the last few, for the sake of a character that they
/// leave unfinished.
struct SavedState {
    static constexpr std::size_t tail_tokens = 64;

    models::Execution execution = models::Execution::recurrent;
    Index number = 0;                            // of the prompt: decides which random numbers are taken
    std::uint64_t drawn = 0;                     // words of the random generator used so far
    Index count = 0;
    std::uint64_t prefix = 0xcbf29ce484222325U;  // FNV-1a over the ids, 32 bits each
    std::vector<Token> tail;                     // at most tail_tokens
    std::vector<std::vector<std::byte>> layers;
    std::vector<double> logits;

    void add(const Token* ids, Index n);         // to count, prefix and tail
};

struct Prompt {
    Index number = 0;                            // decides which random numbers its continuation takes
    std::vector<Token> ids;
    const SavedState* from = nullptr;            // the prompt continues its text and may be empty
};

/// The end-of-text token and the stop text are not part of it.
struct Continuation {
    Index number = 0;
    std::vector<Token> ids;
    std::string text;                            // empty without a tokenizer
    std::vector<double> logprobs;                // natural, over the whole vocabulary at temperature 1
    std::vector<double> margins;                 // of the likeliest token's over the second's
    End end = End::length;
    bool context_full = false;                   // ended because attention has no more positions
};

struct GenerationStats {
    Index prefill_tokens = 0;
    double prefill_s = 0.0;
    Index decode_tokens = 0;
    Index steps = 0, stepped_tokens = 0;         // a step takes one token of each sequence under way
    double decode_s = 0.0;                       // of the steps and of drawing
    double first_token_s = 0.0;                  // since the program began
    Index state_bytes = 0;                       // of one sequence at its longest
};

/// Positions after which attention layers (or kept heads) cannot go on; -1 when nothing limits the length.
Index context_limit(const models::NetworkConfig& config);

/// Seconds since the program was loaded.
double seconds_since_start();

template <class T>
class Generator {
public:
    /// tokenizer may be null: ids alone. The network must outlive it.
    Generator(const models::Network<T>& network, const models::Tokenizer* tokenizer, SpecialTokens special,
              GenerationOptions options);

    /// What becomes of the results; each may be empty.
    struct Receiver {
        /// Pieces of the text of a lone prompt as they become certain: whole characters.
        std::function<void(const std::string& piece)> piece;
        std::function<void(const Continuation&)> each;
        /// The state behind the prompt and its continuation, up to a stop text or an end that was drawn.
        std::function<void(Index prompt, SavedState)> save;
    };

    /// Continues every prompt; `each` and `save` are told as soon as one is at its end, whatever its place; the next
    /// prompt begins as soon as another ends. Neither a text nor a state depends on the batch or on its neighbours.
    void run(const std::vector<Prompt>& prompts, const Receiver& receiver, const Control& control);

    const GenerationStats& stats() const { return stats_; }

private:
    struct Row;
    struct Run;                                  // of one call of `run`
    using Waiting = std::deque<const Prompt*>;

    Row begin_row(const Prompt& prompt, bool saves) const;
    void begin(Run& run, Waiting& waiting);
    void begin_together(Run& run, const std::vector<const Prompt*>& prompts);
    void prefill(const std::vector<const Prompt*>& prompts, models::NetworkState& state, Matrix<T> logits,
                 const Control& control);
    void join(Run& run, models::NetworkState state, std::vector<Row> rows);
    bool few_suffice(const Run& run) const;
    void step(Run& run);
    void draw(std::vector<Row>& rows, Matrix<const T> logits) const;
    bool accept(Row& row, const Receiver& receiver) const;
    std::size_t stop_in(const std::string& text, std::size_t before) const;
    std::size_t certain(const std::string& text) const;
    bool finish_drawn(Run& run, Row& row, const models::NetworkState& state, Index place, const T* logits);
    void finish(Run& run, Row& row, const models::NetworkState& state, Index place, const T* logits);
    SavedState keep(const Row& row, const models::NetworkState& state, Index place, const T* logits) const;

    const models::Network<T>& network_;
    const models::Tokenizer* tokenizer_;
    SpecialTokens special_;
    GenerationOptions options_;
    models::Drawable allowed_;
    std::size_t longest_stop_ = 0;
    GenerationStats stats_;
};

}  // namespace stillhouse::adapters
