// SPDX-License-Identifier: Apache-2.0
// fine-tune: trains a whole network end to end, on text or on a teacher's distribution.

#include "libcore/models/initialize.hpp"
#include "tools/adapters/training_rows.hpp"
#include "tools/adapters/tuning.hpp"
#include "tools/model_run.hpp"
#include "tools/training_options.hpp"

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> model;
    std::vector<std::string> text;
    std::string tokens;
    bool sample = false;
    std::optional<std::string> teacher;
    std::optional<std::string> loss;
    std::optional<Index> steps;
    std::optional<Index> limit;
    std::optional<Index> context;
    TrainingOptions training{.rate = 5e-4, .batch = 8};
    double average = 0.0;
    std::vector<std::string> train, freeze;
    bool from_scratch = false;
    std::optional<std::string> valid;
    Index patience = 0;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"fine-tune", "trains a whole network end to end, on text or on a teacher's distribution"};
    tool.about("Position t of a row predicts token t + 1. With --teacher the default loss is KL(teacher || student), "
               "without it the cross-entropy. Spectra, fits and realizations of filters that changed are dropped, and "
               "the filters materialised anew.");
    tool.argument(s.model, "MODEL", "a student stream, or a model folder; - for standard input", 1, 1);
    tool.shared({.seed = true, .precision = true});
    tool.group("Data");
    tool.option(&s.text, "--text", "FILE...", "texts").many().completes("file").outside_history();
    tool.option(&s.tokens, "--tokens", "FILE", "token ids: .u16, .u32 or .npy").completes("file").outside_history()
        .excludes("--text");
    tool.option(&s.sample, "--sample", "", "the teacher's samples, else the model's own").excludes("--text")
        .excludes("--tokens");
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
    tool.option(&s.from_scratch, "--from-scratch", "", "random weights of the same shape: the baseline");
    tool.option(&s.valid, "--valid", "FILE", "a text whose perplexity (first 64 windows) is told on the way")
        .completes("file").outside_history();
    tool.option(&s.patience, "--patience", "N", "stop after N looks at --valid that were no better; keep the best")
        .range(0, 1e6).needs("--valid");
    tool.check([&s] {
        if (s.text.empty() && s.tokens.empty() && !s.sample) {
            throw_error(ErrorCode::bad_argument, "nothing to train on; give --text FILE, --tokens FILE or --sample");
        }
        if (s.sample && !s.steps && !s.limit) {
            throw_error(ErrorCode::bad_argument, "--sample has no end of its own; give --steps or --limit");
        }
        if (s.loss && *s.loss != "ce" && !s.teacher) {
            throw_error(ErrorCode::bad_argument, "--loss " + *s.loss + " needs a teacher; give --teacher MODEL");
        }
    });
    tool.example("teacher-dump share/teachers/bookworm --sample --limit 4K | layer-distill --steps 0 | fine-tune - "
                 "--teacher share/teachers/bookworm --text share/texts/emma-opening.txt --steps 2 --context 64 "
                 "-o tuned.mts",
                 "Two steps of KL to the teacher from the closed start.");
    tool.see_also({"layer-distill(1)", "evaluate(1)", "stillhouse-pipeline(7)"});
    return tool;
}

training::LogitLoss loss_of(const Settings& s)
{
    using training::LogitLoss;
    const std::string name = s.loss.value_or(s.teacher ? "kl" : "ce");
    return name == "ce" ? LogitLoss::ce : name == "kl" ? LogitLoss::kl : name == "ce+kl" ? LogitLoss::ce_kl
           : name == "rkl" ? LogitLoss::rkl : name == "jsd" ? LogitLoss::jsd : LogitLoss::mse;
}

template <class T>
cli::Exit fine_tune(const Settings& s, cli::Context& context, compute::Backend& backend)
{
    const Control control = context.control();
    auto model = load_model<T>(s.model[0], context);
    if (s.from_scratch) {
        model.weights = models::initialize_network<T>(model.config, context.seed());
    }
    models::Network<T> network(model.config, std::move(model.weights), backend.on<T>());
    std::unique_ptr<models::Network<T>> teacher;
    if (s.teacher) {
        auto other = load_model<T>(*s.teacher, context);
        teacher = std::make_unique<models::Network<T>>(other.config, std::move(other.weights), backend.on<T>());
    }

    using Rows = adapters::TrainingRows<T>;
    adapters::TokenRequest request;
    request.text = s.text;
    request.tokens = s.tokens;
    request.context = s.context.value_or(std::min<Index>(1024, model.config.max_positions));
    request.batch = std::max<Index>(1, s.training.batch);
    request.vocabulary = model.config.vocabulary;
    Rows rows(request, model.texts, model.name, s.sample ? Rows::From::samples : Rows::From::files,
              teacher ? *teacher : network, context.seed(),
              [&](const std::string& message) { context.warn(message); },
              [&](const std::string& path) { return context.open_input(path); });
    adapters::TuningPlan plan;
    plan.accumulate = s.training.accumulate;
    plan.patience = s.patience;
    plan.steps = rows.steps(s.steps, s.limit, s.training.accumulate);
    if (s.valid) {
        plan.valid = rows.validation(*s.valid);
    }

    const std::vector<std::string> trained = adapters::trained_names(network.config(), s.train, s.freeze);
    if (context.dry_run()) {
        return context.planned("would train " + std::to_string(trained.size()) + " tensors");
    }
    training::EndToEndOptions options;
    options.loss = loss_of(s);
    options.rate = s.training.learning_rate(std::max<Index>(0, plan.steps));
    options.adamw = s.training.adamw();
    options.clip = s.training.clip;
    options.average = s.average;
    training::EndToEndTrainer<T> trainer(network, trained, options);
    const auto done = adapters::tune<T>(network, trainer, teacher.get(), [&] { return rows.begin(control); }, plan,
                                        [&](const std::string& message) { context.info(message); }, control);
    adapters::write_tuned(context.create_stream(model.info), model, network,
                          s.from_scratch ? std::vector<std::string>() : trained, done);
    context.note(std::to_string(done.steps) + " steps on " + std::to_string(done.tokens) + " tokens, loss " +
                 std::to_string(done.first_loss) + " to " + std::to_string(done.last_loss));
    return cli::Exit::ok;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    context.check_output();
    return with_backend(context, [&]<class T>(compute::Backend& on, T) { return fine_tune<T>(s, context, on); });
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
