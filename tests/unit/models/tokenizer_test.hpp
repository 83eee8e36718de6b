// SPDX-License-Identifier: Apache-2.0
// Tokenizers and golden cases for the tests of tokenizers.
#pragma once

#include "formats/json.hpp"
#include "formats/tokenizer_json.hpp"
#include "libcore/models/tokenizer.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace stillhouse::models {

inline std::string slurp(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string source_file(const std::string& name) { return std::string(STILLHOUSE_TEST_DATA) + "/../../" + name; }
inline std::string data_file(const std::string& name)
{
    return std::string(STILLHOUSE_TEST_DATA) + "/tokenizer/" + name;
}

/// What a clone lacks: in ../shared beside the source tree, or where STILLHOUSE_SHARED says.
inline std::string shared_file(const std::string& name)
{
    const char* named = std::getenv("STILLHOUSE_SHARED");
    return (named != nullptr ? std::string(named) : source_file("../shared")) + "/" + name;
}

inline Tokenizer load(const std::string& path) { return Tokenizer(formats::parse_tokenizer(slurp(path))); }
inline Tokenizer bookworm() { return load(source_file("share/teachers/bookworm/tokenizer.json")); }
inline Tokenizer stories() { return load(data_file("stories260K_tokenizer.json")); }

inline std::vector<Token> ids_of(const formats::Value& list)
{
    std::vector<Token> ids;
    for (const formats::Value& id : list.list()) {
        ids.push_back(static_cast<Token>(id.integer()));
    }
    return ids;
}

/// The text through a Stream, fed in steps that vary around `step`.
inline std::vector<Token> streamed(const Tokenizer& tokenizer, const std::string& text,
                                   Tokenizer::Stream::Limits limits, std::size_t step)
{
    Tokenizer::Stream stream(tokenizer, Tokenizer::Special::add, limits);
    std::vector<Token> ids;
    for (std::size_t at = 0, n = step; at < text.size(); at += n, n = n % (2 * step) + 1) {
        stream.feed(std::string_view(text).substr(at, n), ids);
    }
    stream.finish(ids);
    return ids;
}

}  // namespace stillhouse::models
