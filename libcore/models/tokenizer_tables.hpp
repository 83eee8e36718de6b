// SPDX-License-Identifier: Apache-2.0
// What a Tokenizer knows after it was built: indices over a TokenizerModel. Internal to the tokenizer.
#pragma once

#include "libcore/models/tokenizer.hpp"
#include "libcore/models/tokenizer_added.hpp"
#include "libcore/models/tokenizer_chain.hpp"
#include "libcore/models/tokenizer_merge.hpp"
#include "libcore/models/unicode.hpp"

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stillhouse::models {

/// A unit is what becomes one symbol before any merge: a byte (byte_level) or a character.
using Unit = char32_t;

struct TokenizerTables {
    explicit TokenizerTables(TokenizerModel what);

    TokenizerModel model;
    bool bytes = true;                                        // units are bytes
    Token size = 0;
    std::unordered_map<std::string, Token> ids;               // vocabulary, as the file writes it
    std::unordered_map<std::string, Token> added_ids;
    std::unordered_map<std::string, Token> words;             // the same in bytes of the text, for ignore_merges
    std::size_t longest_word = 0;                             // bytes
    std::vector<std::string> texts;                           // by id, added tokens included; empty: none
    std::vector<bool> special;
    std::vector<std::string> decoded;                         // by id, when the decoder begins with byte_level
    AddedSet raw_added, normalized_added;
    MergeTable merges;

    /// The symbol of a unit that the vocabulary has, -1 when it has not.
    Token symbol_of(Unit unit) const noexcept
    {
        if (unit < few_units) {
            return few_symbols[unit];
        }
        const auto found = symbols.find(unit);
        return found == symbols.end() ? -1 : found->second;
    }
    /// The symbols of a unit that the vocabulary lacks, by byte_fallback; empty when there are none.
    std::vector<Token> fallback_of(Unit unit) const;

    /// False only if a word may be cut between two neighbouring units: no product of a merge holds them side by side,
    /// so no merge ever crosses the cut and each side merges as it would alone ((A) in tokenizer_chain.hpp). Units
    /// without a symbol of their own may vanish or wait, so nothing is cut beside them, unless all of them become bytes
    /// that no merge takes. May be true where a cut would do no harm.
    bool joined(Unit left, Unit right) const noexcept
    {
        const std::size_t bit = pair_bit(left, right);
        return (pairs[bit >> 6] >> (bit & 63) & 1) != 0
               || (!bytes_stand_alone && (symbol_of(left) < 0 || symbol_of(right) < 0));
    }

    /// Unit at p, whose length goes to `length`.
    Unit unit_at(const char* p, std::size_t& length) const noexcept
    {
        if (bytes) {
            length = 1;
            return static_cast<unsigned char>(*p);
        }
        length = static_cast<std::size_t>(unicode::length_of(*p));
        return unicode::decode(p);
    }

    const ChainTables& chain() const;                         // made when first needed

    std::unique_ptr<PieceMemory> borrow_memory() const;
    void give_back(std::unique_ptr<PieceMemory> memory) const;

private:
    static constexpr Unit few_units = 0x300;
    static constexpr std::size_t pair_bits = 18;
    std::size_t pair_bit(Unit left, Unit right) const noexcept
    {
        if (bytes) {
            return left << 8 | right;
        }
        const std::uint64_t key = (static_cast<std::uint64_t>(left) << 21 | right) * 0x9E3779B97F4A7C15U;
        return static_cast<std::size_t>(key >> (64 - pair_bits));
    }
    void index_vocabulary();
    void index_added();
    void index_merges();
    void index_decoder();

    std::array<Token, few_units> few_symbols;
    std::unordered_map<Unit, Token> symbols;
    std::array<Token, 256> byte_tokens;                       // <0xNN>
    std::vector<std::uint64_t> pairs;                         // bit set: inside some product (or one of equal hash)
    bool bytes_stand_alone = false;                           // see joined
    mutable std::once_flag chain_once;
    mutable std::unique_ptr<ChainTables> chain_tables;
    mutable std::mutex pool_lock;
    mutable std::vector<std::unique_ptr<PieceMemory>> pool;
};

/// Turns units into symbols as the library does, one at a time: a unit that the vocabulary has; else its bytes; else
/// the unknown token (runs of them fused where the model says so), which waits for the next unit that the vocabulary
/// has; else nothing.
class Symbolizer {
public:
    explicit Symbolizer(const TokenizerTables& tables) : tables_(tables) {}
    void put(Unit unit, std::vector<Token>& to)
    {
        const Token symbol = tables_.symbol_of(unit);
        if (symbol >= 0) {
            if (waiting_) {
                finish(to);
            }
            to.push_back(symbol);
        } else {
            put_unknown(unit, to);
        }
    }
    void finish(std::vector<Token>& to)
    {
        if (waiting_) {
            to.push_back(tables_.model.unknown);
            waiting_ = false;
        }
    }

private:
    void put_unknown(Unit unit, std::vector<Token>& to);
    const TokenizerTables& tables_;
    bool waiting_ = false;
};

/// The byte that a character of GPT-2's byte alphabet stands for, -1 for other characters; and its inverse.
int byte_of(char32_t character) noexcept;
char32_t character_of_byte(unsigned char byte) noexcept;

struct Tokenizer::Tables : TokenizerTables {
    using TokenizerTables::TokenizerTables;
};

}  // namespace stillhouse::models
