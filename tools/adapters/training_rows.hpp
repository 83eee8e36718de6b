// SPDX-License-Identifier: Apache-2.0
// Rows of tokens to train on, from texts, token files or a model's own samples, and a text to validate on.
#pragma once

#include "libcore/models/network.hpp"
#include "tools/adapters/model.hpp"
#include "tools/adapters/samples.hpp"
#include "tools/adapters/scored_text.hpp"
#include "tools/adapters/token_source.hpp"

#include <memory>
#include <optional>

namespace stillhouse::adapters {

template <class T>
class TrainingRows {
public:
    enum class From { files, samples };

    /// `sampler` is the network whose samples are drawn; it must outlive this. Errors as those of TokenSource.
    TrainingRows(TokenRequest request, const Texts& texts, const std::string& model, From from,
                 const models::Network<T>& sampler, std::uint64_t seed, const Notice& warn, TokenSource::Open open);

    /// Batches from the beginning. Samples go on where they ended: no row comes twice.
    NextBatch begin(const Control& control);

    /// Gradient steps of `accumulate` batches: as asked for, by steps or by tokens, else what the input holds (it is
    /// read once to count); -1 when it can be read only once.
    Index steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const;

    /// The first 64 windows of a text, at the context of the training.
    ScoredText validation(const std::string& path) const;

private:
    const models::Tokenizer& tokenizer() const;

    TokenRequest request_;
    std::string model_;
    TokenSource::Open open_;
    std::unique_ptr<models::Tokenizer> tokenizer_;
    std::unique_ptr<TokenSource> source_;
    std::unique_ptr<SampledRows<T>> samples_;
};

}  // namespace stillhouse::adapters
