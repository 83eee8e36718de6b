// SPDX-License-Identifier: Apache-2.0
// The stream of a teacher-dump through a layer-wise training: model, first batches kept, the rest as it flows.
#pragma once

#include "libcore/training/closed_start.hpp"
#include "libcore/training/layerwise.hpp"
#include "tools/adapters/training/activation_batches.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/training/training_watch.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// How the steps are taken: `rows` sequences a piece (0: batches as they come), `accumulate` pieces a step, at most
/// `most` steps in all (< 0: to the end of the input, perhaps `expected`), `rate` of a step for the log.
struct Pace {
    Index rows = 0;
    Index accumulate = 1;
    Index most = -1;
    Index expected = 0;
    std::function<double(Index)> rate;
};

/// Shape of the first batch of a dump, which decides the student's filters and the learning rates.
struct FirstBatch {
    Index rows = 0;
    Index length = 0;
};

template <class T>
class Distillation {
public:
    using Open = std::function<formats::StreamReader(const std::string&)>;
    using Bad = typename ActivationBatches<T>::Bad;

    /// Opens the stream and loads the model. Error{bad_data} when no activations follow it.
    Distillation(std::string path, Open open, const Notice& notice, Bad bad, Index epochs);

    Model<T> model;                              // weights are taken out as the student is made of them
    models::NetworkConfig teacher;

    /// Reads the first batches, at least `tokens` tokens or all there are; the gradient steps begin with them.
    void keep(Index tokens);
    Index kept_tokens() const;
    FirstBatch first() const { return {kept_.front().values.batch, kept_.front().values.length}; }
    /// Moved out and back for the closed start, which takes them without their places.
    std::vector<training::Activations<T>> lend();
    void take_back(std::vector<training::Activations<T>> kept);

    /// Where the training is in the input, and what it has lost so far.
    struct Progressed {
        Index steps = 0;
        Index tokens = 0;
        DumpPosition position;
        std::vector<double> losses;              // [steps, layers] before each step; 0: the layer was not trained
    };
    /// No step yet, at the first of the batches that are kept.
    Progressed begun() const { return {0, 0, kept_.empty() ? DumpPosition() : kept_.front().at, {}}; }
    /// Goes on where a checkpoint was made: reads past what was used.
    void seek(const DumpPosition& position);

    /// Gradient steps that the input will give, as far as it says how many tokens were asked for; 0: unknown.
    Index expected_steps(FirstBatch first, Index rows, Index accumulate) const;

    /// Goes on with `done` until the input or pace.most is reached; after each step `done` is whole and `watch` hears.
    void train(training::LayerwiseTrainer<T>& trainer, const Pace& pace, Progressed& done, TrainingWatch& watch,
               const Control& control);
    /// Reads what is left, so that the end of the stream is verified and its producer is not cut off.
    void finish();

    std::vector<std::string> layer_names() const;
    Index skipped() const { return skipped_ + batches_->skipped(); }
    const std::vector<formats::Tensor>& others() const { return batches_->others(); }

private:
    /// The next batch of this reading; what is wrong with it names the input.
    std::optional<PlacedActivations<T>> read();
    std::optional<PlacedActivations<T>> next();
    bool begin_epoch();

    std::string path_;
    Open open_;
    std::unique_ptr<ModelSource> source_;
    std::unique_ptr<formats::StreamReader> again_;   // a later epoch's reader
    std::unique_ptr<ActivationBatches<T>> batches_;
    std::vector<PlacedActivations<T>> kept_;
    Bad bad_;
    Index epochs_;
    Index epoch_ = 0;
    Index skipped_ = 0;                          // by the readers before this one
};

/// Of each new mixer {layer, explained_before, explained_after (the closed start: before and after the refit),
/// loss_first, loss_last, explained_first, explained_last (the steps: 1 - loss)} of what there was.
template <class T>
std::vector<formats::Map> layer_figures(const models::NetworkConfig& config,
                                        const std::vector<training::LayerReport>& start,
                                        const typename Distillation<T>::Progressed& done);

/// The student, then for each new mixer a note {about, ... its figures}, then what else the dump held; finishes the
/// stream.
template <class T>
void write_distilled(formats::StreamWriter writer, const Distillation<T>& work, models::Network<T>& student,
                     const std::vector<training::LayerReport>& start,
                     const typename Distillation<T>::Progressed& done);

}  // namespace stillhouse::adapters
