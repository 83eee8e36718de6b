// SPDX-License-Identifier: Apache-2.0
// What a model is evaluated on: texts, token files, pages of WikiText, items of tasks.
#include "tools/adapters/evaluation/evaluation_input.hpp"

#include "tools/adapters/evaluation/scored_text.hpp"

#include <algorithm>

namespace stillhouse::adapters {

namespace {

struct TaskFile {
    std::string name, path;
};

TaskFile task_file(const std::string& argument)
{
    const std::size_t cut = argument.find('=');
    if (cut == std::string::npos || cut == 0 || cut + 1 == argument.size()) {
        throw_error(ErrorCode::bad_argument, "--task " + argument + ": NAME=FILE is expected, as piqa=piqa.jsonl");
    }
    return {argument.substr(0, cut), argument.substr(cut + 1)};
}

}  // namespace

void check_files(const EvaluationFiles& files, const std::string& model, const std::string& against)
{
    if (files.text.empty() && files.tokens.empty() && !files.wikitext && files.tasks.empty()) {
        throw_error(ErrorCode::bad_argument, "nothing to evaluate on; give --text FILE, --tokens FILE, --wikitext FILE "
                                             "or --task NAME=FILE");
    }
    std::vector<std::string> inputs = files.text;
    inputs.insert(inputs.end(), {files.tokens, files.wikitext.value_or(""), model, against});
    for (const std::string& argument : files.tasks) {
        inputs.push_back(task_file(argument).path);
    }
    if (std::count(inputs.begin(), inputs.end(), "-") > 1) {
        throw_error(ErrorCode::bad_argument, "'-' is given twice: standard input can be read once");
    }
    const std::vector<std::string> known = task_names();
    std::vector<std::string> seen;
    for (const std::string& argument : files.tasks) {
        const std::string name = task_file(argument).name;
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            std::string list;
            for (const std::string& one : known) {
                list += (list.empty() ? "" : ", ") + one;
            }
            throw_error(ErrorCode::bad_argument, "--task " + argument + ": unknown task '" + name + "'; one of " +
                                                     list + " is expected");
        }
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
            throw_error(ErrorCode::bad_argument, "--task " + name + " is given twice; join the files");
        }
        seen.push_back(name);
    }
}

EvaluationInput read_evaluation_input(const EvaluationFiles& files, std::optional<Index> limit,
                                      const TokenSource::Open& open, const TokenSource::Notice& notice)
{
    EvaluationInput input;
    input.texts = read_text_files(files.text, open, notice);
    for (std::size_t i = 0; i < input.texts.size(); ++i) {
        if (input.texts[i].empty()) {
            throw_error(ErrorCode::bad_data, files.text[i] + ": an empty text; nothing could be scored");
        }
    }
    input.tokens = files.tokens;
    input.open = open;
    if (files.wikitext) {
        input.pages = evaluation::wikitext_pages(read_text_files({*files.wikitext}, open, notice).front());
        if (input.pages.empty()) {
            throw_error(ErrorCode::bad_data, *files.wikitext + ": an empty text; pages of WikiText are expected");
        }
        if (limit) {
            input.pages.resize(std::min(input.pages.size(), static_cast<std::size_t>(*limit)));
        }
    }
    for (const std::string& argument : files.tasks) {
        const auto [name, path] = task_file(argument);
        input.tasks.push_back(read_task(name, path, read_files({path}, open).front(), limit.value_or(-1)));
    }
    return input;
}

}  // namespace stillhouse::adapters
