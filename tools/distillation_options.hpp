// SPDX-License-Identifier: Apache-2.0
// The options of layer-distill: what replaces attention, where it starts, and how it is fitted.
#pragma once

#include "libcore/base/error.hpp"
#include "tools/adapters/training/distillation.hpp"
#include "tools/adapters/training/student.hpp"
#include "tools/training_options.hpp"

#include <string>

namespace stillhouse {

inline void describe_student(cli::Tool& tool, adapters::StudentOptions& s)
{
    tool.group("Mixer");
    tool.option(&s.mixer, "--mixer", "NAME", "what replaces attention").choices({"hyena", "multihyena", "linear"});
    tool.option(&s.heads, "--heads", "M", "number of filters, and of heads of multihyena; default the teacher's heads")
        .range(1, 1 << 20);
    tool.option(&s.filter, "--filter", "NAME", "form of the filters").choices({"modal", "implicit", "free"});
    tool.option(&s.order, "--order", "D", "states of a modal filter; default 16, at most half the lags")
        .range(1, 4096);
    tool.option(&s.filter_width, "--filter-width", "N", "width of the implicit filter").range(1, 1 << 16);
    tool.option(&s.filter_features, "--filter-features", "N", "its positional features, odd").range(3, 4097);
    tool.option(&s.filter_frequency, "--filter-frequency", "X", "its sine frequency").range(1e-6, 1e6);
    tool.option(&s.length, "--length", "L", "lags of the filters; default the context").range(2, 1 << 24);
    tool.option(&s.taps, "--taps", "K", "the input at K lags beside the convolution").range(0, 1024);
    tool.option(&s.window, "--window", "W", "a softmax window of W tokens beside it").range(0, 1 << 20);
    tool.option(&s.keep, "--keep", "LIST", "layers that stay attention, or heads as 3:0,3:5");
}

/// Error{bad_argument} for an option that the mixer or filter asked for would not read.
inline void check_student(const adapters::StudentOptions& s)
{
    const auto refuse = [](const char* option, const std::string& with, const char* why) {
        throw_error(ErrorCode::bad_argument, std::string(option) + " has no effect with " + with + ": " + why);
    };
    const adapters::StudentOptions defaults;
    if (s.mixer == "linear") {
        const char* why = "linear attention has the teacher's heads and no filter";
        const std::string with = "--mixer linear";
        if (s.heads) refuse("--heads", with, why);
        if (s.order) refuse("--order", with, why);
        if (s.length) refuse("--length", with, why);
        if (s.filter != defaults.filter) refuse("--filter", with, why);
    }
    const std::string with = "--filter " + s.filter;
    if (s.order && s.filter != "modal") {
        refuse("--order", with, "it is the number of states of a modal filter");
    }
    if (s.filter != "implicit") {
        const char* why = "it shapes the network of an implicit filter";
        if (s.filter_width != defaults.filter_width) refuse("--filter-width", with, why);
        if (s.filter_features != defaults.filter_features) refuse("--filter-features", with, why);
        if (s.filter_frequency != defaults.filter_frequency) refuse("--filter-frequency", with, why);
    }
}

struct DistillationOptions {
    adapters::StudentOptions student;
    std::string start = "closed";
    Index start_tokens = 100'000;
    std::string schedule = "parallel";
    std::string objective = "block";
    std::optional<Index> steps;
    Index epochs = 1;
    TrainingOptions training;
    bool skip_bad = false;
    std::optional<Index> suggest_keep;

