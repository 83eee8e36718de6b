// SPDX-License-Identifier: Apache-2.0
// Text to ids and back: byte-level BPE (GPT-2, NeoX) and BPE with byte fallback (Llama), exactly as their
// tokenizer.json says.
#pragma once

#include "libcore/base/shape.hpp"
#include "libcore/base/tokenizer_model.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stillhouse::models {

/// Immutable; one object may serve many threads.
class Tokenizer {
public:
    /// Builds the tables; Error{unsupported} or {bad_data} naming what contradicts.
    explicit Tokenizer(TokenizerModel model);
    ~Tokenizer();
    Tokenizer(Tokenizer&&) noexcept;

    enum class Special { add, plain };   // plain: neither prefix nor suffix added; specials in the text still match

    /// The ids of a whole text, as the library's encode. Invalid UTF-8 is replaced by U+FFFD first;
    /// *replaced, when given, is raised by the number of replacements.
    std::vector<Token> encode(std::string_view text, Special special, Index* replaced = nullptr) const;

    /// Decodes; bytes that are no UTF-8 become U+FFFD as the library does. Ids without text decode to nothing, those
    /// outside of 0 .. size-1 among them.
    std::string decode(const std::vector<Token>& ids, bool skip_special) const;

    Index size() const;                            // ids 0 .. size-1 (added tokens included); may have gaps
    bool has_text(Token id) const;                 // false for the padding of a vocabulary
    bool is_special(Token id) const;
    Token id_of(std::string_view text) const;      // exact vocabulary entry or added token, -1 when absent

    /// Encodes a text that arrives in pieces, in memory that does not grow with it: `feed` appends the ids of what
    /// cannot change any more, in blocks of 64 KiB of text; `finish` appends the rest and the suffix. The ids equal
    /// those of encode(whole text). Safe places to cut are proved in tokenizer_chain.hpp (words without end),
    /// tokenizer_scan.hpp (pieces) and tokenizer_normalize.cpp (NFC). What has to be kept grows only with texts that no
    /// cut is safe in: endless combining marks (NFC sorts them), endless white space before a token with lstrip or in
    /// the llama3 and qwen2 patterns, endless unknown characters of a vocabulary without byte fallback.
    class Stream {
    public:
        /// How much is gathered before it is encoded, and how long a word may be before it is given away in parts. They
        /// change memory and speed, never ids.
        struct Limits {
            std::size_t block = std::size_t{1} << 16;   // bytes
            std::size_t patience = 2048;                // bytes
        };
        Stream(const Tokenizer& tokenizer, Special special);
        Stream(const Tokenizer& tokenizer, Special special, Limits limits);
        ~Stream();
        Stream(Stream&&) noexcept;
        void feed(std::string_view bytes, std::vector<Token>& ids);
        void finish(std::vector<Token>& ids);      // another text may follow
        Index replaced() const;                    // invalid UTF-8 sequences in the bytes encoded so far
    private:
        struct State;
        std::unique_ptr<State> state_;
    };

    /// Decodes ids one at a time for printing: returns the text that is certain by now ("" inside a character).
    class Printer {
    public:
        Printer(const Tokenizer& tokenizer, bool skip_special);
        ~Printer();
        Printer(Printer&&) noexcept;
        std::string put(Token id);
        std::string finish();
    private:
        struct State;
        std::unique_ptr<State> state_;
    };

    struct Tables;                                 // tokenizer_tables.hpp
private:
    std::unique_ptr<Tables> tables_;
};

}  // namespace stillhouse::models
