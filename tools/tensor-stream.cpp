// SPDX-License-Identifier: Apache-2.0
// tensor-stream: lists, checks, compares, joins, splits and converts tensor streams.

#include "tools/tensor_stream_verbs.hpp"

#include <functional>

namespace {

using namespace stillhouse;
using namespace stillhouse::tensor_stream;
using cli::Tool;

constexpr cli::Tool::Shared makes_stream{.threads = false, .dry_run = false, .history = false};
// What comes out is text or an array.
constexpr cli::Tool::Shared makes_text{
    .threads = false, .json = true, .dry_run = false, .history = false, .stream = false};
const std::vector<std::string> layouts{"stillhouse", "s4d", "stripedhyena"};
constexpr cli::Tool::Shared makes_bytes{.threads = false, .report = false, .dry_run = false, .history = false};

Tool describe(Settings& s)
{
    Tool tool{"tensor-stream", "lists, checks, compares, joins, splits and converts tensor streams"};
    tool.about(
        "A tensor stream carries named tensors from tool to tool (stillhouse-stream(5)). Each verb reads FILE or, "
        "where "
        "none is named, standard input, verifies every byte of it, and, import aside, adds no entry to the history.");
    const auto verb = [&](Tool table, Exit (*run)(const Settings&, Context&)) {
        tool.verb(std::move(table), [run, &s](Context& context) { return run(s, context); });
    };

    Tool list_table{"list", "tensors, and of a model its parameters, mixers and bytes of state"};
    list_table.about(
        "One line a tensor: name, type, shape, attributes. The bytes of state are those of the numbers that decoding "
        "keeps for a sequence, in f32 (generate tells the memory they take): for each signal of a long convolution its "
        "states and past inputs, short convolutions' and taps' past inputs, keys and values of windows and attention.");
    list_table.argument(s.files, "FILE", "the stream", 0, 1).shared(makes_text);
    list_table.example("tensor-stream list student.mts", "What is in it.");
    verb(std::move(list_table), list);

    Tool check_table{"check", "whole and undamaged? exit 3 and where not"};
    check_table.argument(s.files, "FILE", "the streams", 0, -1)
        .shared({.output = false, .threads = false, .dry_run = false, .history = false});
    check_table.example("tensor-stream check student.mts", "Reads everything.");
    verb(std::move(check_table), check);

    Tool cat_table{"cat", "merges shards into the whole, or joins streams"};
    cat_table.about(
        "Shards, in any order, become the bytes that the whole run would have written: what is in all of them "
        "once, batches by their numbers, rows in order. It refuses when one is missing or two disagree. Streams "
        "that are no shards follow each other; a tensor that occurs again must be the same.");
    cat_table.argument(s.files, "FILE", "the streams", 0, -1).shared(makes_stream);
    cat_table.example("tensor-stream split dump.mts -n 2 -o part-%.mts && tensor-stream cat part-?.mts -o whole.mts",
                      "Two shards, and the whole again.");
    verb(std::move(cat_table), cat);

    Tool split_table{"split", "into N shards that cat joins again"};
    split_table.about(
        "Shares out batches, else tensors, else the rows of the only tensor; the rest is in every shard.");
    split_table.argument(s.files, "FILE", "the stream, a file since it is read twice", 1, 1);
    split_table.shared(makes_bytes);
    split_table.option(&s.parts, "-n,--parts", "N", "how many shards; -o PATTERN names them, % stands for the number")
        .range(1, 4096);
    split_table.example("tensor-stream split dump.mts -n 4 -o part-%.mts", "part-1.mts to part-4.mts.");
    verb(std::move(split_table), split);

    Tool select_table{"select", "the tensors that match, or do not"};
    select_table.argument(s.files, "FILE GLOB", "the stream, and patterns of names that are kept; none: all", 1, -1)
        .shared(makes_stream);
    select_table.option(&s.drop, "--drop", "GLOB", "leave these out").many();
    select_table.example("tensor-stream select student.mts '*.filter' -o filters.mts", "The filters alone.");
    select_table.example("tensor-stream select spectrum.mts --drop '*.filter.*' -o small.mts",
                         "Without what is derived from them.");
    verb(std::move(select_table), select);

    Tool get_table{"get", "one tensor as .npy, or as bare bytes"};
    get_table.about(
        "Where -o names a .npy file the array is written as such, else its bytes alone, little-endian and "
        "row-major. Of several that match a pattern the rows follow each other in the order of the stream.");
    get_table.argument(s.files, "NAME FILE", "the name or a pattern, then the stream", 1, 2).shared(makes_bytes);
    get_table.example("tensor-stream get layers.0.mixer.filter student.mts -o filter.npy", "For NumPy.");
    get_table.example("tensor-stream get 'batches.*.tokens' dump.mts >tokens.i64",
                      "The ids of all batches, eight bytes each.");
    verb(std::move(get_table), get);

    Tool import_table{"import", ".npy and .safetensors files, and model folders, as a stream"};
    import_table.about(
        "An only .npy is called filter, several by the stems of their names; arrays of .safetensors keep "
        "theirs. Of a folder (as export writes it) the texts come along, and the stream is a model. With --layout the "
        "modes of S4D or StripedHyena become poles, residues and fir, which realize-ssm takes.");
    import_table.argument(s.files, "FILE", ".npy, .safetensors, folders", 1, -1)
        .shared({.threads = false, .dry_run = false});
    import_table.option(&s.layout, "--layout", "NAME", "whose arrays they are").choices(layouts);
    import_table.option(&s.name, "--name", "NAME", "name of the only .npy");
    import_table.example("tensor-stream import filters.npy -o filters.mts", "Filters [filters, L] of another program.");
    verb(std::move(import_table), import);

    Tool export_table{"export", "a model folder, or a .safetensors file"};
    export_table.about(
        "The folder has config.json, model.safetensors, tokenizer.json and generation_config.json; every tool "
        "that takes a MODEL reads it. Complex tensors become [..., 2]; activations and notes are left out. With "
        "--layout the modes alone, in the arrays of S4D (log_dt, inv_A_real, A_imag, B, C, D; bilinear, as in H3) or "
        "StripedHyena (poles and residues from lag 0 on, D), F32, in one .safetensors file; refused where F32 loses "
        "them.");
    export_table.argument(s.files, "FILE", "the stream", 0, 1)
        .shared({.output = false, .threads = false, .dry_run = false, .history = false});
    export_table.option(&s.folder, "-o,--output", "FOLDER", "the folder, or a name that ends in .safetensors")
        .completes("folder");
    export_table.option(&s.layout, "--layout", "NAME", "for whom").choices(layouts);
    export_table.option(&s.force, "-f,--force", "", "overwrite what exists");
    export_table.check([&s] {
        if (s.folder.empty() || s.folder == "-") {
            throw_error(ErrorCode::bad_argument, "export needs -o FOLDER");
        }
    });
    export_table.example("modal-fit filters.npy | tensor-stream export --layout s4d -o s4d.safetensors",
                         "The modes as S4D holds them.");
    export_table.example("tensor-stream export student.mts -o student", "A folder that loads like the teacher's.");
    verb(std::move(export_table), export_);

    Tool diff_table{"diff", "what differs; exit 1 when something does"};
    diff_table.about(
        "Tensors are found by their names. Without --tolerance every byte counts, history and notes too; with it "
        "tensors alone, and floating ones may differ by that much in relative l2.");
    diff_table.argument(s.files, "FILE FILE", "two streams", 2, 2).shared(makes_text);
    diff_table.option(&s.tolerance, "--tolerance", "X", "relative l2 that is no difference").range(0, 1e300);
    diff_table.example("tensor-stream diff model.mts recurrent.mts --tolerance 1e-6", "Equal to six digits?");
    verb(std::move(diff_table), diff);

    Tool note_table{"note", "adds a small record"};
    note_table
        .argument(s.files, "FILE KEY=VALUE", "the stream, then keys with numbers, true, false, null or texts", 2, -1)
        .shared(makes_stream);
    note_table.example("tensor-stream note student.mts corpus=books seed=1 -o noted.mts", "A note at its end.");
    verb(std::move(note_table), note);

    Tool text_table{"text", "token ids as text"};
    text_table.about("Writes the text and nothing else. Rows of a tensor follow each other.");
    text_table
        .argument(s.files, "NAME FILE", "a tensor of ids or a pattern, and the stream; with --ids the MODEL", 0, 2)
        .shared(makes_bytes);
    text_table.option(&s.ids, "--ids", "1,2,3", "these ids");
    text_table.option(&s.skip_special, "--skip-special", "", "leave special tokens out");
    text_table.option(&s.lines, "--lines", "", "each row by itself, with a line feed");
    text_table.option(&s.tokenizer, "--tokenizer", "MODEL", "take its tokenizer instead of the stream's")
        .completes("file");
    text_table.example("tensor-stream text --ids 12,345 share/teachers/bookworm", "Two tokens.");
    verb(std::move(text_table), text);

    tool.see_also({"stillhouse-stream(5)", "stillhouse-model(5)"});
    return tool;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe,
                                               [](const Settings&, Context&) { return Exit::ok; });
}
