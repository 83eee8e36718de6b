// SPDX-License-Identifier: Apache-2.0
// Many prompts to JSON lines, and taking up where a stopped run left off.
#pragma once

#include "formats/fd.hpp"
#include "tools/adapters/generation.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// The lines of finished prompts in NAME.partial, beside the output that will bear the name. The first line says which
/// settings made them; each further line is a result, in the order of the prompts.
class PartialLines {
public:
    /// resume: takes up an existing file (a torn last line is dropped; Error{bad_data} when other settings made it);
    /// else begins anew. `output` empty or "-": nothing is kept on disk.
    PartialLines(const std::string& output, bool resume, const std::string& settings);
    ~PartialLines();

    Index done() const { return done_; }          // lines that were there
    bool kept() const { return !path_.empty(); }
    void add(const std::string& line);            // without its end; on disk when this returns
    const std::string& lines() const { return lines_; }   // all of them, the old ones included
    void remove();                               // the output bears its name now

private:
    void read(const std::string& settings);

    std::string path_;
    std::string lines_;
    formats::Fd file_;
    Index done_ = 0;
};

/// Continues the prompts that `lines` does not have yet, and adds a line for each as soon as it is there.
template <class T>
void continue_lines(Generator<T>& generator, const std::vector<Prompt>& prompts, PartialLines& lines, bool logprobs,
                    const Control& control);

}  // namespace stillhouse::adapters
