// SPDX-License-Identifier: Apache-2.0
// JSON lines that survive a stop.
#include "tools/adapters/generation/result_lines.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/models/unicode.hpp"
#include "tools/adapters/content_key.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace stillhouse::adapters {

ResultLines::ResultLines(const std::string& output, bool resume, const std::string& settings, Index total)
{
    if (output.empty() || output == "-" || output.compare(0, 5, "/dev/") == 0) {
        return;
    }
    path_ = output + ".partial";
    std::string all = settings + "\n";
    if (resume && ::access(path_.c_str(), F_OK) == 0) {
        with_context(path_, [&] { read(settings, total, all); });
    }
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        throw_error(ErrorCode::io, path_ + ": cannot create: " + std::strerror(errno));
    }
    file_ = formats::Fd(fd, path_, true);
    file_.write_full(all);
}

void ResultLines::read(const std::string& settings, Index total, std::string& kept)
{
    std::string text = formats::read_file(path_, std::uint64_t{1} << 40);
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);   // a torn line is none
    const std::size_t first = text.find('\n');
    if (first == std::string::npos) {
        return;
    }
    if (text.compare(0, first, settings) != 0 || first != settings.size()) {
        throw_error(ErrorCode::bad_data,
                    "its lines were made with other settings, of other prompts or of another model; remove it, or give "
                    "the same settings again");
    }
    Index number = 1;
    for (std::size_t begin = first + 1; begin < text.size();) {
        const std::size_t end = text.find('\n', begin);
        ++number;
        std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        with_context("line " + std::to_string(number), [&] {
            const formats::Value result = formats::parse_json(line);
            const formats::Value* prompt = result.find("prompt");
            if (prompt == nullptr || prompt->integer() < 0 || prompt->integer() >= total ||
                !done_.insert(prompt->integer()).second) {
                throw_error(ErrorCode::bad_data, "no result of one of " + std::to_string(total) +
                                                     " prompts, or one that is there already; remove the file");
            }
            kept += line + "\n";
            waiting_.emplace(prompt->integer(), std::move(line));
        });
    }
}

void ResultLines::add(Index prompt, const std::string& line)
{
    STILLHOUSE_CHECK(done_.insert(prompt).second);
    waiting_.emplace(prompt, line);
    if (kept()) {
        file_.write_full(line + "\n");
    }
}

void ResultLines::write_to(formats::Fd& output)
{
    std::string text;
    for (auto next = waiting_.begin(); next != waiting_.end() && next->first == written_; ++written_) {
        text += next->second + "\n";
        next = waiting_.erase(next);
    }
    if (!text.empty()) {
        output.write_full(text);
    }
}

void ResultLines::remove()
{
    if (kept()) {
        file_.close();
        ::unlink(path_.c_str());
    }
}

void for_each_prompt(std::string_view text, bool may_be_empty,
                     const std::function<void(Index line, std::string_view prompt)>& use)
{
    if (text.empty()) {
        throw_error(ErrorCode::bad_data, "holds no prompt; one a line is expected");
    }
    for (Index number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        with_context("line " + std::to_string(number), [&] {
            if (line.empty() && !may_be_empty) {
                throw_error(ErrorCode::bad_data, "is empty, but every line is a prompt; remove it");
            }
            models::unicode::Sanitizer check;
            std::string ignored;
            check.feed(line, ignored);
            check.finish(ignored);
            if (check.replaced() > 0) {
                throw_error(ErrorCode::bad_data, "is not UTF-8; convert the file, with iconv for example");
            }
            use(number, line);
        });
    }
}

std::string hash_of(const std::vector<Prompt>& prompts)
{
    ContentHash all;
    for (const Prompt& prompt : prompts) {
        all.add(prompt.ids);
        if (prompt.from != nullptr) {
            const SavedState& from = *prompt.from;
            all.add(std::vector<std::uint64_t>{static_cast<std::uint64_t>(from.number), from.drawn,
                                               static_cast<std::uint64_t>(from.count), from.prefix});
            all.add(from.tail);
            all.add(from.logits);
            for (const std::vector<std::byte>& layer : from.layers) {
                all.add(layer);
            }
        }
    }
    return all.text();
}

std::string hash_of(const std::vector<std::string_view>& texts)
{
    ContentHash all;
    for (const std::string_view text : texts) {
        all.add(std::vector<char>(text.begin(), text.end()));
    }
    return all.text();
}

}  // namespace stillhouse::adapters
