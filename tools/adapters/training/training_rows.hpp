// SPDX-License-Identifier: Apache-2.0
// Rows of tokens to train on, from texts, token files or a model's own samples, and a text to validate on.
#pragma once

#include "libcore/models/network.hpp"
#include "libcore/training/end_to_end.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/text/samples.hpp"
#include "tools/adapters/evaluation/scored_text.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <memory>
#include <optional>

namespace stillhouse::adapters {

/// Where a training is in its rows: so many batches of the pass are used. Samples have one pass without an end, and
/// rows that were drawn ahead; they are kept, since the model they were drawn from may have changed since.
struct RowPosition {
    Index pass = 0;
    Index batch = 0;
    std::vector<Index> drawn;                    // [rows, context] for the batches from `batch` on
};

template <class T>
class TrainingRows {
public:
    enum class From { files, samples, nothing };      // nothing: for `validation` alone

    /// `sampler` is the network whose samples are drawn; it must outlive this. Errors as those of TokenSource.
    TrainingRows(TokenRequest request, const Texts& texts, const std::string& model, From from,
                 const models::Network<T>& sampler, std::uint64_t seed, const Notice& warn, TokenSource::Open open);

    const RowPosition& position() const { return position_; }
    /// A step has used what `next` gave: the position moves.
    void used();
    /// Goes on from a position, with files by reading past what lies before.
    void seek(RowPosition position);

    /// The next batch, of the next pass where one has ended and `again`; nothing at the end, or when a pass is empty.
    std::optional<training::TokenRows> next(bool again, const Control& control);

    /// Gradient steps of `accumulate` batches: as asked for, by steps or by tokens, else what the input holds (it is
    /// read once to count); -1 when it can be read only once.
    Index steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const;

    /// The first 64 windows of a text, at the context of the training; those of a token file are one token longer, so
    /// that a row of context + 1 is one input and all it predicts.
    ScoredText validation(const std::string& path) const;

private:
    const models::Tokenizer& tokenizer() const;
    training::TokenRows sample(const Control& control);

    TokenRequest request_;
    std::string model_;
    Notice warn_;
    TokenSource::Open open_;
    std::unique_ptr<models::Tokenizer> tokenizer_;
    std::unique_ptr<TokenSource> source_;
    std::unique_ptr<SampledRows<T>> samples_;
    NextBatch batches_;                          // of the present pass; null: to be begun
    RowPosition position_;
    Index pass_ = 0, batch_ = 0;                 // where the next batch is
};

}  // namespace stillhouse::adapters
