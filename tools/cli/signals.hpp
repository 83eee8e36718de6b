// SPDX-License-Identifier: Apache-2.0
// Signals as a flag: ask to stop once, stop at once when asked again.
#pragma once

#include <atomic>

namespace stillhouse::cli {

/// SIGPIPE is ignored (writes say so); SIGINT, SIGTERM, SIGUSR1 and SIGXCPU set the stop flag and interrupt a blocked
/// read or write of the main thread; SIGINT after that removes uncommitted outputs and dies at once.
void catch_signals();

const std::atomic<bool>& stop_flag();
/// The signal that set the flag, or 0.
int stop_signal();
/// "SIGTERM"
const char* signal_name(int signal);

/// Removes uncommitted outputs, restores the default action and raises: the shell sees 128 + signal.
[[noreturn]] void die_of(int signal);

}  // namespace stillhouse::cli
