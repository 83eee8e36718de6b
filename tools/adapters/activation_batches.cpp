// SPDX-License-Identifier: Apache-2.0
// The batches of a teacher-dump as activations to train on.
#include "tools/adapters/activation_batches.hpp"

#include <charconv>
#include <cmath>

namespace stillhouse::adapters {

namespace {

/// "batches.12.layers.3.input" -> number 12, what "layers.3.input"; nothing for other names.
struct Name {
    Index number = 0;
    std::string_view what;
};
std::optional<Name> batch_name(std::string_view name)
{
    constexpr std::string_view prefix = "batches.";
    if (!name.starts_with(prefix)) {
        return std::nullopt;
    }
    Name result;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, result.number);
    if (error != std::errc() || stop == end || *stop != '.') {
        return std::nullopt;
    }
    result.what = std::string_view(stop + 1, static_cast<std::size_t>(end - stop - 1));
    return result;
}

/// The layer whose input this is (layers for "output"), or -1.
Index boundary(std::string_view what, Index layers)
{
    if (what == "output") {
        return layers;
    }
    constexpr std::string_view prefix = "layers.";
    Index layer = -1;
    if (what.starts_with(prefix) && what.ends_with(".input")) {
        const auto digits = what.substr(prefix.size(), what.size() - prefix.size() - 6);
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
        if (error != std::errc() || stop != digits.data() + digits.size() || layer >= layers) {
            return -1;
        }
    }
    return layer;
}

template <class T>
bool finite(const Buffer<T>& values)
{
    return std::all_of(values.begin(), values.end(), [](T x) { return std::isfinite(x); });
}

template <class T>
training::Activations<T> rows_of(const training::Activations<T>& all, Index first, Index count)
{
    training::Activations<T> part;
    part.batch = count;
    part.length = all.length;
    part.tokens.assign(all.tokens.begin() + first * all.length, all.tokens.begin() + (first + count) * all.length);
    for (const auto& stream : all.residual) {
        const Index row = stream.size() / all.batch;
        part.residual.emplace_back(count * row);
        std::copy_n(stream.data() + first * row, count * row, part.residual.back().data());
    }
    return part;
}

}  // namespace

template <class T>
ActivationBatches<T>::ActivationBatches(formats::StreamReader& reader, Index layers, Index width, Bad bad)
    : reader_(reader), layers_(layers), width_(width), bad_(bad)
{
}

