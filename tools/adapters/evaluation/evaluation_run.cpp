// SPDX-License-Identifier: Apache-2.0
// A model evaluated on texts, pages and tasks, alone or beside another.
#include "tools/adapters/evaluation/evaluation_run.hpp"

#include "tools/adapters/generation/generation_io.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <memory>
#include <utility>

namespace stillhouse::adapters {

namespace {

using evaluation::Mode;

/// The first token of texts, else the one that ends them; -1: the model names neither.
template <class T>
Token prefix_of(const Model<T>& model)
{
    const auto special =
        special_tokens(model.texts.config, model.texts.generation_config, model.config.vocabulary);
    return special.first >= 0 || special.end.empty() ? special.first : special.end.front();
}

/// A model ready to be scored: its network, and what text is to it.
template <class T>
struct Subject {
    std::string name, tokenizer_text;
    Token prefix = -1;
    Mode mode = Mode::parallel;
    std::string mode_name;
    Index context = 0;
    std::optional<models::Tokenizer> tokenizer;
    std::optional<evaluation::PairEncoder> encoder;
    models::Network<T> network;

    Subject(Model<T> model, const std::string& wanted_mode, const EvaluationSettings& settings, bool reads_text,
            compute::Operations<T>& ops)
        : name(model.name), tokenizer_text(model.texts.tokenizer), prefix(prefix_of(model)),
          context(settings.context.value_or(model.config.max_positions)),
          network(model.config, std::move(model.weights), ops)
    {
        if (settings.weights) {
            network.pack(*settings.weights, *settings.weights);
        }
        const bool attends = network.config().attends_only();
        const auto execution =
            choose_execution(wanted_mode, "original", network.config(), std::as_const(network).weights());
        const bool recurs = !attends && execution == models::Execution::recurrent;
        mode = recurs ? Mode::recurrent : Mode::parallel;
        mode_name = attends ? "attention" : recurs ? "recurrent" : "exact";
        if (reads_text) {
            tokenizer.emplace(make_tokenizer(tokenizer_text, name));
            encoder.emplace(*tokenizer, prefix);
        }
    }
};

/// The requests of a task, each with the place of its item where something is wrong with it.
template <class T>
std::vector<evaluation::RequestGroup> requests_of(const Task& task, const Subject<T>& subject)
{
    std::vector<evaluation::RequestGroup> groups;
    for (const TaskItem& item : task.items) {
        evaluation::RequestGroup& group = groups.emplace_back();
        for (std::size_t i = 0; i < item.choices.size(); ++i) {
            with_context(task.path + ": line " + std::to_string(item.line) +
                             (item.choices.size() > 1 ? ": choice " + std::to_string(i) : ""),
                         [&] {
                             group.push_back(
                                 subject.encoder->pair(item.choices[i].context, item.choices[i].continuation));
                             evaluation::check_length(group.back(), subject.context);
                         });
        }
    }
    return groups;
}

template <class T>
ScoredTextOptions text_options(const Subject<T>& subject, const EvaluationSettings& settings)
{
    ScoredTextOptions options;
    options.context = subject.context;
    options.stride = settings.stride.value_or(options.context);
    check_stride(options.stride, options.context);
    options.limit = settings.limit.value_or(-1);
    if (settings.first == "prefix") {
        if (subject.prefix < 0) {
            throw_error(ErrorCode::bad_data, subject.name + ": names no token that begins or ends a text; "
                                                            "leave out --first prefix");
        }
        options.prefix = subject.prefix;
    }
    return options;
}

/// The other model's part of scores that both were in.
TextScores reference_part(const TextScores& both)
{
    TextScores other{both.text, both.options, {}};
    other.scores.window_nll = both.scores.reference_nll;
    other.scores.window_tokens = both.scores.window_tokens;
    return other;
}

}  // namespace

void check_stride(Index stride, Index context)
{
    if (stride > context) {
        throw_error(ErrorCode::bad_argument, "--stride " + std::to_string(stride) + " is greater than the context, " +
                                                 std::to_string(context) + ": tokens would be left out; give a "
                                                                           "smaller one, or a longer --context");
    }
}

template <class T>
Evaluation evaluate_model(Model<T> model, std::optional<Model<T>> against, std::optional<Evaluation>& other,
                          const EvaluationInput& input, const EvaluationSettings& settings,
                          compute::Operations<T>& ops, const Control& control, std::string* plan)
{
    const bool asks = !input.pages.empty() || !input.tasks.empty();
    const Subject<T> one(std::move(model), settings.mode, settings, asks || !input.texts.empty(), ops);
    std::unique_ptr<const Subject<T>> two;
    Evaluation result{one.name, one.mode_name, one.context, {}, {}, {}};
    if (against) {
        const std::string own = against->config.attends_only() ? "attention" : "exact";
        EvaluationSettings same = settings;
        same.context = one.context;
        two = std::make_unique<const Subject<T>>(std::move(*against), own, same, asks, ops);
        other = Evaluation{two->name, two->mode_name, two->context, {}, {}, {}};
    }
    const bool has_text = !input.texts.empty() || !input.tokens.empty();
    if (two != nullptr && has_text && two->network.config().vocabulary != one.network.config().vocabulary) {
        throw_error(ErrorCode::bad_data, two->name + ": " + std::to_string(two->network.config().vocabulary) +
                                             " logits, but " + one.name + " has " +
                                             std::to_string(one.network.config().vocabulary) +
                                             "; models of different vocabularies compare on --wikitext and --task");
    }
    const auto* const reference = two != nullptr ? &two->network : nullptr;
    const bool same_tokens = two != nullptr && two->tokenizer_text == one.tokenizer_text &&
                             two->prefix == one.prefix &&
                             two->network.config().vocabulary == one.network.config().vocabulary;

    // All is encoded before anything is computed, so that what is wrong with the input is said at once.
    if (has_text) {
        const ScoredTextOptions options = text_options(one, settings);
        result.text = TextScores{
            input.tokens.empty()
                ? with_context("--text", [&] { return scored_texts(input.texts, *one.tokenizer, options); })
                : scored_tokens(input.tokens, one.network.config().vocabulary, options, input.open),
            options, {}};
    }
    if (!input.pages.empty()) {
        ScoredTextOptions options;
        options.context = options.stride = one.context;
        const auto scored = [&] { return scored_pages(input.pages, *one.encoder, one.context); };
        result.pages = TextScores{with_context("--wikitext", scored), options, {}};
        if (two != nullptr && !same_tokens) {
            other->pages = TextScores{scored_pages(input.pages, *two->encoder, two->context), options, {}};
        }
    }
    std::vector<std::vector<evaluation::RequestGroup>> requests;
    std::vector<std::vector<evaluation::RequestGroup>> other_requests;
    for (const Task& task : input.tasks) {
        requests.push_back(requests_of(task, one));
        if (two != nullptr && !same_tokens) {
            other_requests.push_back(requests_of(task, *two));
        }
    }
    if (plan != nullptr) {
        std::size_t windows = result.text ? result.text->text.windows.size() : 0;
        windows += result.pages ? result.pages->text.windows.size() : 0;
        std::size_t items = 0;
        for (const Task& task : input.tasks) {
            items += task.items.size();
        }
        *plan = "would score " + std::to_string(windows) + " windows and " + std::to_string(items) + " items";
        return result;
    }

    if (result.text) {
        result.text->scores = evaluation::score<T>(one.network, one.mode, reference, result.text->text.tokens,
                                                   result.text->text.windows, control);
        if (two != nullptr) {
            other->text = reference_part(*result.text);
        }
    }
    if (result.pages) {
        result.pages->scores =
            evaluation::score<T>(one.network, one.mode, same_tokens ? reference : nullptr, result.pages->text.tokens,
                                 result.pages->text.windows, control);
        if (same_tokens) {
            other->pages = reference_part(*result.pages);
        } else if (two != nullptr) {
            other->pages->scores = evaluation::score<T>(two->network, two->mode, nullptr, other->pages->text.tokens,
                                                        other->pages->text.windows, control);
        }
    }
    for (std::size_t t = 0; t < input.tasks.size(); ++t) {
        result.tasks.push_back(
            evaluation::score_requests<T>(one.network, one.mode, requests[t], one.context, control));
        if (two != nullptr) {
            other->tasks.push_back(evaluation::score_requests<T>(two->network, two->mode,
                                                                 same_tokens ? requests[t] : other_requests[t],
                                                                 two->context, control));
        }
    }
    return result;
}

template Evaluation evaluate_model(Model<float>, std::optional<Model<float>>, std::optional<Evaluation>&,
                                   const EvaluationInput&, const EvaluationSettings&, compute::Operations<float>&,
                                   const Control&, std::string*);
template Evaluation evaluate_model(Model<double>, std::optional<Model<double>>, std::optional<Evaluation>&,
                                   const EvaluationInput&, const EvaluationSettings&, compute::Operations<double>&,
                                   const Control&, std::string*);

}  // namespace stillhouse::adapters
