// SPDX-License-Identifier: Apache-2.0
// Runs gnuplot as a child between two pipes.
#include "tools/adapters/plot.hpp"

#include "formats/fd.hpp"
#include "libcore/base/error.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

std::string number(double x)
{
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), x);
    return {text.data(), end.ptr};
}

/// In single quotes gnuplot takes every character as it is, a quote doubled.
std::string quoted(const std::string& text)
{
    std::string result = "'";
    for (const char c : text) {
        result += c == '\'' ? "''" : std::string(1, c < ' ' && c >= 0 ? ' ' : c);
    }
    return result + "'";
}

std::string script_of(const Plot& plot)
{
    std::string script = "set terminal svg size 800,500 noenhanced background 'white'\n";
    script += "set title " + quoted(plot.title) + "\nset xlabel " + quoted(plot.x_label) + "\nset ylabel " +
              quoted(plot.y_label) + "\nset grid\nset key outside right top\n";
    script += plot.x_axis == Axis::logarithmic ? "set logscale x\n" : "";
    script += plot.y_axis == Axis::logarithmic ? "set logscale y\nset format y '%.0e'\n" : "";
    std::string draw;
    for (std::size_t i = 0; i < plot.curves.size(); ++i) {
        const Curve& curve = plot.curves[i];
        std::string points;
        for (std::size_t k = 0; k < curve.x.size() && k < curve.y.size(); ++k) {
            const bool shown = std::isfinite(curve.x[k]) && std::isfinite(curve.y[k]) &&
                               (plot.x_axis == Axis::linear || curve.x[k] > 0.0) &&
                               (plot.y_axis == Axis::linear || curve.y[k] > 0.0);
            if (shown) {
                points += number(curve.x[k]) + " " + number(curve.y[k]) + "\n";
            }
        }
        if (points.empty()) {
            continue;
        }
        const std::string block = "$c" + std::to_string(i);
        script += block + " << END_OF_CURVE\n" + points + "END_OF_CURVE\n";
        draw += (draw.empty() ? "plot " : ", ") + block + " using 1:2 with linespoints pointsize 0.4 " +
                (curve.title.empty() ? std::string("notitle") : "title " + quoted(curve.title));
    }
    return script + (draw.empty() ? "set xrange [0:1]\nset yrange [0.1:1]\nplot 2 notitle" : draw) + "\nexit\n";
}

struct Child {
    pid_t pid = -1;
    formats::Fd in, out, errors;         // our ends
};

Child start()
{
    std::array<std::array<int, 2>, 3> pipes{};
    for (auto& ends : pipes) {
        if (pipe2(ends.data(), O_CLOEXEC) != 0) {
            throw_error(ErrorCode::resource, std::string("cannot make a pipe for gnuplot: ") + std::strerror(errno));
        }
    }
    const pid_t pid = fork();
    if (pid < 0) {
        throw_error(ErrorCode::resource, std::string("cannot start gnuplot: ") + std::strerror(errno));
    }
    if (pid == 0) {
        // Between fork and exec only what is safe after fork of a threaded process.
        dup2(pipes[0][0], STDIN_FILENO);
        dup2(pipes[1][1], STDOUT_FILENO);
        dup2(pipes[2][1], STDERR_FILENO);
        signal(SIGPIPE, SIG_DFL);
        const char* const arguments[] = {"gnuplot", "-d", "-", nullptr};
        execvp(arguments[0], const_cast<char* const*>(arguments));
        _exit(127);
    }
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    return {pid, formats::Fd(pipes[0][1], "gnuplot", true), formats::Fd(pipes[1][0], "gnuplot", true),
            formats::Fd(pipes[2][0], "gnuplot", true)};
}

struct Answer {
    int status = 0;
    std::string out, errors;
};

/// Feeds and hears the child at once, so that neither waits for the other.
Answer converse(const std::string& script)
{
    Child child = start();
    Answer answer;
    std::size_t fed = 0;
    bool out_open = true;
    bool errors_open = true;
    fcntl(child.in.get(), F_SETFL, O_NONBLOCK);
    auto hear = [](int fd, std::string& to, bool& open) {
        std::array<char, 65536> buffer;
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        if (n > 0) {
            to.append(buffer.data(), static_cast<std::size_t>(n));
        } else if (n == 0 || errno != EINTR) {
            open = false;
        }
    };
    while (out_open || errors_open) {
        std::array<pollfd, 3> watched{{{out_open ? child.out.get() : -1, POLLIN, 0},
                                       {errors_open ? child.errors.get() : -1, POLLIN, 0},
                                       {child.in.get(), POLLOUT, 0}}};
        if (poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) {
            break;
        }
        if (watched[2].revents != 0) {
            const ssize_t n = write(child.in.get(), script.data() + fed, script.size() - fed);
            if (n > 0) {
                fed += static_cast<std::size_t>(n);
            }
            if (fed == script.size() || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                child.in = formats::Fd();        // closed: the child sees the end
            }
        }
        if (watched[0].revents != 0) {
            hear(child.out.get(), answer.out, out_open);
        }
        if (watched[1].revents != 0) {
            hear(child.errors.get(), answer.errors, errors_open);
        }
    }
    child.in = formats::Fd();
    while (waitpid(child.pid, &answer.status, 0) < 0 && errno == EINTR) {
    }
    return answer;
}

std::string first_line(const std::string& text)
{
    const std::size_t begin = text.find_first_not_of(" \n\t");
    return begin == std::string::npos ? "no message" : text.substr(begin, text.find('\n', begin) - begin);
}

void check(const Answer& answer)
{
    if (WIFEXITED(answer.status) && WEXITSTATUS(answer.status) == 127) {
        throw_error(ErrorCode::resource,
                    "gnuplot is not there: pictures need it; install gnuplot-nox, or leave --plot out");
    }
    if (!WIFEXITED(answer.status) || WEXITSTATUS(answer.status) != 0) {
        throw_error(ErrorCode::resource, "gnuplot failed: " + first_line(answer.errors));
    }
}

}  // namespace

void require_gnuplot() { check(converse("exit\n")); }

std::string draw_svg(const Plot& plot)
{
    const Answer answer = converse(script_of(plot));
    check(answer);
    if (answer.out.find("</svg>") == std::string::npos) {
        throw_error(ErrorCode::resource, "gnuplot drew nothing: " + first_line(answer.errors));
    }
    return answer.out;
}

}  // namespace stillhouse::adapters
