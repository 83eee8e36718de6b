// SPDX-License-Identifier: Apache-2.0
// What a tokenizer.json says, as plain data: the ground that its reader (formats) and the algorithm (models) share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stillhouse {

using Token = std::int32_t;

/// What a tokenizer.json says, parsed (formats) but not yet indexed.
struct TokenizerModel {
    enum class Kind { byte_level, byte_fallback };
    struct Added {
        Token id = 0;
        std::string text;
        bool special = false, normalized = false, single_word = false, lstrip = false, rstrip = false;
    };
    Kind kind = Kind::byte_level;
    std::vector<std::string> vocabulary;                       // text by id; gaps empty
    std::vector<std::pair<std::string, std::string>> merges;   // in rank order
    std::vector<Added> added;
    Token unknown = -1;
    bool fuse_unknown = false;
    bool ignore_merges = false;
    bool nfc = false;
    bool add_prefix_space = false;
    bool split_by_regex = true;                                // the GPT-2 pattern
    std::string prepend;                                       // Llama normalizer: Prepend
    std::vector<std::pair<std::string, std::string>> replace;  // Llama normalizer: Replace
    std::vector<Token> prefix;                                 // what the post-processor puts before (<s>)
    std::vector<Token> suffix;
    bool decode_strips_leading_space = false;                  // decoder Strip, start 1
};

}  // namespace stillhouse
