// SPDX-License-Identifier: Apache-2.0
// Documents into rows, rows into numbered batches.
#include "tools/adapters/text/token_source.hpp"

#include "formats/stream/shard.hpp"
#include "formats/tokenizer_json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/text/row_pool.hpp"
#include "tools/adapters/text/token_reader.hpp"

#include <algorithm>
#include <deque>
#include <set>

namespace stillhouse::adapters {

models::Tokenizer make_tokenizer(std::string_view tokenizer_json, const std::string& model)
{
    if (tokenizer_json.empty()) {
        throw_error(ErrorCode::bad_data, model + ": has no tokenizer.json, so text cannot be encoded; "
                                                 "put it beside the model or give token ids");
    }
    return with_context(model, [&] { return models::Tokenizer(formats::parse_tokenizer(tokenizer_json)); });
}

namespace {

/// Rows as they come, gathered.
class Gatherer {
public:
    /// `notice` may be empty.
    Gatherer(std::unique_ptr<TokenReader> reader, const TokenRequest& request, const TokenSource::Notice& notice)
        : reader_(std::move(reader)), request_(request), notice_(notice), pool_(request.shuffle, request.seed)
    {
    }

    std::optional<TokenBatch> next()
    {
        while (ready_.empty() && !done_) {
            read();
        }
        if (ready_.empty()) {
            return std::nullopt;
        }
        TokenBatch batch = std::move(ready_.front());
        ready_.pop_front();
        return batch;
    }

private:
    void read()
    {
        bool ends = false;
        const std::size_t before = document_.size();
        done_ = !reader_->read(document_, ends);
        total_ += static_cast<Index>(document_.size() - before);
        if (request_.shuffle == 0 && request_.limit >= 0 && total_ >= request_.limit) {
            document_.resize(document_.size() - static_cast<std::size_t>(total_ - request_.limit));
            total_ = request_.limit;
            done_ = true;
        }
        const auto length = static_cast<std::size_t>(request_.context);
        std::size_t at = 0;
        for (; document_.size() - at >= length; at += length) {
            whole_row_ = true;
            if (auto row = pool_.enter({document_.data() + at, document_.data() + at + length})) {
                add_row(std::move(*row));
            }
        }
        if ((ends || done_) && at < document_.size()) {
            std::vector<Index> row(document_.begin() + static_cast<std::ptrdiff_t>(at), document_.end());
            at = document_.size();
            if (request_.shuffle > 0) {
                short_.push_back(std::move(row));
            } else {
                add_row(std::move(row));
            }
        }
        document_.erase(document_.begin(), document_.begin() + static_cast<std::ptrdiff_t>(at));
        if (done_) {
            while (auto row = pool_.leave()) {
                add_row(std::move(*row));
            }
            for (std::vector<Index>& row : short_) {
                add_row(std::move(row));
            }
            close();
            if (total_ == 0) {
                throw_error(ErrorCode::bad_data,
                            (request_.tokens.empty() ? request_.text.front() : request_.tokens)
                                + std::string(request_.text.size() > 1 ? " and the other texts" : "")
                                + ": no tokens: there is nothing to read");
            }
            if (!whole_row_ && total_ != request_.limit && notice_ && !request_.text.empty()) {
                notice_((request_.text.size() > 1 ? "the texts have" : "the text has") + std::string(" only ") +
                        std::to_string(total_) + " tokens and no row of " + std::to_string(request_.context) +
                        ", the context: what is shorter is read as it is");
            }
        }
    }

    void add_row(std::vector<Index> row)
    {
        if (request_.limit >= 0 && static_cast<Index>(row.size()) >= request_.limit - given_) {
            row.resize(static_cast<std::size_t>(request_.limit - given_));
            done_ = true;
        }
        if (row.empty()) {
            return;
        }
        const Index length = static_cast<Index>(row.size());
        given_ += length;
        if (batch_.rows > 0 && batch_.length != length) {
            close();
        }
        batch_.length = length;
        batch_.tokens.insert(batch_.tokens.end(), row.begin(), row.end());
        if (++batch_.rows == request_.batch) {
            close();
        }
    }

    void close()
    {
        if (batch_.rows > 0) {
            ready_.push_back(std::move(batch_));
            batch_ = TokenBatch();
            batch_.number = ++number_;
        }
    }

