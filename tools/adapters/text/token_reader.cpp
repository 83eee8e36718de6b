// SPDX-License-Identifier: Apache-2.0
// Text files through a tokenizer, and files of token ids.
#include "tools/adapters/text/token_reader.hpp"

#include "formats/npy.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/text/text_check.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace stillhouse::adapters {
namespace {

constexpr std::size_t block = std::size_t{1} << 18;

std::string shown_name(const std::string& path) { return path == "-" ? "standard input" : path; }

void check_id(Index id, Index vocabulary, const std::string& file, Index position)
{
    if (id < 0 || id >= vocabulary) {
        throw_error(ErrorCode::bad_data, file + ": token " + std::to_string(position) + " has id " + std::to_string(id)
                                             + ", outside the model's vocabulary of " + std::to_string(vocabulary)
                                             + "; were these tokens made for another model?");
    }
}

class TextReader final : public TokenReader {
public:
    TextReader(const TokenRequest& request, const models::Tokenizer& tokenizer, const TokenSource::Notice& notice,
               const TokenSource::Open& open)
        : request_(request), stream_(tokenizer, models::Tokenizer::Special::add), notice_(notice), open_(open)
    {
    }

    bool read(std::vector<Index>& to, bool& ends) override
    {
        ends = false;
        if (!file_) {
            if (next_ == request_.text.size()) {
                return false;
            }
            file_ = open_(request_.text[next_++]);
            position_ = 0;
            check_.emplace(request_.text[next_ - 1], notice_);
        }
        bytes_.resize(block);
        const std::size_t n = file_->read_some(reinterpret_cast<std::byte*>(bytes_.data()), bytes_.size());
        ids_.clear();
        const std::string name = shown_name(request_.text[next_ - 1]);
        if (n > 0) {
            check_->feed(std::string_view(bytes_).substr(0, n));
            stream_.feed(std::string_view(bytes_).substr(0, n), ids_);
        } else {
            check_->finish();
            stream_.finish(ids_);
            ends = true;
        }
        for (const Token id : ids_) {
            check_id(id, request_.vocabulary, name, position_++);
            to.push_back(id);
        }
        if (ends) {
            file_.reset();
        }
        return true;
    }

private:
    const TokenRequest& request_;
    models::Tokenizer::Stream stream_;
    TokenSource::Notice notice_;
    TokenSource::Open open_;
    std::optional<formats::Fd> file_;
    std::size_t next_ = 0;
    Index position_ = 0;
    std::optional<TextCheck> check_;               // of the present file
    std::string bytes_;
    std::vector<Token> ids_;
};

/// Integers of one type, in documents of equal length (0: one document, to the end of the file).
class IntegerReader final : public TokenReader {
public:
    IntegerReader(const TokenRequest& request, formats::Fd file, DType type, std::optional<Shape> shape)
        : request_(request), file_(std::move(file)), type_(type)
    {
        if (shape) {
            left_ = element_count(*shape);
            row_ = shape->back();
        }
    }

    bool read(std::vector<Index>& to, bool& ends) override
    {
        ends = false;
        if (done_) {
            return false;
        }
        Index count = static_cast<Index>(block / size_of(type_));
        if (left_ >= 0) {
            count = std::min(count, row_ - column_);
            if (left_ == 0) {
                done_ = true;
                refuse_more();
                return false;
            }
        }
        bytes_.resize(static_cast<std::size_t>(count) * size_of(type_));
        const std::size_t n = file_.read_full(bytes_.data(), bytes_.size());
        const Index whole = static_cast<Index>(n / size_of(type_));
        if (n % size_of(type_) != 0 || (left_ >= 0 && whole < count)) {
            throw_error(ErrorCode::bad_data, file_.name() + ": ends inside token " + std::to_string(position_ + whole)
                                                 + (left_ >= 0 ? " of " + std::to_string(position_ + left_) : "")
                                                 + "; is the file complete?");
        }
        const std::size_t before = to.size();
        to.resize(before + static_cast<std::size_t>(whole));
        convert_from(type_, bytes_.data(), whole, to.data() + before);
        for (std::size_t i = before; i < to.size(); ++i) {
            check_id(to[i], request_.vocabulary, file_.name(), position_++);
        }
        if (left_ >= 0) {
            left_ -= whole;
            column_ += whole;
            ends = column_ == row_;
            column_ = ends ? 0 : column_;
        } else {
            ends = done_ = whole < count;
        }
        return true;
    }

private:
    void refuse_more()
    {
        std::byte byte;
        if (file_.read_some(&byte, 1) > 0) {
            throw_error(ErrorCode::bad_data, file_.name() + ": has bytes after the " + std::to_string(position_)
                                                 + " tokens that its header promises");
        }
    }

