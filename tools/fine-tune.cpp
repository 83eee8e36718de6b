// SPDX-License-Identifier: Apache-2.0
// fine-tune: trains a whole network end to end, on text or on a teacher's distribution.

#include "libcore/models/initialize.hpp"
#include "tools/adapters/filters/adopted_modes.hpp"
#include "tools/adapters/training/loss_summary.hpp"
#include "tools/adapters/memory_text.hpp"
#include "tools/adapters/training/teacher_logits.hpp"
#include "tools/model_run.hpp"
#include "tools/training_run.hpp"
#include "tools/tuning_options.hpp"

namespace {

using namespace stillhouse;

cli::Tool describe(TuningOptions& s)
{
    cli::Tool tool{"fine-tune", "trains a whole network end to end, on text or on a teacher's distribution"};
    tool.about("Position t of a row predicts token t + 1. With --teacher the default loss is KL(teacher || student), "
               "without it the cross-entropy. Spectra, fits and realizations of filters that changed are dropped, and "
               "the filters materialised anew.");
    describe_tuning(tool, s);
    tool.example("teacher-dump share/teachers/bookworm --sample --limit 4K | layer-distill --steps 0 | fine-tune - "
                 "--teacher share/teachers/bookworm --text share/texts/emma-opening.txt --steps 2 --batch 2 "
                 "-o tuned.mts",
                 "Two steps of KL to the teacher from the closed start.");
    tool.see_also({"layer-distill(1)", "evaluate(1)"});
    return tool;
}

template <class T>
cli::Exit fine_tune(const TuningOptions& s, cli::Context& context, compute::Backend& backend)
{
    const Control control = context.control();
    auto checkpoints = open_checkpoints(s.training, context);
    const auto from = checkpoints != nullptr ? checkpoints->newest() : std::nullopt;
    auto model = load_model<T>(s.model[0], context);
    auto record = run_record(context, {{"model", adapters::fingerprint(model.weights, backend.pool())}});
    adapters::Adopted adopted;
    if (s.filters == "modes") {
        adopted = adapters::adopt_modes(model, backend.on<T>().pool(), control);
        context.info(std::to_string(adopted.filters) + " filters are the modes of their fits, " +
                     std::to_string(adopted.moved) + " of them refitted so that steps can move them");
    }
    if (s.from_scratch) {
        model.weights = models::initialize_network<T>(model.config, context.seed());
    }
    models::Network<T> network(model.config, std::move(model.weights), backend.on<T>());
    std::unique_ptr<models::Network<T>> teacher;
    if (s.teacher) {
        auto other = load_model<T>(*s.teacher, context);
        record.emplace_back("teacher", adapters::fingerprint(other.weights, backend.pool()));
        teacher = std::make_unique<models::Network<T>>(other.config, std::move(other.weights), backend.on<T>());
    }
    if (teacher) {
        adapters::check_teacher(teacher->config(), network.config());
    }

    using Rows = adapters::TrainingRows<T>;
    Rows rows(rows_request(s, network.config(), context.seed()), model.texts, model.name,
              s.dump ? Rows::From::nothing : s.sample ? Rows::From::samples : Rows::From::files,
              teacher ? *teacher : network, context.seed(), [&](const std::string& message) { context.warn(message); },
              [&](const std::string& path) { return context.open_input(path); });
    std::optional<adapters::TaughtRows> taught;
    if (s.dump) {
        taught.emplace(*s.dump, [&](const std::string& path) { return context.open_stream(path); },
                       network.config().vocabulary);
        record.emplace_back("dump", taught->history());
        record.emplace_back("dump_file", adapters::content_key(*s.dump));
    }
    const training::PieceShape piece = taught ? taught->first_piece()
                                              : training::PieceShape{s.training.batch,
                                                                     rows_context(s, network.config())};
    adapters::check_positions(piece.length, network.config(), "model");
    const Index longest = adapters::longest_filter(network.config());
    if (piece.length < longest) {
        context.warn("rows of " + std::to_string(piece.length) + " tokens never show the filters of " +
                     std::to_string(longest) + " lags what lies beyond; give a longer --context, or "
                     "--freeze '*.filter*'");
    }
    if (teacher) {
        adapters::check_positions(piece.length, teacher->config(), "teacher");
    }
    const Index steps = taught ? taught->steps(s.steps, s.limit, s.training.accumulate)
                               : rows.steps(s.steps, s.limit, s.training.accumulate);
    const auto feed = taught ? adapters::feed_of(*taught, control) : adapters::feed_of(rows, control);
    adapters::TuningPlan plan;
    plan.accumulate = s.training.accumulate;
    plan.patience = s.patience;
    plan.steps = steps;
    record.emplace_back("steps", plan.steps);
    record.emplace_back("data", adapters::content_keys(s.text.empty() ? std::vector{s.tokens} : s.text));
    record.emplace_back("valid", adapters::content_key(s.valid.value_or("")));
    if (s.valid) {
        plan.valid = rows.validation(*s.valid);
    }
    const std::vector<std::string> trained = adapters::trained_names(network.config(), s.train, s.freeze);
    auto memory = training::end_to_end_memory<T>(network, trained, teacher.get(), piece,
                                                 (s.average > 0.0 ? 1 : 0) + (s.patience > 0 ? 1 : 0));
    memory.data += taught ? taught->bytes(s.training.accumulate) : 0.0;
    context.info(adapters::memory_text(memory));
    context.report().emplace_back("memory", adapters::memory_record(memory));
    const auto options = trainer_options(s, plan.steps, context.seed(), trained);
    if (context.dry_run()) {
        return context.planned("would train " + std::to_string(trained.size()) + " tensors; " +
                               adapters::memory_text(memory));
    }
    plan.rate = [&](Index step) { return options.rate.at(step); };
    training::EndToEndTrainer<T> trainer(network, trained, options);
    adapters::Tuned<T> done;
    const adapters::TuningState<T> state{network, trained, trainer, done};
    if (from) {
        adapters::require_same_run(*from, record, adapters::same_tuning(s.teacher.has_value(), s.dump.has_value()));
        feed.seek(adapters::put_back(*from, state));
    }
    adapters::TrainingWatch watch(
        training_tools(s.training, context, std::move(checkpoints), from ? done.steps : -1, done.looked()), 1);
    watch.recall(done.losses, done.tokens);
    watch.keep([&] { return adapters::checkpoint_of(state, record, feed.position()); }, nullptr);
    const bool whole = watch.guard([&] {
        adapters::tune<T>(network, trainer, teacher.get(), feed, plan, done, watch,
                          [&](const std::string& message) { context.info(message); }, control);
        std::vector<std::string> changed = s.from_scratch ? std::vector<std::string>() : trained;
        changed.insert(changed.end(), adopted.weights.begin(), adopted.weights.end());
        adapters::write_tuned(context.create_stream(model.info), model, network, changed, done);
    });
    if (!whole) {
        return cli::Exit::check_failed;
    }
    finish_keeping(s.training, context, watch,
                   adapters::loss_plot("fine-tune", "loss, nats a token", {"training"}, done.losses, done.valid));
    context.note(std::to_string(done.steps) + " steps on " + std::to_string(done.tokens) + " tokens" +
                 adapters::loss_text(done.losses));
    return cli::Exit::ok;
}

cli::Exit run(const TuningOptions& s, cli::Context& context)
{
    context.check_output();
    return with_backend(context, [&]<class T>(compute::Backend& on, T) { return fine_tune<T>(s, context, on); });
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<TuningOptions>(argc, argv, describe, run);
}
