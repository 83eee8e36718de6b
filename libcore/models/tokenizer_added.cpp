// SPDX-License-Identifier: Apache-2.0
// Added tokens in a text that arrives in pieces.
#include "libcore/models/tokenizer_added.hpp"

#include "libcore/models/unicode.hpp"

#include <algorithm>
#include <cstring>

namespace stillhouse::models {
namespace {

bool is_class(const char* p, unicode::Class wanted)
{
    return (unicode::tables().classes(unicode::decode(p)) & wanted) != 0;
}

/// Where the white space that ends text[from, to) begins.
std::size_t space_before(std::string_view text, std::size_t from, std::size_t to)
{
    while (to > from) {
        const std::size_t last = from + unicode::last_character(text.substr(from, to - from));
        if (!is_class(text.data() + last, unicode::space)) {
            break;
        }
        to = last;
    }
    return to;
}

}  // namespace

void AddedSet::add(std::string_view text, const Entry& entry)
{
    int node = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        nodes_[static_cast<std::size_t>(node)].has_children = true;
        const auto [child, is_new] =
            children_.emplace(static_cast<std::uint64_t>(node) * 256 + byte, static_cast<int>(nodes_.size()));
        if (is_new) {
            nodes_.emplace_back();
        }
        node = child->second;
    }
    if (nodes_[static_cast<std::size_t>(node)].entry >= 0) {
        return;
    }
    nodes_[static_cast<std::size_t>(node)].entry = static_cast<int>(entries_.size());
    entries_.push_back(entry);
    any_lstrip_ = any_lstrip_ || entry.lstrip;
    bool& first = first_[static_cast<unsigned char>(text[0])];
    if (!first) {
        first = true;
        ++first_count_;
        only_first_ = text[0];
    }
}

std::size_t AddedSet::candidate(std::string_view text, std::size_t from) const noexcept
{
    if (entries_.empty() || from >= text.size()) {
        return text.size();
    }
    if (first_count_ == 1) {
        const void* found = std::memchr(text.data() + from, only_first_, text.size() - from);
        return found == nullptr ? text.size()
                                : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    while (from < text.size() && !first_[static_cast<unsigned char>(text[from])]) {
        ++from;
    }
    return from;
}

const AddedSet::Entry* AddedSet::longest(std::string_view text, std::size_t at, std::size_t& length,
                                         bool& more) const noexcept
{
    const Entry* best = nullptr;
    int node = 0;
    more = false;
    for (std::size_t i = at;; ++i) {
        const Node& here = nodes_[static_cast<std::size_t>(node)];
        if (here.entry >= 0) {
            best = &entries_[static_cast<std::size_t>(here.entry)];
            length = i - at;
        }
        if (!here.has_children) {
            return best;
        }
        if (i == text.size()) {
            more = true;
            return best;
        }
        const auto child =
            children_.find(static_cast<std::uint64_t>(node) * 256 + static_cast<unsigned char>(text[i]));
        if (child == children_.end()) {
            return best;
        }
        node = child->second;
    }
}

void AddedMatcher::emit(std::string_view text, TextSink& sink)
{
    if (strip_) {
        std::size_t i = 0;
        while (i < text.size() && is_class(text.data() + i, unicode::space)) {
            i += static_cast<std::size_t>(unicode::length_of(text[i]));
        }
        text.remove_prefix(i);
    }
    if (!text.empty()) {
        strip_ = false;
        sink.text(text);
    }
}

void AddedMatcher::feed(std::string_view text, TextSink& sink)
{
    if (text.empty()) {
        return;
    }
    if (set_.empty()) {
        sink.text(text);
    } else if (held_.empty()) {
        process(text, false, sink);
    } else {
        std::string joined = std::move(held_);
        joined.append(text);
        process(joined, false, sink);
    }
}

void AddedMatcher::finish(TextSink& sink)
{
    if (!held_.empty()) {
        const std::string rest = std::move(held_);
        process(rest, true, sink);
    }
    held_.clear();
    resume_ = 0;
    after_word_ = strip_ = false;
}

void AddedMatcher::process(std::string_view text, bool final, TextSink& sink)
{
    std::size_t done = 0, i = resume_;
    const auto word_before = [&](std::size_t at) {
        return at == 0 ? after_word_
                       : is_class(text.data() + unicode::last_character(text.substr(0, at)), unicode::word);
    };
    while ((i = set_.candidate(text, i)) < text.size()) {
        std::size_t length = 0;
        bool more = false;
        const AddedSet::Entry* entry = set_.longest(text, i, length, more);
        if (more && !final) {
            break;
        }
        if (entry == nullptr) {
            ++i;
            continue;
        }
        const std::size_t stop = i + length;
        if (entry->single_word) {
            if (stop == text.size() && !final) {
                break;   // the next character decides
            }
            if (word_before(i) || (stop < text.size() && is_class(text.data() + stop, unicode::word))) {
                i = stop;
                continue;
            }
        }
        emit(text.substr(done, (entry->lstrip ? space_before(text, done, i) : i) - done), sink);
        sink.token(entry->id);
        strip_ = entry->rstrip;
        done = i = stop;
    }
    std::size_t end = i;   // what is searched is certain, but for white space that an lstrip token may take
    if (!final && set_.any_lstrip()) {
        end = space_before(text, done, end);
    }
    emit(text.substr(done, end - done), sink);
    if (final) {
        return;
    }
    after_word_ = end == 0 ? after_word_ : word_before(end);
    held_.assign(text.substr(end));
    resume_ = i - end;
}

}  // namespace stillhouse::models
