// SPDX-License-Identifier: Apache-2.0
// The options of gradient steps that layer-distill and fine-tune share, and what they make of them.
#pragma once

#include "libcore/training/adamw.hpp"
#include "tools/adapters/training/training_watch.hpp"
#include "tools/adapters/training/weight_groups.hpp"
#include "tools/cli/context.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse {

struct TrainingOptions {
    double rate = 1e-3;
    std::string schedule = "cosine";
    Index warmup = 20;
    double weight_decay = 0.0;
    bool decay_all = false;
    double dropout = 0.0;
    std::vector<std::string> rate_factors = {}, decays = {};     // GLOB=X
    double clip = 1.0;
    Index batch = 0;
    Index accumulate = 1;
    std::optional<std::string> checkpoint = std::nullopt;
    cli::Duration checkpoint_every{600.0};
    bool resume = false;
    std::optional<std::string> log = std::nullopt, plot = std::nullopt;

    static constexpr double mode_rate = 0.1;

    training::Schedule learning_rate(Index steps) const
    {
        using Curve = training::Schedule::Shape;
        const Curve curve = schedule == "cosine"   ? Curve::cosine
                            : schedule == "linear" ? Curve::linear
                                                   : Curve::constant;
        // A run shorter than five warmups has a fifth of it as warmup and a peak that is lower in proportion: a few
        // steps at the full rate ruin what the closed start has made.
        const bool is_short = steps > 0 && steps < 5 * warmup;
        const double share = is_short ? static_cast<double>(steps) / static_cast<double>(5 * warmup) : 1.0;
        return {curve, rate * share, is_short ? steps / 5 : warmup, steps, 0.0};
    }
    /// `trained`: names of the weights. Error{bad_argument} when a glob matches none of them.
    training::AdamWOptions adamw(const std::vector<std::string>& trained) const
    {
        const auto of_weights = [&](const char* option, const std::vector<std::string>& groups) {
            return adapters::numbers_of_weights(option, adapters::parse_weight_groups(option, groups), trained);
        };
        // Modes learn at a tenth of the rate unless told otherwise: AdamW moves each pole and residue by the rate, and
        // those of a filter move its response together. At the full rate 100 steps made fitted filters of order 64
        // worse than they had been (share/results/order-against-quality.md).
        std::map<std::string, double, std::less<>> factors;
        for (const std::string& name : trained) {
            if (name.find(".filter_modes.") != std::string::npos) {
                factors[name] = mode_rate;
            }
        }
        for (const auto& [name, x] : of_weights("--lr-scale", rate_factors)) {
            factors[name] = x;
        }
        return {.weight_decay = weight_decay, .decay_all = decay_all, .rate_factors = std::move(factors),
                .decays = of_weights("--decay", decays)};
    }
};

inline void describe_training(cli::Tool& tool, TrainingOptions& s, const std::string& batch_default)
{
    tool.option(&s.rate, "--lr", "X", "peak learning rate of AdamW").range(0.0, 1e3);
    tool.option(&s.schedule, "--lr-schedule", "NAME", "what follows the warmup; where the number of steps is unknown "
                "the rate stays at its peak").choices({"cosine", "linear", "constant"});
    tool.option(&s.warmup, "--warmup", "N", "steps from zero to the peak; a run shorter than five times N has a fifth "
                "of itself, and a lower peak in proportion").range(0, 1e12);
    tool.option(&s.weight_decay, "--weight-decay", "X", "decoupled, of matrices only").range(0.0, 1e3);
    tool.option(&s.decay_all, "--decay-all", "", "of all weights").needs("--weight-decay");
    tool.option(&s.dropout, "--dropout", "X", "share of what embedding, mixers and MLPs of the student add that a step "
                "leaves out").range(0.0, 0.99);
    tool.option(&s.rate_factors, "--lr-scale", "GLOB=X", "X times the learning rate for weights whose names match; of "
                "several the last").many()
        .detail("Modes (*.filter_modes.*: poles, residues, first taps) have 0.1 unless a GLOB that matches them says "
                "otherwise.");
    tool.option(&s.decays, "--decay", "GLOB=X", "weight decay X for weights whose names match; of several the last")
        .many();
    tool.option(&s.clip, "--clip", "X", "longest gradient; 0: no limit").range(0.0, 1e12);
    tool.option(&s.batch, "--batch", "B", "sequences a piece; " + batch_default).range(0, 1 << 20);
    tool.option(&s.accumulate, "--accumulate", "K", "pieces a step").range(1, 1 << 20);
    tool.check([&s] {
        adapters::parse_weight_groups("--lr-scale", s.rate_factors);
        adapters::parse_weight_groups("--decay", s.decays);
    });
}

inline void describe_keeping(cli::Tool& tool, TrainingOptions& s)
{
    tool.group("Checkpoints and records");
    tool.option(&s.checkpoint, "--checkpoint", "DIR", "keep what is needed to go on in this folder")
        .completes("folder").outside_history()
        .detail("The folder is made where it is absent, used by one run at a time, and holds at most two checkpoints; "
                "they go when the output is complete in its file.");
    tool.option(&s.checkpoint_every, "--checkpoint-every", "T", "time between two checkpoints; 0: after every step")
        .range(0.0, 1e9).needs("--checkpoint").outside_history();
    tool.option(&s.resume, "--resume", "", "go on from the newest checkpoint, or begin where there is none")
        .needs("--checkpoint").outside_history();
    tool.option(&s.log, "--log", "FILE.jsonl", "a line of JSON a step, as it goes").completes("output")
        .outside_history();
    tool.option(&s.plot, "--plot", "FILE.svg", "the losses as a picture (needs gnuplot)").completes("output")
        .outside_history();
}

/// The first option of gradient steps that is not as it is by default.
inline std::optional<std::string> changed_option(const TrainingOptions& s, const TrainingOptions& defaults)
{
    return s.rate != defaults.rate                     ? std::optional<std::string>("--lr")
           : s.schedule != defaults.schedule           ? std::optional<std::string>("--lr-schedule")
           : s.warmup != defaults.warmup               ? std::optional<std::string>("--warmup")
           : s.weight_decay != defaults.weight_decay   ? std::optional<std::string>("--weight-decay")
           : s.dropout != defaults.dropout             ? std::optional<std::string>("--dropout")
           : !s.rate_factors.empty()                   ? std::optional<std::string>("--lr-scale")
           : !s.decays.empty()                         ? std::optional<std::string>("--decay")
           : s.clip != defaults.clip                   ? std::optional<std::string>("--clip")
           : s.batch != defaults.batch                 ? std::optional<std::string>("--batch")
           : s.accumulate != defaults.accumulate       ? std::optional<std::string>("--accumulate")
           : s.checkpoint                              ? std::optional<std::string>("--checkpoint")
           : s.log                                     ? std::optional<std::string>("--log")
           : s.plot                                    ? std::optional<std::string>("--plot")
                                                       : std::nullopt;
}

}  // namespace stillhouse
