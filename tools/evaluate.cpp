// SPDX-License-Identifier: Apache-2.0
// evaluate: how well does a model predict a text, with error bars, and how far is it from another?

#include "tools/adapters/evaluation/evaluation_report.hpp"
#include "tools/model_run.hpp"

#include <set>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> model;
    adapters::EvaluationFiles files;
    adapters::EvaluationSettings evaluation;
    std::optional<std::string> against, per_item;
    std::vector<std::string> precision{"f32"};
    bool by_position = false;
    bool markdown = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"evaluate", "perplexities and tasks of a model, with error bars, and its distance from another"};
    tool.about("Windows of --context tokens begin at 0, S, 2S, ...; each scores what the one before did not reach. The "
               "first token of a sequence, and of a window that has no context, is not scored. Tasks and WikiText are "
               "scored as lm-evaluation-harness does it, zero-shot. Nothing depends on how items are batched.");
    tool.argument(s.model, "MODEL", "a model folder or stream; - for standard input", 1, 1);
    tool.shared({.json = true, .stream = false, .table = false});
    tool.option(&s.files.text, "--text", "FILE...", "texts, each a document of its own").many().completes("file")
        .outside_history();
    tool.option(&s.files.tokens, "--tokens", "FILE", "token ids: .u16, .u32, or .npy (each row a sequence of its own)")
        .completes("file").outside_history().excludes("--text");
    tool.option(&s.files.wikitext, "--wikitext", "FILE", "pages of WikiText, detokenised, in rolling windows")
        .completes("file").outside_history();
    tool.option(&s.files.tasks, "--task", "NAME=FILE...", "items of a task, JSON lines").many().completes("file")
        .outside_history()
        .detail("Names: arc_challenge, arc_easy, logiqa, piqa, sciq, winogrande, wsc, wsc273, wsc273_onespace, "
                "lambada_openai, choices (context, choices, gold) and loglikelihood (context, continuation).");
    tool.option(&s.evaluation.context, "--context", "L", "tokens of a window, and the most that an item of a task may "
                "have; default the model's maximum").range(2, 1 << 24);
    tool.option(&s.evaluation.stride, "--stride", "S", "from one window to the next; default the context")
        .range(1, 1 << 24);
    tool.option(&s.evaluation.first, "--first", "NAME", "first tokens: not scored, or predicted from the model's first "
                "token")
        .choices({"unscored", "prefix"});
    tool.option(&s.evaluation.mode, "--mode", "NAME", "how long convolutions are run: auto is recurrent where the "
                "model has a recurrence").choices({"auto", "recurrent", "exact", "attention"});
    tool.option(&s.against, "--against", "MODEL", "KL to this model, agreement, ratio of perplexities, paired tests")
        .completes("file").outside_history();
    tool.option(&s.precision, "--precision", "LIST", "arithmetic of the network; several are compared with the first")
        .choices({"f64", "f32", "bf16", "int8"}).variable = "STILLHOUSE_PRECISION";
    tool.option(&s.by_position, "--by-position", "", "perplexity by position in the window, in powers of two");
    tool.option(&s.evaluation.limit, "--limit", "N", "tokens of each text, items of each task, pages of WikiText")
        .range(1, 1e15);
    tool.option(&s.per_item, "--per-item", "FILE", "write the log-likelihoods of each item, JSON lines")
        .completes("output").outside_history();
    tool.option(&s.markdown, "--markdown", "", "the table as Markdown").excludes("--json");
    tool.check([&s] {
        adapters::check_files(s.files, s.model.empty() ? "-" : s.model.front(), s.against.value_or(""));
        const auto& [context, stride] = std::pair(s.evaluation.context, s.evaluation.stride);
        if (context && stride) {             // with the model's own context only the model can tell
            adapters::check_stride(*stride, *context);
        }
        const bool texts = !s.files.text.empty() || !s.files.tokens.empty();
        if (!texts && (stride || s.evaluation.first != decltype(s.evaluation)().first)) {
            throw_error(ErrorCode::bad_argument, std::string(stride ? "--stride" : "--first") +
                                                     " is about windows of --text or --tokens, and there is neither "
                                                     "(the windows of WikiText are those of the harness)");
        }
        if (!texts && !s.files.wikitext && s.by_position) {
            throw_error(ErrorCode::bad_argument, "--by-position is about windows of a text, and only tasks are "
                                                 "evaluated");
        }
        const bool piped = (!s.model.empty() && formats::read_only_once(s.model.front())) ||
                           formats::read_only_once(s.against.value_or(""));
        if (std::set(s.precision.begin(), s.precision.end()).size() < s.precision.size() ||
            (s.precision.size() > 1 && piped)) {
            throw_error(ErrorCode::bad_argument, piped ? "--precision: a model from standard input or a pipe can be "
                                                         "read only once; give one precision, or a file"
                                                       : "--precision: the same is given twice");
        }
    });
    tool.example("evaluate share/teachers/bookworm --text share/texts/emma-opening.txt --limit 2K",
                 "A teacher on a text.");
    tool.example("evaluate share/teachers/bookworm --text share/texts/emma-opening.txt --limit 1K --precision f64,f32",
                 "What single precision costs.");
    tool.example_not_run("evaluate recurrence.mts --against share/teachers/bookworm --task piqa=piqa.jsonl --json",
                         "What a recurrence lost on a task, with a paired test, for a script.");
    tool.see_also({"fine-tune(1)", "generate(1)"});
    return tool;
}

/// One precision: evaluates the model, and the other one where there is one.
template <class T>
void evaluate(const Settings& s, const std::string& precision, const adapters::EvaluationInput& input,
              adapters::EvaluationReport& report, compute::Backend& backend, cli::Context& context, std::string* plan)
{
    std::optional<adapters::Model<T>> against;
    auto model = load_model<T>(s.model[0], context);
    if (s.against) {
        against = load_model<T>(*s.against, context);
    }
    std::optional<adapters::Evaluation> other;
    adapters::EvaluationSettings settings = s.evaluation;
    if (precision == "bf16" || precision == "int8") {
        settings.weights = precision == "bf16" ? compute::WeightFormat::bf16 : compute::WeightFormat::int8;
    }
    adapters::Evaluation one = adapters::evaluate_model<T>(std::move(model), std::move(against), other, input,
                                                           settings, backend.on<T>(), context.control(), plan);
    if (precision == s.precision.front()) {
        for (const std::string& notice : adapters::evaluation_notices(input, one)) {
            context.warn(notice);
        }
    }
    if (plan == nullptr) {
        report.add(precision, std::move(one), std::move(other));
    }
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    context.check_output(false);
    std::optional<formats::AtomicFile> items;
    if (s.per_item && !context.dry_run()) {
        items.emplace(context.create_file(*s.per_item));
    }
    const auto input = adapters::read_evaluation_input(
        s.files, s.evaluation.limit, [&](const std::string& path) { return context.open_input(path); },
        [&](const std::string& message) { context.warn(message); });
    adapters::EvaluationReport report(input, s.by_position);
    for (const std::string& precision : s.precision) {
        std::string plan;
        with_backend(context, precision == "int8" ? "f32" : precision, [&]<class T>(compute::Backend& backend, T) {
            evaluate<T>(s, precision, input, report, backend, context, context.dry_run() ? &plan : nullptr);
        });
        if (context.dry_run()) {
            return context.planned(plan);
        }
    }
    if (items) {
        const std::string lines = report.item_lines();
        items->fd().write_full(lines);
        items->commit();
    }
    context.result(report.json(), report.table(s.markdown ? adapters::Table::markdown : adapters::Table::text));
    context.note(report.fact());
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
