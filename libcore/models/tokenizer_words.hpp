// SPDX-License-Identifier: Apache-2.0
// From stretches of normalised text to ids: pieces, words too long to wait for, merges. Internal to the tokenizer.
#pragma once

#include "libcore/models/tokenizer_scan.hpp"
#include "libcore/models/tokenizer_tables.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::models {

/// Encodes words: whole ones, or one that arrives in pieces. Such a word is cut between units that no product of a
/// merge holds side by side, and where there is no such pair for long, by a Chain.
class WordEncoder {
public:
    /// Words, or what lies between two cuts, of more than `patience` bytes go through a Chain.
    WordEncoder(const TokenizerTables& tables, std::size_t patience);
    ~WordEncoder();

    /// PieceMemory::slack bytes must be readable from word.data() on.
    void whole(std::string_view word, std::vector<Token>& ids);

    void part(std::string_view text, std::vector<Token>& ids);
    void finish(std::vector<Token>& ids);

private:
    void merge(std::string_view text, std::vector<Token>& ids);
    void remembered(std::string_view text, std::vector<Token>& ids);
    void cut(bool final, std::vector<Token>& ids);
    void close(std::string_view text, std::vector<Token>& ids);
    void to_chain(std::string_view text, std::vector<Token>& ids);

    const TokenizerTables& tables_;
    std::size_t patience_;
    std::unique_ptr<PieceMemory> memory_;
    std::vector<Token> symbols_;
    std::string held_;             // of a word in pieces: what is not encoded yet, and slack while it is cut
    std::size_t looked_ = 0;       // of it without a cut
    bool begun_ = false;           // something of this word has been encoded
    std::unique_ptr<Chain> chain_;
    std::unique_ptr<Symbolizer> symbolizer_;
};

/// Cuts stretches of text into words. Keeps the last word that more text could change.
class Cutter {
public:
    /// Looks for words when `block` bytes have come together.
    Cutter(const TokenizerTables& tables, std::size_t block, std::size_t patience)
        : tables_(tables), words_(tables, patience), patience_(patience), block_(std::min(block, std::size_t{1} << 14)),
          next_scan_(block_)
    {
    }
    /// More of the current stretch: whole characters, not empty.
    void text(std::string_view part, std::vector<Token>& ids);
    /// Ends the stretch.
    void finish(std::vector<Token>& ids);
    /// The next stretch does not begin the text.
    void passed() noexcept { at_start_ = false; }

private:
    void scan(bool final, std::vector<Token>& ids);
    std::size_t scan_marks(std::size_t size, bool final, std::vector<Token>& ids);
    std::size_t scan_pieces(std::size_t size, bool final, std::vector<Token>& ids);

    const TokenizerTables& tables_;
    WordEncoder words_;
    std::size_t patience_;
    std::size_t block_, next_scan_;
    std::string held_;
    bool begun_ = false;           // the stretch has text
    bool at_start_ = true;         // the stretch begins the text
    bool open_ = false;            // held_ goes on with the piece that words_ has begun
    OpenPiece piece_;
};

}  // namespace stillhouse::models
