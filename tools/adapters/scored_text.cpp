// SPDX-License-Identifier: Apache-2.0
// Texts and token files as what an evaluation scores.
#include "tools/adapters/scored_text.hpp"

#include "tools/adapters/token_reader.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::adapters {

namespace {

void add_document(ScoredText& text, std::vector<Index> tokens, const ScoredTextOptions& options)
{
    if (options.limit >= 0 && static_cast<Index>(tokens.size()) > options.limit) {
        tokens.resize(static_cast<std::size_t>(options.limit));
    }
    text.encoded += static_cast<Index>(tokens.size());
    ++text.documents;
    std::vector<evaluation::Window> windows;
    if (options.prefix >= 0) {
        tokens.insert(tokens.begin(), options.prefix);
        const auto n = static_cast<Index>(tokens.size());
        windows = options.stride == options.context ? evaluation::rolling_windows(n, options.context)
                                                    : evaluation::windows(n, options.context, options.stride);
    } else {
        windows = evaluation::windows(static_cast<Index>(tokens.size()), options.context, options.stride);
    }
    const auto offset = static_cast<Index>(text.tokens.size());
    for (evaluation::Window window : windows) {
        window.begin += offset;
        text.windows.push_back(window);
    }
    text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
}

void require_windows(const ScoredText& text)
{
    if (text.windows.empty()) {
        throw_error(ErrorCode::bad_data, "no token to score: " + std::to_string(text.encoded) + " tokens in " +
                                             std::to_string(text.documents) +
                                             " documents; at least two in one are needed");
    }
}

Index count_words(const std::string& text)
{
    constexpr const char* blank = " \t\n\r\v\f";
    Index words = 0;
    for (std::size_t at = text.find_first_not_of(blank); at != std::string::npos;) {
        ++words;
        at = text.find_first_of(blank, at);
        at = at == std::string::npos ? at : text.find_first_not_of(blank, at);
    }
    return words;
}

}  // namespace

ScoredText scored_texts(const std::vector<std::string>& texts, const models::Tokenizer& tokenizer,
                        const ScoredTextOptions& options)
{
    ScoredText result;
    for (const std::string& text : texts) {
        const auto ids = tokenizer.encode(text, models::Tokenizer::Special::plain, &result.replaced);
        std::vector<Index> tokens(ids.begin(), ids.end());
        const bool cut = options.limit >= 0 && static_cast<Index>(tokens.size()) > options.limit;
        if (cut) {
            // words and bytes are those of what is scored
            const std::string part = tokenizer.decode({ids.begin(), ids.begin() + options.limit}, false);
            result.words += count_words(part);
            result.bytes += static_cast<Index>(part.size());
        } else {
            result.words += count_words(text);
            result.bytes += static_cast<Index>(text.size());
        }
        add_document(result, std::move(tokens), options);
    }
    require_windows(result);
    return result;
}

ScoredText scored_tokens(const std::string& path, Index vocabulary, const ScoredTextOptions& options,
                         const TokenSource::Open& open)
{
    TokenRequest request;
    request.tokens = path;
    request.vocabulary = vocabulary;
    const auto reader = read_token_file(request, open);
    ScoredText result;
    std::vector<Index> tokens;
    bool ends = false;
    while (reader->read(tokens, ends)) {
        if (ends) {
            add_document(result, std::exchange(tokens, {}), options);
        }
    }
    require_windows(result);
    return result;
}

std::vector<std::string> read_files(const std::vector<std::string>& paths, const TokenSource::Open& open)
{
    std::vector<std::string> texts;
    for (const std::string& path : paths) {
        formats::Fd file = open(path);
        std::string& text = texts.emplace_back();
        constexpr std::size_t block = 1 << 20;
        for (std::size_t have = 0;;) {
            text.resize(have + block);
            const std::size_t got = file.read_full(reinterpret_cast<std::byte*>(text.data()) + have, block);
            have += got;
            if (got < block) {
                text.resize(have);
                break;
            }
        }
    }
    return texts;
}

}  // namespace stillhouse::adapters
