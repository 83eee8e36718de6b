// SPDX-License-Identifier: Apache-2.0
// generate: continues a text with a model, by recurrence, by convolution or by attention.

#include "formats/fd.hpp"
#include "formats/json.hpp"
#include "formats/tokenizer_json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/generation.hpp"
#include "tools/adapters/generation_io.hpp"
#include "tools/adapters/precision.hpp"
#include "tools/adapters/prompts_file.hpp"
#include "tools/cli/context.hpp"
#include "tools/cli/tool.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace stillhouse;
using adapters::Prompt;
using adapters::SavedState;

struct Settings {
    std::vector<std::string> model;
    std::optional<std::string> prompt, prompt_file, prompt_ids, prompts_file, stop, save_state, load_state;
    std::string mode = "auto", filters = "original";
    adapters::GenerationOptions generation;
    bool ids = false, resume = false, stats = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"generate", "continue a text with a model"};
    tool.about("Standard output holds the continuation alone. A student runs by its recurrence, in a state that does not "
               "grow, or by its exact convolutions; a teacher by attention. The text depends neither on --batch nor on "
               "--threads, and on --seed only where it is sampled.");
    tool.argument(s.model, "MODEL", "a model stream or folder (default: standard input)", 0, 1);
    tool.group("Prompt");
    tool.option(&s.prompt, "--prompt", "TEXT", "the text to continue (default: begin with the model's first token)");
    tool.option(&s.prompt_file, "--prompt-file", "FILE", "the same from a file").completes("file").excludes("--prompt");
    tool.option(&s.prompt_ids, "--prompt-ids", "LIST", "token ids, as 1,2,3").excludes("--prompt").excludes("--prompt-file");
    tool.option(&s.prompts_file, "--prompts-file", "FILE", "one prompt a line; results are JSON lines")
        .completes("file").excludes("--prompt").excludes("--prompt-file").excludes("--prompt-ids");
    tool.group("Length");
    tool.option(&s.generation.tokens, "-n", "N", "tokens at most; 0 only with --save-state").range(0, 1e12);
    tool.option(&s.generation.ignore_end, "--ignore-eos", "", "go on after the end of text");
    tool.option(&s.stop, "--stop", "TEXT", "end before this text");
    tool.group("Computation");
    tool.option(&s.mode, "--mode", "NAME", "auto: recurrent where the model can, else exact; attention for a teacher")
        .choices({"auto", "recurrent", "exact", "attention"});
    tool.option(&s.filters, "--filters", "NAME", "of --mode exact: as they are, or those that the modes stand for")
        .choices({"original", "modes"});
    tool.option(&s.generation.batch, "--batch", "B", "prompts at a time").range(1, 1e6).outside_history();
    tool.group("Choice of tokens");
    models::Sampling& sampling = s.generation.sampling;
    tool.option(&sampling.greedy, "--greedy", "", "always the likeliest token").excludes("--temperature")
        .excludes("--top-k").excludes("--top-p");
    tool.option(&sampling.temperature, "--temperature", "X", "divides the logits").range(1e-6, 1e6);
    tool.option(&sampling.top_k, "--top-k", "K", "among the K likeliest; 0: all").range(0, 1e9);
    tool.option(&sampling.top_p, "--top-p", "P", "among the likeliest that hold this much probability").range(1e-9, 1);
    tool.group("Results");
    tool.option(&s.ids, "--ids", "", "print token ids, comma separated, instead of text").excludes("--prompts-file");
    tool.option(&s.generation.logprobs, "--logprobs", "", "JSON lines with the log probability of every token");
    tool.option(&s.save_state, "--save-state", "FILE", "keep the state behind the text").completes("output")
        .excludes("--prompts-file");
    tool.option(&s.load_state, "--load-state", "FILE", "go on from a kept state; a prompt continues its text")
        .completes("file").excludes("--prompts-file");
    tool.option(&s.resume, "--resume", "", "keep the lines that are done already in NAME.partial").needs("--prompts-file");
    tool.option(&s.stats, "--stats", "", "speeds and sizes on standard error, as JSON");
    tool.shared({.seed = true, .precision = true, .history = false, .stream = false});
    tool.check([&s] {
        if (s.generation.tokens == 0 && !s.save_state) {
            throw_error(ErrorCode::bad_argument, "-n 0 computes nothing that is kept; give --save-state FILE or tokens");
        }
        if (s.stop && s.stop->empty()) {
            throw_error(ErrorCode::bad_argument, "--stop: the text is empty");
        }
    });
    tool.example("generate student.mts --prompt 'It was a'", "A continuation of 128 tokens.");
    tool.example("generate share/teachers/bookworm --greedy -n 40 --prompt 'It was a'", "The teacher's, by attention.");
    tool.example("generate student.mts --prompts-file prompts.txt --batch 16 -o texts.jsonl", "Many prompts at once.");
    tool.see_also({"realize-ssm(1)", "evaluate(1)", "stillhouse-pipeline(7)"});
    return tool;
}

