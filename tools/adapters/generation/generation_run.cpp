// SPDX-License-Identifier: Apache-2.0
// From prompts to results.
#include "tools/adapters/content_key.hpp"
#include "tools/adapters/generation/generation_run.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/models/unicode.hpp"
#include "tools/adapters/generation/generation_memory.hpp"
#include "tools/adapters/generation/generation_state.hpp"
#include "tools/adapters/generation/generation_stats.hpp"
#include "tools/adapters/generation/result_lines.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <algorithm>
#include <future>
#include <memory>
#include <type_traits>

namespace stillhouse::adapters {

namespace {

/// What a run has, prompts aside.
template <class T>
struct Work {
    Generator<T>& generator;
    const GenerationRequest& request;
    const GenerationTools& tools;
    const StateOrigin& origin;
    bool with_text;
    std::string texts;                           // a hash of what else decides ids, texts and ends: the tokenizer's
};

template <class T>
std::optional<StateWriter> state_writer(const Work<T>& work, std::size_t sequences)
{
    std::optional<StateWriter> writer;
    if (work.tools.create_state) {
        writer.emplace(work.tools.create_state(), work.origin, static_cast<Index>(sequences));
    }
    return writer;
}

/// One continuation: its text as it comes; or its ids; or, with logprobs, a JSON line.
template <class T>
std::string continue_one(const Work<T>& work, const std::vector<Prompt>& prompts)
{
    const GenerationRequest& request = work.request;
    const bool logprobs = request.options.logprobs;
    formats::AtomicFile output = work.tools.create_output();
    std::optional<StateWriter> states = state_writer(work, 1);
    typename Generator<T>::Receiver receiver;
    Continuation done;
    receiver.each = [&](const Continuation& continuation) { done = continuation; };
    if (!request.ids && !logprobs) {
        // A reader that looks on, a person above all, gets every piece at once.
        receiver.piece = [&](const std::string& piece) { output.fd().write_full(piece); };
    }
    if (states) {
        receiver.save = [&](Index, SavedState state) { states->add(0, std::move(state)); };
    }
    work.generator.run(prompts, receiver, work.tools.control);
    if (logprobs) {
        output.fd().write_full(formats::to_json(to_json(done, work.with_text, true)) + "\n");
    } else if (request.ids) {
        output.fd().write_full(join_ids(done.ids) + "\n");
    } else if (output.fd().is_terminal()) {
        output.fd().write_full("\n");
    }
    output.commit();
    if (states) {
        states->finish();
    }
    if (done.context_full) {
        work.tools.notice("stopped where attention has no more positions");
    }
    return std::to_string(done.ids.size()) + " tokens, ended by " + name_of(done.end);
}

/// Many, as JSON lines in the order of the prompts.
template <class T>
std::string continue_all(const Work<T>& work, const std::vector<Prompt>& prompts)
{
    const GenerationTools& tools = work.tools;
    const auto total = static_cast<Index>(prompts.size());
    formats::Map made_by = work.request.made_by;
    made_by.emplace_back("model", work.origin.model);
    made_by.emplace_back("texts", work.texts);
    made_by.emplace_back("prompts", hash_of(prompts));
    ResultLines lines(tools.output_name, work.request.resume, formats::to_json(made_by), total);
    if (lines.kept()) {
        tools.kept_for_resume();
    }
    std::vector<Prompt> left;
    std::copy_if(prompts.begin(), prompts.end(), std::back_inserter(left),
                 [&](const Prompt& prompt) { return !lines.has(prompt.number); });
    formats::AtomicFile output = tools.create_output();
    std::optional<StateWriter> states = state_writer(work, prompts.size());
    Index full = 0;
    typename Generator<T>::Receiver receiver;
    receiver.each = [&](const Continuation& done) {
        lines.add(done.number, formats::to_json(to_json(done, work.with_text, work.request.options.logprobs)));
        lines.write_to(output.fd());
        full += done.context_full ? 1 : 0;
        tools.control.at(lines.done(), total, "prompts");
    };
    if (states) {
        receiver.save = [&](Index prompt, SavedState state) { states->add(prompt, std::move(state)); };
    }
    try {
        lines.write_to(output.fd());
        work.generator.run(left, receiver, tools.control);
        output.commit();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io && lines.kept() && lines.done() > 0) {
            throw Error(error.code(), std::string(error.what()) + "; finished lines are kept in " + lines.path() +
                                          ": run again with --resume");
        }
        throw;
    }
    if (states) {
        states->finish();
    }
    lines.remove();
    if (full > 0) {
        tools.notice(std::to_string(full) + " texts stopped where attention has no more positions");
    }
    return std::to_string(total) + " prompts";
}

}  // namespace

compute::WeightFormat weight_format(const std::string& precision)
{
    for (const auto format : {compute::WeightFormat::f32, compute::WeightFormat::bf16, compute::WeightFormat::int8}) {
        if (precision == compute::name(format)) {
            return format;
        }
    }
    throw_error(ErrorCode::bad_argument, "'" + precision + "' is no format of weights; f32, bf16 or int8 is expected");
}

void check_request(const GenerationRequest& request)
{
    const auto refuse = [](const std::string& what) { throw_error(ErrorCode::bad_argument, what); };
    for (const std::string& stop : request.options.stops) {
        models::unicode::Sanitizer check;
        std::string ignored;
        check.feed(stop, ignored);
        check.finish(ignored);
        if (stop.empty() || check.replaced() > 0) {
            refuse(stop.empty() ? "--stop: the text is empty" : "--stop: the text is not UTF-8");
        }
    }
    if (request.head_precision && request.precision == "f64") {
        refuse("--head-precision: with --precision f64 all is computed in double");
    }
}

