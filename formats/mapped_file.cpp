// SPDX-License-Identifier: Apache-2.0
// A file in memory without being read: pages come when they are looked at.
#include "formats/mapped_file.hpp"

#include "formats/fd.hpp"
#include "libcore/base/error.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace stillhouse::formats {

MappedFile::MappedFile(const std::string& path) : name_(path)
{
    const Fd file = path == "-" ? Fd() : Fd::open_input(path);
    if (file.get() < 0 || !file.is_regular()) {
        throw_error(ErrorCode::io, path + ": not a regular file, as is needed here");
    }
    size_ = file.bytes_left().value_or(0);
    if (size_ == 0) {
        return;
    }
    void* const mapped = ::mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (mapped == MAP_FAILED) {
        throw_error(ErrorCode::io, path + ": cannot map: " + std::strerror(errno));
    }
    data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : name_(std::move(other.name_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0))
{
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept
{
    std::swap(name_, other.name_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

MappedFile::~MappedFile()
{
    if (data_ != nullptr) {
        ::munmap(const_cast<std::byte*>(data_), static_cast<std::size_t>(size_));
    }
}

void MappedFile::forget(const std::byte* begin, const std::byte* end) const noexcept
{
    const auto page = static_cast<std::ptrdiff_t>(::sysconf(_SC_PAGESIZE));
    const std::ptrdiff_t first = (begin - data_ + page - 1) / page * page;
    const std::ptrdiff_t last = (end - data_) / page * page;
    if (first < last) {
        (void)::madvise(const_cast<std::byte*>(data_) + first, static_cast<std::size_t>(last - first), MADV_DONTNEED);
    }
}

}  // namespace stillhouse::formats
