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

/// "batches.12.layers.3.input" -> number 12, what "layers.3.input"; nothing for other names.
struct BatchName {
    Index number = 0;
    std::string_view what;
};
std::optional<BatchName> batch_name(std::string_view name);

/// The first row of a dump that no gradient step has used: row `row` of batch `batch` in the epoch-th pass.
struct DumpPosition {
    Index epoch = 0;
    Index batch = 0;
    Index row = 0;
};

/// Activations with their place in the dump.
template <class T>
struct PlacedActivations {
    DumpPosition at;
    training::Activations<T> values;
};

/// Sequences first ... first + count of a batch; without its tokens.
template <class T>
training::Activations<T> rows_of(const training::Activations<T>& all, Index first, Index count);

/// Reads `batches.N.*` in the order of the stream, one batch in memory at a time. Tensors that are no activations are
/// kept for the end of the output.
template <class T>
class ActivationBatches {
public:
    enum class Bad { refuse, skip };             // batches with NaN or infinity

    /// `reader` stands at the first tensor of activations.
    ActivationBatches(formats::StreamReader& reader, Index layers, Index width, Bad bad);

    /// The next batch (of epoch 0), or nothing at the verified end. Error{bad_data}: a layer's input is missing, shapes
    /// contradict.
    std::optional<PlacedActivations<T>> next();

    /// Reads past what lies before `from`: the next batch is the first that is not wholly before it. Error{bad_data}
    /// when the stream begins behind it or ends before it.
    void seek(DumpPosition from);

    Index skipped() const { return skipped_; }
    const std::vector<formats::Tensor>& others() const { return others_; }

private:
    std::optional<Index> number() const;         // of the batch that the reader stands at
    void advance();
    std::optional<PlacedActivations<T>> gather();

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
    using Next = std::function<std::optional<PlacedActivations<T>>()>;
    /// `from`: where the first batch that `next` gives begins to count.
    StepSource(Next next, Index rows, Index accumulate, DumpPosition from = {})
        : next_(std::move(next)), rows_(rows), accumulate_(accumulate), position_(from)
    {
    }

    /// Empty when nothing is left; fewer sequences than asked for at the end or where lengths change.
    std::vector<training::Activations<T>> step();

    /// The first row that no step was given.
    DumpPosition position() const { return position_; }

private:
    std::optional<training::Activations<T>> piece();
    bool fetch();                                // batch_ is there, with rows that were not used

    Next next_;
    Index rows_;
    Index accumulate_;
    DumpPosition position_;
    std::optional<PlacedActivations<T>> batch_;
    Index used_ = 0;                             // rows of batch_ given away
};

}  // namespace stillhouse::adapters
