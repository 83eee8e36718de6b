// SPDX-License-Identifier: Apache-2.0
// Words and stretches.
#include "libcore/models/tokenizer_words.hpp"

#include <algorithm>

namespace stillhouse::models {

WordEncoder::WordEncoder(const TokenizerTables& tables, std::size_t patience)
    : tables_(tables), patience_(patience), memory_(tables.borrow_memory())
{
}

WordEncoder::~WordEncoder() { tables_.give_back(std::move(memory_)); }

void WordEncoder::merge(std::string_view text, std::vector<Token>& ids)
{
    symbols_.clear();
    Symbolizer symbolizer(tables_);
    std::size_t length = 0;
    for (std::size_t i = 0; i < text.size(); i += length) {
        symbolizer.put(tables_.unit_at(text.data() + i, length), symbols_);
    }
    symbolizer.finish(symbols_);
    merge_symbols(tables_.merges, symbols_);
    ids.insert(ids.end(), symbols_.begin(), symbols_.end());
}

void WordEncoder::remembered(std::string_view text, std::vector<Token>& ids)
{
    if (text.size() > PieceMemory::longest) {
        merge(text, ids);
        return;
    }
    bool known = false;
    PieceMemory::Entry& entry = memory_->find(text.data(), text.size(), known);
    if (known) {
        ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
        return;
    }
    const std::size_t before = ids.size();
    const auto word = tables_.model.ignore_merges ? tables_.words.find(std::string(text)) : tables_.words.end();
    if (word != tables_.words.end()) {
        ids.push_back(word->second);
    } else {
        merge(text, ids);
    }
    const std::size_t count = ids.size() - before;
    if (count <= static_cast<std::size_t>(PieceMemory::most)) {
        std::copy(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end(), entry.ids);
        entry.count = static_cast<std::uint8_t>(count);
        entry.length = static_cast<std::uint8_t>(text.size());
    }
}

void WordEncoder::whole(std::string_view word, std::vector<Token>& ids)
{
    if (word.size() > PieceMemory::longest && word.size() <= tables_.longest_word) {
        const auto found = tables_.words.find(std::string(word));
        if (found != tables_.words.end()) {
            ids.push_back(found->second);
            return;
        }
    }
    remembered(word, ids);
}

void WordEncoder::part(std::string_view text, std::vector<Token>& ids)
{
    held_.append(text);
    if (begun_ || held_.size() > tables_.longest_word) {   // else it may still be a word of the vocabulary
        cut(false, ids);
    }
}

void WordEncoder::finish(std::vector<Token>& ids)
{
    if (!begun_ && held_.size() <= tables_.longest_word) {
        const std::size_t size = held_.size();
        held_.append(PieceMemory::slack, '\0');
        if (size > 0) {
            whole(std::string_view(held_).substr(0, size), ids);
        }
    } else {
        cut(true, ids);
    }
    held_.clear();
    looked_ = 0;
    begun_ = false;
}

void WordEncoder::cut(bool final, std::vector<Token>& ids)
{
    const std::size_t size = held_.size();
    if (size == 0 && (chain_ == nullptr || !final)) {
        return;
    }
    begun_ = true;
    held_.append(PieceMemory::slack, '\0');
    const std::string_view text = std::string_view(held_).substr(0, size);
    std::size_t done = 0, at = looked_, length = 0;
    Unit before = size == 0 ? 0 : tables_.unit_at(text.data() + at, length);
    // `at` is the unit that has been seen; a cut is looked for after it
    while (at + length < size) {
        const std::size_t next = at + length;
        const Unit here = tables_.unit_at(text.data() + next, length);
        if (!tables_.joined(before, here)) {
            close(text.substr(done, next - done), ids);
            done = next;
        }
        before = here;
        at = next;
    }
    if (final) {
        close(text.substr(done), ids);
        held_.clear();
        looked_ = 0;
        return;
    }
    if (at - done > patience_ && tables_.chain().usable()) {
        to_chain(text.substr(done, at - done), ids);
        done = at;
    }
    held_.resize(size);
    held_.erase(0, done);
    looked_ = at - done;
}

/// Encodes what ends at a cut.
void WordEncoder::close(std::string_view text, std::vector<Token>& ids)
{
    if (chain_ != nullptr) {
        to_chain(text, ids);
        symbols_.clear();
        symbolizer_->finish(symbols_);
        for (const Token symbol : symbols_) {
            chain_->push(symbol, ids);
        }
        chain_->finish(ids);
        chain_.reset();
        symbolizer_.reset();
    } else if (tables_.model.ignore_merges) {   // the memory holds whole words, which may skip the merges
        merge(text, ids);
    } else {
        remembered(text, ids);
    }
}

void WordEncoder::to_chain(std::string_view text, std::vector<Token>& ids)
{
    if (chain_ == nullptr) {
        chain_ = std::make_unique<Chain>(tables_.chain(), patience_ / 2);
        symbolizer_ = std::make_unique<Symbolizer>(tables_);
    }
    std::size_t length = 0;
    for (std::size_t i = 0; i < text.size(); i += length) {
        symbols_.clear();
        symbolizer_->put(tables_.unit_at(text.data() + i, length), symbols_);
        for (const Token symbol : symbols_) {
            chain_->push(symbol, ids);
        }
    }
}

void Cutter::text(std::string_view part, std::vector<Token>& ids)
{
    const TokenizerModel& model = tables_.model;
    if (!begun_) {
        begun_ = true;
        if (model.add_prefix_space && part[0] != ' ') {
            held_.push_back(' ');
        }
        const bool wants_mark = model.metaspace_prepend == TokenizerModel::Prepend::always
                                || (model.metaspace_prepend == TokenizerModel::Prepend::first && at_start_);
        if (!model.metaspace.empty() && wants_mark && part[0] != ' ' && !part.starts_with(model.metaspace)) {
            held_.append(model.metaspace);
        }
        at_start_ = false;
    }
    if (model.metaspace.empty()) {
        held_.append(part);
    } else {
        for (const char c : part) {
            c == ' ' ? held_.append(model.metaspace) : held_.append(1, c);
        }
    }
    if (held_.size() >= next_scan_) {
        scan(false, ids);
        next_scan_ = std::max(block_, 2 * held_.size());   // what is open is looked at again only when it has doubled
    }
}

void Cutter::finish(std::vector<Token>& ids)
{
    if (begun_) {
        scan(true, ids);
    }
    begun_ = false;
    at_start_ = false;
    next_scan_ = block_;
}

void Cutter::scan(bool final, std::vector<Token>& ids)
{
    const std::size_t size = held_.size();
    std::size_t done = size;
    if (tables_.model.split == TokenizerModel::Split::none) {
        words_.part(held_, ids);
        if (final) {
            words_.finish(ids);
        }
    } else {
        held_.append(PieceMemory::slack, '\0');
        done = tables_.model.split == TokenizerModel::Split::metaspace ? scan_marks(size, final, ids)
                                                                       : scan_pieces(size, final, ids);
        held_.resize(size);
    }
    held_.erase(0, done);
}

std::size_t Cutter::scan_pieces(std::size_t size, bool final, std::vector<Token>& ids)
{
    const std::string_view all = std::string_view(held_).substr(0, size);
    std::size_t at = 0;
    if (open_) {
        bool closed = false;
        at = continue_piece(piece_.kind, all, final, closed);
        words_.part(all.substr(0, at), ids);
        if (!closed) {
            return at;
        }
        words_.finish(ids);
        open_ = false;
    }
    while (at < size) {
        const std::string_view rest = all.substr(at);
        const std::size_t length = next_piece(tables_.model.split, rest, final);
        if (length == 0) {
            if (rest.size() > std::max(patience_, contraction_bytes) && open_piece(tables_.model.split, rest, piece_)) {
                words_.part(rest.substr(0, piece_.certain), ids);
                at += piece_.certain;
                open_ = true;
            }
            break;
        }
        words_.whole(rest.substr(0, length), ids);
        at += length;
    }
    return at;
}

std::size_t Cutter::scan_marks(std::size_t size, bool final, std::vector<Token>& ids)
{
    const std::string_view all = std::string_view(held_).substr(0, size);
    const std::string& mark = tables_.model.metaspace;
    std::size_t at = 0;
    while (at < size) {
        // a word begins at every mark; an open one may end where the text goes on
        std::size_t end = all.find(mark, open_ ? at : at + 1);
        if (end == std::string_view::npos) {
            if (!final) {
                break;
            }
            end = size;
        }
        if (open_) {
            words_.part(all.substr(at, end - at), ids);
            words_.finish(ids);
            open_ = false;
        } else {
            words_.whole(all.substr(at, end - at), ids);
        }
        at = end;
    }
    if (final && open_) {
        words_.finish(ids);
        open_ = false;
    }
    if (!final && size - at > patience_) {
        words_.part(all.substr(at), ids);
        open_ = true;
        return size;
    }
    return at;
}

}  // namespace stillhouse::models
