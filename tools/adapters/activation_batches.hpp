// SPDX-License-Identifier: Apache-2.0
// The batches of a teacher-dump as activations to train on, one after another.
#pragma once

#include "formats/stream/reader.hpp"
#include "libcore/training/targets.hpp"

#include <deque>
#include <functional>
#include <optional>
#include <vector>

namespace stillhouse::adapters {

/// Reads `batches.N.*` in the order of the stream, one batch in memory at a time. Tensors that are no activations are
/// kept for the end of the output.
template <class T>
class ActivationBatches {
public:
    enum class Bad { refuse, skip };             // batches with NaN or infinity

    /// `reader` stands at the first tensor of activations.
    ActivationBatches(formats::StreamReader& reader, Index layers, Index width, Bad bad);

    /// The next batch, or nothing at the verified end. Error{bad_data}: a layer's input is missing, shapes contradict.
    std::optional<training::Activations<T>> next();

    Index skipped() const { return skipped_; }
    const std::vector<formats::Tensor>& others() const { return others_; }

private:
    std::optional<training::Activations<T>> gather();

    formats::StreamReader& reader_;
    Index layers_;
    Index width_;
    Bad bad_;
    Index skipped_ = 0;
    bool at_end_ = false;
    std::vector<formats::Tensor> others_;
};

/// What one gradient step takes: `accumulate` pieces of `rows` sequences each (0: batches as they come).
template <class T>
class StepSource {
public:
    using Next = std::function<std::optional<training::Activations<T>>()>;
    StepSource(Next next, Index rows, Index accumulate)
        : next_(std::move(next)), rows_(rows), accumulate_(accumulate)
    {
    }

    /// Empty when nothing is left; fewer sequences than asked for at the end or where lengths change.
    std::vector<training::Activations<T>> step();

private:
    std::optional<training::Activations<T>> piece();

    Next next_;
    Index rows_;
    Index accumulate_;
    std::optional<training::Activations<T>> rest_;
    Index used_ = 0;                             // rows of rest_ given away
};

}  // namespace stillhouse::adapters
