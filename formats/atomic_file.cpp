// SPDX-License-Identifier: Apache-2.0
// An output that bears its name only when it is whole.
#include "formats/atomic_file.hpp"

#include "libcore/base/error.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stillhouse::formats {

namespace {

// A fixed table, so that a signal handler can walk it: `live` is stored after the path is whole.
struct Pending {
    std::atomic<int> state{0};       // 0 free, 1 being filled, 2 live
    std::array<char, PATH_MAX> path{};
};
std::array<Pending, 64> pending;

void remember(const std::string& path)
{
    if (path.size() >= PATH_MAX) {
        return;
    }
    for (Pending& slot : pending) {
        int free = 0;
        if (slot.state.compare_exchange_strong(free, 1)) {
            std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
            slot.state.store(2);
            return;
        }
    }
}

void forget(const std::string& path)
{
    for (Pending& slot : pending) {
        if (slot.state.load() == 2 && path == slot.path.data()) {
            slot.state.store(0);
            return;
        }
    }
}

std::string random_word()
{
    std::array<unsigned char, 8> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw_error(ErrorCode::io, std::string("cannot make a name for an output: ") + std::strerror(errno));
    }
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    std::string word;
    for (const unsigned char byte : bytes) {
        word += letters[byte % 32U];
    }
    return word;
}

std::string folder_of(const std::string& path)
{
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

// Where a link points, so that the file is replaced and not the link.
std::string followed(const std::string& path)
{
    char resolved[PATH_MAX];
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode) &&
        ::realpath(path.c_str(), resolved) != nullptr) {
        return resolved;
    }
    return path;
}

[[noreturn]] void refuse_existing(const std::string& path)
{
    throw_error(ErrorCode::io, path + ": exists; give -f to overwrite it");
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, Overwrite overwrite)
    : path_(path), refuse_(overwrite == Overwrite::refuse)
{
    if (path == "-" || path.empty()) {
        fd_ = Fd(STDOUT_FILENO, "standard output", false);
        return;
    }
    path_ = followed(path);
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) {
        throw_error(ErrorCode::io, path + ": is a folder where a file is to be written");
    }
    if (exists && !S_ISREG(status.st_mode)) {
        const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            throw_error(ErrorCode::io, path + ": cannot open for writing: " + std::strerror(errno));
        }
        fd_ = Fd(fd, path, true);
        return;
    }
    if (exists && refuse_) {
        refuse_existing(path);
    }
    const std::string folder = folder_of(path_);
    int fd = -1;
    std::string part;
    for (int attempt = 0; fd < 0 && attempt < 100; ++attempt) {
        part = folder + "." + path_.substr(folder.size()) + "." + random_word() + ".part";
        fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST && errno != EINTR) {
            break;
        }
    }
    if (fd < 0) {
        throw_error(ErrorCode::io, path + ": cannot create: " + std::strerror(errno));
    }
    fd_ = Fd(fd, path, true);
    part_ = part;
    remember(part_);
    if (exists) {
        (void)::fchmod(fd, status.st_mode & 07777);
    }
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::move(other.path_)),
      part_(std::exchange(other.part_, std::string())),
      refuse_(other.refuse_)
{
}

AtomicFile::~AtomicFile()
{
    if (!part_.empty()) {
        ::unlink(part_.c_str());
        forget(part_);
    }
}

Fd& AtomicFile::fd()
{
    return fd_;
}

void AtomicFile::commit()
{
    if (part_.empty()) {
        fd_.close();
        return;
    }
    if (::fsync(fd_.get()) != 0 && errno != EINVAL && errno != EROFS) {
        throw_error(ErrorCode::io, fd_.name() + ": cannot write to the disc: " + std::strerror(errno));
    }
    fd_.close();
    int failed = -1;
    if (refuse_) {
        failed = ::renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE);
        if (failed != 0 && errno == EEXIST) {
            refuse_existing(path_);
        }
    }
    if (failed != 0 && ::rename(part_.c_str(), path_.c_str()) != 0) {
        throw_error(ErrorCode::io, path_ + ": cannot rename the finished output: " + std::strerror(errno));
    }
    forget(part_);
    part_.clear();
    const std::string folder = folder_of(path_);
    const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)::fsync(fd);       // where the system cannot sync a folder, the rename is as safe as it can be
        ::close(fd);
    }
}

void remove_uncommitted() noexcept
{
    for (Pending& slot : pending) {
        if (slot.state.load() == 2) {
            ::unlink(slot.path.data());
        }
    }
}

}  // namespace stillhouse::formats
