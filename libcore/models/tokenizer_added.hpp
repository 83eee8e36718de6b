// SPDX-License-Identifier: Apache-2.0
// Finds added tokens (<|endoftext|>, runs of spaces) in a text that arrives in pieces. Internal to the tokenizer.
#pragma once

#include "libcore/base/tokenizer_model.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stillhouse::models {

/// Where a stage of the tokenizer puts what it makes: text that belongs to the current stretch (whole characters, in
/// pieces as they come), or a token, which ends one stretch and begins another.
class TextSink {
public:
    virtual ~TextSink() = default;
    virtual void text(std::string_view part) = 0;
    virtual void token(Token id) = 0;
};

/// The texts to look for; matches are leftmost, the longest first, and do not overlap.
class AddedSet {
public:
    struct Entry {
        Token id;
        bool single_word, lstrip, rstrip;
    };
    /// Of equal texts the first counts.
    void add(std::string_view text, const Entry& entry);
    bool empty() const noexcept { return entries_.empty(); }
    bool any_lstrip() const noexcept { return any_lstrip_; }

    /// The next place at or after `from` where an entry could begin (text.size() when none).
    std::size_t candidate(std::string_view text, std::size_t from) const noexcept;
    /// The longest entry that begins at `at`, null when there is none. `more`: the text ends where an entry could still
    /// become longer.
    const Entry* longest(std::string_view text, std::size_t at, std::size_t& length, bool& more) const noexcept;

private:
    struct Node {
        int entry = -1;
        bool has_children = false;
    };
    std::vector<Node> nodes_{Node{}};
    std::unordered_map<std::uint64_t, int> children_;   // node * 256 + byte
    std::vector<Entry> entries_;
    std::array<bool, 256> first_{};
    int first_count_ = 0;
    char only_first_ = 0;
    bool any_lstrip_ = false;
};

/// One text (`feed`s, then `finish`, after which another may begin). Keeps back the beginning of what may become a
/// token, thus less than the longest entry; with an lstrip token also white space, which that token would take.
class AddedMatcher {
public:
    explicit AddedMatcher(const AddedSet& set) : set_(set) {}
    void feed(std::string_view text, TextSink& sink);
    void finish(TextSink& sink);

private:
    void process(std::string_view text, bool final, TextSink& sink);
    void emit(std::string_view text, TextSink& sink);

    const AddedSet& set_;
    std::string held_;
    std::size_t resume_ = 0;       // how much of held_ has been searched
    bool after_word_ = false;      // the character before held_ is a word character
    bool strip_ = false;           // white space that follows belongs to the token before it
};

}  // namespace stillhouse::models
