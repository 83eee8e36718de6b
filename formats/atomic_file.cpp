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
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
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

constexpr std::size_t word_letters = 8;
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz012345";
constexpr std::string_view part_suffix = ".part";

std::string random_word()
{
    std::array<unsigned char, word_letters> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw_error(ErrorCode::io, std::string("cannot make a name for an output: ") + std::strerror(errno));
    }
    std::string word;
    for (const unsigned char byte : bytes) {
        word += letters[byte % letters.size()];
    }
    return word;
}

std::string folder_of(const std::string& path)
{
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

bool is_part(std::string_view file, std::string_view begin)
{
    return file.size() == begin.size() + word_letters + part_suffix.size() && file.starts_with(begin) &&
           file.ends_with(part_suffix) &&
           file.substr(begin.size(), word_letters).find_first_not_of(letters) == std::string_view::npos;
}

// What writers that were killed left beside a name. A writer that lives holds a lock on its part; where the file system
// has no locks, nothing is removed.
void remove_dead_parts(const std::string& folder, const std::string& begin)
{
    DIR* const entries = ::opendir(folder.empty() ? "." : folder.c_str());
    if (entries == nullptr) {
        return;
    }
    while (const dirent* const entry = ::readdir(entries)) {
        if (!is_part(entry->d_name, begin)) {
            continue;
        }
        const std::string part = folder + entry->d_name;
        struct stat status {};
        const Fd file(::open(part.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), part, true);
        if (file.get() >= 0 && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
            ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
            ::unlink(part.c_str());
        }
    }
    ::closedir(entries);
}

// Locks a part that was just made; false where it was taken for a dead one before the lock was there.
bool keep_as_living(int fd)
{
    while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    struct stat status {};
    return ::fstat(fd, &status) != 0 || status.st_nlink > 0;
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
    const std::string begin = "." + path_.substr(folder.size()) + ".";
    remove_dead_parts(folder, begin);
    int fd = -1;
    std::string part;
    for (int attempt = 0; fd < 0 && attempt < 100; ++attempt) {
        part = folder + begin + random_word() + std::string(part_suffix);
        fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST && errno != EINTR) {
            break;
        }
        if (fd >= 0 && !keep_as_living(fd)) {
            ::close(fd);
            fd = -1;
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
    const Fd lock(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0), fd_.name(), true);    // until the part has its final name
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
