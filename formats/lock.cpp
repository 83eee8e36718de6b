// SPDX-License-Identifier: Apache-2.0
// Locks on open files.
#include "formats/lock.hpp"

#include <cerrno>
#include <chrono>
#include <thread>

#include <sys/file.h>

namespace stillhouse::formats {

bool lock(const Fd& file, int tries)
{
    for (int i = 0; i < tries; ++i) {
        if (i > 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        int done = 0;
        do {
            done = ::flock(file.get(), LOCK_EX | LOCK_NB);
        } while (done != 0 && errno == EINTR);
        if (done == 0 || errno != EWOULDBLOCK) {
            return true;
        }
    }
    return false;
}

}  // namespace stillhouse::formats
