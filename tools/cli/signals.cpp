// SPDX-License-Identifier: Apache-2.0
// Signals as a flag: ask to stop once, stop at once when asked again.
#include "tools/cli/signals.hpp"

#include "formats/atomic_file.hpp"
#include "formats/fd.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <pthread.h>
#include <unistd.h>

namespace stillhouse::cli {

namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> first_signal{0};
pthread_t main_thread;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "what a handler touches must need no lock");

void on_stop(int signal)
{
    const int kept_errno = errno;
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, signal);      // so that it is the main thread's read which is interrupted
    } else if (!stop_requested.exchange(true)) {
        first_signal = signal;
    } else if (signal == SIGINT) {              // schedulers repeat SIGTERM; only a person means "at once"
        formats::remove_uncommitted();
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
    errno = kept_errno;
}

void handle(int signal, void (*handler)(int))
{
    struct sigaction action{};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = 0;                        // no SA_RESTART: blocked reads return
    sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_signals()
{
    main_thread = pthread_self();
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN);                   // a limit on the size of files is a failed write like any other
    formats::set_interrupt_check([] { return stop_requested.load(std::memory_order_relaxed); });
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGXCPU}) {
        struct sigaction now{};
        sigaction(signal, nullptr, &now);
        if (now.sa_handler != SIG_IGN) {        // nohup and background jobs of a plain sh stay as they are
            handle(signal, on_stop);
        }
    }
}

const std::atomic<bool>& stop_flag()
{
    return stop_requested;
}

int stop_signal()
{
    return first_signal;
}

const char* signal_name(int signal)
{
    switch (signal) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    case SIGUSR1: return "SIGUSR1";
    case SIGXCPU: return "SIGXCPU";
    default: return "a signal";
    }
}

void die_of(int signal)
{
    formats::remove_uncommitted();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    std::signal(signal, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    std::raise(signal);
    std::_Exit(128 + signal);                   // not reached, unless the signal cannot be delivered
}

}  // namespace stillhouse::cli
