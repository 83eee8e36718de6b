// SPDX-License-Identifier: Apache-2.0
// What a running tool is given: its shared settings, its streams, its voice.
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/control.hpp"
#include "tools/cli/tool.hpp"

#include <memory>

namespace stillhouse::cli {

struct Shard { Index part = 1, parts = 1; };        // 1-based K of N

class Context {
public:
    // Shared settings.
    int threads() const;
    const std::string& device() const;
    std::uint64_t seed() const;
    const std::string& precision() const;           // "f64" | "f32" | "bf16"
    Shard shard() const;
    bool dry_run() const;
    Exit planned(const std::string& plan);          // ends a dry run: the plan joins the closing line
    bool json() const;                              // results on standard output as JSON lines
    bool verbose() const;
    const std::string& output() const;              // -o as typed; empty: standard output
    formats::Overwrite overwrite() const;           // -f
    formats::Map history_entry() const;             // {tool, version, settings}: what create_stream appends

    /// The stream at `path` ("-" or empty: standard input; a terminal there is a usage error with short help).
    formats::StreamReader open_stream(const std::string& path);
    /// Any input by name, for readers of other formats; registers it for the same-file check.
    formats::Fd open_input(const std::string& path);

    /// Refuses, before work begins: a terminal as binary output (exit 2), an existing file without -f (4), the same
    /// file in and out (2). Call it first thing in run, before long work; idempotent.
    void check_output(bool binary = true);
    /// True when results are to be printed on standard output and the stream then goes only to -o (--json,
    /// or a terminal without -o).
    bool prints_results() const;
    /// True when a stream is to be written at all: always, unless prints_results() and there is no -o.
    bool writes_stream() const;
    /// The stream to -o or standard output, with this run's history entry appended to `info.history`
    /// (unless --no-history): tool, version, and the settings that change the result.
    formats::StreamWriter create_stream(formats::StreamInfo info);
    /// Text or raw bytes to -o or standard output, atomic; closed and checked by the caller's commit().
    formats::AtomicFile create_output();
    /// A further output file (--plot, --save-state ...), same rules as -o.
    formats::AtomicFile create_file(const std::string& path);
    /// Before long work, for a file that is to come or grows as it goes (--log): refuses what create_file would, and an
    /// existing file unless -f or `goes_on`; the name is taken from then on.
    void claim_output(const std::string& path, bool goes_on = false);

    /// Results: a line on standard output (JSON with --json, else from `text`), and collected for --report.
    void result(const formats::Value& json, const std::string& text);
    /// Prints what `result` was given so far: before an error that lets the run fail and leaves these lines true.
    void print_results();
    /// The JSON object that --report writes (times in it are the only thing that may differ between runs).
    formats::Map& report();
    bool reports() const;                           // was --report given?

    Control control();                              // the stop flag and the progress display
    void warn(const std::string& message);          // "warning: ..." on standard error
    void info(const std::string& message);          // with -v
    void note(const std::string& fact);             // joins the closing line: "4 layers, 96 filters"
    /// Called by tools that keep something for --resume when stopped: exit is then 75 instead of 128 + signal.
    void kept_for_resume();

    struct State;
    explicit Context(std::unique_ptr<State> state);
    ~Context();

private:
    std::unique_ptr<State> state_;
};

}  // namespace stillhouse::cli
