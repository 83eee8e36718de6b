// SPDX-License-Identifier: Apache-2.0
// What layer-distill and fine-tune do alike around a training: checkpoints, log, record of the run, picture.
#pragma once

#include "formats/json.hpp"
#include "tools/training_options.hpp"

namespace stillhouse {

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
                                                     std::unique_ptr<adapters::Checkpoints> checkpoints, Index resumed,
                                                     bool looked = false)
{
    auto log = s.log ? std::make_unique<adapters::TrainingLog>(*s.log, resumed, looked) : nullptr;
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
