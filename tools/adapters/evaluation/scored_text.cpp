// SPDX-License-Identifier: Apache-2.0
// Texts and token files as what an evaluation scores.
#include "tools/adapters/evaluation/scored_text.hpp"

#include "libcore/evaluation/white_space.hpp"
#include "tools/adapters/text/text_check.hpp"
#include "tools/adapters/text/token_reader.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::adapters {

namespace {

void add_windows(ScoredText& text, const std::vector<Index>& tokens, std::vector<evaluation::Window> windows)
{
    const auto offset = static_cast<Index>(text.tokens.size());
    for (evaluation::Window& window : windows) {
        window.begin += offset;
    }
    ++text.documents;
    text.document_windows.push_back(static_cast<Index>(windows.size()));
    text.windows.insert(text.windows.end(), windows.begin(), windows.end());
    text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
}

void add_document(ScoredText& text, std::vector<Index> tokens, const ScoredTextOptions& options)
{
    if (options.limit >= 0 && static_cast<Index>(tokens.size()) > options.limit) {
        tokens.resize(static_cast<std::size_t>(options.limit));
    }
    const auto n = static_cast<Index>(tokens.size());
    text.encoded += n;
    text.longest = std::max(text.longest, n);
    if (options.prefix < 0) {
        add_windows(text, tokens, evaluation::windows(n, options.context, options.stride));
    } else if (options.stride < options.context) {
        std::vector<evaluation::Window> windows = evaluation::windows(n, options.context, options.stride);
        if (n == 1) {
            windows = {{0, 1, 1}};
        }
        for (evaluation::Window& window : windows) {
            const bool first = window.begin == 0;       // the prefix stands before this one alone
            window = first ? evaluation::Window{0, window.length + 1, 1}
                           : evaluation::Window{window.begin + 1, window.length, window.first_scored};
        }
        tokens.insert(tokens.begin(), options.prefix);
        add_windows(text, tokens, std::move(windows));
    } else {
        std::vector<Index> blocks;
        std::vector<evaluation::Window> windows;
        for (Index begin = 0; begin < n; begin += options.context) {
            const Index length = std::min(options.context, n - begin);
            windows.push_back({static_cast<Index>(blocks.size()), length + 1, 1});
            blocks.push_back(options.prefix);
            blocks.insert(blocks.end(), tokens.begin() + begin, tokens.begin() + begin + length);
        }
        add_windows(text, blocks, std::move(windows));
    }
}

void require_windows(const ScoredText& text)
{
    if (text.windows.empty()) {
        const auto many = [](Index n, const char* what) {
            return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
        };
        throw_error(ErrorCode::bad_data, "no token to score: " + many(text.encoded, "token") + " in " +
                                             many(text.documents, "document") + "; at least two in one are needed; "
                                             "give a longer one");
    }
}

}  // namespace

ScoredText scored_texts(const std::vector<std::string>& texts, const models::Tokenizer& tokenizer,
                        const ScoredTextOptions& options)
{
    ScoredText result;
    for (const std::string& text : texts) {
        const auto ids = tokenizer.encode(text, models::Tokenizer::Special::plain);
        std::vector<Index> tokens(ids.begin(), ids.end());
        const bool cut = options.limit >= 0 && static_cast<Index>(tokens.size()) > options.limit;
        if (cut) {
            // words and bytes are those of what is scored
            const std::string part = tokenizer.decode({ids.begin(), ids.begin() + options.limit}, false);
            result.words += static_cast<Index>(evaluation::split(part).size());
            result.bytes += static_cast<Index>(part.size());
        } else {
            result.words += static_cast<Index>(evaluation::split(text).size());
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
    with_context(path, [&] { require_windows(result); });
    return result;
}

ScoredText scored_pages(const std::vector<evaluation::Page>& pages, const evaluation::PairEncoder& encoder,
                        Index context)
{
    ScoredText result;
    for (const evaluation::Page& page : pages) {
        const std::vector<Index> tokens = encoder.rolling(evaluation::wikitext_detokenized(page.text));
        const auto n = static_cast<Index>(tokens.size());
        add_windows(result, tokens, evaluation::rolling_windows(n, context));
        result.encoded += n - 1;
        result.longest = std::max(result.longest, n - 1);
        result.words += page.words;
        result.bytes += page.bytes;
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

std::vector<std::string> read_text_files(const std::vector<std::string>& paths, const TokenSource::Open& open,
                                         const TokenSource::Notice& notice)
{
    std::vector<std::string> texts = read_files(paths, open);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        TextCheck check(paths[i], notice);
        check.feed(texts[i]);
        check.finish();
    }
    return texts;
}

}  // namespace stillhouse::adapters
