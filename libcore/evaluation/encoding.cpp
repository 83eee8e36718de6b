// SPDX-License-Identifier: Apache-2.0
// (context, continuation) as ids, by the rules of lm-evaluation-harness.
#include "libcore/evaluation/encoding.hpp"

#include "libcore/evaluation/white_space.hpp"

#include <algorithm>

namespace stillhouse::evaluation {

using models::Tokenizer;

PairEncoder::PairEncoder(const Tokenizer& tokenizer, Token prefix)
    : tokenizer_(tokenizer), prefix_(prefix)
{
    if (prefix >= 0 && tokenizer.has_text(prefix)) {
        prefix_text_ = tokenizer.decode({prefix}, false);
    }
}

Index PairEncoder::prefix() const
{
    if (prefix_ < 0) {
        throw_error(ErrorCode::bad_data, "the model names no token that begins or ends a text, so that nothing stands "
                                         "before the first; set bos_token_id in config.json");
    }
    return prefix_;
}

std::vector<Index> PairEncoder::encode(std::string_view text) const
{
    const bool has_it = !prefix_text_.empty() && text.starts_with(prefix_text_);
    const auto ids = tokenizer_.encode(text, has_it ? Tokenizer::Special::plain : Tokenizer::Special::add);
    return {ids.begin(), ids.end()};
}

Request PairEncoder::pair(std::string_view context, std::string_view continuation) const
{
    Request request;
    if (context.empty()) {
        const auto ids = tokenizer_.encode(continuation, Tokenizer::Special::plain);
        const bool has_it = prefix_ >= 0 && !ids.empty() && ids.front() == prefix_;
        request.context = {prefix()};
        request.continuation.assign(ids.begin() + has_it, ids.end());
    } else {
        const std::string_view kept = strip_right(context);
        const std::vector<Index> whole = encode(std::string(context) + std::string(continuation));
        request.context = encode(kept);
        if (request.context.empty()) {               // of white space alone, and the tokenizer adds nothing
            request.context = {prefix()};
            request.continuation = whole;
            return request;
        }
        const std::size_t n = std::min(request.context.size(), whole.size());
        request.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(n), whole.end());
    }
    if (request.continuation.empty()) {
        throw_error(ErrorCode::bad_data, "the continuation has no token of its own; nothing could be scored");
    }
    return request;
}

std::vector<Index> PairEncoder::rolling(std::string_view text) const
{
    std::vector<Index> ids = encode(text);
    ids.insert(ids.begin(), prefix());
    return ids;
}

}  // namespace stillhouse::evaluation
