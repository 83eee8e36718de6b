// SPDX-License-Identifier: Apache-2.0
// Standard error as a person sees it: log lines, colours, and progress that is erased before every line.
#include "tools/cli/terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stillhouse::cli {

namespace {

constexpr const char* erase_line = "\r\033[K";

/// Words for people: when standard error is gone or full there is nobody to tell.
void write_error(const std::string& text)
{
    std::size_t at = 0;
    while (at < text.size()) {
        const ssize_t n = ::write(STDERR_FILENO, text.data() + at, text.size() - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        at += static_cast<std::size_t>(n);
    }
}

bool is_pipe(int fd)
{
    struct stat status{};
    return ::fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

std::string duration_text(double seconds)
{
    char text[32];
    const auto s = static_cast<long>(seconds);
    if (s < 60) {
        std::snprintf(text, sizeof text, "%ld s", s);
    } else if (s < 3600) {
        std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
    } else {
        std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    }
    return text;
}

/// At most `columns` characters, cut between characters of UTF-8.
std::string cut(std::string text, int columns)
{
    std::size_t at = 0;
    for (int n = 0; at < text.size(); ++n) {
        if (n == columns) {
            text.resize(at);
            break;
        }
        for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; ++at) {
        }
    }
    return text;
}

}  // namespace

bool is_terminal(int fd)
{
    return ::isatty(fd) == 1;
}

int terminal_width(int fd)
{
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

std::string harmless(const std::string& text)
{
    std::string out = text;
    for (char& c : out) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            c = byte == '\n' || byte == '\t' ? ' ' : '?';
        }
    }
    return out;
}

void Voice::set(std::string tool, Level level, const std::string& colour, const std::string& progress)
{
    const char* no_colour = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
    const bool terminal = is_terminal(STDERR_FILENO);
    const std::lock_guard lock(mutex_);
    tool_ = std::move(tool);
    level_ = level;
    coloured_ = colour == "always" ||
                (colour == "auto" && terminal && !dumb && (no_colour == nullptr || *no_colour == '\0'));
    draws_ = level != Level::error && (progress == "always" || (progress == "auto" && terminal && !dumb &&
                                                                !is_pipe(STDOUT_FILENO)));
}

Voice::~Voice()
{
    erase();
}

void Voice::say(Level level, const char* word, const std::string& message)
{
    if (level > level_) {
        return;
    }
    const std::lock_guard lock(mutex_);
    constexpr std::size_t longest = 4000;      // a write that a pipe keeps in one piece
    std::string text = harmless(message);
    if (text.size() > longest) {
        text.resize(longest);
        text += " ...";
    }
    erase_locked();
    const bool loud = coloured_ && level <= Level::warning;
    const char* paint = level == Level::error ? "\033[31m" : "\033[33m";
    write_error((loud ? paint + tool_ + ":\033[0m " : tool_ + ": ") + word + text + "\n");
}

void Voice::at(Index done, Index total, const std::string& what)
{
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> since = now - begin_, pause = now - last_;
    if (draws_ ? since.count() < 1 || (drawn_ && pause.count() < 0.1) : level_ < Level::debug || pause.count() < 30) {
        return;
    }
    last_ = now;
    std::string text = tool_ + ": ";
    if (total > 0) {
        text += std::to_string(std::clamp<Index>(100 * done / total, 0, 100)) + "% ";
    }
    text += harmless(what) + " (" + std::to_string(done) + (total > 0 ? "/" + std::to_string(total) : "") + ", " +
            duration_text(since.count());
    // A forecast is worth showing once a twentieth, and some seconds, are behind us.
    if (total > done && done * 20 > total && since.count() > 3) {
        text += ", " + duration_text(since.count() * static_cast<double>(total - done) / static_cast<double>(done)) +
                " left";
    }
    text += ")";
    if (draws_) {
        write_error(erase_line + cut(text, terminal_width(STDERR_FILENO) - 1));
        drawn_ = true;
    } else {
        write_error(text + "\n");
    }
}

void Voice::erase()
{
    const std::lock_guard lock(mutex_);
    erase_locked();
}

void Voice::erase_locked()
{
    if (drawn_) {
        write_error(erase_line);
        drawn_ = false;
    }
}

}  // namespace stillhouse::cli