template <class T>
GenerationOutcome generate(ModelSource& source, const GenerationRequest& request, compute::Operations<T>& ops,
                           const GenerationTools& tools)
{
    constexpr bool doubles = std::is_same_v<T, double>;
    NetworkFormat format{doubles};
    if (!doubles) {
        format.layers = weight_format(request.precision);
        format.head = weight_format(request.head_precision.value_or(request.precision));
    }
    std::unique_ptr<models::Tokenizer> tokenizer;
    std::future<std::unique_ptr<models::Tokenizer>> coming;      // made beside what does not need it
    const bool has_tokenizer = !source.texts().tokenizer.empty();
    if (!has_tokenizer && !request.ids && request.input.kind == PromptInput::Kind::ids) {
        throw_error(ErrorCode::bad_data, source.name() + ": has no tokenizer.json, so what follows --prompt-ids has no "
                                                         "text; give --ids to have ids");
    }
    if (has_tokenizer || !request.ids) {
        coming = std::async(std::launch::async, [text = source.texts().tokenizer, name = source.name()] {
            return std::make_unique<models::Tokenizer>(make_tokenizer(text, name));
        });
    } else if (!request.options.stops.empty()) {
        throw_error(ErrorCode::bad_data, source.name() + ": has no tokenizer.json, so --stop finds no text; leave it");
    }
    const SpecialTokens special =
        special_tokens(source.texts().config, source.texts().generation_config, source.config().vocabulary);
    const bool lines = request.input.kind == PromptInput::Kind::lines;
    std::vector<SavedState> from;
    std::vector<Prompt> prompts;
    const auto read_prompts = [&] {
        if (coming.valid()) {
            tokenizer = coming.get();
        }
        prompts = make_prompts(request.input, from, tokenizer.get(), special, source.config(), tools.notice);
    };
    // What is wrong with prompts is said before the model is loaded. A text on the command line is short: it waits for
    // the tokenizer, and until then its bytes, and what a tokenizer adds, stand for its tokens.
    const bool given = request.input.kind == PromptInput::Kind::text && !request.input.open && !tools.open_state;
    std::size_t longest = given ? request.input.content.size() + 8 : 0;
    if (!given && !tools.open_state) {
        read_prompts();
    }
    for (const Prompt& prompt : prompts) {
        longest = std::max(longest, prompt.ids.size());
    }
    const Index batch = std::min(request.options.batch, std::max<Index>(1, static_cast<Index>(prompts.size())));
    const Index length = static_cast<Index>(longest) + std::min(request.options.tokens, Index{1} << 32);
    const PastInputs past =
        past_inputs(request.mode, request.filters, request.prefill, static_cast<Index>(longest), length);
    check_memory(memory_needed(source.config(), format, batch, length, past));

    Model<T> model = source.load<T>(ModelSource::Others::drop, ModelSource::Activations::skip, &ops.pool());
    GenerationOptions options = request.options;
    options.execution = choose_execution(request.mode, request.filters, model.config, model.weights);
    if (options.execution != past.execution && !past.handed_over) {      // the weights have said what `auto` is
        check_memory(past_bytes(model.config, doubles, batch, {options.execution, length}));
    }
    options.exact_prefill = request.prefill == "exact";
    if (options.exact_prefill && (model.config.attends_only() || options.execution != models::Execution::recurrent)) {
        throw_error(ErrorCode::bad_argument, "--prefill exact: only a recurrence is handed over to; " +
                                                 source.name() + " runs in mode " +
                                                 (model.config.attends_only() ? "attention" : "exact"));
    }
    if (given) {
        read_prompts();
    }
    const std::string head =
        format.head != format.layers ? std::string(", head ") + compute::name(format.head) : std::string();
    StateOrigin origin{{}, request.precision + head, options.execution, model.config.layers, model.config.vocabulary};
    if (tools.open_state || tools.create_state || lines) {
        origin.model = fingerprint(model.weights, ops.pool(), model.texts.config);
    }
    if (tools.open_state) {
        formats::StreamReader reader = tools.open_state();
        from = read_states(reader, origin);
        read_prompts();
        // Only now it is known how many there are and how long their texts; the weights are there already.
        Index furthest = 0;
        for (const Prompt& prompt : prompts) {
            furthest = std::max(furthest, prompt.from->count + static_cast<Index>(prompt.ids.size()));
        }
        furthest += std::min(request.options.tokens, Index{1} << 32);
        const Index places = std::min(options.batch, static_cast<Index>(prompts.size()));
        check_memory(memory_needed(model.config, format, places, furthest, {options.execution, furthest}) -
                     memory_needed(model.config, format, 0, 0));
    }
    models::Network<T> network(model.config, std::move(model.weights), ops);
    if (!doubles) {
        network.pack(format.layers, format.head);
    }
    Generator<T> generator(network, tokenizer.get(), special, options);
    const std::vector<std::string_view> texts{source.texts().tokenizer, source.texts().generation_config};
    const Work<T> work{generator, request, tools, origin, tokenizer != nullptr, hash_of(texts)};

    GenerationOutcome outcome;
    outcome.summary = lines ? continue_all(work, prompts) : continue_one(work, prompts);
    outcome.summary += ", a state of " + std::to_string(generator.stats().state_bytes) + " bytes in memory";
    outcome.stats = to_json(generator.stats(), network, options.execution, request.measure);
    return outcome;
}
template GenerationOutcome generate(ModelSource&, const GenerationRequest&, compute::Operations<float>&,
                                    const GenerationTools&);
template GenerationOutcome generate(ModelSource&, const GenerationRequest&, compute::Operations<double>&,
                                    const GenerationTools&);

}  // namespace stillhouse::adapters
