// SPDX-License-Identifier: Apache-2.0
// File descriptors: whole reads and writes, EINTR handled, errors with the name of the file.
#include "formats/fd.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stillhouse::formats {

namespace {

std::atomic<bool (*)()> interrupt_check{nullptr};

bool stop_wanted()
{
    bool (*const check)() = interrupt_check.load(std::memory_order_relaxed);
    return check != nullptr && check();
}

// A signal that arrives just before read(2) would not interrupt it, so waiting is done in poll with a time limit.
void wait_for(int fd, short events, const std::string& name, const char* doing)
{
    if (interrupt_check.load(std::memory_order_relaxed) == nullptr) {
        return;
    }
    pollfd entry{fd, events, 0};
    for (;;) {
        if (stop_wanted()) {
            throw_error(ErrorCode::stopped, name + ": stopped while " + doing);
        }
        const int ready = ::poll(&entry, 1, 200);
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return;
        }
    }
}

bool may_block(int fd)
{
    struct stat status {};
    return ::fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

// The greatest size the system allows without privileges; where it refuses, the pipe stays as it is.
void enlarge_pipe(int fd)
{
#ifdef F_SETPIPE_SZ
    (void)::fcntl(fd, F_SETPIPE_SZ, 1 << 20);
#else
    (void)fd;
#endif
}

constexpr std::size_t most_at_once = std::size_t{1} << 30;   // Linux moves at most 2 GiB in one call

}  // namespace

void set_interrupt_check(bool (*check)()) noexcept
{
    interrupt_check.store(check);
}

Fd::Fd(int fd, std::string name, bool owned)
    : fd_(fd), name_(std::move(name)), owned_(owned), waits_(fd >= 0 && may_block(fd))
{
}

Fd::Fd(Fd&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      owned_(std::exchange(other.owned_, false)),
      waits_(other.waits_)
{
}

Fd& Fd::operator=(Fd&& other) noexcept
{
    std::swap(fd_, other.fd_);
    std::swap(name_, other.name_);
    std::swap(owned_, other.owned_);
    std::swap(waits_, other.waits_);
    return *this;
}

Fd::~Fd()
{
    if (owned_ && fd_ >= 0) {
        ::close(fd_);
    }
}

Fd Fd::open_input(const std::string& path)
{
    if (path == "-" || path.empty()) {
        Fd input(STDIN_FILENO, "standard input", false);
        enlarge_pipe(STDIN_FILENO);
        return input;
    }
    int fd = -1;
    do {
        fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR && !stop_wanted());
    if (fd < 0) {
        if (errno == EINTR) {
            throw_error(ErrorCode::stopped, path + ": stopped while opening");
        }
        throw_error(ErrorCode::io, path + ": cannot open: " + std::strerror(errno));
    }
    Fd input(fd, path, true);
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        throw_error(ErrorCode::io, path + ": is a folder where a file is expected");
    }
    if (input.waits_) {
        enlarge_pipe(fd);
    }
    return input;
}

std::size_t Fd::read_some(std::byte* to, std::size_t n)
{
    for (;;) {
        if (waits_) {
            wait_for(fd_, POLLIN, name_, "reading");
        }
        const ssize_t got = ::read(fd_, to, std::min(n, most_at_once));
        if (got >= 0) {
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR && errno != EAGAIN) {
            throw_error(ErrorCode::io, name_ + ": cannot read: " + std::strerror(errno));
        }
        if (stop_wanted()) {
            throw_error(ErrorCode::stopped, name_ + ": stopped while reading");
        }
    }
}

std::size_t Fd::read_full(std::byte* to, std::size_t n)
{
    std::size_t done = 0;
    while (done < n) {
        const std::size_t got = read_some(to + done, n - done);
        if (got == 0) {
            break;
        }
        done += got;
    }
    return done;
}

void Fd::write_full(const std::byte* from, std::size_t n)
{
    std::size_t done = 0;
    while (done < n) {
        if (waits_) {
            wait_for(fd_, POLLOUT, name_, "writing");
        }
        const ssize_t put = ::write(fd_, from + done, std::min(n - done, most_at_once));
        if (put >= 0) {
            done += static_cast<std::size_t>(put);
        } else if (errno == EPIPE) {
            throw_error(ErrorCode::broken_pipe, name_ + ": the reader has gone");
        } else if (errno != EINTR && errno != EAGAIN) {
            throw_error(ErrorCode::io, name_ + ": cannot write: " + std::strerror(errno));
        } else if (stop_wanted()) {
            throw_error(ErrorCode::stopped, name_ + ": stopped while writing");
        }
    }
}

bool Fd::is_terminal() const
{
    return fd_ >= 0 && ::isatty(fd_) == 1;
}

bool Fd::is_regular() const
{
    struct stat status {};
    return ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
}

std::optional<std::uint64_t> Fd::bytes_left() const
{
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);
    if (at < 0) {
        return std::nullopt;
    }
    return status.st_size > at ? static_cast<std::uint64_t>(status.st_size - at) : 0;
}

void Fd::close()
{
    if (fd_ < 0) {
        return;
    }
    // Some file systems tell of a full disc only at close: for a descriptor that stays open, a copy is closed.
    const int closing = owned_ ? std::exchange(fd_, -1) : ::dup(fd_);
    if (closing < 0 || (::close(closing) != 0 && errno != EINTR)) {
        throw_error(ErrorCode::io, name_ + ": cannot close: " + std::strerror(errno));
    }
}

std::string read_file(const std::string& path, std::uint64_t limit)
{
    Fd input = Fd::open_input(path);
    std::string text;
    const std::optional<std::uint64_t> size = input.bytes_left();
    const auto check_limit = [&](std::uint64_t n) {
        if (n > limit) {
            throw_error(ErrorCode::bad_data, input.name() + ": longer than the " + std::to_string(limit) +
                                                 " bytes that such a file may have");
        }
    };
    check_limit(size.value_or(0));
    std::size_t used = 0;
    text.resize(static_cast<std::size_t>(size.value_or(0)) + 1);
    for (;;) {
        const std::size_t got =
            input.read_some(reinterpret_cast<std::byte*>(text.data()) + used, text.size() - used);
        if (got == 0) {
            break;
        }
        used += got;
        check_limit(used);
        if (used == text.size()) {
            text.resize(text.size() + std::max<std::size_t>(text.size() / 2, 65536));
        }
    }
    text.resize(used);
    return text;
}

bool read_only_once(const std::string& path)
{
    struct stat status {};
    return path == "-" ||
           (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode));
}

bool same_file(const std::string& a, const std::string& b)
{
    struct stat one {};
    struct stat other {};
    return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

}  // namespace stillhouse::formats
