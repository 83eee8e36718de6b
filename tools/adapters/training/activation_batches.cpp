// SPDX-License-Identifier: Apache-2.0
// The batches of a teacher-dump as activations to train on.
#include "tools/adapters/training/activation_batches.hpp"

#include <charconv>
#include <cmath>

namespace stillhouse::adapters {

std::optional<BatchName> batch_name(std::string_view name)
{
    constexpr std::string_view prefix = "batches.";
    if (!name.starts_with(prefix)) {
        return std::nullopt;
    }
    BatchName result;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, result.number);
    if (error != std::errc() || stop == end || *stop != '.') {
        return std::nullopt;
    }
    result.what = std::string_view(stop + 1, static_cast<std::size_t>(end - stop - 1));
    return result;
}

namespace {

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
training::Activations<T> joined(const training::Activations<T>& a, const training::Activations<T>& b)
{
    training::Activations<T> both;
    both.batch = a.batch + b.batch;
    both.length = a.length;
    for (std::size_t i = 0; i < a.residual.size(); ++i) {
        Buffer<T>& values = both.residual.emplace_back(a.residual[i].size() + b.residual[i].size());
        std::copy(a.residual[i].begin(), a.residual[i].end(), values.begin());
        std::copy(b.residual[i].begin(), b.residual[i].end(), values.begin() + a.residual[i].size());
    }
    return both;
}

}  // namespace

template <class T>
training::Activations<T> rows_of(const training::Activations<T>& all, Index first, Index count)
{
    training::Activations<T> part;
    part.batch = count;
    part.length = all.length;
    for (const auto& stream : all.residual) {
        const Index row = stream.size() / all.batch;
        part.residual.emplace_back(count * row);
        std::copy_n(stream.data() + first * row, count * row, part.residual.back().data());
    }
    return part;
}

template <class T>
ActivationBatches<T>::ActivationBatches(formats::StreamReader& reader, Index layers, Index width, Bad bad)
    : reader_(reader), layers_(layers), width_(width), bad_(bad)
{
}

template <class T>
std::optional<Index> ActivationBatches<T>::number() const
{
    if (at_end_) {
        return std::nullopt;
    }
    const auto parsed = batch_name(reader_.header().name);
    return parsed ? std::optional<Index>(parsed->number) : std::nullopt;
}

template <class T>
void ActivationBatches<T>::advance()
{
    formats::StreamReader::Frame frame = reader_.next();
    while (frame == formats::StreamReader::Frame::note) {
        frame = reader_.next();
    }
    at_end_ = frame == formats::StreamReader::Frame::end;
}

template <class T>
void ActivationBatches<T>::seek(DumpPosition from)
{
    Index last = -1;
    while (!at_end_) {
        const auto at = number();
        if (at && *at >= from.batch) {
            if (last < 0 && *at > from.batch) {
                throw_error(ErrorCode::bad_data, "the stream begins with batch " + std::to_string(*at) +
                            ", the checkpoint goes on at batch " + std::to_string(from.batch) +
                            ": run the producer with --skip " + std::to_string(from.batch) + ", or without");
            }
            return;
        }
        if (at) {
            last = *at;
        } else {
            others_.push_back(reader_.read());
        }
        advance();
    }
    if (from.row > 0 || last + 1 < from.batch) {
        throw_error(ErrorCode::bad_data, "the stream ends with batch " + std::to_string(last) +
                    ", but the checkpoint has seen more of it, up to batch " + std::to_string(from.batch) +
                    ": it is not the stream that the training began with");
    }
}

template <class T>
std::optional<PlacedActivations<T>> ActivationBatches<T>::gather()
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
            if (at >= 0) {
                const Shape& shape = header.shape;
                if (shape.size() != 3 || shape[2] != width_) {
                    throw_error(ErrorCode::bad_data, "tensor " + name + ": shape " + to_string(shape) +
                                ", expected [batch, length, " + std::to_string(width_) + "]");
                }
                if (batch.batch != 0 && (shape[0] != batch.batch || shape[1] != batch.length)) {
                    throw_error(ErrorCode::bad_data, "tensor " + name + ": shape " + to_string(shape) +
                                ", but the batch has " + std::to_string(batch.batch) + " sequences of " +
                                std::to_string(batch.length));
                }
                batch.batch = shape[0];
                batch.length = shape[1];
                const formats::Tensor tensor = reader_.read();
                Buffer<T> values(tensor.header.elements());
                convert_from(header.dtype, tensor.data.data(), values.size(), values.data());
                batch.residual[static_cast<std::size_t>(at)] = std::move(values);
                have[static_cast<std::size_t>(at)] = true;
            }
        }
        advance();
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
            break;
        }
    }
    return PlacedActivations<T>{{0, *number, 0}, std::move(batch)};
}

template <class T>
std::optional<PlacedActivations<T>> ActivationBatches<T>::next()
{
    auto batch = gather();
    while (batch && batch->values.batch == 0) {
        batch = gather();
    }
    return batch;
}

template <class T>
bool StepSource<T>::fetch()
{
    if (batch_) {
        return true;
    }
    batch_ = next_();
    if (!batch_) {
        return false;
    }
    const DumpPosition& at = batch_->at;
    // rows that a run before this one has used, if it ended within this batch
    used_ = at.epoch == position_.epoch && at.batch == position_.batch ? position_.row : 0;
    if (used_ >= batch_->values.batch) {
        throw_error(ErrorCode::bad_data, "batch " + std::to_string(at.batch) + " has " +
                    std::to_string(batch_->values.batch) + " sequences, the checkpoint has seen " +
                    std::to_string(used_) + " of it: it is not the stream that the training began with");
    }
    return true;
}

template <class T>
std::optional<training::Activations<T>> StepSource<T>::piece()
{
    std::optional<training::Activations<T>> result;
    // rows of several batches join where they are equally long
    while ((!result || result->batch < rows_) && fetch() && (!result || result->length == batch_->values.length)) {
        training::Activations<T>& all = batch_->values;
        const Index left = all.batch - used_;
        const Index count = rows_ == 0 ? left : std::min(left, rows_ - (result ? result->batch : 0));
        training::Activations<T> part = count == all.batch ? std::move(all) : rows_of(all, used_, count);
        used_ += count;
        position_ = {batch_->at.epoch, batch_->at.batch, used_};
        if (count == left) {
            position_ = {batch_->at.epoch, batch_->at.batch + 1, 0};
            batch_.reset();
        }
        result = result ? joined(*result, part) : std::move(part);
        if (rows_ == 0) {
            break;
        }
    }
    return result;
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

template training::Activations<float> rows_of(const training::Activations<float>&, Index, Index);
template training::Activations<double> rows_of(const training::Activations<double>&, Index, Index);
template class ActivationBatches<float>;
template class ActivationBatches<double>;
template class StepSource<float>;
template class StepSource<double>;

}  // namespace stillhouse::adapters
