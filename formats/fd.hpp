// SPDX-License-Identifier: Apache-2.0
// File descriptors: whole reads and writes, EINTR handled, errors with the name of the file.
#pragma once

#include <cstddef>
#include <string>

namespace stillhouse::formats {

/// Owns a descriptor, except standard input and output, which it leaves open. `name` is for messages.
class Fd {
public:
    Fd() = default;
    Fd(int fd, std::string name, bool owned);
    Fd(Fd&&) noexcept;
    Fd& operator=(Fd&&) noexcept;
    ~Fd();

    static Fd open_input(const std::string& path);   // "-": standard input; enlarges pipes; Error{io}
    int get() const { return fd_; }
    const std::string& name() const { return name_; }

    /// Reads until n bytes or the end; returns how many. Error{io}; Error{stopped} when a stop interrupts.
    std::size_t read_full(std::byte* to, std::size_t n);
    /// Error{io} (disc full ...), Error{broken_pipe} when the reader is gone.
    void write_full(const std::byte* from, std::size_t n);
    bool is_terminal() const;
    bool is_regular() const;
    /// Closes and reports what only shows then. Error{io}.
    void close();

private:
    int fd_ = -1;
    std::string name_;
    bool owned_ = false;
};

/// Do both paths name the same existing file (device and inode)?
bool same_file(const std::string& a, const std::string& b);

}  // namespace stillhouse::formats
