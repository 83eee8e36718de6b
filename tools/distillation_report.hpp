// SPDX-License-Identifier: Apache-2.0
// What layer-distill says when it is done: of each layer how much of the teacher's step it explains, and what fell
// short of what was asked for.
#pragma once

#include "tools/adapters/memory_text.hpp"
#include "tools/distillation_options.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace stillhouse {

/// Says, with -v and in --report, what the run will need; returns it for a dry run.
template <class T>
std::string tell_memory(const DistillationOptions& s, const adapters::Distillation<T>& work,
                        const models::NetworkConfig& student, adapters::FirstBatch first,
                        const training::LayerwiseOptions& options, cli::Context& context)
{
    Index teacher_numbers = 0;
    for (const auto& entry : work.model.weights) {
        teacher_numbers += entry.values.size();
    }
    const Index start_tokens = s.start == "closed" ? std::min(s.start_tokens, work.kept_tokens()) : 0;
    const auto plan = training::layerwise_memory<T>(
        student, teacher_numbers, options, {std::max(s.training.batch, first.rows), first.length}, start_tokens);
    context.report().emplace_back("memory", adapters::memory_record(plan));
    context.info(adapters::memory_text(plan));
    return adapters::memory_text(plan);
}

/// `layers` (figures of each replaced layer) go to --report and, with -v, to the terminal; their means join the closing
/// line. Warns where the input ended before the steps that were asked for, or that its --limit promised.
template <class T>
void tell_outcome(const adapters::Distillation<T>& work,
                  const typename adapters::Distillation<T>::Progressed& done, const adapters::Pace& pace,
                  const std::vector<formats::Map>& layers, cli::Context& context)
{
    const auto percent = [](double x) {
        char text[32];
        std::snprintf(text, sizeof text, "%.2f %%", 100.0 * x);
        return std::string(text);
    };
    formats::List list;
    double first = 0.0, last = 0.0;
    for (const formats::Map& layer : layers) {
        const formats::Value figures(layer);
        const formats::Value* before = figures.find("explained_first");
        const formats::Value* after = figures.find("explained_last");
        if (before != nullptr && after != nullptr) {
            first += before->number() / static_cast<double>(layers.size());
            last += after->number() / static_cast<double>(layers.size());
            context.info("layer " + std::to_string(figures.find("layer")->integer()) + " explains " +
                         percent(before->number()) + " of the teacher's step before, " + percent(after->number()) +
                         " after");
        }
        list.emplace_back(layer);
    }
    context.report().emplace_back("layers", std::move(list));
    context.note(std::to_string(done.steps) + " steps on " + std::to_string(done.tokens) + " tokens" +
                 (first != 0.0 || last != 0.0 ? ", explained variance " + percent(first) + " to " + percent(last)
                                              : std::string()));
    if (work.skipped() > 0) {
        context.warn(std::to_string(work.skipped()) + " batches with NaN or infinity were left out");
    }
    if (done.steps < pace.most) {
        context.warn("the input ended after " + std::to_string(done.steps) + " of " + std::to_string(pace.most) +
                     " steps; give a longer dump, or --epochs");
    } else if (pace.most < 0 && done.steps < pace.expected - 1) {         // the last batch may be smaller
        context.warn("the input ended after " + std::to_string(done.steps) + " of the " +
                     std::to_string(pace.expected) + " steps that the --limit of teacher-dump promised, and the "
                     "learning rate was to fall over all of them; give --steps");
    }
}

}  // namespace stillhouse
