// SPDX-License-Identifier: Apache-2.0
// Rows of tokens to train on.
#include "tools/adapters/training_rows.hpp"

#include "tools/adapters/dump.hpp"

namespace stillhouse::adapters {

namespace {

constexpr std::size_t validation_windows = 64;

}  // namespace

template <class T>
TrainingRows<T>::TrainingRows(TokenRequest request, const Texts& texts, const std::string& model, From from,
                              const models::Network<T>& sampler, std::uint64_t seed, const Notice& warn,
                              TokenSource::Open open)
    : request_(std::move(request)), model_(model), open_(std::move(open))
{
    if (!texts.tokenizer.empty()) {
        tokenizer_ = std::make_unique<models::Tokenizer>(make_tokenizer(texts.tokenizer, model));
    }
    if (from == From::samples) {
        const Index vocabulary = sampler.config().vocabulary;
        samples_ = std::make_unique<SampledRows<T>>(
            sampler, special_tokens(texts.config, texts.generation_config, vocabulary),
            drawable(tokenizer_.get(), vocabulary), seed);
    } else {
        source_ = std::make_unique<TokenSource>(request_, request_.text.empty() ? nullptr : &tokenizer(), warn, open_);
    }
}

template <class T>
const models::Tokenizer& TrainingRows<T>::tokenizer() const
{
    if (tokenizer_ == nullptr) {
        throw Error(ErrorCode::bad_data, "no tokenizer.json: a text cannot be encoded; give token ids by --tokens")
            .within(model_);
    }
    return *tokenizer_;
}

template <class T>
NextBatch TrainingRows<T>::begin(const Control& control)
{
    if (source_ != nullptr) {
        return source_->batches();
    }
    // an endless plan: the trainer asks for as many batches as it takes steps
    const RowPlan plan{request_.context * request_.batch * (Index{1} << 40), request_.context, request_.batch};
    const Index at_once = std::max<Index>(1, samples_->good_rows(request_.context) / request_.batch);
    auto drawn = std::make_shared<NextBatch>();
    return [this, plan, at_once, control, drawn, first = Index{0}]() mutable -> std::optional<TokenBatch> {
        auto batch = *drawn ? (*drawn)() : std::nullopt;
        if (!batch) {
            *drawn = sampled(*samples_, plan, {first, first + at_once}, control);
            first += at_once;
            batch = (*drawn)();
        }
        return batch;
    };
}

template <class T>
Index TrainingRows<T>::steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const
{
    if (asked) {
        return *asked;
    }
    if (tokens) {
        const Index a_step = request_.batch * request_.context * accumulate;
        return (*tokens + a_step - 1) / a_step;
    }
    try {
        return (source_->total() + accumulate - 1) / accumulate;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_argument) {
            throw;
        }
        return -1;
    }
}

template <class T>
ScoredText TrainingRows<T>::validation(const std::string& path) const
{
    ScoredTextOptions options;
    options.context = request_.context;
    options.stride = request_.context;
    ScoredText text = scored_texts(read_files({path}, open_), tokenizer(), options);
    if (text.windows.size() > validation_windows) {
        text.windows.resize(validation_windows);
    }
    return text;
}

template class TrainingRows<float>;
template class TrainingRows<double>;

}  // namespace stillhouse::adapters
