// SPDX-License-Identifier: Apache-2.0
// Texts and token files as what an evaluation scores.
#pragma once

#include "libcore/evaluation/encoding.hpp"
#include "libcore/evaluation/perplexity.hpp"
#include "libcore/evaluation/wikitext.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

struct ScoredText {
    std::vector<Index> tokens;                   // of all documents, one after the other
    std::vector<evaluation::Window> windows;     // none reaches over a document's border
    std::vector<Index> document_windows;         // how many of them each document has
    Index documents = 0;
    Index longest = 0;                           // tokens of the longest document
    Index encoded = 0;                           // tokens of the texts, prefixes not among them
    Index words = 0;                             // pieces between white space; 0 for token files
    Index bytes = 0;                             // of UTF-8; 0 for token files
};

struct ScoredTextOptions {
    Index context = 0;
    Index stride = 0;
    Token prefix = -1;                           // >= 0: stands before every window without context, so all is scored
    Index limit = -1;                            // tokens of each document; -1: all
};

/// Each text is a document, encoded without the special tokens that the tokenizer adds. Error{bad_data}: no token to
/// score.
ScoredText scored_texts(const std::vector<std::string>& texts, const models::Tokenizer& tokenizer,
                        const ScoredTextOptions& options);

/// A token file (token_source.hpp), each row of a 2-D one a document. Error{bad_data}: as above, and what is in the
/// file.
ScoredText scored_tokens(const std::string& path, Index vocabulary, const ScoredTextOptions& options,
                         const TokenSource::Open& open);

/// Pages of WikiText, detokenised, in the rolling windows of the harness; words and bytes are those of the pages as
/// they stand in the file.
ScoredText scored_pages(const std::vector<evaluation::Page>& pages, const evaluation::PairEncoder& encoder,
                        Index context);

/// The bytes of each file. Error{io}.
std::vector<std::string> read_files(const std::vector<std::string>& paths, const TokenSource::Open& open);
/// Those of texts, as text_check.hpp looks at them.
std::vector<std::string> read_text_files(const std::vector<std::string>& paths, const TokenSource::Open& open,
                                         const TokenSource::Notice& notice);

}  // namespace stillhouse::adapters