    std::unique_ptr<TokenReader> reader_;
    const TokenRequest& request_;
    const TokenSource::Notice& notice_;
    std::vector<Index> document_;      // of the present document, what is in no row yet
    TokenBatch batch_;
    std::deque<TokenBatch> ready_;
    RowPool pool_;                     // full rows
    std::vector<std::vector<Index>> short_;            // rows that a shuffle leaves for the end
    Index total_ = 0, given_ = 0, number_ = 0;
    bool done_ = false;
    bool whole_row_ = false;
};

}  // namespace

void require_batches(Index skip, Index there)
{
    if (skip > there) {
        throw_error(ErrorCode::bad_data, "--skip: the first " + std::to_string(skip) + " batches are to be left out, "
                                         "but there are only " + std::to_string(there) + "; leave out fewer");
    }
}

namespace {

/// A text that is read again has the flaws that were told already.
TokenSource::Notice said_once(TokenSource::Notice notice)
{
    if (!notice) {
        return notice;
    }
    return [notice = std::move(notice), said = std::make_shared<std::set<std::string>>()](const std::string& what) {
        if (said->insert(what).second) {
            notice(what);
        }
    };
}

}  // namespace

struct TokenSource::Shared {
    TokenRequest request;
    const models::Tokenizer* tokenizer;
    Notice notice;
    Open open;

    std::unique_ptr<TokenReader> reader(bool with_notice) const
    {
        return request.tokens.empty() ? read_texts(request, *tokenizer, with_notice ? notice : Notice(), open)
                                      : read_token_file(request, open);
    }
};

TokenSource::TokenSource(TokenRequest request, const models::Tokenizer* tokenizer, Notice notice, Open open)
{
    if (request.text.empty() == request.tokens.empty()) {
        throw_error(ErrorCode::bad_argument, "give either --text FILE... or --tokens FILE");
    }
    if (std::count(request.text.begin(), request.text.end(), "-") > 1) {
        throw_error(ErrorCode::bad_argument, "--text: - is given twice, but standard input can be read only once");
    }
    if (!request.tokens.empty()) {
        require_token_file_name(request.tokens);
    }
    if (request.context < 1 || request.batch < 1) {
        throw_error(ErrorCode::bad_argument, "--context and --batch must be at least 1");
    }
    STILLHOUSE_CHECK(request.text.empty() || tokenizer != nullptr);
    shared_ = std::make_shared<const Shared>(
        Shared{std::move(request), tokenizer, said_once(std::move(notice)), std::move(open)});
}

Index TokenSource::total() const
{
    std::vector<std::string> files = shared_->request.text;
    if (files.empty()) {
        files.push_back(shared_->request.tokens);
    }
    for (const std::string& file : files) {
        if (formats::read_only_once(file) || !shared_->open(file).is_regular()) {
            throw_error(ErrorCode::bad_argument, (file == "-" ? "standard input" : file)
                                                     + std::string(" can be read only once, but --shard counts the "
                                                                   "batches before it begins; give a file"));
        }
    }
    const Notice silent;
    Gatherer gatherer(shared_->reader(false), shared_->request, silent);
    Index count = 0;
    while (gatherer.next()) {
        ++count;
    }
    return count;
}

NextBatch TokenSource::batches(BatchRange range) const
{
    auto gatherer = std::make_shared<Gatherer>(shared_->reader(true), shared_->request, shared_->notice);
    return [shared = shared_, gatherer, range, next = Index{0}]() mutable -> std::optional<TokenBatch> {
        while (range.last < 0 || next < range.last) {
            std::optional<TokenBatch> batch = gatherer->next();
            if (!batch && next < range.first) {
                require_batches(range.first, next);
            }
            ++next;
            if (!batch || batch->number >= range.first) {
                return batch;
            }
        }
        return std::nullopt;
    };
}

NextBatch TokenSource::share(Index skip, Index part, Index parts) const
{
    if (parts == 1) {
        return batches({skip, -1});
    }
    const Index there = total();
    require_batches(skip, there);
    const formats::Share share = formats::share_of(there - skip, part, parts);
    return batches({skip + share.first, skip + share.first + share.count});
}

}  // namespace stillhouse::adapters
