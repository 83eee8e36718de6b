// SPDX-License-Identifier: Apache-2.0
// (context, continuation) as ids, by the rules of lm-evaluation-harness.
#pragma once

#include "libcore/evaluation/requests.hpp"
#include "libcore/models/tokenizer.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::evaluation {

/// All white space that ends the context moves to the front of the continuation. Both ids(context) and ids(context +
/// continuation) are taken, with what the tokenizer adds unless the text begins with the prefix token's own text; the
/// continuation is what the joint text has after as many ids as the context alone (where the joint text merges across
/// the cut, a prefix is dropped). An empty context is the prefix token; the continuation is then encoded by itself, and
/// if it begins with the prefix token, that is the context.
class PairEncoder {
public:
    /// prefix: the model's first token, else the token that ends its texts; -1 where it names neither.
    PairEncoder(const models::Tokenizer& tokenizer, Token prefix);

    /// Error{bad_data}: a continuation without tokens, an empty context of a model without a prefix token.
    Request pair(std::string_view context, std::string_view continuation) const;

    /// A whole text to be scored from the prefix token on: that token, then ids(text), in which some tokenizers put
    /// the prefix token again. Error{bad_data} where the model has no prefix token.
    std::vector<Index> rolling(std::string_view text) const;

    /// Ids of a text, special tokens added as said above.
    std::vector<Index> encode(std::string_view text) const;

private:
    Index prefix() const;

    const models::Tokenizer& tokenizer_;
    Token prefix_;
    std::string prefix_text_;
};

}  // namespace stillhouse::evaluation
