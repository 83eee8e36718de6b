// SPDX-License-Identifier: Apache-2.0
// Rows of tokens to train on.
#include "tools/adapters/training/training_rows.hpp"

#include "tools/adapters/text/token_reader.hpp"

namespace stillhouse::adapters {

namespace {

constexpr std::size_t validation_windows = 64;

}  // namespace

template <class T>
TrainingRows<T>::TrainingRows(TokenRequest request, const Texts& texts, const std::string& model, From from,
                              const models::Network<T>& sampler, std::uint64_t seed, const Notice& warn,
                              TokenSource::Open open)
    : request_(std::move(request)), model_(model), warn_(warn), open_(std::move(open))
{
    if (!texts.tokenizer.empty()) {
        tokenizer_ = std::make_unique<models::Tokenizer>(make_tokenizer(texts.tokenizer, model));
    }
    if (from == From::samples) {
        const Index vocabulary = sampler.config().vocabulary;
        samples_ = std::make_unique<SampledRows<T>>(
            sampler, special_tokens(texts.config, texts.generation_config, vocabulary),
            drawable(tokenizer_.get(), vocabulary), seed);
    } else if (from == From::files) {
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
void TrainingRows<T>::seek(RowPosition position)
{
    position_ = std::move(position);
    pass_ = position_.pass;
    batch_ = position_.batch;
    batches_ = nullptr;
}

template <class T>
void TrainingRows<T>::used()
{
    if (samples_ != nullptr) {
        const Index tokens = (batch_ - position_.batch) * request_.batch * request_.context;
        position_.drawn.erase(position_.drawn.begin(), position_.drawn.begin() + tokens);
    }
    position_.pass = pass_;
    position_.batch = batch_;
}

template <class T>
std::optional<training::TokenRows> TrainingRows<T>::next(bool again, const Control& control)
{
    if (samples_ != nullptr) {
        return sample(control);
    }
    if (!batches_) {
        batches_ = source_->batches({batch_, -1});
    }
    auto batch = batches_();
    if (!batch && again && batch_ > 0) {
        std::vector<std::string> files = request_.text;
        files.push_back(request_.tokens);
        for (const std::string& path : files) {
            if (path != "-" && formats::read_only_once(path)) {
                throw_error(ErrorCode::bad_argument, path + " has ended before --steps: a pipe is read once; name a "
                                                            "file, or lower --steps");
            }
        }
        batches_ = source_->batches();
        ++pass_;
        batch_ = 0;
        batch = batches_();
    }
    if (!batch) {
        return std::nullopt;
    }
    ++batch_;
    return training::TokenRows{batch->rows, batch->length, std::move(batch->tokens)};
}

template <class T>
training::TokenRows TrainingRows<T>::sample(const Control& control)
{
    const Index size = request_.context * request_.batch;
    auto& drawn = position_.drawn;
    const Index at = (batch_ - position_.batch) * size;
    if (at == static_cast<Index>(drawn.size())) {
        const Index batches = std::max<Index>(1, samples_->good_rows(request_.context) / request_.batch);
        std::vector<Index> rows(static_cast<std::size_t>(batches * size));
        samples_->draw(batch_ * request_.batch, batches * request_.batch, request_.context, rows.data(), control);
        drawn.insert(drawn.end(), rows.begin(), rows.end());
    }
    ++batch_;
    return {request_.batch, request_.context, {drawn.begin() + at, drawn.begin() + at + size}};
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
    if (!is_token_file_name(path) && tokenizer_ == nullptr) {
        throw Error(ErrorCode::bad_data, "has no tokenizer.json, so --valid " + path + " cannot be encoded; give token "
                                         "ids there, as .u16, .u32 or .npy")
            .within(model_);
    }
    ScoredTextOptions options;
    const bool rows = is_token_file_name(path);
    options.context = request_.context + (rows ? 1 : 0);
    options.stride = options.context;
    ScoredText text = with_context(path, [&] {
        return rows ? scored_tokens(path, request_.vocabulary, options, open_)
                    : scored_texts(read_text_files({path}, open_, warn_), tokenizer(), options);
    });
    if (text.windows.size() > validation_windows) {
        text.windows.resize(validation_windows);
    }
    return text;
}

template class TrainingRows<float>;
template class TrainingRows<double>;

}  // namespace stillhouse::adapters
