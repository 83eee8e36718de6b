// SPDX-License-Identifier: Apache-2.0
// Preloaded into a tool: makes the k-th call of one system function fail, or counts the calls.
//
// FAULT_CALL: read, write, fsync, rename, close or open; FAULT_AT: which call fails (from 1; 0: none);
// FAULT_COUNT: a file that gets the number of calls at the end. Standard error never fails: it is where we look.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

const char* const call = std::getenv("FAULT_CALL");
const long at = std::getenv("FAULT_AT") != nullptr ? std::atol(std::getenv("FAULT_AT")) : 0;
std::atomic<long> calls{0};

bool fails(const char* name, int error)
{
    if (call == nullptr || std::strcmp(call, name) != 0 || ++calls != at) {
        return false;
    }
    errno = error;
    return true;
}

struct AtEnd {
    ~AtEnd()
    {
        const char* path = std::getenv("FAULT_COUNT");
        if (path == nullptr) {
            return;
        }
        char text[32];
        const int n = std::snprintf(text, sizeof text, "%ld\n", calls.load());
        const long fd = ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        ::syscall(SYS_write, fd, text, n);
        ::syscall(SYS_close, fd);
    }
} at_end;

}  // namespace

extern "C" {

ssize_t read(int fd, void* to, size_t n)
{
    return fails("read", EIO) ? -1 : static_cast<ssize_t>(::syscall(SYS_read, fd, to, n));
}

ssize_t write(int fd, const void* from, size_t n)
{
    if (fd != STDERR_FILENO && fails("write", ENOSPC)) {
        // Half of it is written first, as a full device does.
        if (n > 1) {
            (void)::syscall(SYS_write, fd, from, n / 2);
            errno = ENOSPC;
        }
        return -1;
    }
    return static_cast<ssize_t>(::syscall(SYS_write, fd, from, n));
}

int fsync(int fd)
{
    return fails("fsync", EIO) ? -1 : static_cast<int>(::syscall(SYS_fsync, fd));
}

int rename(const char* from, const char* to) noexcept
{
    return fails("rename", EIO) ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned int flags) noexcept
{
    return fails("rename", EIO) ? -1
                                : static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

int link(const char* from, const char* to) noexcept
{
    return fails("rename", EIO) ? -1 : static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int close(int fd)
{
    const auto result = static_cast<int>(::syscall(SYS_close, fd));
    return fails("close", EIO) ? -1 : result;
}

int open(const char* path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fails("open", EACCES) ? -1 : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

}  // extern "C"