    const TokenRequest& request_;
    formats::Fd file_;
    DType type_;
    Index left_ = -1, row_ = 0, column_ = 0, position_ = 0;
    bool done_ = false;
    std::vector<std::byte> bytes_;
};

/// A whole array in memory: the layouts that nobody writes (columns first, other byte order).
class ArrayReader final : public TokenReader {
public:
    ArrayReader(const TokenRequest& request, const formats::Tensor& array, const std::string& name)
        : ids_(static_cast<std::size_t>(element_count(array.header.shape))), row_(array.header.shape.back())
    {
        convert_from(array.header.dtype, array.data.data(), static_cast<Index>(ids_.size()), ids_.data());
        for (std::size_t i = 0; i < ids_.size(); ++i) {
            check_id(ids_[i], request.vocabulary, name, static_cast<Index>(i));
        }
    }

    bool read(std::vector<Index>& to, bool& ends) override
    {
        if (at_ == static_cast<Index>(ids_.size())) {
            return false;
        }
        to.insert(to.end(), ids_.begin() + at_, ids_.begin() + at_ + row_);
        at_ += row_;
        ends = true;
        return true;
    }

private:
    std::vector<Index> ids_;
    Index row_, at_ = 0;
};

bool ends_with(std::string_view text, std::string_view end) { return text.size() > end.size() && text.ends_with(end); }

}  // namespace

std::unique_ptr<TokenReader> read_texts(const TokenRequest& request, const models::Tokenizer& tokenizer,
                                        const TokenSource::Notice& notice, const TokenSource::Open& open)
{
    return std::make_unique<TextReader>(request, tokenizer, notice, open);
}

bool is_token_file_name(const std::string& path)
{
    return ends_with(path, ".u16") || ends_with(path, ".u32") || ends_with(path, ".npy");
}

void require_token_file_name(const std::string& path)
{
    if (!is_token_file_name(path)) {
        throw_error(ErrorCode::bad_argument, "--tokens: '" + path + "': the kind of a token file is told by its name, "
                                                                    "which must end in .u16, .u32 or .npy");
    }
}

std::unique_ptr<TokenReader> read_token_file(const TokenRequest& request, const TokenSource::Open& open)
{
    require_token_file_name(request.tokens);
    formats::Fd file = open(request.tokens);
    if (!ends_with(request.tokens, ".npy")) {
        const DType type = ends_with(request.tokens, ".u16") ? DType::u16 : DType::u32;
        return std::make_unique<IntegerReader>(request, std::move(file), type, std::nullopt);
    }
    const formats::NpyHeader header = formats::read_npy_header(file);
    if (!is_integer(header.dtype) || header.dtype == DType::boolean) {
        throw_error(ErrorCode::bad_data, file.name() + ": holds " + std::string(name_of(header.dtype))
                                             + "; token ids are integers");
    }
    if (header.shape.empty() || header.shape.size() > 2) {
        throw_error(ErrorCode::bad_data, file.name() + ": has the shape " + to_string(header.shape)
                                             + "; expected one dimension (one long text) or two (a row each)");
    }
    if (element_count(header.shape) > 0 && (header.swapped || (header.fortran && header.shape.size() == 2))) {
        if (!file.is_regular()) {
            throw_error(ErrorCode::unsupported, file.name() + ": an array in columns or of foreign byte order is not "
                                                              "read from a pipe; give a file");
        }
        file = open(request.tokens);
        return std::make_unique<ArrayReader>(request, formats::read_npy(file, "tokens"), file.name());
    }
    return std::make_unique<IntegerReader>(request, std::move(file), header.dtype, header.shape);
}

}  // namespace stillhouse::adapters
