// SPDX-License-Identifier: Apache-2.0
// From prompts to results.
#include "tools/adapters/generation_run.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/prompts_file.hpp"
#include "tools/adapters/token_source.hpp"

#include <memory>
#include <optional>

namespace stillhouse::adapters {

namespace {

/// One prompt, with the states before and behind it.
template <class T>
std::string continue_one(Generator<T>& generator, const Prompt& prompt, const GenerationRequest& request,
                         models::Execution execution, const std::string& model, const GenerationTools& tools)
{
    std::optional<SavedState> from;
    std::optional<SavedState> to;
    if (tools.open_state) {
        formats::StreamReader reader = tools.open_state();
        from = read_state(reader, model, request.precision, execution);
    }
    if (tools.create_state) {
        to.emplace();
    }
    formats::AtomicFile output = tools.create_output();
    const Continuation done =
        print_continuation(generator, prompt, request.ids, request.options.logprobs, !request.ids,
                           from ? &*from : nullptr, to ? &*to : nullptr, output.fd(), tools.control);
    output.commit();
    if (to) {
        formats::StreamWriter writer(tools.create_state(), state_info(*to, model, request.precision));
        write_state(writer, *to);
        writer.finish();
    }
    if (done.context_full) {
        tools.notice("stopped where attention has no more positions");
    }
    return std::to_string(done.ids.size()) + " tokens, ended by " + name_of(done.end);
}

template <class T>
std::string continue_all(Generator<T>& generator, const std::vector<Prompt>& prompts, const GenerationRequest& request,
                         const std::string& model, const GenerationTools& tools)
{
    formats::Map made_by = request.made_by;
    made_by.emplace_back("model", model);
    PartialLines lines(tools.output_name, request.resume, formats::to_json(made_by));
    if (lines.kept()) {
        tools.kept_for_resume();
    }
    formats::AtomicFile output = tools.create_output();
    continue_lines(generator, prompts, lines, request.options.logprobs, tools.control);
    output.fd().write_full(lines.lines());
    output.commit();
    lines.remove();
    return std::to_string(prompts.size()) + " prompts";
}

}  // namespace

template <class T>
GenerationOutcome generate(ModelSource& source, const GenerationRequest& request, compute::Operations<T>& ops,
                           const GenerationTools& tools)
{
    std::unique_ptr<models::Tokenizer> tokenizer;
    if (!source.texts().tokenizer.empty() || !request.ids) {
        tokenizer = std::make_unique<models::Tokenizer>(make_tokenizer(source.texts().tokenizer, source.name()));
    }
    const SpecialTokens special =
        special_tokens(source.texts().config, source.texts().generation_config, source.config().vocabulary);
    Index replaced = 0;
    const std::vector<Prompt> prompts =
        make_prompts(request.input, tokenizer.get(), special, source.config(), &replaced);
    if (replaced > 0) {
        tools.notice(std::to_string(replaced) + " sequences of the prompt were no UTF-8 and are replaced by U+FFFD");
    }
    Model<T> model = source.load<T>(ModelSource::Others::drop);
    GenerationOptions options = request.options;
    options.execution = choose_execution(request.mode, request.filters, model.config, model.weights);
    const bool lines = request.input.kind == PromptInput::Kind::lines;
    const bool named = tools.open_state || tools.create_state || lines;
    const std::string model_name = named ? fingerprint(model.texts.config, model.weights) : "";
    const models::Network<T> network(model.config, std::move(model.weights), ops);
    Generator<T> generator(network, tokenizer.get(), special, options);

    GenerationOutcome outcome;
    outcome.summary = lines ? continue_all(generator, prompts, request, model_name, tools)
                            : continue_one(generator, prompts.front(), request, options.execution, model_name, tools);
    outcome.summary += ", " + std::to_string(generator.stats().state_bytes) + " bytes of state";
    if (request.measure) {
        outcome.stats = to_json(generator.stats(), network, options.execution);
    }
    return outcome;
}
template GenerationOutcome generate(ModelSource&, const GenerationRequest&, compute::Operations<float>&,
                                    const GenerationTools&);
template GenerationOutcome generate(ModelSource&, const GenerationRequest&, compute::Operations<double>&,
                                    const GenerationTools&);

}  // namespace stillhouse::adapters
