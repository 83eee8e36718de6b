// SPDX-License-Identifier: Apache-2.0
// A tool with an option of every type, that prints what it was given: what the tests of the command line drive.
#include "libcore/base/error.hpp"
#include "tools/cli/context.hpp"

#include <new>
#include <string>
#include <unistd.h>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> files;
    bool greedy = false;
    Index top = 64;
    double temperature = 1.0;
    std::string mode = "auto";
    cli::Duration every{300};
    cli::IndexList layers;
    std::vector<std::string> show{"residual"};
    std::vector<std::string> text;
    std::vector<double> tolerances;
    std::optional<Index> limit;
    std::optional<double> ridge;
    std::optional<std::string> note;
    std::optional<cli::Duration> wait;
    Index count = 128;
    std::string fail;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"probe", "says what it was given"};
    tool.about("A tool for tests. It has an option of every type.\n\nIt copies its first input to its output.");
    tool.argument(s.files, "FILE", "what to read; '-' is standard input", 0, 2);
    tool.option(&s.top, "-k,--top", "K", "values kept").range(1, 65536);
    tool.option(&s.temperature, "--temperature", "T", "of sampling").range(0, 100);
    tool.option(&s.greedy, "--greedy", "", "the likeliest alone").excludes("--temperature");
    tool.option(&s.mode, "--mode", "NAME", "how").choices({"auto", "recurrent", "exact"});
    tool.option(&s.layers, "--layers", "LIST", "which layers");
    tool.option(&s.show, "--show", "LIST", "what is shown").choices({"residual", "mixer", "lag"});
    tool.option(&s.text, "--text", "FILE", "texts").many().completes("file").outside_history();
    tool.option(&s.tolerances, "--tolerances", "LIST", "several numbers");
    tool.option(&s.limit, "--limit", "N", "stop after N");
    tool.option(&s.ridge, "--ridge", "X", "a number or none").needs("--limit");
    tool.option(&s.note, "--note", "TEXT", "words");
    tool.option(&s.count, "-n", "N", "tokens").range(0, 1e15);
    tool.group("Trouble");
    tool.option(&s.every, "--every", "T", "how often").outside_history();
    tool.option(&s.wait, "--wait", "T", "wait that long for a signal").outside_history();
    tool.option(&s.fail, "--fail", "HOW", "go wrong").outside_history().choices(
        {"", "data", "io", "memory", "exception", "resumable", "check"});
    tool.example("probe --top 4 --greedy", "What is given comes back.");
    tool.shared({.seed = true, .precision = true, .shard = true, .json = true});
    return tool;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    if (s.wait) {
        if (s.fail == "resumable") {
            context.kept_for_resume();
        }
        const Control control = context.control();
        for (Index i = 0; static_cast<double>(i) < s.wait->seconds * 100; ++i) {
            control.at(i, static_cast<Index>(s.wait->seconds * 100), "waiting");
            control.throw_if_stopped();
            usleep(10000);
        }
    }
    if (s.fail == "data") {
        throw_error(ErrorCode::bad_data, "a.mts: tensor x: found a\nline break and \033[31m colour");
    } else if (s.fail == "io") {
        throw_error(ErrorCode::io, "b.mts: cannot open");
    } else if (s.fail == "memory") {
        throw std::bad_alloc();
    } else if (s.fail == "exception") {
        throw std::runtime_error("unforeseen");
    }
    if (context.device() == "cuda") {
        throw_error(ErrorCode::resource, "--device cuda: a probe computes on the CPU alone; leave it out");
    }
    context.check_output(true);
    if (context.dry_run()) {
        context.note("would copy");
        return cli::Exit::ok;
    }
    if (context.prints_results()) {
        context.result(context.history_entry(), "settings on a terminal");
    }
    if (context.writes_stream()) {
        formats::StreamInfo info;
        if (!s.files.empty()) {
            formats::StreamReader reader = context.open_stream(s.files[0]);
            info = reader.info();
            formats::StreamWriter writer = context.create_stream(info);
            for (auto frame = reader.next(); frame != formats::StreamReader::Frame::end; frame = reader.next()) {
                reader.copy_to(writer);
            }
            writer.finish();
        } else {
            context.create_stream(info).finish();
        }
    }
    context.warn("this is only a probe");
    context.note(std::to_string(context.threads()) + " ready");
    return s.fail == "check" ? cli::Exit::check_failed : cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
