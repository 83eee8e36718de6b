// SPDX-License-Identifier: Apache-2.0
// A file in memory without being read: pages come when they are looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace stillhouse::formats {

/// A regular file, mapped for reading at the size that it has when it is opened. A file that another program cuts short
/// afterwards ends this one with SIGBUS; nothing can be done about that. Error{io}.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);
    MappedFile(MappedFile&&) noexcept;
    MappedFile& operator=(MappedFile&&) noexcept;
    ~MappedFile();

    const std::byte* data() const { return data_; }
    std::uint64_t size() const { return size_; }
    const std::string& name() const { return name_; }

    /// Tells the system that bytes [begin, end) are not needed again soon: their pages may go.
    void forget(const std::byte* begin, const std::byte* end) const noexcept;

private:
    std::string name_;
    const std::byte* data_ = nullptr;
    std::uint64_t size_ = 0;
};

}  // namespace stillhouse::formats
