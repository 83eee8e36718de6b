// SPDX-License-Identifier: Apache-2.0
// generate: continues a text with a model, by recurrence, by convolution or by attention.

#include "formats/fd.hpp"
#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/generation/generation_run.hpp"
#include "tools/model_run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> model;
    std::optional<std::string> prompt, prompt_file, prompt_ids, prompts_file, head_precision, save_state, load_state;
    std::string mode = "auto", filters = "original", prefill = "scan", precision = "f32";
    adapters::GenerationOptions generation;
    bool ids = false, resume = false, stats = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"generate", "continue a text with a model"};
    tool.about(
        "Standard output holds the continuation alone. A student runs by its recurrence, in a state that does "
        "not grow, or by its exact convolutions; a teacher by attention. The text depends neither on --batch nor "
        "on --threads, and on --seed only where it is sampled.");
    tool.argument(s.model, "MODEL", "a model stream or folder (default: standard input)", 0, 1);
    tool.group("Prompt");
    tool.option(&s.prompt, "--prompt", "TEXT", "the text to continue (default: begin with the model's first token)");
    tool.option(&s.prompt_file, "--prompt-file", "FILE", "the same from a file").completes("file").excludes("--prompt");
    tool.option(&s.prompt_ids, "--prompt-ids", "LIST", "token ids, as 1,2,3")
        .excludes("--prompt").excludes("--prompt-file");
    tool.option(&s.prompts_file, "--prompts-file", "FILE", "one prompt a line; results are JSON lines")
        .completes("file").outside_history().excludes("--prompt").excludes("--prompt-file").excludes("--prompt-ids");
    tool.group("Length");
    tool.option(&s.generation.tokens, "-n", "N", "tokens at most; 0 only with --save-state").range(0, 1e12);
    tool.option(&s.generation.ignore_end, "--ignore-eos", "", "go on after the end of text");
    tool.option(&s.generation.stops, "--stop", "TEXT", "end before this text; may be given several times").repeated();
    tool.group("Computation");
    tool.option(&s.mode, "--mode", "NAME", "auto: recurrent where the model can, else exact; attention for a teacher")
        .choices({"auto", "recurrent", "exact", "attention"});
    tool.option(&s.filters, "--filters", "NAME", "of --mode exact: as they are, or those that the modes stand for")
        .choices({"original", "modes"});
    tool.option(&s.prefill, "--prefill", "NAME", "who reads the prompt of a recurrence: itself, or its exact filters")
        .choices({"scan", "exact"});
    tool.option(&s.generation.batch, "--batch", "B", "prompts at a time").range(1, 1e6).outside_history();
    tool.option(&s.precision, "--precision", "TYPE", "arithmetic of the network: f64, or weights in f32, bf16 or int8")
        .choices({"f64", "f32", "bf16", "int8"}).variable = "STILLHOUSE_PRECISION";
    tool.option(&s.head_precision, "--head-precision", "TYPE", "weights of the head, where they are to differ")
        .choices({"f32", "bf16", "int8"});
    tool.group("Choice of tokens");
    models::Sampling& sampling = s.generation.sampling;
    tool.option(&sampling.greedy, "--greedy", "", "always the likeliest token").excludes("--temperature")
        .excludes("--top-k").excludes("--top-p");
    tool.option(&sampling.temperature, "--temperature", "X", "divides the logits").range(1e-6, 1e6);
    tool.option(&sampling.top_k, "--top-k", "K", "among the K likeliest; 0: all").range(0, 1e9);
    tool.option(&sampling.top_p, "--top-p", "P", "among the likeliest that hold this much probability").range(1e-9, 1);
    tool.group("Results");
    tool.option(&s.ids, "--ids", "", "print token ids, comma separated, instead of text").excludes("--prompts-file");
    tool.option(&s.generation.logprobs, "--logprobs", "", "JSON lines with every token's log probability and margin");
    tool.option(&s.save_state, "--save-state", "FILE", "keep the state behind the text, or behind each of them")
        .completes("output").excludes("--resume");
    tool.option(&s.load_state, "--load-state", "FILE", "go on from kept states; a prompt continues its text")
        .completes("file");
    tool.option(&s.resume, "--resume", "", "keep the lines that are done already in NAME.partial")
        .needs("--prompts-file").outside_history();
    tool.option(&s.stats, "--stats", "", "speeds and sizes on standard error, as JSON").outside_history();
    tool.shared({.seed = true, .history = false, .stream = false});
    tool.check([&s] {
        if (s.generation.tokens == 0 && !s.save_state) {
            throw_error(ErrorCode::bad_argument,
                        "-n 0 computes nothing that is kept; give --save-state FILE or tokens");
        }
        if (s.prefill == "exact" && s.load_state) {
            throw_error(ErrorCode::bad_argument, "--prefill exact reads a text from its beginning, --load-state goes "
                                                 "on within one; leave one of them");
        }
    });
    tool.example("generate student.mts --prompt 'It was a'", "A continuation of 128 tokens.");
    tool.example("generate share/teachers/bookworm --greedy -n 40 --prompt 'It was a'", "The teacher's, by attention.");
    tool.example("generate student.mts --prompts-file prompts.txt --batch 16 -o texts.jsonl", "Many prompts at once.");
    tool.see_also({"realize-ssm(1)", "evaluate(1)"});
    return tool;
}

