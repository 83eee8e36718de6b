// SPDX-License-Identifier: Apache-2.0
// JSON lines that survive a stop.
#include "tools/adapters/generation/result_lines.hpp"

#include "formats/json.hpp"
#include "formats/lock.hpp"
#include "libcore/base/error.hpp"
#include "libcore/models/unicode.hpp"
#include "tools/adapters/content_key.hpp"

#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr std::string_view check_begin = "{\"check\": \"";
constexpr std::size_t check_digits = 16;
constexpr std::string_view check_end = "\", ";

/// NAME.partial, made where it is absent, and locked. What another run removed while this one waited is opened anew.
formats::Fd locked(const std::string& path)
{
    for (;;) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) {
            throw_error(ErrorCode::io, path + ": cannot create: " + std::strerror(errno));
        }
        formats::Fd file(fd, path, true);
        if (!formats::lock(file)) {
            throw_error(ErrorCode::io,
                        path + ": another run keeps the lines of this output there; wait for it, or name another -o");
        }
        struct stat here {};
        struct stat there {};
        if (::fstat(fd, &here) == 0 && ::stat(path.c_str(), &there) == 0 && here.st_dev == there.st_dev &&
            here.st_ino == there.st_ino) {
            return file;
        }
    }
}

/// A line, an object of JSON, with its check.
std::string checked(const std::string& settings, const std::string& line)
{
    ContentHash hash;
    hash.add(settings.data(), settings.size());
    hash.add(line.data(), line.size());
    return std::string(check_begin) + hash.text() + std::string(check_end) + line.substr(1);
}

/// The line without its check; nothing where there is none.
std::optional<std::string> without_check(const std::string& line)
{
    const std::size_t body = check_begin.size() + check_digits + check_end.size();
    if (line.size() <= body || line.compare(0, check_begin.size(), check_begin) != 0 ||
        line.compare(body - check_end.size(), check_end.size(), check_end) != 0) {
        return std::nullopt;
    }
    return "{" + line.substr(body);
}

}  // namespace

ResultLines::ResultLines(const std::string& output, bool resume, const std::string& settings, Index total)
    : settings_(settings)
{
    if (output.empty() || output == "-" || output.compare(0, 5, "/dev/") == 0) {
        return;
    }
    path_ = output + ".partial";
    file_ = locked(path_);
    if (!resume && file_.is_regular()) {
        const std::string before = formats::read_file(path_, std::uint64_t{1} << 40);
        const auto results = std::count(before.begin(), before.end(), '\n') - 1;     // behind the line of settings
        if (results > 0) {
            throw_error(ErrorCode::io, path_ + ": holds " + std::to_string(results) + " results of a run; give "
                                           "--resume to go on with it, or remove the file to begin anew");
        }
    }
    const std::size_t whole = resume ? with_context(path_, [&] { return read(total); }) : 0;
    // Lines that are there stay where they are: whenever this run is killed, none of them is lost.
    if (file_.is_regular() && (::ftruncate(file_.get(), static_cast<off_t>(whole)) != 0 ||
                               ::lseek(file_.get(), 0, SEEK_END) < 0)) {
        throw_error(ErrorCode::io, path_ + ": cannot be shortened to its whole lines: " + std::strerror(errno));
    }
    if (whole == 0) {
        file_.write_full(checked(settings_, settings_) + "\n");
    }
}

std::size_t ResultLines::read(Index total)
{
    std::string text = formats::read_file(path_, std::uint64_t{1} << 40);
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);   // a torn line is none
    Index number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin);
        ++number;
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        std::optional<std::string> result = without_check(line);
        const std::string& settings = number == 1 && result ? *result : settings_;
        const bool whole = result && checked(settings, *result) == line;
        if (whole && settings != settings_) {
            throw_error(ErrorCode::bad_data,
                        "its lines were made with other settings, of other prompts or of another model; remove it, or "
                        "give the same settings again");
        }
        with_context("line " + std::to_string(number), [&] {
            if (!whole) {
                throw_error(ErrorCode::bad_data, std::string("is damaged: it does not agree with its check; remove ") +
                                                     (number == 1 ? "the file, to begin anew"
                                                                  : "the line, to have its prompt done again"));
            }
            if (number == 1) {
                return;
            }
            const formats::Value parsed = formats::parse_json(*result);
            const formats::Value* prompt = parsed.find("prompt");
            if (prompt == nullptr || prompt->integer() < 0 || prompt->integer() >= total ||
                !done_.insert(prompt->integer()).second) {
                throw_error(ErrorCode::bad_data, "no result of one of " + std::to_string(total) +
                                                     " prompts, or one that is there already; remove the line");
            }
            waiting_.emplace(prompt->integer(), std::move(*result));
        });
    }
    return text.size();
}

void ResultLines::add(Index prompt, const std::string& line)
{
    if (kept()) {
        file_.write_full(checked(settings_, line) + "\n");
    }
    STILLHOUSE_CHECK(done_.insert(prompt).second);
    waiting_.emplace(prompt, line);
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
        ::unlink(path_.c_str());         // while it is locked: another run may begin one of its own
        file_.close();
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