    /// `expected`: steps that the input will give where --steps does not say; 0: unknown. `config`: of the student.
    training::LayerwiseOptions layerwise(Index expected, std::uint64_t seed, const models::NetworkConfig& config) const
    {
        using training::LayerSchedule;
        training::LayerwiseOptions options;
        options.schedule = schedule == "forced"        ? LayerSchedule::forced
                           : schedule == "progressive" ? LayerSchedule::progressive
                           : schedule == "joint"       ? LayerSchedule::joint
                                                       : LayerSchedule::parallel;
        options.objective = objective == "mixer" ? training::Objective::mixer : training::Objective::block;
        options.steps_a_layer = steps.value_or(0);
        options.rate = training.learning_rate(steps.value_or(expected));
        options.adamw = training.adamw(stillhouse::training::layerwise_weights(config));
        options.clip = training.clip;
        options.dropout = training.dropout;
        options.seed = seed;
        return options;
    }
    /// `layers`: how many are trained.
    adapters::Pace pace(Index expected, Index layers) const
    {
        const bool progressive = schedule == "progressive";
        const Index of_layer = progressive ? std::max<Index>(1, *steps) : 0;
        return {training.batch, training.accumulate, steps ? *steps * (progressive ? layers : 1) : -1, expected,
                [rate = training.learning_rate(steps.value_or(expected)), of_layer](Index step) {
                    return rate.at(of_layer > 0 ? step % of_layer : step);
                }};
    }
};

/// Refuses what would not be read in the mode that the other options ask for.
inline void check_effects(const DistillationOptions& s)
{
    const auto refuse = [](const std::string& option, const char* with) {
        throw_error(ErrorCode::bad_argument, option + " has no effect with " + with);
    };
    if (s.suggest_keep) {
        const auto idle = changed_option(s.training, DistillationOptions().training);
        if (idle || s.steps || s.epochs > 1 || !s.student.keep.empty() || s.start != "closed") {
            refuse(idle.value_or(s.steps ? "--steps" : s.epochs > 1 ? "--epochs" : s.start != "closed" ? "--start"
                                                                                                       : "--keep"),
                   "--suggest-keep, which measures closed starts alone");
        }
    }
    if (s.start != "closed" && s.start_tokens != DistillationOptions().start_tokens) {
        refuse("--start-tokens", "a --start that reads no tokens");
    }
    if (s.steps == Index{0}) {
        const auto idle = changed_option(s.training, DistillationOptions().training);
        if (idle || s.epochs > 1) {
            refuse(idle.value_or("--epochs"), "--steps 0: there is no gradient step");
        }
    }
}

inline void describe_distillation(cli::Tool& tool, DistillationOptions& s)
{
    describe_student(tool, s.student);
    tool.option(&s.suggest_keep, "--suggest-keep", "N", "measure which N layers and heads cost most to replace, print "
                "them, write nothing").range(1, 1 << 20).outside_history()
        .detail("Each layer and each head is replaced alone, by the closed start on the first half of --start-tokens; "
                "its cost is KL(teacher || student) on the other half, in nats a token.");
    tool.group("Start");
    tool.option(&s.start, "--start", "NAME", "closed: attention by lag and refit; copy: the filter at its own "
                "initialisation, no refit; random").choices({"closed", "copy", "random"});
    tool.option(&s.start_tokens, "--start-tokens", "N", "tokens kept in memory for the closed start").range(1, 1e12);
    tool.group("Gradient steps");
    tool.option(&s.schedule, "--schedule", "NAME", "which layers a step trains, on which input")
        .choices({"parallel", "forced", "progressive", "joint"});
    tool.option(&s.objective, "--objective", "NAME", "what is compared with the teacher").choices({"block", "mixer"});
    tool.option(&s.steps, "--steps", "N", "gradient steps a layer; default to the end of the input, 0 the start alone")
        .range(0, 1e12);
    tool.option(&s.epochs, "--epochs", "N", "read the file that often").range(1, 1e6);
    describe_training(tool, s.training, "0: as the stream has them");
    tool.option(&s.skip_bad, "--skip-bad", "", "leave out batches with NaN or infinity");
    describe_keeping(tool, s.training);

    tool.check([&s] {
        check_student(s.student);
        check_effects(s);
        if (s.schedule == "progressive" && !s.steps) {
            throw_error(ErrorCode::bad_argument, "--schedule progressive needs --steps: the steps of each layer");
        }
        if (s.schedule == "joint" && s.objective == "mixer") {
            throw_error(ErrorCode::bad_argument, "--schedule joint goes through whole blocks; use --objective block");
        }
    });
}

}  // namespace stillhouse
