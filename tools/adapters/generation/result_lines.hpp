// SPDX-License-Identifier: Apache-2.0
// Lines of results that survive a stop, and prompts one a line.
#pragma once

#include "formats/fd.hpp"
#include "tools/adapters/generation/generation.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// The lines of finished prompts: in NAME.partial as they come, beside the output that will bear the name, and to the
/// output in the order of the prompts. The first line of NAME.partial says which settings made them; each further line
/// is a result and bears its prompt's number. Each begins with a member "check": XXH3-64 of the settings and of what
/// the line is without it. The file is locked for the life of the object.
class ResultLines {
public:
    /// resume: takes up an existing NAME.partial (a torn last line is dropped; Error{bad_data} when other settings made
    /// it, a line does not agree with its check, or is no result of one of `total` prompts); else begins anew.
    /// Error{io}: another run keeps its lines there. `output` empty, "-" or a device: nothing is kept on disk.
    ResultLines(const std::string& output, bool resume, const std::string& settings, Index total);

    bool has(Index prompt) const { return done_.count(prompt) > 0; }
    Index done() const { return static_cast<Index>(done_.size()); }
    bool kept() const { return !path_.empty(); }
    const std::string& path() const { return path_; }
    void add(Index prompt, const std::string& line);   // without its end; on disk when this returns
    /// Writes the lines that follow those written before, as far as they have come.
    void write_to(formats::Fd& output);
    void remove();                               // the output bears its name now

private:
    /// What the file holds that is whole; how many bytes these are.
    std::size_t read(Index total);

    std::string path_, settings_;
    std::set<Index> done_;
    std::map<Index, std::string> waiting_;       // lines that wait for those before them
    Index written_ = 0;
    formats::Fd file_;
};

/// Prompts, one a line, with or without an end of the last line; "\r" before an end belongs to it. Each is given to
/// `use` with its number, beginning at 1. Error{bad_data} naming the line: one that is empty (unless `may_be_empty`) or
/// no UTF-8; none at all.
void for_each_prompt(std::string_view text, bool may_be_empty,
                     const std::function<void(Index line, std::string_view prompt)>& use);

/// XXH3-64 over the ids of all prompts and over the states that they go on from.
std::string hash_of(const std::vector<Prompt>& prompts);
/// XXH3-64 over texts and their lengths.
std::string hash_of(const std::vector<std::string_view>& texts);

}  // namespace stillhouse::adapters