template <class T>
void print(const Settings& s, cli::Context& context, adapters::Generator<T>& generator, const Prompt& prompt,
           const SavedState* from, SavedState* to, bool text)
{
    formats::AtomicFile output = context.create_output();
    const auto write = [&](const std::string& piece) {
        output.fd().write_full(reinterpret_cast<const std::byte*>(piece.data()), piece.size());
    };
    const bool plain = !s.ids && !s.generation.logprobs;
    // A reader that looks on, a person above all, gets every piece at once.
    const auto sink = [&](const std::string& piece, Token) { write(piece); };
    const adapters::Continuation done = plain ? generator.run_one(prompt, sink, from, to, context.control())
                                              : generator.run_one(prompt, {}, from, to, context.control());
    if (s.generation.logprobs) {
        write(formats::to_json(adapters::to_json(done, text, true)) + "\n");
    } else if (s.ids) {
        write(adapters::join_ids(done.ids) + "\n");
    } else if (output.fd().is_terminal()) {
        write("\n");
    }
    output.commit();
    if (done.context_full) {
        context.warn("stopped at the end of the context that attention has positions for");
    }
    context.note(std::to_string(done.ids.size()) + " tokens, " + name_of(done.end));
}

template <class T>
void print_all(const Settings& s, cli::Context& context, adapters::Generator<T>& generator,
               const std::vector<Prompt>& prompts, const std::string& made_by)
{
    adapters::PartialLines lines(context.output(), s.resume, made_by);
    if (lines.kept()) {
        context.kept_for_resume();
    }
    formats::AtomicFile output = context.create_output();
    const std::vector<Prompt> left(prompts.begin() + std::min<Index>(lines.done(), static_cast<Index>(prompts.size())),
                                   prompts.end());
    generator.run(
        left,
        [&](const adapters::Continuation& done) {
            lines.add(formats::to_json(adapters::to_json(done, true, s.generation.logprobs)));
            context.control().at(done.number + 1, static_cast<Index>(prompts.size()), "prompts");
        },
        context.control());
    output.fd().write_full(reinterpret_cast<const std::byte*>(lines.lines().data()), lines.lines().size());
    output.commit();
    lines.remove();
    context.note(std::to_string(prompts.size()) + " prompts");
}

std::string read_all(cli::Context& context, const std::string& path)
{
    formats::Fd input = context.open_input(path);
    std::string text;
    std::vector<std::byte> block(std::size_t{1} << 16);
    while (const std::size_t n = input.read_full(block.data(), block.size())) {
        text.append(reinterpret_cast<const char*>(block.data()), n);
    }
    return text;
}

std::vector<Prompt> prompts(const Settings& s, cli::Context& context, const models::Tokenizer* tokenizer,
                            const adapters::SpecialTokens& special, const models::NetworkConfig& config)
{
    Index replaced = 0;
    const auto encode = [&](const std::string& text) {
        const auto how = s.load_state ? models::Tokenizer::Special::plain : models::Tokenizer::Special::add;
        return text.empty() && tokenizer == nullptr ? std::vector<Index>()
                                                    : adapters::prompt_ids(*tokenizer, text, how, &replaced);
    };
    std::vector<Prompt> all;
    if (s.prompts_file) {
        for (const std::string& line : adapters::lines_of(read_all(context, *s.prompts_file))) {
            all.push_back({static_cast<Index>(all.size()), encode(line)});
        }
    } else if (s.prompt_ids) {
        all.push_back({0, with_context("--prompt-ids", [&] { return adapters::parse_ids(*s.prompt_ids); })});
    } else {
        all.push_back({0, encode(s.prompt_file ? read_all(context, *s.prompt_file) : s.prompt.value_or(""))});
    }
    for (Prompt& prompt : all) {
        if (!s.load_state) {
            adapters::begin_prompt(prompt.ids, special);
        }
        adapters::check_prompt(prompt, config);
    }
    if (replaced > 0) {
        context.warn(std::to_string(replaced) + " invalid UTF-8 sequences replaced by U+FFFD");
    }
    return all;
}

