// SPDX-License-Identifier: Apache-2.0
// Texts and token files as numbered batches, in memory that does not grow with them: what teacher-dump, layer-distill,
// fine-tune and evaluate share.
#pragma once

#include "formats/fd.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/text/token_batch.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// The tokenizer in the text of a tokenizer.json. Error{bad_data} naming the model when there is none (empty text) or
/// it is damaged, Error{unsupported} when it is of another kind.
models::Tokenizer make_tokenizer(std::string_view tokenizer_json, const std::string& model);

/// What is read, and how it becomes batches.
///
/// Documents: each text file is one, encoded as Tokenizer::encode does (special tokens added, once a file); a raw token
/// file (.u16, .u32, little-endian) or 1-D .npy is one; each row of a 2-D .npy is one. Only the first `limit` tokens of
/// all documents together are read.
/// Rows: a document is cut every `context` tokens; its last row may be shorter. Nothing is padded.
/// Batches: consecutive rows of equal length, at most `batch` of them; a row of another length begins the next batch.
/// So a text gives batches [batch, context], then one of the full rows that are left, then one of the short last row.
/// With `shuffle` full rows take turns as RowPool draws them and shorter ones come last; `limit` then counts tokens in
/// that order. Neighbouring rows of a text are much alike, and a gradient or a fit from a few of them is a poor one.
/// Numbers count from 0 and depend on nothing but the tokens and what is asked for here.
struct TokenRequest {
    std::vector<std::string> text;               // files, "-" is standard input
    std::string tokens;                          // or one token file
    Index context = 1024;
    Index batch = 8;
    Index limit = -1;                            // tokens; -1: all
    Index vocabulary = 0;                        // ids must be below
    Index shuffle = 0;                           // rows of the pool; 0: in their order
    std::uint64_t seed = 0;                      // of the shuffle
};

/// Error{bad_data} when more batches are to be left out than there are (as many leave nothing, which is right where a
/// reader that has had them all goes on).
void require_batches(Index skip, Index there);

class TokenSource {
public:
    using Notice = std::function<void(const std::string&)>;
    using Open = std::function<formats::Fd(const std::string&)>;

    /// `tokenizer` (which must outlive the source and its batches) may be null where there is no text. `notice` hears,
    /// once, where a text is no UTF-8 (text_check.hpp), and of a text without a row as long as the context.
    /// Error{bad_argument}: neither or both inputs, standard input twice, a token file of unknown suffix.
    TokenSource(TokenRequest request, const models::Tokenizer* tokenizer, Notice notice,
                Open open = formats::Fd::open_input);

    /// How many batches there are: reads everything once. Error{bad_argument} when something can be read only once (a
    /// pipe): shards need files. Other errors as those of batches.
    Index total() const;

    /// The batches of a range. What lies before is read (and encoded) and dropped. Error{bad_data}: no tokens at all;
    /// an id outside the vocabulary (file, position, id); a token file that is damaged, of other than integers, or has
    /// more than two dimensions. Error{io}.
    NextBatch batches(BatchRange range = {}) const;

    /// batches of the part-th of `parts` equal consecutive parts (counted from 1) of what `skip` leaves; parts > 1
    /// needs the first pass of `total`.
    NextBatch share(Index skip, Index part, Index parts) const;

private:
    struct Shared;
    std::shared_ptr<const Shared> shared_;
};

}  // namespace stillhouse::adapters
