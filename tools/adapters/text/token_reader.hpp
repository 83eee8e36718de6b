// SPDX-License-Identifier: Apache-2.0
// The tokens of documents one stretch after another: what TokenSource cuts into rows.
#pragma once

#include "tools/adapters/text/token_source.hpp"

#include <memory>
#include <vector>

namespace stillhouse::adapters {

class TokenReader {
public:
    virtual ~TokenReader() = default;
    /// Appends some tokens of the current document to `to`, checked against the vocabulary; `ends`: the document is
    /// complete. False, with nothing appended, when all documents are done.
    virtual bool read(std::vector<Index>& to, bool& ends) = 0;
};

/// `notice` may be empty.
std::unique_ptr<TokenReader> read_texts(const TokenRequest& request, const models::Tokenizer& tokenizer,
                                        const TokenSource::Notice& notice, const TokenSource::Open& open);
/// By suffix: .u16, .u32, .npy.
std::unique_ptr<TokenReader> read_token_file(const TokenRequest& request, const TokenSource::Open& open);
bool is_token_file_name(const std::string& path);
/// Error{bad_argument}
void require_token_file_name(const std::string& path);

}  // namespace stillhouse::adapters
