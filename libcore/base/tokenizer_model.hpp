// SPDX-License-Identifier: Apache-2.0
// What a tokenizer.json says, as plain data: the ground that its reader (formats) and the algorithm (models) share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stillhouse {

using Token = std::int32_t;

/// What a tokenizer.json says, parsed (formats) but not yet indexed. The names are those of the file.
struct TokenizerModel {
    /// byte_level: the vocabulary is written in GPT-2's 256 byte characters; characters: in the text's own.
    enum class Kind { byte_level, characters };

    struct Added {
        Token id = 0;
        std::string text;
        bool special = false, normalized = false, single_word = false, lstrip = false, rstrip = false;
    };

    /// Normalizer steps, applied in order to every stretch of text between the added tokens found in the raw text.
    struct Normalizer {
        enum class Kind { nfc, prepend, replace };
        Kind kind = Kind::nfc;
        std::string from;   // replace: a literal string
        std::string to;     // replace, prepend
    };

    /// How a stretch of text is cut into the pieces within which symbols merge.
    enum class Split {
        none,        // not at all
        gpt2,        // ByteLevel's own pattern
        llama3,      // Split with the cl100k pattern, digits by threes
        qwen2,       // the same, digits one by one
        metaspace,   // Metaspace with split: before every replacement character
    };

    /// Decoder steps, applied in order to the list of token texts.
    struct Decoder {
        enum class Kind { byte_level, byte_fallback, metaspace, replace, fuse, strip };
        Kind kind = Kind::byte_level;
        std::string from;             // replace: a literal string; metaspace: its character; strip: the character
        std::string to;               // replace
        int start = 0, stop = 0;      // strip
        bool first_only = false;      // metaspace: the first token loses its mark
    };

    Kind kind = Kind::byte_level;
    std::vector<std::string> vocabulary;                       // text by id; gaps empty
    std::vector<std::pair<std::string, std::string>> merges;   // in rank order
    std::vector<Added> added;
    Token unknown = -1;
    bool fuse_unknown = false;
    bool byte_fallback = false;   // characters without an entry become <0xNN> by byte, where all of these exist
    bool ignore_merges = false;   // a piece that is an entry is that entry, whatever the merges say
    std::vector<Normalizer> normalizers;
    Split split = Split::none;
    bool add_prefix_space = false;   // byte_level: a stretch that does not begin with a space gets one
    enum class Prepend { never, first, always };
    Prepend metaspace_prepend = Prepend::never;   // Metaspace: which stretches get the mark in front
    std::string metaspace;                        // the mark; empty: no Metaspace
    std::vector<Token> prefix;                    // what the post-processor puts before (<s>)
    std::vector<Token> suffix;
    std::vector<Decoder> decoders;
    bool has_decoder = false;   // without one the token texts are joined by spaces
};

}  // namespace stillhouse
