// SPDX-License-Identifier: Apache-2.0
// layer-distill: attention out, convolution in; each new mixer is fitted to the teacher's activations.

#include "tools/adapters/distillation.hpp"
#include "tools/adapters/student.hpp"
#include "tools/adapters/student_stream.hpp"
#include "tools/model_run.hpp"
#include "tools/training_options.hpp"

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    adapters::StudentOptions student;
    std::string start = "closed";
    Index start_tokens = 100'000;
    std::string schedule = "parallel";
    std::string objective = "block";
    std::optional<Index> steps;
    Index epochs = 1;
    TrainingOptions training;
    bool skip_bad = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"layer-distill", "replaces each attention by a convolutional mixer and fits it to the teacher"};
    tool.about("Reads the model and the activations that teacher-dump writes. Embeddings, norms, MLP and head are "
               "copied; each attention becomes a Hyena mixer whose filter starts as the teacher's mean attention at "
               "each lag and whose output projection is solved for in closed form; then gradient steps bring every "
               "layer to the teacher's residual stream. Writes the student with its filters materialised.");
    tool.argument(s.input, "STREAM", "the stream of teacher-dump; default standard input", 0, 1);
    tool.shared({.seed = true, .precision = true});
    tool.group("Mixer");
    tool.option(&s.student.mixer, "--mixer", "NAME", "what replaces attention")
        .choices({"hyena", "multihyena", "linear"});
    tool.option(&s.student.heads, "--heads", "M", "number of filters, and of heads of multihyena; default the "
                "teacher's heads").range(1, 1 << 20);
    tool.option(&s.student.filter, "--filter", "NAME", "form of the filters").choices({"modal", "implicit", "free"});
    tool.option(&s.student.order, "--order", "D", "states of a modal filter; default 16, at most half the lags")
        .range(1, 4096);
    tool.option(&s.student.filter_width, "--filter-width", "N", "width of the implicit filter").range(1, 1 << 16);
    tool.option(&s.student.filter_features, "--filter-features", "N", "its positional features, odd").range(3, 4097);
    tool.option(&s.student.filter_frequency, "--filter-frequency", "X", "its sine frequency").range(1e-6, 1e6);
    tool.option(&s.student.length, "--length", "L", "lags of the filters; default the context").range(2, 1 << 24);
    tool.option(&s.student.taps, "--taps", "K", "the input at K lags beside the convolution").range(0, 1024);
    tool.option(&s.student.window, "--window", "W", "a softmax window of W tokens beside it").range(0, 1 << 20);
    tool.option(&s.student.keep, "--keep", "LIST", "layers that stay attention, or heads as 3:0,3:5");
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

    tool.check([&s] {
        if (s.schedule == "progressive" && !s.steps) {
            throw_error(ErrorCode::bad_argument, "--schedule progressive needs --steps: the steps of each layer");
        }
        if (s.schedule == "joint" && s.objective == "mixer") {
            throw_error(ErrorCode::bad_argument, "--schedule joint goes through whole blocks; use --objective block");
        }
        if (s.epochs > 1 && (s.input.empty() || s.input[0] == "-")) {
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

training::LayerwiseOptions layerwise_options(const Settings& s)
{
    using training::LayerSchedule;
    training::LayerwiseOptions options;
    options.schedule = s.schedule == "forced"        ? LayerSchedule::forced
                       : s.schedule == "progressive" ? LayerSchedule::progressive
                       : s.schedule == "joint"       ? LayerSchedule::joint
                                                     : LayerSchedule::parallel;
    options.objective = s.objective == "mixer" ? training::Objective::mixer : training::Objective::block;
    options.steps_a_layer = s.steps.value_or(0);
    options.adamw = s.training.adamw();
    options.clip = s.training.clip;
    return options;
}

template <class T>
cli::Exit distil(const Settings& s, cli::Context& context, compute::Backend& backend)
{
    using Bad = typename adapters::ActivationBatches<T>::Bad;
    const Control control = context.control();
    adapters::Distillation<T> work(
        s.input.empty() ? "-" : s.input[0], [&](const std::string& path) { return context.open_stream(path); },
        [&](const std::string& message) { context.warn(message); }, s.skip_bad ? Bad::skip : Bad::refuse, s.epochs);

    auto kept = work.keep(s.start == "closed" && !context.dry_run() ? s.start_tokens : 1);
    const auto config = adapters::student_config(work.teacher, s.student, kept.front().length);
    auto& weights = work.model.weights;
    const auto attention = adapters::take_attention(work.teacher, config, weights);
    for (Index layer = 0; layer < config.layers; ++layer) {
        if (config.mixers[static_cast<std::size_t>(layer)].kind != models::MixerKind::attention) {
            models::initialize_mixer(config, layer, context.seed(), weights);
            if (s.start == "copy") {
                training::copy_attention(config, layer, work.teacher, attention, true, weights);
            }
        }
    }
    if (context.dry_run()) {
        return context.planned("would fit the mixers of " + std::to_string(config.layers) + " layers");
    }
    models::Network<T> student(config, std::move(weights), backend.on<T>());
    std::vector<training::LayerReport> start;
    if (s.start == "closed") {
        start = training::closed_start(student, work.teacher, attention, kept, training::Refit::yes, control);
    }

    typename adapters::Distillation<T>::Progressed done;
    if (s.steps.value_or(1) > 0) {
        auto options = layerwise_options(s);
        const Index expected = work.expected_steps(kept.front(), s.training.batch, s.training.accumulate);
        options.rate = s.training.learning_rate(s.steps.value_or(expected));
        training::LayerwiseTrainer<T> trainer(student, work.teacher, attention, options);
        const Index layers = s.schedule == "progressive" ? trainer.trained_layers() : 1;
        done = work.train(trainer, std::move(kept), s.training.batch, s.training.accumulate,
                          s.steps ? *s.steps * layers : -1, control);
    }
    work.finish();
    adapters::write_distilled(context.create_stream(work.model.info), work, student, start, done);
    context.note(std::to_string(done.steps) + " steps on " + std::to_string(done.tokens) + " tokens");
    if (work.skipped() > 0) {
        context.warn(std::to_string(work.skipped()) + " batches with NaN or infinity were left out");
    }
    return cli::Exit::ok;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    context.check_output();
    return with_backend(context, [&]<class T>(compute::Backend& on, T) { return distil<T>(s, context, on); });
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
