// SPDX-License-Identifier: Apache-2.0
// The options of gradient steps that layer-distill and fine-tune share, and what they make of them.
#pragma once

#include "formats/json.hpp"
#include "libcore/training/adamw.hpp"
#include "tools/adapters/training_watch.hpp"
#include "tools/cli/context.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace stillhouse {

struct TrainingOptions {
    double rate = 1e-3;
    std::string schedule = "cosine";
    Index warmup = 20;
    double weight_decay = 0.0;
    bool decay_all = false;
    double dropout = 0.0;
    double clip = 1.0;
    Index batch = 0;
    Index accumulate = 1;
    std::optional<std::string> checkpoint = std::nullopt;
    cli::Duration checkpoint_every{600.0};
    bool resume = false;
    std::optional<std::string> log = std::nullopt, plot = std::nullopt;

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
    tool.option(&s.decay_all, "--decay-all", "", "of all weights").needs("--weight-decay");
    tool.option(&s.dropout, "--dropout", "X", "share of what embedding, mixers and MLPs of the student add that a step "
                "leaves out").range(0.0, 0.99);
    tool.option(&s.clip, "--clip", "X", "longest gradient; 0: no limit").range(0.0, 1e12);
    tool.option(&s.batch, "--batch", "B", "sequences a piece; " + batch_default).range(0, 1 << 20);
    tool.option(&s.accumulate, "--accumulate", "K", "pieces a step").range(1, 1 << 20);
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

/// The folder that --checkpoint names, opened; nothing without it. To be called before long work.
inline std::unique_ptr<adapters::Checkpoints> open_checkpoints(const TrainingOptions& s, cli::Context& context)
{
    using adapters::Checkpoints;
    if (s.plot) {
        adapters::require_gnuplot();
        context.claim_output(*s.plot);
    }
    if (s.log) {
        context.claim_output(*s.log, s.resume);
    }
    if (!s.checkpoint || context.dry_run()) {
        return nullptr;
    }
    return std::make_unique<Checkpoints>(
        *s.checkpoint, s.checkpoint_every.seconds, s.resume ? Checkpoints::Begin::resume : Checkpoints::Begin::anew,
        context.overwrite(), [&context](const std::string& text) { context.warn(text); },
        [&context](const std::string& text) { context.info(text); });
}

/// `resumed`: the step of the checkpoint, or -1.
inline adapters::TrainingWatch::Tools training_tools(const TrainingOptions& s, cli::Context& context,
                                                     std::unique_ptr<adapters::Checkpoints> checkpoints, Index resumed)
{
    auto log = s.log ? std::make_unique<adapters::TrainingLog>(*s.log, resumed) : nullptr;
    return {std::move(checkpoints), std::move(log), context.control(),
            [&context](const std::string& text) { context.warn(text); }, [&context] { context.kept_for_resume(); }};
}

/// What a checkpoint and the run that goes on from it must agree in; `same`: further keys, and what they are called.
inline formats::Map run_record(const cli::Context& context, formats::Map same)
{
    formats::Map record = context.history_entry();
    for (auto& [key, value] : record) {
        if (key == "settings") {
            value = formats::Value(formats::to_json(value));
        }
    }
    record.insert(record.end(), same.begin(), same.end());
    return record;
}

/// The first option of gradient steps that is not as it is by default.
inline std::optional<std::string> changed_option(const TrainingOptions& s, const TrainingOptions& defaults)
{
    return s.rate != defaults.rate                     ? std::optional<std::string>("--lr")
           : s.schedule != defaults.schedule           ? std::optional<std::string>("--lr-schedule")
           : s.warmup != defaults.warmup               ? std::optional<std::string>("--warmup")
           : s.weight_decay != defaults.weight_decay   ? std::optional<std::string>("--weight-decay")
           : s.dropout != defaults.dropout             ? std::optional<std::string>("--dropout")
           : s.clip != defaults.clip                   ? std::optional<std::string>("--clip")
           : s.batch != defaults.batch                 ? std::optional<std::string>("--batch")
           : s.accumulate != defaults.accumulate       ? std::optional<std::string>("--accumulate")
           : s.checkpoint                              ? std::optional<std::string>("--checkpoint")
           : s.log                                     ? std::optional<std::string>("--log")
           : s.plot                                    ? std::optional<std::string>("--plot")
                                                       : std::nullopt;
}

inline void write_text(formats::AtomicFile file, const std::string& text)
{
    file.fd().write_full(text);
    file.commit();
}

/// After the output is complete: the picture that --plot asks for; checkpoints go, unless a pipe took the output, whose
/// reader may yet fail.
inline void finish_keeping(const TrainingOptions& s, cli::Context& context, adapters::TrainingWatch& watch,
                           const adapters::Plot& plot)
{
    if (!context.output().empty() && context.output() != "-") {
        watch.done();
    }
    if (s.plot) {
        write_text(formats::AtomicFile(*s.plot, context.overwrite()), adapters::draw_svg(plot));
    }
}

}  // namespace stillhouse
