// SPDX-License-Identifier: Apache-2.0
// What layer-distill and fine-tune do around their steps alike: progress, log, checkpoints, a look at the loss, and
// what becomes of a training that is stopped.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/checkpoint.hpp"
#include "tools/adapters/training/training_log.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

namespace stillhouse::adapters {

/// CPU time of this process so far, all threads together, in seconds.
double cpu_seconds();

/// The loss of one column (layer, or whole network): has it left where it began for good?
class LossGuard {
public:
    void add(double loss);               // 0: this column was not trained
    /// Not finite, or the mean of the last ten steps is above a hundred times the first loss, or above ten times and
    /// growing. (A loss below one counts as one: a closed start on few tokens knows them by heart, and where new ones
    /// come its loss may well rise tenfold, and fall again.)
    bool diverged() const { return above(100.0) || (above(10.0) && grows()); }
    /// On the way there: no checkpoint should replace a better one.
    bool rising() const { return above(4.0) && grows(); }
    double first() const { return first_; }
    double recent() const { return mean(0); }

private:
    double mean(Index back) const;       // of the ten steps that ended `back` steps ago
    bool above(double times) const;
    bool grows() const;                  // the last ten are twice the ten before them

    double first_ = 0.0;
    double last_[20] = {};
    Index n_ = 0;
};

class TrainingWatch {
public:
    /// What the tool lends. No `checkpoints`, no `log`: none are kept.
    struct Tools {
        std::unique_ptr<Checkpoints> checkpoints;
        std::unique_ptr<TrainingLog> log;
        Control control;
        std::function<void(const std::string&)> warn;
        std::function<void()> kept_for_resume;
    };
    /// `columns` losses a step.
    TrainingWatch(Tools tools, Index columns);

    /// What a checkpoint is made of, and how its producer may go on (" --skip 12" or nothing): asked for between steps.
    void keep(std::function<CheckpointContent()> content, std::function<std::string()> producer);

    /// A training that goes on: the losses of its steps so far, and its tokens.
    void recall(std::span<const double> losses, Index tokens);

    /// After a step: `step` of `total` (< 0: unknown) on `tokens` tokens so far, its losses and learning rate. Says so,
    /// writes the log, and a checkpoint where it is time. Throws Diverged.
    void stepped(Index step, Index total, Index tokens, std::span<const double> losses, double rate);
    /// After a look at a validation text, which took `cpu` seconds of all processors: the log counts them to no step.
    void looked(Index step, double perplexity, double cpu);
    /// A checkpoint now.
    void save();

    /// Runs `body`, the training with all that follows it. Stopped, or with an input or output that failed, it leaves a
    /// checkpoint and says so. False, told by a warning, when the loss diverged.
    bool guard(const std::function<void()>& body);
    /// The result is safe where it was to go: checkpoints go.
    void done();

    /// The loss has left where it began.
    struct Diverged : std::exception {
        explicit Diverged(std::string text) : text_(std::move(text)) {}
        const char* what() const noexcept override { return text_.c_str(); }
        std::string text_;
    };
    /// A trainer's step, Error{bad_data} out of which means a loss that is not finite: Diverged.
    template <class Step>
    static auto guarded_step(Step&& step)
    {
        try {
            return step();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data) {
                throw;
            }
            throw Diverged(error.what());
        }
    }
    /// After the last step, whose effect no loss has shown: Diverged when a weight is not finite.
    template <class Weights>
    static void require_finite(const Weights& weights, Index steps)
    {
        for (const auto& entry : weights) {
            if (steps > 0 && !std::all_of(entry.values.begin(), entry.values.end(),
                                          [](auto value) { return std::isfinite(value); })) {
                throw Diverged("step " + std::to_string(steps) + " left NaN or infinity in " + std::string(entry.name));
            }
        }
    }

private:
    void kept(const Error& error);

    Tools tools_;
    std::vector<LossGuard> guards_;
    std::function<CheckpointContent()> content_;
    std::function<std::string()> producer_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
    double cpu_of_looks_ = 0.0;
    Index tokens_before_ = 0;                    // of the run that this one goes on with
};

}  // namespace stillhouse::adapters
