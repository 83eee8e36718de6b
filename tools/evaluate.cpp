// SPDX-License-Identifier: Apache-2.0
// evaluate: how well does a model predict a text, with error bars, and how far is it from another?

#include "tools/adapters/model_config.hpp"
#include "tools/adapters/perplexity_report.hpp"
#include "tools/adapters/samples.hpp"
#include "tools/adapters/scored_text.hpp"
#include "tools/model_run.hpp"

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> model;
    std::vector<std::string> text;
    std::string tokens;
    std::optional<Index> context;
    std::optional<Index> stride;
    std::string first = "unscored";
    std::string mode = "auto";
    std::optional<std::string> against;
    bool by_position = false;
    std::optional<Index> limit;
    bool markdown = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"evaluate", "perplexity of a model on a text, with error bars, and its distance from another"};
    tool.about("Windows of --context tokens begin at 0, S, 2S, ...; each scores what the one before did not reach. The "
               "first token of a sequence, and of a block that has no context, is not scored; with a stride equal to "
               "the context the last, incomplete block is left out. Standard errors are over windows. Word and byte "
               "perplexities are the token perplexity to the power of tokens a word and tokens a byte of the texts.");
    tool.argument(s.model, "MODEL", "a model folder or stream; - for standard input", 1, 1);
    tool.shared({.precision = true, .json = true, .stream = false, .table = false});
    tool.option(&s.text, "--text", "FILE...", "texts, each a document of its own").many().completes("file")
        .outside_history();
    tool.option(&s.tokens, "--tokens", "FILE", "token ids: .u16, .u32, or .npy (each row a sequence of its own)")
        .completes("file").outside_history().excludes("--text");
    tool.option(&s.context, "--context", "L", "tokens of a window; default the model's maximum").range(2, 1 << 24);
    tool.option(&s.stride, "--stride", "S", "from one window to the next; default the context").range(1, 1 << 24);
    tool.option(&s.first, "--first", "NAME", "first tokens: not scored, or predicted from the model's first token")
        .choices({"unscored", "prefix"});
    tool.option(&s.mode, "--mode", "NAME", "how long convolutions are run: auto is recurrent where the model has a "
                "recurrence").choices({"auto", "recurrent", "exact", "attention"});
    tool.option(&s.against, "--against", "MODEL", "KL to this model, agreement, ratio of perplexities")
        .completes("file").outside_history();
    tool.option(&s.by_position, "--by-position", "", "perplexity by position in the window, in powers of two");
    tool.option(&s.limit, "--limit", "N", "tokens of each text").range(2, 1e15);
    tool.option(&s.markdown, "--markdown", "", "the table as Markdown").excludes("--json");
    tool.check([&s] {
        if (s.text.empty() && s.tokens.empty()) {
            throw_error(ErrorCode::bad_argument, "nothing to evaluate on; give --text FILE or --tokens FILE");
        }
        if (s.context && s.stride && *s.stride > *s.context) {
            throw_error(ErrorCode::bad_argument, "--stride " + std::to_string(*s.stride) +
                                                     " is greater than --context " + std::to_string(*s.context) +
                                                     ": tokens would be left out");
        }
    });
    tool.example("evaluate share/teachers/bookworm --text share/texts/emma-opening.txt --limit 2K",
                 "A teacher on a text.");
    tool.example_not_run("evaluate recurrence.mts --against share/teachers/bookworm --text emma.txt --json",
                         "What a recurrence lost, for a script.");
    tool.see_also({"fine-tune(1)", "generate(1)", "stillhouse-pipeline(7)"});
    return tool;
}

template <class T>
evaluation::Mode mode_of(const std::string& name, const models::NetworkConfig& config,
                         const models::Parameters<T>& weights)
{
    const bool attends = std::all_of(config.mixers.begin(), config.mixers.end(), [](const auto& mixer) {
        return mixer.kind == models::MixerKind::attention;
    });
    if (name == "attention" && !attends) {
        throw_error(ErrorCode::bad_argument, "--mode attention: the model has mixers that are no attention");
    }
    if (attends || name == "exact") {
        return evaluation::Mode::parallel;
    }
    const bool recurs = name == "recurrent" ||
                        adapters::natural_execution(config, weights) == models::Execution::recurrent;
    return recurs ? evaluation::Mode::recurrent : evaluation::Mode::parallel;
}

template <class T>
cli::Exit evaluate(const Settings& s, cli::Context& context, compute::Backend& backend)
{
    auto model = load_model<T>(s.model[0], context);
    adapters::ScoredTextOptions options;
    options.context = s.context.value_or(model.config.max_positions);
    options.stride = s.stride.value_or(options.context);
    options.limit = s.limit.value_or(-1);
    if (s.first == "prefix") {
        const auto special = adapters::special_tokens(model.texts.config, model.texts.generation_config,
                                                      model.config.vocabulary);
        options.prefix = special.first >= 0 || special.end.empty() ? special.first : special.end.front();
    }
    const auto open = [&](const std::string& path) { return context.open_input(path); };
    const adapters::ScoredText text =
        s.tokens.empty() ? adapters::scored_texts(adapters::read_files(s.text, open),
                                                  adapters::make_tokenizer(model.texts.tokenizer, model.name), options)
                         : adapters::scored_tokens(s.tokens, model.config.vocabulary, options, open);
    if (text.replaced > 0) {
        context.warn(std::to_string(text.replaced) + " invalid UTF-8 sequences were replaced by U+FFFD");
    }
    if (context.dry_run()) {
        context.note("would score " + std::to_string(text.windows.size()) + " windows");
        return cli::Exit::ok;
    }

    const auto mode = mode_of(s.mode, model.config, model.weights);
    const models::Network<T> network(model.config, std::move(model.weights), backend.on<T>());
    std::unique_ptr<models::Network<T>> reference;
    if (s.against) {
        auto other = load_model<T>(*s.against, context);
        reference = std::make_unique<models::Network<T>>(other.config, std::move(other.weights), backend.on<T>());
    }
    const auto scores =
        evaluation::score<T>(network, mode, reference.get(), text.tokens, text.windows, context.control());

    const formats::Value results = adapters::perplexity_report(text, scores, options, s.by_position, s.against);
    const formats::Map all{{"model", model.name},
                           {"mode", mode == evaluation::Mode::recurrent ? "recurrent" : "parallel"},
                           {"precision", context.precision()},
                           {"results", formats::Map{{"text", results}}}};
    const auto look = s.markdown ? adapters::Table::markdown : adapters::Table::text;
    context.result(all, adapters::perplexity_table(results, look));
    context.note(std::to_string(scores.tokens()) + " tokens scored");
    return cli::Exit::ok;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    context.check_output(false);
    return with_backend(context, [&]<class T>(compute::Backend& on, T) { return evaluate<T>(s, context, on); });
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
