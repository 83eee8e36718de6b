// SPDX-License-Identifier: Apache-2.0
// The options of gradient steps that layer-distill and fine-tune share.
#pragma once

#include "libcore/training/adamw.hpp"
#include "tools/cli/tool.hpp"

#include <algorithm>
#include <string>

namespace stillhouse {

struct TrainingOptions {
    double rate = 1e-3;
    std::string schedule = "cosine";
    Index warmup = 20;
    double weight_decay = 0.0;
    bool decay_all = false;
    double clip = 1.0;
    Index batch = 0;
    Index accumulate = 1;

    training::Schedule learning_rate(Index steps) const
    {
        using Curve = training::Schedule::Shape;
        const Curve curve = schedule == "cosine"   ? Curve::cosine
                            : schedule == "linear" ? Curve::linear
                                                   : Curve::constant;
        // of a short run the warmup is a fifth at most
        return {curve, rate, steps > 0 ? std::min(warmup, steps / 5) : warmup, steps, 0.0};
    }
    training::AdamWOptions adamw() const { return {.weight_decay = weight_decay, .decay_all = decay_all}; }
};

inline void describe_training(cli::Tool& tool, TrainingOptions& s, const std::string& batch_default)
{
    tool.option(&s.rate, "--lr", "X", "peak learning rate of AdamW").range(0.0, 1e3);
    tool.option(&s.schedule, "--lr-schedule", "NAME", "what follows the warmup; where the number of steps is unknown "
                "the rate stays at its peak").choices({"cosine", "linear", "constant"});
    tool.option(&s.warmup, "--warmup", "N", "steps from zero to the peak, at most a fifth of all").range(0, 1e12);
    tool.option(&s.weight_decay, "--weight-decay", "X", "decoupled, of matrices only").range(0.0, 1e3);
    tool.option(&s.decay_all, "--decay-all", "", "of all weights");
    tool.option(&s.clip, "--clip", "X", "longest gradient; 0: no limit").range(0.0, 1e12);
    tool.option(&s.batch, "--batch", "B", "sequences a piece; " + batch_default).range(0, 1 << 20);
    tool.option(&s.accumulate, "--accumulate", "K", "pieces a step").range(1, 1 << 20);
}

}  // namespace stillhouse
