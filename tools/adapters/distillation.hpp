// SPDX-License-Identifier: Apache-2.0
// The stream of a teacher-dump through a layer-wise training: model, first batches kept, the rest as it flows.
#pragma once

#include "libcore/training/closed_start.hpp"
#include "libcore/training/layerwise.hpp"
#include "tools/adapters/activation_batches.hpp"
#include "tools/adapters/model.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stillhouse::adapters {

template <class T>
class Distillation {
public:
    using Open = std::function<formats::StreamReader(const std::string&)>;
    using Bad = typename ActivationBatches<T>::Bad;

    /// Opens the stream and loads the model. Error{bad_data} when no activations follow it.
    Distillation(std::string path, Open open, const Notice& notice, Bad bad, Index epochs);

    Model<T> model;                              // weights are taken out as the student is made of them
    models::NetworkConfig teacher;

    /// The first batches, at least `tokens` tokens or all there are; the gradient steps begin with them.
    std::vector<training::Activations<T>> keep(Index tokens);

    /// Gradient steps that the input will give, as far as it says how many tokens were asked for; 0: unknown.
    Index expected_steps(const training::Activations<T>& first, Index rows, Index accumulate) const;

    struct Progressed {
        Index steps = 0;
        Index tokens = 0;
        std::vector<double> first_loss, last_loss;   // means over the first and the last tenth, a layer
    };
    /// Steps until the input or `most` (< 0: no limit) is reached.
    Progressed train(training::LayerwiseTrainer<T>& trainer, std::vector<training::Activations<T>> kept, Index rows,
                     Index accumulate, Index most, const Control& control);
    /// Reads what is left, so that the end of the stream is verified and its producer is not cut off.
    void finish();

    Index skipped() const;
    const std::vector<formats::Tensor>& others() const { return batches_->others(); }

private:
    std::optional<training::Activations<T>> next();

    std::string path_;
    Open open_;
    std::unique_ptr<ModelSource> source_;
    std::unique_ptr<formats::StreamReader> again_;   // a later epoch's reader
    std::unique_ptr<ActivationBatches<T>> batches_;
    Bad bad_;
    Index epochs_left_;
};

/// The student, then for each new mixer a note {about, layer, explained_before, explained_after, loss_first, loss_last}
/// of the start and the steps that there were, then what else the dump held; finishes the stream.
template <class T>
void write_distilled(formats::StreamWriter writer, const Distillation<T>& work, models::Network<T>& student,
                     const std::vector<training::LayerReport>& start,
                     const typename Distillation<T>::Progressed& done);

}  // namespace stillhouse::adapters
