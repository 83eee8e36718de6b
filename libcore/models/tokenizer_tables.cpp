// SPDX-License-Identifier: Apache-2.0
// Building the indices of a tokenizer, and refusing what contradicts.
#include "libcore/models/tokenizer_tables.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/tokenizer_normalize.hpp"

#include <algorithm>
#include <cstdio>

namespace stillhouse::models {
namespace {

/// GPT-2's alphabet: printable ASCII and Latin-1 stand for themselves, the other 68 bytes for U+0100 on, in order.
constexpr bool stands_for_itself(int byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char16_t, 256> byte_characters = [] {
    std::array<char16_t, 256> table{};
    char16_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
        table[static_cast<std::size_t>(b)] = stands_for_itself(b) ? static_cast<char16_t>(b) : next++;
    }
    return table;
}();

constexpr std::array<std::int16_t, 0x144> character_bytes = [] {
    std::array<std::int16_t, 0x144> table{};
    table.fill(-1);
    for (std::size_t b = 0; b < 256; ++b) {
        table[byte_characters[b]] = static_cast<std::int16_t>(b);
    }
    return table;
}();

/// The bytes that an entry in GPT-2's alphabet stands for; false when another character is in it.
bool to_bytes(std::string_view text, std::string& bytes)
{
    bytes.clear();
    for (std::size_t i = 0; i < text.size(); i += static_cast<std::size_t>(unicode::length_of(text[i]))) {
        const int byte = byte_of(unicode::decode(text.data() + i));
        if (byte < 0) {
            return false;
        }
        bytes.push_back(static_cast<char>(byte));
    }
    return true;
}

void check_utf8(const std::string& text, const char* what)
{
    unicode::Sanitizer sanitizer;
    std::string clean;
    sanitizer.feed(text, clean);
    sanitizer.finish(clean);
    if (sanitizer.replaced() != 0) {
        throw_error(ErrorCode::bad_data, std::string(what) + " '" + clean + "' is no UTF-8");
    }
}

}  // namespace

int byte_of(char32_t character) noexcept
{
    return character < character_bytes.size() ? character_bytes[character] : -1;
}
char32_t character_of_byte(unsigned char byte) noexcept { return byte_characters[byte]; }

TokenizerTables::TokenizerTables(TokenizerModel what) : model(std::move(what)), merges(model.merges.size())
{
    bytes = model.kind == TokenizerModel::Kind::byte_level;
    if (bytes && model.split == TokenizerModel::Split::metaspace) {
        throw_error(ErrorCode::unsupported, "tokenizer: Metaspace together with ByteLevel");
    }
    index_vocabulary();
    index_added();
    index_merges();
    index_decoder();
}

void TokenizerTables::index_vocabulary()
{
    size = static_cast<Token>(model.vocabulary.size());
    texts = model.vocabulary;
    ids.reserve(model.vocabulary.size());
    few_symbols.fill(-1);
    std::string word;
    for (Token id = 0; id < size; ++id) {
        const std::string& text = model.vocabulary[static_cast<std::size_t>(id)];
        if (text.empty()) {
            continue;
        }
        check_utf8(text, "tokenizer: vocabulary entry");
        if (!ids.emplace(text, id).second) {
            throw_error(ErrorCode::bad_data, "tokenizer: vocabulary entry '" + text + "' occurs twice");
        }
        const auto length = static_cast<std::size_t>(unicode::length_of(text[0]));
        const char32_t first = unicode::decode(text.data());
        if (text.size() == length) {
            const int byte = byte_of(first);
            const Unit unit = bytes ? static_cast<Unit>(byte) : first;
            if (!bytes || byte >= 0) {
                if (unit < few_units) {
                    few_symbols[unit] = id;
                } else {
                    symbols.emplace(unit, id);
                }
            }
        }
        if (model.ignore_merges) {
            if (!bytes) {
                word = text;
            } else if (!to_bytes(text, word)) {
                continue;
            }
            words.emplace(word, id);
            longest_word = std::max(longest_word, word.size());
        }
    }
    byte_tokens.fill(-1);
    bool complete = model.byte_fallback;
    for (unsigned b = 0; model.byte_fallback && b < 256; ++b) {
        char name[8];
        std::snprintf(name, sizeof name, "<0x%02X>", b);
        const auto found = ids.find(name);
        if (found != ids.end()) {
            byte_tokens[b] = found->second;
        } else if (b < 0xF5 && b != 0xC0 && b != 0xC1) {   // the others are in no UTF-8
            complete = false;
        }
    }
    bytes_stand_alone = complete;   // so far; index_merges looks whether a merge takes bytes
}

void TokenizerTables::index_added()
{
    special.assign(static_cast<std::size_t>(size), false);
    NormalizerChain chain(model.normalizers);
    for (const bool specials : {true, false}) {   // the library's order; of equal texts the first counts
        for (const TokenizerModel::Added& added : model.added) {
            if (added.text.empty() || added.special != specials) {
                continue;
            }
            check_utf8(added.text, "tokenizer: added token");
            const auto known = ids.find(added.text);
            const auto place = static_cast<std::size_t>(added.id);
            if (added.id < 0 || (known != ids.end() && known->second != added.id)
                || (place < texts.size() && !texts[place].empty() && texts[place] != added.text)) {
                throw_error(ErrorCode::bad_data, "tokenizer: added token '" + added.text + "' has id "
                                                     + std::to_string(added.id)
                                                     + ", which the vocabulary gives to another text");
            }
            if (place >= texts.size()) {
                texts.resize(place + 1);
                special.resize(place + 1);
                size = added.id + 1;
            }
            texts[place] = added.text;
            special[place] = special[place] || added.special;
            added_ids.emplace(added.text, added.id);
            const AddedSet::Entry entry{added.id, added.single_word, added.lstrip, added.rstrip};
            if (!added.normalized) {
                raw_added.add(added.text, entry);
                continue;
            }
            std::string pattern(chain.feed(added.text));
            pattern.append(chain.finish());
            if (!pattern.empty()) {
                normalized_added.add(pattern, entry);
            }
        }
    }
    const auto check_id = [this](Token id, const char* what) {
        if (id >= size) {
            throw_error(ErrorCode::bad_data, std::string("tokenizer: ") + what + " has id " + std::to_string(id)
                                                 + ", beyond the vocabulary of " + std::to_string(size));
        }
    };
    check_id(model.unknown, "the unknown token");
    for (const Token id : model.prefix) {
        check_id(id, "a token of the post-processor");
    }
    for (const Token id : model.suffix) {
        check_id(id, "a token of the post-processor");
    }
}

void TokenizerTables::index_merges()
{
    pairs.assign((std::size_t{1} << pair_bits) / 64, 0);
    bool strange = false;   // a merge takes what stands for something else than its own text
    std::string product, unit_text;
    std::int32_t rank = 0;
    for (const auto& [left, right] : model.merges) {
        product = left + right;
        const auto a = ids.find(left), b = ids.find(right), c = ids.find(product);
        if (a == ids.end() || b == ids.end() || c == ids.end()) {
            throw_error(ErrorCode::bad_data,
                        "tokenizer: merge " + std::to_string(rank) + " ('" + left + "' '" + right + "') needs '"
                            + (a == ids.end()   ? left
                               : b == ids.end() ? right
                                                : product)
                            + "', which is not in the vocabulary");
        }
        merges.set(a->second, b->second, {rank++, c->second});
        for (const Token operand : {a->second, b->second}) {
            strange = strange || operand == model.unknown
                      || std::find(byte_tokens.begin(), byte_tokens.end(), operand) != byte_tokens.end();
        }
        if (!bytes) {
            unit_text = product;
        } else if (!to_bytes(product, unit_text)) {
            continue;   // no text can lead there
        }
        std::size_t length = 0;
        Unit before = unit_at(unit_text.data(), length);
        for (std::size_t i = length; i < unit_text.size(); i += length) {
            const Unit here = unit_at(unit_text.data() + i, length);
            const std::size_t bit = pair_bit(before, here);
            pairs[bit >> 6] |= std::uint64_t{1} << (bit & 63);
            before = here;
        }
    }
    if (strange) {
        std::fill(pairs.begin(), pairs.end(), ~std::uint64_t{0});
    }
}

void TokenizerTables::index_decoder()
{
    if (model.decoders.empty() || model.decoders.front().kind != TokenizerModel::Decoder::Kind::byte_level) {
        return;
    }
    decoded.resize(texts.size());
    for (std::size_t id = 0; id < texts.size(); ++id) {
        if (!to_bytes(texts[id], decoded[id])) {   // an added token that is not written in the alphabet is literal
            decoded[id] = texts[id];
        }
    }
}

std::vector<Token> TokenizerTables::fallback_of(Unit unit) const
{
    std::vector<Token> tokens;
    if (model.byte_fallback) {
        std::string text;
        unicode::append(text, bytes ? character_of_byte(static_cast<unsigned char>(unit)) : unit);
        for (const char c : text) {
            const Token token = byte_tokens[static_cast<unsigned char>(c)];
            if (token < 0) {
                return {};
            }
            tokens.push_back(token);
        }
    }
    return tokens;
}

const ChainTables& TokenizerTables::chain() const
{
    std::call_once(chain_once, [this] {
        auto made = std::make_unique<ChainTables>(merges);
        const auto add_single = [&made](Token id) {
            if (id >= 0) {
                made->add({id}, id);
            }
        };
        for (const Token id : few_symbols) {
            add_single(id);
        }
        for (const auto& [unit, id] : symbols) {
            add_single(id);
        }
        for (const Token id : byte_tokens) {
            add_single(id);
        }
        add_single(model.unknown);
        std::string text;
        std::vector<Token> expansion;
        for (const auto& [left, right] : model.merges) {
            const Token product = ids.at(left + right);
            if (!bytes) {
                text = left + right;
            } else if (!to_bytes(left + right, text)) {
                continue;
            }
            expansion.clear();
            std::size_t length = 0;
            for (std::size_t i = 0; i < text.size(); i += length) {
                expansion.push_back(symbol_of(unit_at(text.data() + i, length)));
            }
            if (std::find(expansion.begin(), expansion.end(), -1) == expansion.end()) {
                made->add(expansion, product);
            }
            for (const std::string* operand : {&left, &right}) {   // see index_merges
                const Token id = ids.at(*operand);
                if (id == model.unknown || std::find(byte_tokens.begin(), byte_tokens.end(), id) != byte_tokens.end()) {
                    made->refuse();
                }
            }
        }
        chain_tables = std::move(made);
    });
    return *chain_tables;
}

std::unique_ptr<PieceMemory> TokenizerTables::borrow_memory() const
{
    const std::lock_guard guard(pool_lock);
    if (pool.empty()) {
        return std::make_unique<PieceMemory>();
    }
    std::unique_ptr<PieceMemory> memory = std::move(pool.back());
    pool.pop_back();
    return memory;
}

void TokenizerTables::give_back(std::unique_ptr<PieceMemory> memory) const
{
    const std::lock_guard guard(pool_lock);
    pool.push_back(std::move(memory));
}

void Symbolizer::put_unknown(Unit unit, std::vector<Token>& to)
{
    const std::vector<Token> bytes = tables_.fallback_of(unit);
    if (!bytes.empty()) {
        to.insert(to.end(), bytes.begin(), bytes.end());   // a waiting unknown token goes on waiting, as in the library
    } else if (tables_.model.unknown >= 0) {
        if (waiting_ && !tables_.model.fuse_unknown) {
            to.push_back(tables_.model.unknown);
        }
        waiting_ = true;
    }
}

}  // namespace stillhouse::models