template <class T>
std::optional<training::Activations<T>> ActivationBatches<T>::gather()
{
    training::Activations<T> batch;
    std::optional<Index> number;
    std::vector<bool> have(static_cast<std::size_t>(layers_ + 1), false);
    batch.residual.resize(static_cast<std::size_t>(layers_ + 1));
    while (!at_end_) {
        const std::string name = reader_.header().name;
        const auto parsed = batch_name(name);
        if (parsed && number && parsed->number != *number) {
            break;
        }
        if (!parsed) {
            others_.push_back(reader_.read());
        } else {
            number = parsed->number;
            const formats::TensorHeader header = reader_.header();
            const Index at = boundary(parsed->what, layers_);
            const bool tokens = parsed->what == "tokens";
            if (at >= 0 || tokens) {
                const Shape& shape = header.shape;
                if (shape.size() != (tokens ? 2u : 3u) || (!tokens && shape[2] != width_)) {
                    throw_error(ErrorCode::bad_data, "tensor " + name + ": shape " + to_string(shape) + ", expected " +
                                (tokens ? "[batch, length]" : "[batch, length, " + std::to_string(width_) + "]"));
                }
                if (batch.batch != 0 && (shape[0] != batch.batch || shape[1] != batch.length)) {
                    throw_error(ErrorCode::bad_data, "tensor " + name + ": shape " + to_string(shape) +
                                ", but the batch has " + std::to_string(batch.batch) + " sequences of " +
                                std::to_string(batch.length));
                }
                batch.batch = shape[0];
                batch.length = shape[1];
                const formats::Tensor tensor = reader_.read();
                if (tokens) {
                    Buffer<std::int64_t> ids(tensor.header.elements());
                    convert_from(header.dtype, tensor.data.data(), ids.size(), ids.data());
                    batch.tokens.assign(ids.begin(), ids.end());
                } else {
                    Buffer<T> values(tensor.header.elements());
                    convert_from(header.dtype, tensor.data.data(), values.size(), values.data());
                    batch.residual[static_cast<std::size_t>(at)] = std::move(values);
                    have[static_cast<std::size_t>(at)] = true;
                }
            }
        }
        formats::StreamReader::Frame frame = reader_.next();
        while (frame == formats::StreamReader::Frame::note) {
            frame = reader_.next();
        }
        at_end_ = frame == formats::StreamReader::Frame::end;
    }
    if (!number) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < have.size(); ++i) {
        if (!have[i]) {
            const bool last = static_cast<Index>(i) == layers_;
            const std::string what = last ? "output" : "layers." + std::to_string(i) + ".input";
            throw_error(ErrorCode::bad_data, "batch " + std::to_string(*number) + " has no tensor " + what +
                        ": the residual stream of every layer is needed; run teacher-dump with --show residual and "
                        "without --layers");
        }
    }
    for (const auto& stream : batch.residual) {
        if (!finite(stream)) {
            if (bad_ == Bad::refuse) {
                throw_error(ErrorCode::bad_data, "batch " + std::to_string(*number) +
                            " holds NaN or infinity; --skip-bad leaves such batches out");
            }
            ++skipped_;
            batch.batch = 0;
            return batch;
        }
    }
    return batch;
}

template <class T>
std::optional<training::Activations<T>> ActivationBatches<T>::next()
{
    auto batch = gather();
    while (batch && batch->batch == 0) {
        batch = gather();
    }
    return batch;
}

template <class T>
std::optional<training::Activations<T>> StepSource<T>::piece()
{
    if (rest_ && used_ == rest_->batch) {
        rest_.reset();
    }
    if (!rest_) {
        rest_ = next_();
        used_ = 0;
        if (!rest_) {
            return std::nullopt;
        }
    }
    if (rows_ == 0 || (used_ == 0 && rest_->batch == rows_)) {
        return std::exchange(rest_, std::nullopt);
    }
    if (rest_->batch - used_ < rows_) {
        // rows of the next batch join where they are as long
        auto more = next_();
        if (more && more->length == rest_->length) {
            training::Activations<T> joined = rows_of(*rest_, used_, rest_->batch - used_);
            joined.tokens.insert(joined.tokens.end(), more->tokens.begin(), more->tokens.end());
            for (std::size_t i = 0; i < joined.residual.size(); ++i) {
                Buffer<T> both(joined.residual[i].size() + more->residual[i].size());
                std::copy(joined.residual[i].begin(), joined.residual[i].end(), both.begin());
                std::copy(more->residual[i].begin(), more->residual[i].end(), both.begin() + joined.residual[i].size());
                joined.residual[i] = std::move(both);
            }
            joined.batch += more->batch;
            rest_ = std::move(joined);
            used_ = 0;
            return piece();
        }
        training::Activations<T> last = rows_of(*rest_, used_, rest_->batch - used_);
        rest_ = std::move(more);
        used_ = 0;
        return last;
    }
    const Index count = rows_;
    auto part = rows_of(*rest_, used_, count);
    used_ += count;
    return part;
}

template <class T>
std::vector<training::Activations<T>> StepSource<T>::step()
{
    std::vector<training::Activations<T>> pieces;
    for (Index i = 0; i < accumulate_; ++i) {
        auto next_piece = piece();
        if (!next_piece) {
            break;
        }
        pieces.push_back(std::move(*next_piece));
    }
    return pieces;
}

template class ActivationBatches<float>;
template class ActivationBatches<double>;
template class StepSource<float>;
template class StepSource<double>;

}  // namespace stillhouse::adapters
