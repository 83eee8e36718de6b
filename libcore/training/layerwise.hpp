// SPDX-License-Identifier: Apache-2.0
// Gradient steps that bring each layer of a student to the teacher's activations (Scavenging Hyena's transfer and its
// relatives).
#pragma once

#include "libcore/training/adamw.hpp"
#include "libcore/training/targets.hpp"

#include <memory>

namespace stillhouse::training {

enum class LayerSchedule {
    parallel,      // all layers at once, each on the student's own stream, gradients stopped between layers
    forced,        // the same, each from the teacher's input
    progressive,   // layer after layer, those below frozen (the paper's)
    joint,         // summed losses, one backward through all
};
enum class Objective { block, mixer };

struct LayerwiseOptions {
    LayerSchedule schedule = LayerSchedule::parallel;
    Objective objective = Objective::block;
    Index steps_a_layer = 0;             // progressive: layer i takes steps i * this ... (i + 1) * this - 1
    Schedule rate;
    AdamWOptions adamw;
    double clip = 1.0;                   // of each layer's gradient
    double dropout = 0.0;                // of what mixers and MLPs of the trained layers add to the stream
    std::uint64_t seed = 0;              // of the dropout
};

/// Names of the weights that layer-wise steps train.
std::vector<std::string> layerwise_weights(const models::NetworkConfig& config);

/// Only the mixers that replaced attention are trained; what is copied from the teacher stays.
/// Loss of layer l, block: |s_{l+1} - x_{l+1}|^2 / |x_{l+1} - x_l|^2; mixer: |m_l - y_l|^2 / |y_l|^2 with y_l of
/// mixer_target; sums over the whole step, so that accumulation over pieces is exact to rounding.
template <class T>
class LayerwiseTrainer {
public:
    /// `attention`: the teacher's "layers.i.attention.*"; both must outlive the trainer.
    LayerwiseTrainer(models::Network<T>& student, const models::NetworkConfig& teacher,
                     const models::Parameters<T>& attention, LayerwiseOptions options);
    ~LayerwiseTrainer();

    /// One gradient step on all these pieces together; the loss of each layer before the step (0 where none was
    /// trained). Error{bad_data} when a loss is not finite.
    std::vector<double> step(const std::vector<const Activations<T>*>& pieces);
    Index steps() const { return steps_; }
    /// What a checkpoint keeps beside the weights of the mixers: put back, the next step is bit for bit the one that
    /// would have come. Null where attention stayed.
    AdamW<T>* optimizer(Index layer);
    void resume_at(Index steps);         // after weights and moments were put back and each optimizer's steps set
    Index trained_layers() const;

private:
    struct Layer;
    models::Network<T>& student_;
    LayerwiseOptions options_;
    std::vector<std::unique_ptr<Layer>> layers_;     // null where attention stayed
    std::vector<models::LayerTape<T>> tapes_;        // their memory stays from step to step
    Index steps_ = 0;
};

}  // namespace stillhouse::training