/// The tokenizer of the model, or null where only ids are asked for and there is none.
std::unique_ptr<models::Tokenizer> tokenizer_of(const Settings& s, const adapters::ModelSource& source)
{
    if (!source.texts().tokenizer.empty()) {
        return with_context(source.name() + ": tokenizer.json", [&] {
            return std::make_unique<models::Tokenizer>(formats::parse_tokenizer(source.texts().tokenizer));
        });
    }
    const bool text = !s.prompt_ids && (s.prompt || s.prompt_file || s.prompts_file);
    if (text || s.stop || (!s.ids && !s.generation.logprobs && s.generation.tokens > 0)) {
        throw_error(ErrorCode::bad_data, source.name() + ": no tokenizer.json: give --prompt-ids LIST and --ids");
    }
    return nullptr;
}

template <class T>
void generate(const Settings& s, cli::Context& context, adapters::ModelSource& source, compute::Backend& backend)
{
    const std::unique_ptr<models::Tokenizer> tokenizer = tokenizer_of(s, source);
    const adapters::SpecialTokens special = adapters::special_tokens(
        source.texts().config, source.texts().generation_config, source.config().vocabulary);
    const std::vector<Prompt> all = prompts(s, context, tokenizer.get(), special, source.config());
    adapters::Model<T> model = source.load<T>(adapters::ModelSource::Others::drop);
    adapters::GenerationOptions options = s.generation;
    options.seed = context.seed();
    options.execution = adapters::choose_execution(s.mode, s.filters, model.config, model.weights);
    if (s.stop) {
        options.stops = {*s.stop};
    }
    const bool named = s.save_state || s.load_state || s.prompts_file;
    const std::string model_name = named ? adapters::fingerprint(model.texts.config, model.weights) : "";
    const models::Network<T> network(model.config, std::move(model.weights), backend.on<T>());
    adapters::Generator<T> generator(network, tokenizer.get(), special, options);
    if (s.prompts_file) {
        formats::Map made_by = context.history_entry();
        made_by.emplace_back("model", model_name);
        print_all(s, context, generator, all, formats::to_json(made_by));
    } else {
        std::optional<SavedState> from, to;
        if (s.load_state) {
            formats::StreamReader reader = context.open_stream(*s.load_state);
            from = adapters::read_state(reader, model_name, context.precision(), options.execution);
        }
        if (s.save_state) {
            to.emplace();
        }
        print(s, context, generator, all.front(), from ? &*from : nullptr, to ? &*to : nullptr, tokenizer != nullptr);
        if (to) {
            formats::StreamWriter writer(context.create_file(*s.save_state),
                                         adapters::state_info(*to, model_name, context.precision()));
            adapters::write_state(writer, *to);
            writer.finish();
        }
    }
    context.note(std::to_string(generator.stats().state_bytes) + " bytes of state");
    formats::Map stats = adapters::to_json(generator.stats(), network, adapters::name_of(options.execution));
    context.report().insert(context.report().end(), stats.begin(), stats.end());
    if (s.stats) {
        const std::string line = formats::to_json(stats) + "\n";
        formats::Fd(2, "standard error", false).write_full(reinterpret_cast<const std::byte*>(line.data()), line.size());
    }
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    adapters::ModelSource source = adapters::ModelSource::open(
        s.model.empty() ? "-" : s.model.front(), [&](const std::string& text) { context.warn(text); },
        [&](const std::string& path) { return context.open_stream(path); });
    if (context.dry_run()) {
        context.note("would continue with " + source.name());
        return cli::Exit::ok;
    }
    adapters::with_precision(context.precision(), context.device(), context.threads(),
                             [&](compute::Backend& backend, auto type) {
                                 generate<decltype(type)>(s, context, source, backend);
                             });
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
