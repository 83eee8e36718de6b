// SPDX-License-Identifier: Apache-2.0
// JSON lines that survive a stop.
#include "tools/adapters/prompts_file.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/generation_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace stillhouse::adapters {

PartialLines::PartialLines(const std::string& output, bool resume, const std::string& settings)
{
    if (output.empty() || output == "-" || output.compare(0, 5, "/dev/") == 0) {
        return;
    }
    path_ = output + ".partial";
    if (resume && ::access(path_.c_str(), F_OK) == 0) {
        with_context(path_, [&] { read(settings); });
    }
    const std::string all = settings + "\n" + lines_;
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        throw_error(ErrorCode::io, path_ + ": cannot create: " + std::strerror(errno));
    }
    file_ = formats::Fd(fd, path_, true);
    file_.write_full(all);
}

PartialLines::~PartialLines() = default;

void PartialLines::read(const std::string& settings)
{
    std::string text = formats::read_file(path_);
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);   // a torn line is none
    const std::size_t first = text.find('\n');
    if (first == std::string::npos) {
        return;
    }
    if (text.compare(0, first, settings) != 0) {
        throw_error(ErrorCode::bad_data,
                    "its lines were made with other settings or of another model; remove it, or give "
                    "the same settings again");
    }
    lines_ = text.substr(first + 1);
    for (const char c : lines_) {
        done_ += c == '\n' ? 1 : 0;
    }
}

void PartialLines::add(const std::string& line)
{
    lines_ += line + "\n";
    if (file_.get() >= 0) {
        file_.write_full(line);
        file_.write_full("\n");
    }
}

void PartialLines::remove()
{
    if (kept()) {
        file_.close();
        ::unlink(path_.c_str());
    }
}

template <class T>
void continue_lines(Generator<T>& generator, const std::vector<Prompt>& prompts, PartialLines& lines, bool logprobs,
                    const Control& control)
{
    const Index total = static_cast<Index>(prompts.size());
    const std::vector<Prompt> left(prompts.begin() + std::min(lines.done(), total), prompts.end());
    generator.run(
        left,
        [&](const Continuation& done) {
            lines.add(formats::to_json(to_json(done, true, logprobs)));
            control.at(done.number + 1, total, "prompts");
        },
        control);
}
template void continue_lines(Generator<float>&, const std::vector<Prompt>&, PartialLines&, bool, const Control&);
template void continue_lines(Generator<double>&, const std::vector<Prompt>&, PartialLines&, bool, const Control&);

}  // namespace stillhouse::adapters