adapters::PromptInput prompt_input(const Settings& s, cli::Context& context)
{
    using Kind = adapters::PromptInput::Kind;
    const auto open = [&context](const std::string& path) {
        return [&context, path] { return context.open_input(path); };
    };
    return s.prompts_file  ? adapters::PromptInput{Kind::lines, {}, open(*s.prompts_file)}
           : s.prompt_file ? adapters::PromptInput{Kind::text, {}, open(*s.prompt_file)}
           : s.prompt_ids  ? adapters::PromptInput{Kind::ids, *s.prompt_ids, {}}
                           : adapters::PromptInput{Kind::text, s.prompt.value_or(""), {}};
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    if (s.resume && context.output().empty()) {
        throw_error(ErrorCode::bad_argument, "--resume: give -o FILE; what is done already lies beside it");
    }
    const adapters::Notice warn = [&](const std::string& text) { context.warn(text); };
    const auto open_stream = [&](const std::string& path) { return context.open_stream(path); };
    adapters::ModelSource source =
        adapters::ModelSource::open(s.model.empty() ? "-" : s.model.front(), warn, open_stream);
    if (context.dry_run()) {
        context.note("would continue with " + source.name());
        return cli::Exit::ok;
    }
    adapters::GenerationRequest request;
    request.input = prompt_input(s, context);
    request.options = s.generation;
    request.options.seed = context.seed();
    request.mode = s.mode;
    request.filters = s.filters;
    request.prefill = s.prefill;
    request.precision = s.precision;
    request.head_precision = s.head_precision;
    request.ids = s.ids;
    request.resume = s.resume;
    request.measure = s.stats;
    request.made_by = context.history_entry();
    adapters::check_request(request);
    adapters::GenerationTools tools{warn, [&] { return context.create_output(); }, {}, {}, context.output(),
                                    [&] { context.kept_for_resume(); }, context.control()};
    if (s.load_state) {
        tools.open_state = [&] { return open_stream(*s.load_state); };
    }
    if (s.save_state) {
        tools.create_state = [&] { return context.create_file(*s.save_state); };
    }
    const adapters::GenerationOutcome outcome =
        with_backend(context, s.precision == "int8" ? "f32" : s.precision, [&]<class T>(compute::Backend& backend, T) {
            return adapters::generate(source, request, backend.on<T>(), tools);
        });
    context.note(outcome.summary);
    context.report().insert(context.report().end(), outcome.stats.begin(), outcome.stats.end());
    if (s.stats) {
        const std::string line = formats::to_json(outcome.stats) + "\n";
        formats::Fd(2, "standard error", false).write_full(line);
    }
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
