// SPDX-License-Identifier: Apache-2.0
// Standard error as a person sees it: log lines, colours, and progress that is erased before every line.
#pragma once

#include "libcore/base/control.hpp"

#include <chrono>
#include <mutex>
#include <string>

namespace stillhouse::cli {

enum class Level { error, warning, info, debug };

bool is_terminal(int fd);
/// Columns of the terminal at `fd`, or 80.
int terminal_width(int fd);

/// One write per line, so that tools in a pipe that share a terminal do not interleave within lines.
class Voice : public Progress {
public:
    /// `colour` and `progress`: "auto", "always" or "never".
    void set(std::string tool, Level level, const std::string& colour, const std::string& progress);
    ~Voice() override;

    void error(const std::string& message) { say(Level::error, "", message); }
    void warning(const std::string& message) { say(Level::warning, "warning: ", message); }
    void info(const std::string& message) { say(Level::info, "", message); }
    void debug(const std::string& message) { say(Level::debug, "", message); }

    /// Drawn at most ten times a second, from the second second on; without a drawing, a line every 30 s under -v.
    void at(Index done, Index total, const std::string& what) override;
    void erase();

private:
    using Clock = std::chrono::steady_clock;

    void say(Level level, const char* word, const std::string& message);
    void erase_locked();

    std::mutex mutex_;
    std::string tool_ = "stillhouse";
    Level level_ = Level::info;
    bool coloured_ = false, draws_ = false, drawn_ = false;
    Clock::time_point begin_ = Clock::now(), last_ = begin_;
};

/// Control characters of file names and messages made harmless; line breaks become blanks.
std::string harmless(const std::string& text);

}  // namespace stillhouse::cli
