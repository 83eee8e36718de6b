// SPDX-License-Identifier: Apache-2.0
// Rows of tokens with a teacher's logits from a dump.
#include "tools/adapters/training/teacher_logits.hpp"

#include "formats/json.hpp"
#include "tools/adapters/training/activation_batches.hpp"

#include <cmath>

namespace stillhouse::adapters {

namespace {

template <class To>
std::vector<To> values_of(const formats::Tensor& tensor)
{
    std::vector<To> values(static_cast<std::size_t>(tensor.header.elements()));
    convert_from(tensor.header.dtype, tensor.data.data(), tensor.header.elements(), values.data());
    return values;
}

}  // namespace

TaughtRows::TaughtRows(std::string path, Open open, Index vocabulary)
    : path_(std::move(path)), open_(std::move(open)), vocabulary_(vocabulary)
{
    begin();
    history_ = formats::to_json(formats::Value(reader_->info().history));
    ahead_ = read_on();
    first_ = {ahead_->batch, ahead_->length, ahead_->teacher.top > 0 ? ahead_->teacher.top : vocabulary_};
}

double TaughtRows::bytes(Index pieces) const
{
    const double batch = static_cast<double>(first_.batch * first_.length * first_.columns);
    return batch * (static_cast<double>(pieces) * sizeof(double) + sizeof(float));
}

std::optional<training::TokenRows> TaughtRows::read()
{
    return ahead_ ? std::exchange(ahead_, std::nullopt) : read_on();
}

void TaughtRows::begin()
{
    reader_ = std::make_unique<formats::StreamReader>(open_(path_));
    if (!advance()) {
        throw Error(ErrorCode::bad_data, "no batches: expected the stream of teacher-dump --show logits").within(path_);
    }
}

bool TaughtRows::advance()
{
    while (true) {
        const auto frame = reader_->next();
        if (frame == formats::StreamReader::Frame::end) {
            reader_.reset();
            return false;
        }
        if (frame == formats::StreamReader::Frame::tensor && batch_name(reader_->header().name)) {
            return true;
        }
    }
}

std::optional<training::TokenRows> TaughtRows::read_on()
{
    if (reader_ == nullptr) {
        return std::nullopt;
    }
    training::TokenRows rows;
    const Index number = batch_name(reader_->header().name)->number;
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorCode::bad_data, "batch " + std::to_string(number) + ": " + why).within(path_);
    };
    do {
        const auto name = *batch_name(reader_->header().name);
        if (name.number != number) {
            break;
        }
        const Shape& shape = reader_->header().shape;
        const bool logits = name.what == "logits", values = name.what == "logits.values";
        if (name.what == "tokens" || logits || values || name.what == "logits.ids" || name.what == "logits.rest") {
            const formats::Tensor tensor = reader_->read();
            if (name.what == "tokens") {
                if (shape.size() != 2) {
                    refuse("tokens have shape " + to_string(shape) + ", expected [batch, length]");
                }
                rows.batch = shape[0];
                rows.length = shape[1];
                rows.tokens = values_of<Index>(tensor);
            } else if (name.what == "logits.ids") {
                rows.teacher.ids = values_of<Index>(tensor);
            } else if (name.what == "logits.rest") {
                rows.teacher.rest = values_of<double>(tensor);
            } else {
                if (shape.size() != 3) {
                    refuse("its logits have shape " + to_string(shape) + ", expected [batch, length, columns]");
                }
                rows.teacher.values = values_of<double>(tensor);
                rows.teacher.top = values ? shape[2] : 0;
                if (logits && shape[2] != vocabulary_) {
                    refuse("the teacher has " + std::to_string(shape[2]) + " logits, the student " +
                           std::to_string(vocabulary_));
                }
            }
        }
    } while (advance());

    const std::size_t n = rows.tokens.size(), k = static_cast<std::size_t>(rows.teacher.top);
    const std::size_t columns = k > 0 ? k : static_cast<std::size_t>(vocabulary_);
    if (rows.teacher.empty()) {
        refuse("it has no logits: run teacher-dump with --show logits, or give --teacher");
    }
    if (n == 0 || rows.teacher.values.size() != n * columns ||
        (k > 0 && (rows.teacher.ids.size() != n * k || rows.teacher.rest.size() != n))) {
        refuse("tokens, ids, values and rest of its logits do not belong together");
    }
    for (const Index id : rows.tokens) {
        if (id < 0 || id >= vocabulary_) {
            refuse("token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocabulary_));
        }
    }
    std::vector<Index> seen(static_cast<std::size_t>(k > 0 ? vocabulary_ : 0), -1);   // the last row that named an id
    for (std::size_t i = 0; i < rows.teacher.ids.size(); ++i) {
        const Index id = rows.teacher.ids[i], row = static_cast<Index>(i / k);
        if (id < 0 || id >= vocabulary_ || seen[static_cast<std::size_t>(id)] == row) {
            refuse("logits.ids: " + std::to_string(id) + " is outside the vocabulary of " +
                   std::to_string(vocabulary_) + ", or stands twice at one place");
        }
        seen[static_cast<std::size_t>(id)] = row;
    }
    for (const double value : rows.teacher.values) {
        if (!std::isfinite(value)) {
            refuse("its logits hold NaN or infinity");
        }
    }
    for (const double value : rows.teacher.rest) {
        if (std::isnan(value) || value > 0.0) {
            refuse("the rest of its logits is no logarithm of a probability");
        }
    }
    return rows;
}

std::optional<training::TokenRows> TaughtRows::next(bool again, const Control& control)
{
    control.throw_if_stopped();
    auto rows = read();
    if (!rows && again && batch_ > 0) {
        if (formats::read_only_once(path_)) {
            throw_error(ErrorCode::bad_argument, "--dump " + path_ + " has ended before --steps: " +
                                                     (path_ == "-" ? "standard input" : "a pipe") +
                                                     " is read once; name a file, or lower --steps");
        }
        begin();
        ++pass_;
        batch_ = 0;
        rows = read();
    }
    batch_ += rows ? 1 : 0;
    return rows;
}

void TaughtRows::seek(RowPosition position)
{
    position_ = std::move(position);
    pass_ = position_.pass;
    for (batch_ = 0; batch_ < position_.batch; ++batch_) {
        if (!read()) {
            throw Error(ErrorCode::bad_data, "it ends after " + std::to_string(batch_) + " batches, the checkpoint has "
                                             "seen " + std::to_string(position_.batch)).within(path_);
        }
    }
}

Index TaughtRows::steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const
{
    if (asked) {
        return *asked;
    }
    if (formats::read_only_once(path_)) {
        return -1;
    }
    formats::StreamReader reader = open_(path_);
    Index batches = 0, seen = 0;
    for (auto frame = reader.next(); frame != formats::StreamReader::Frame::end; frame = reader.next()) {
        const auto name = frame == formats::StreamReader::Frame::tensor ? batch_name(reader.header().name)
                                                                        : std::nullopt;
        if (name && name->what == "tokens") {
            ++batches;
            seen += reader.header().elements();
        }
    }
    // of batches that are equally large but for the last
    const double passes = tokens && seen > 0 ? static_cast<double>(*tokens) / static_cast<double>(seen) : 1.0;
    return static_cast<Index>(std::ceil(static_cast<double>(batches) * passes / static_cast<double>(accumulate)));
}

}  // namespace stillhouse::adapters
