// SPDX-License-Identifier: Apache-2.0
// teacher-dump: what a model does with a text, as a stream of tensors.

#include "libcore/base/error.hpp"
#include "tools/adapters/training/dump.hpp"
#include "tools/model_run.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> model;
    std::vector<std::string> text;
    std::optional<std::string> tokens;
    bool sample = false;
    std::optional<Index> limit, context;
    Index batch = 8, skip = 0, shuffle = 0;
    std::vector<std::string> show{"residual"};
    std::optional<Index> top_k;
    cli::IndexList layers;
    bool no_model = false;
    std::optional<std::string> dtype;

    bool shows(const char* what) const { return std::find(show.begin(), show.end(), what) != show.end(); }
    bool tokens_alone() const { return !shows("residual") && !shows("mixer") && !shows("lag") && !shows("logits"); }
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"teacher-dump", "what a model does with a text, as a stream of tensors"};
    tool.about(
        "The model's weights are written once, then batches of its work: the tokens, the residual stream before every "
        "layer and after the last, on request mixer outputs, mean attention by lag, and logits. Memory does not "
        "grow with the text. Text is encoded as the model's tokenizer encodes it; a file begins a new row.");
    tool.argument(s.model, "MODEL", "a model folder, a model stream, or - for standard input", 1, 1);
    tool.group("What the model reads");
    tool.option(&s.text, "--text", "FILE", "text files, - is standard input")
        .many().completes("file").outside_history();
    tool.option(&s.tokens, "--tokens", "FILE", "token ids: .u16, .u32, or .npy (2-D: each row a sequence of its own)")
        .completes("file").outside_history().excludes("--text");
    tool.option(&s.sample, "--sample", "", "the model's own text, drawn at temperature 1")
        .excludes("--text").excludes("--tokens")
        .detail("Each row is drawn by itself from a generator keyed by --seed and its number, from the model's first "
                "token; after the end of a text it goes on with the first token. Needs --limit.");
    tool.option(&s.limit, "--limit", "N", "stop after N tokens").range(1, 1e15);
    tool.option(&s.context, "--context", "L", "tokens a sequence (default: the model's maximum, at most 1024)")
        .range(1, 1e9);
    tool.option(&s.batch, "--batch", "B", "sequences a batch").range(1, 1e6);
    tool.option(&s.shuffle, "--shuffle", "N", "draw the rows from a pool of N, filled as it empties; 0: in their order")
        .range(0, 1e8).excludes("--sample")
        .detail("Neighbours in a book are much alike: what is fitted to a few rows of a text is better off with "
                "--shuffle 8K. --limit then counts tokens as they are drawn.");
    tool.option(&s.skip, "--skip", "N", "leave out the first N batches; numbers stay those of the whole")
        .range(0, 1e12).outside_history();
    tool.group("What is shown of it");
    tool.option(&s.show, "--show", "LIST", "what is written beside the tokens")
        .choices({"residual", "mixer", "lag", "logits", "tokens"})
        .detail("tokens alone is the tokenizer: no weights are read or written.");
    tool.option(&s.top_k, "--top-k", "K", "the K largest logits and the log of the remaining mass instead of all")
        .range(1, 1e9);
    tool.option(&s.layers, "--layers", "A-B", "only these layers, and the stream after each");
    tool.option(&s.no_model, "--no-model", "", "leave the weights out");
    tool.option(&s.dtype, "--dtype", "TYPE", "of what is shown (default that of --precision)")
        .choices({"f64", "f32", "bf16", "f16"});
    tool.shared({.seed = true, .precision = true, .shard = true});
    tool.check([&s] {
        if (s.text.empty() && !s.tokens && !s.sample) {
            throw_error(ErrorCode::bad_argument, "nothing to read: give --text FILE, --tokens FILE or --sample");
        }
        if (s.sample && (!s.limit || s.tokens_alone())) {
            throw_error(ErrorCode::bad_argument, s.limit ? "--sample needs the model: show more than its tokens"
                                                         : "--sample: say how many tokens to draw with --limit N");
        }
        if (s.top_k && !s.shows("logits")) {
            throw_error(ErrorCode::bad_argument, "--top-k is about logits: add --show logits");
        }
    });
    tool.example("teacher-dump share/teachers/bookworm --sample --limit 400K -o dump.mts",
                 "400,000 tokens of the model's own.");
    tool.example_not_run("teacher-dump MODEL --text book.txt --show logits --top-k 64 --no-model -o logits.mts",
                         "The 64 likeliest continuations at every place of a text.");
    tool.see_also({"layer-distill(1)", "fine-tune(1)", "stillhouse-model(5)", "stillhouse-stream(5)"});
    return tool;
}

Index context_of(const Settings& s, const models::NetworkConfig& config)
{
    if (s.context && !s.tokens_alone() && *s.context > config.max_positions) {
        throw_error(ErrorCode::bad_argument, "--context " + std::to_string(*s.context) + ": the model has " +
                                                 "positions for " + std::to_string(config.max_positions));
    }
    return s.context.value_or(std::min<Index>(1024, config.max_positions));
}

adapters::DumpRequest request(const Settings& s, const models::NetworkConfig& config, const cli::Context& context)
{
    const std::string dtype = s.dtype.value_or(context.precision());
    adapters::DumpRequest request;
    request.tokens = {s.text,  s.tokens.value_or(""), context_of(s, config), s.batch, s.limit.value_or(-1),
                      config.vocabulary, s.shuffle, context.seed()};
    request.sample = s.sample;
    request.seed = context.seed();
    request.skip = s.skip;
    request.part = context.shard().part;
    request.parts = context.shard().parts;
    request.weights = !s.no_model && !s.tokens_alone();
    request.shown = {s.shows("residual"), s.shows("mixer"), s.shows("lag"), s.shows("logits"), s.top_k.value_or(0),
                     s.layers.values, dtype == "f64"    ? DType::f64
                                      : dtype == "bf16" ? DType::bf16
                                      : dtype == "f16"  ? DType::f16
                                                        : DType::f32,
                     context.shard().parts > 1};
    for (const Index layer : s.layers.values) {
        if (layer >= config.layers) {
            throw_error(ErrorCode::bad_argument, "--layers names layer " + std::to_string(layer) + ", the last is " +
                                                     std::to_string(config.layers - 1));
        }
    }
    return request;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    context.check_output();
    using Weights = adapters::ModelSource::Weights;
    const adapters::Notice warn = [&](const std::string& text) { context.warn(text); };
    adapters::ModelSource source = adapters::ModelSource::open(
        s.model.front(), warn, [&](const std::string& path) { return context.open_stream(path); },
        s.tokens_alone() ? Weights::none : Weights::required);
    const adapters::DumpRequest wanted = request(s, source.config(), context);
    if (context.dry_run()) {
        context.note("would run " + source.name() + ", " + std::to_string(source.config().layers) + " layers");
        return cli::Exit::ok;
    }
    const adapters::DumpTools tools{warn, [&](const std::string& path) { return context.open_input(path); },
                                    [&](formats::StreamInfo info) { return context.create_stream(std::move(info)); },
                                    context.control()};
    const adapters::DumpTotals totals =
        s.tokens_alone()
            ? adapters::dump_tokens(source, wanted, tools)
            : with_backend(context, [&]<class T>(compute::Backend& backend, T) {
                  return adapters::dump(source, wanted, backend.on<T>(), tools);
              });
    context.note(std::to_string(totals.batches) + " batches, " + std::to_string(totals.tokens) + " tokens");
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
