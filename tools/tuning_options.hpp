// SPDX-License-Identifier: Apache-2.0
// The options of fine-tune, and what they make of them.
#pragma once

#include "tools/adapters/training/tuning_checkpoint.hpp"
#include "tools/training_options.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stillhouse {

struct TuningOptions {
    std::vector<std::string> model;
    std::vector<std::string> text;
    std::string tokens;
    bool sample = false;
    std::optional<std::string> dump;
    std::optional<std::string> teacher;
    std::optional<std::string> loss;
    std::optional<Index> steps;
    std::optional<Index> limit;
    std::optional<Index> context;
    Index shuffle = 8192;
    TrainingOptions training{.schedule = "linear", .batch = 8};
    double average = 0.0;
    std::vector<std::string> train, freeze;
    std::string filters = "original";
    bool from_scratch = false;
    std::optional<std::string> valid;
    Index patience = 0;

    std::string loss_name() const { return loss.value_or(teacher || dump ? "kl" : "ce"); }
};

/// Refuses what would not be read in the mode that the other options ask for.
inline void check_effects(const TuningOptions& s)
{
    const auto refuse = [](const std::string& option, const std::string& with) {
        throw_error(ErrorCode::bad_argument, option + " has no effect with " + with);
    };
    const TuningOptions defaults;
    if (s.dump && s.training.batch != defaults.training.batch) {
        refuse("--batch", "--dump: batches are as the dump has them");
    }
    if (s.teacher && s.loss_name() == "ce" && !s.sample) {
        refuse("--teacher", "--loss ce: the text alone is learned");
    }
    if (s.from_scratch && s.filters == "modes") {
        refuse("--filters modes", "--from-scratch: the weights are random");
    }
    if (s.average >= 1.0) {
        throw_error(ErrorCode::bad_argument, "--ema: must be below 1, or the average never moves");
    }
    if (s.training.batch == 0) {
        throw_error(ErrorCode::bad_argument, "--batch 0: a step needs at least one sequence");
    }
    if (s.steps == Index{0}) {
        const auto idle = changed_option(s.training, defaults.training);
        if (idle || s.average > 0.0) {
            refuse(idle.value_or("--ema"), "--steps 0: there is no gradient step");
        }
    }
}

inline void describe_tuning(cli::Tool& tool, TuningOptions& s)
{
    tool.argument(s.model, "MODEL", "a student stream, or a model folder; - for standard input", 1, 1);
    tool.shared({.seed = true, .precision = true});
    tool.group("Data");
    tool.option(&s.text, "--text", "FILE...", "texts").many().completes("file").outside_history();
    tool.option(&s.tokens, "--tokens", "FILE", "token ids: .u16, .u32 or .npy").completes("file").outside_history()
        .excludes("--text");
    tool.option(&s.sample, "--sample", "", "the teacher's samples, else the model's own").excludes("--text")
        .excludes("--tokens");
    tool.option(&s.dump, "--dump", "FILE", "rows with a teacher's logits, as teacher-dump --show logits writes them, "
                "all or --top-k; in place of a text and --teacher").completes("file").outside_history()
        .excludes("--text").excludes("--tokens").excludes("--sample").excludes("--teacher").excludes("--context");
    tool.option(&s.shuffle, "--shuffle", "N", "draw the rows of a text from a pool of N, filled as it empties; 0: in "
                "their order").range(0, 1e8).excludes("--sample").excludes("--dump");
    tool.option(&s.context, "--context", "L", "tokens a row; default the model's maximum, at most 1024")
        .range(2, 1 << 24);
    tool.option(&s.steps, "--steps", "N", "gradient steps; a text that ends before is read again").range(0, 1e12);
    tool.option(&s.limit, "--limit", "N", "tokens to train on, instead of --steps").range(2, 1e15).excludes("--steps");
    tool.group("Loss");
    tool.option(&s.teacher, "--teacher", "MODEL", "run beside the student on the same rows").completes("file")
        .outside_history();
    tool.option(&s.loss, "--loss", "NAME", "ce, or a distance from the teacher")
        .choices({"ce", "kl", "ce+kl", "rkl", "jsd", "mse"});
    tool.group("Gradient steps");
    describe_training(tool, s.training, "rows of --context tokens");
    tool.option(&s.average, "--ema", "X", "decay of an average of the weights, which is written").range(0.0, 1.0);
    tool.option(&s.train, "--train", "GLOB", "only weights whose names match").many();
    tool.option(&s.freeze, "--freeze", "GLOB", "not those that match").many();
    tool.option(&s.filters, "--filters", "NAME", "which filters: as they are, or the modes of their fit (modal-fit) in "
                "their place, which then are trained").choices({"original", "modes"});
    tool.option(&s.from_scratch, "--from-scratch", "", "random weights of the same shape: the baseline");
    tool.option(&s.valid, "--valid", "FILE", "a text, or token ids, whose perplexity (first 64 windows) is told on the "
                "way")
        .completes("file").outside_history();
    tool.option(&s.patience, "--patience", "N", "stop after N looks at --valid that were no better; keep the best")
        .range(0, 1e6).needs("--valid");
    describe_keeping(tool, s.training);
    tool.check([&s] {
        if (s.text.empty() && s.tokens.empty() && !s.sample && !s.dump) {
            throw_error(ErrorCode::bad_argument,
                        "nothing to train on; give --text FILE, --tokens FILE, --sample or --dump FILE");
        }
        if (s.sample && !s.steps && !s.limit) {
            throw_error(ErrorCode::bad_argument, "--sample has no end of its own; give --steps or --limit");
        }
        if (s.loss && *s.loss != "ce" && !s.teacher && !s.dump) {
            throw_error(ErrorCode::bad_argument, "--loss " + *s.loss + " needs a teacher; give --teacher MODEL, or its "
                                                 "logits by --dump FILE");
        }
        check_effects(s);
    });
}

/// `trained`: names of weights.
inline training::EndToEndOptions trainer_options(const TuningOptions& s, Index steps, std::uint64_t seed,
                                                 const std::vector<std::string>& trained)
{
    using training::LogitLoss;
    const std::string name = s.loss_name();
    training::EndToEndOptions options;
    options.loss = name == "ce" ? LogitLoss::ce : name == "kl" ? LogitLoss::kl : name == "ce+kl" ? LogitLoss::ce_kl
                   : name == "rkl" ? LogitLoss::rkl : name == "jsd" ? LogitLoss::jsd : LogitLoss::mse;
    options.rate = s.training.learning_rate(std::max<Index>(0, steps));
    options.adamw = s.training.adamw(trained);
    options.clip = s.training.clip;
    options.dropout = s.training.dropout;
    options.seed = seed;
    options.average = s.average;
    return options;
}

inline Index rows_context(const TuningOptions& s, const models::NetworkConfig& config)
{
    return s.context.value_or(std::min<Index>(1024, config.max_positions));
}

inline adapters::TokenRequest rows_request(const TuningOptions& s, const models::NetworkConfig& config,
                                           std::uint64_t seed)
{
    adapters::TokenRequest request;
    request.text = s.text;
    request.tokens = s.tokens;
    request.context = rows_context(s, config);
    request.batch = std::max<Index>(1, s.training.batch);
    request.vocabulary = config.vocabulary;
    request.shuffle = s.shuffle;
    request.seed = seed;
    return request;
}

}  // namespace stillhouse
