// SPDX-License-Identifier: Apache-2.0
// layer-distill: attention out, convolution in; each new mixer is fitted to the teacher's activations.

#include "tools/adapters/training/distillation_checkpoint.hpp"
#include "tools/adapters/training/keep_costs.hpp"
#include "tools/distillation_report.hpp"
#include "tools/model_run.hpp"
#include "tools/training_run.hpp"

namespace {

using namespace stillhouse;

struct Settings : DistillationOptions {
    std::vector<std::string> input;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"layer-distill", "replaces each attention by a convolutional mixer and fits it to the teacher"};
    tool.about("Reads the model and the activations that teacher-dump writes. Embeddings, norms, MLP and head are "
               "copied; each attention becomes a Hyena mixer whose filter starts as the teacher's mean attention at "
               "each lag and whose output projection is solved for in closed form; then gradient steps bring every "
               "layer to the teacher's residual stream. Writes the student with its filters materialised.");
    tool.argument(s.input, "STREAM", "the stream of teacher-dump; default standard input", 0, 1);
    tool.shared({.seed = true, .precision = true, .json = true, .table = false});
    describe_distillation(tool, s);
    tool.check([&s] {
        if (s.epochs > 1 && (s.input.empty() || formats::read_only_once(s.input[0]))) {
            throw_error(ErrorCode::bad_argument, "--epochs " + std::to_string(s.epochs) + " reads the input again, "
                                                 "which a pipe cannot; write the dump to a file and name it");
        }
    });
    tool.example("teacher-dump share/teachers/bookworm --sample --limit 4K | layer-distill --steps 0 -o student.mts",
                 "The closed start alone.");
    tool.example("teacher-dump share/teachers/bookworm --sample --limit 4K | layer-distill --window 16 -o windowed.mts",
                 "With a softmax window of 16 tokens beside the convolution.");
    tool.see_also({"teacher-dump(1)", "fine-tune(1)", "hankel-spectrum(1)", "modal-fit(1)", "stillhouse-model(5)"});
    return tool;
}

/// The student before any step: what replaces attention is random, or the teacher's where --start says copy.
template <class T>
models::Network<T> begin(const Settings& s, const models::NetworkConfig& config, std::uint64_t seed,
                         const models::Parameters<T>& attention, adapters::Distillation<T>& work,
                         compute::Operations<T>& ops)
{
    auto& weights = work.model.weights;
    for (Index layer = 0; layer < config.layers; ++layer) {
        if (config.mixers[static_cast<std::size_t>(layer)].kind != models::MixerKind::attention) {
            models::initialize_mixer(config, layer, seed, weights);
            if (s.start == "copy") {
                training::copy_attention(config, layer, work.teacher, attention, true, weights);
            }
        }
    }
    return models::Network<T>(config, std::move(weights), ops);
}

cli::Exit tell(const std::vector<adapters::ReplacementCost>& costs, cli::Context& context)
{
    for (const auto& one : costs) {
        context.result(formats::Map{{"layer", one.layer}, {"head", one.head < 0 ? formats::Value() : one.head},
                                    {"kl", one.kl}}, "");
    }
    if (!context.json()) {
        write_text(context.create_output(), adapters::cost_table(costs));
    }
    return cli::Exit::ok;
}

template <class T>
cli::Exit distil(const Settings& s, cli::Context& context, compute::Backend& backend)
{
    using Work = adapters::Distillation<T>;
    const auto control = context.control();
    const bool piped = s.input.empty() || formats::read_only_once(s.input[0]);
    auto checkpoints = open_checkpoints(s.training, context);
    const auto from = checkpoints != nullptr ? checkpoints->newest() : std::nullopt;
    Work work(
        s.input.empty() ? "-" : s.input[0], [&](const std::string& path) { return context.open_stream(path); },
        [&](const std::string& message) { context.warn(message); }, s.skip_bad ? Work::Bad::skip : Work::Bad::refuse,
        s.epochs);
    const std::string file = adapters::content_key(piped ? "" : s.input[0]);
    const auto record = run_record(context, {{"teacher", adapters::fingerprint(work.model.weights, backend.pool())},
                                             {"input", formats::to_json(work.model.info.history)}, {"file", file}});
    if (from) {
        adapters::require_same_run(*from, record, adapters::same_distillation(*from, file));
    } else {
        work.keep(s.start == "closed" && !context.dry_run() ? s.start_tokens : 1);
    }
    if (s.suggest_keep && !context.dry_run()) {
        const auto costs = adapters::replacement_costs(work.teacher, work.model.weights, s.student, work.lend(),
                                                       context.seed(), backend.on<T>(), control);
        work.finish();
        return tell(adapters::costliest(costs, *s.suggest_keep), context);
    }
    const auto first = from ? adapters::first_batch(*from) : work.first();
    const auto config = adapters::student_config(work.teacher, s.student, first.length);
    const Index expected = work.expected_steps(first, s.training.batch, s.training.accumulate);
    const auto options = s.layerwise(expected, context.seed(), config);
    const auto memory = tell_memory<T>(s, work, config, first, options, context);
    const auto attention = adapters::take_attention(work.teacher, config, work.model.weights);
    if (context.dry_run()) {
        return context.planned("would fit the mixers of " + std::to_string(config.layers) + " layers; " + memory);
    }
    auto student = begin<T>(s, config, context.seed(), attention, work, backend.on<T>());
    std::vector<training::LayerReport> start;
    if (s.start == "closed" && !from) {
        auto batches = work.lend();
        start = training::closed_start(student, work.teacher, attention, batches, training::Refit::yes, control);
        work.take_back(std::move(batches));
    }
    training::LayerwiseTrainer<T> trainer(student, work.teacher, attention, options);
    typename Work::Progressed done = work.begun();
    const auto pace = s.pace(expected, trainer.trained_layers());
    const adapters::DistillationState<T> state{student, trainer, done, start};
    if (from) {
        adapters::put_back(*from, state);
    }
    adapters::TrainingWatch watch(training_tools(s.training, context, std::move(checkpoints), from ? done.steps : -1),
                                  config.layers);
    watch.recall(done.losses, done.tokens);
    watch.keep([&] { return adapters::checkpoint_of(state, record, first); },
               [&] { return piped ? " --skip " + std::to_string(done.position.batch) : std::string(); });
    const bool whole = watch.guard([&] {
        if (from) {
            work.seek(done.position);
        } else {
            watch.save();
        }
        work.train(trainer, pace, done, watch, control);
        watch.require_finite(student.weights(), done.steps);
        work.finish();
        adapters::write_distilled(context.create_stream(work.model.info), work, student, start, done);
    });
    if (!whole) {
        return cli::Exit::check_failed;
    }
    finish_keeping(s.training, context, watch,
                   adapters::loss_plot("layer-distill", "relative error", work.layer_names(), done.losses, {}));
    tell_outcome(work, done, pace, adapters::layer_figures<T>(config, start, done), context);
    return cli::Exit::ok;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    if (context.json() && !s.suggest_keep) {
        throw_error(ErrorCode::bad_argument, "--json prints what --suggest-keep measures");
    }
    context.check_output(!s.suggest_keep);
    return with_backend(context, [&]<class T>(compute::Backend& on, T) { return distil<T>(s, context, on); });
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
