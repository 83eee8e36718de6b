// SPDX-License-Identifier: Apache-2.0
// Token ids to text, in memory of one tensor.
#include "tools/adapters/text/token_text.hpp"

#include "formats/glob.hpp"
#include "formats/tokenizer_json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/model/model.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace stillhouse::adapters {

namespace {

using formats::StreamReader;
using formats::Tensor;
using Frame = StreamReader::Frame;

class TextWriter {
public:
    TextWriter(bool skip_special, Rows rows, formats::AtomicFile output)
        : skip_special_(skip_special), rows_(rows), output_(std::move(output))
    {
    }

    void use(const std::string& tokenizer_json)
    {
        tokenizer_ = std::make_unique<models::Tokenizer>(formats::parse_tokenizer(tokenizer_json));
        printer_.emplace(*tokenizer_, skip_special_);
    }
    bool ready() const { return tokenizer_ != nullptr; }

    void row(const Index* ids, Index n)
    {
        for (Index i = 0; i < n; ++i) {
            if (ids[i] < 0 || ids[i] >= tokenizer_->size()) {
                throw_error(ErrorCode::bad_data, "id " + std::to_string(ids[i]) + " is outside the vocabulary of " +
                                                     std::to_string(tokenizer_->size()) +
                                                     "; is this the tokenizer of these ids?");
            }
            put(printer_->put(static_cast<Token>(ids[i])));
        }
        if (rows_ == Rows::lines) {
            put(printer_->finish() + "\n");
            printer_.emplace(*tokenizer_, skip_special_);
        }
    }
    void finish()
    {
        put(printer_->finish());
        flush();
        output_.commit();
    }

private:
    void put(const std::string& text)
    {
        text_ += text;
        if (text_.size() >= 65536) {
            flush();
        }
    }
    void flush()
    {
        output_.fd().write_full(text_);
        text_.clear();
    }

    bool skip_special_;
    Rows rows_;
    formats::AtomicFile output_;
    std::unique_ptr<models::Tokenizer> tokenizer_;
    std::optional<models::Tokenizer::Printer> printer_;
    std::string text_;
};

void write_tensor(const Tensor& tensor, TextWriter& writer)
{
    with_context("tensor " + tensor.name(), [&] {
        const Index length = tensor.header.shape.empty() ? 1 : tensor.header.shape.back();
        std::vector<Index> ids(static_cast<std::size_t>(length));
        const std::size_t row_bytes = static_cast<std::size_t>(length) * size_of(tensor.header.dtype);
        const Index rows = length == 0 ? 0 : tensor.header.elements() / length;
        for (Index row = 0; row < rows; ++row) {
            convert_from(tensor.header.dtype, tensor.data.data() + static_cast<std::size_t>(row) * row_bytes, length,
                         ids.data());
            writer.row(ids.data(), length);
        }
    });
}

}  // namespace

void write_tensor_text(StreamReader& reader, const std::string& name, std::string tokenizer, bool skip_special,
                       Rows rows, formats::AtomicFile output, const Control& control)
{
    TextWriter writer(skip_special, rows, std::move(output));
    if (!tokenizer.empty()) {
        writer.use(tokenizer);
    }
    std::vector<Tensor> early;
    Index found = 0;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame != Frame::tensor) {
            continue;
        }
        const formats::TensorHeader& header = reader.header();
        if (header.name == "tokenizer.json" && !writer.ready()) {
            const Tensor text = reader.read();
            with_context(reader.name() + ": tokenizer.json", [&] {
                writer.use({text.as<char>(), static_cast<std::size_t>(text.data.size())});
            });
            for (const Tensor& tensor : early) {
                write_tensor(tensor, writer);
            }
            early.clear();
        } else if (header.name == name || (formats::is_glob(name) && formats::glob_matches(name, header.name))) {
            if (!is_integer(header.dtype)) {
                throw_error(ErrorCode::bad_data, reader.name() + ": tensor " + header.name + " is " +
                                                     std::string(name_of(header.dtype)) + ", ids are integers");
            }
            ++found;
            Tensor tensor = reader.read();
            if (writer.ready()) {
                with_context(reader.name(), [&] { write_tensor(tensor, writer); });
            } else {
                early.push_back(std::move(tensor));
            }
        }
    }
    if (found == 0) {
        throw_error(ErrorCode::bad_data,
                    reader.name() + ": no tensor is called " + name + "; tensor-stream list shows the names");
    }
    if (!writer.ready()) {
        throw_error(ErrorCode::bad_data, reader.name() + ": no tensor tokenizer.json; name a model with --tokenizer");
    }
    writer.finish();
}

std::string tokenizer_of(const std::string& model,
                         const std::function<formats::StreamReader(const std::string&)>& open_stream)
{
    const ModelSource source = ModelSource::open(
        model, [](const std::string&) {}, open_stream, ModelSource::Weights::none);
    if (source.texts().tokenizer.empty()) {
        throw_error(ErrorCode::bad_data, model + ": has no tokenizer.json");
    }
    return source.texts().tokenizer;
}

void write_ids_text(const std::vector<Index>& ids, const std::string& tokenizer, bool skip_special,
                    formats::AtomicFile output)
{
    TextWriter writer(skip_special, Rows::joined, std::move(output));
    writer.use(tokenizer);
    writer.row(ids.data(), static_cast<Index>(ids.size()));
    writer.finish();
}

}  // namespace stillhouse::adapters
