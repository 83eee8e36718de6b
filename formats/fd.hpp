// SPDX-License-Identifier: Apache-2.0
// File descriptors: whole reads and writes, EINTR handled, errors with the name of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stillhouse::formats {

/// Asked when a signal interrupts a read or write, and five times a second while one waits for a pipe or terminal: true
/// ends it with Error{stopped}. Set once, at the start of a program (tools/cli); null (the default) never stops. The
/// function is called on the thread that reads or writes, and has to be as harmless as loading an atomic.
void set_interrupt_check(bool (*check)()) noexcept;

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
    /// One read of at least 1 and at most n bytes; 0 at the end. Errors as read_full.
    std::size_t read_some(std::byte* to, std::size_t n);
    /// Error{io} (disc full ...), Error{broken_pipe} when the reader is gone, Error{stopped}.
    void write_full(const std::byte* from, std::size_t n);
    void write_full(std::string_view text)
    {
        write_full(reinterpret_cast<const std::byte*>(text.data()), text.size());
    }
    bool is_terminal() const;
    bool is_regular() const;
    /// Bytes from the present position to the end of a regular file; nothing for pipes and devices.
    std::optional<std::uint64_t> bytes_left() const;
    /// Closes and reports what only shows then (for standard output too, which stays open). Error{io}.
    void close();

private:
    int fd_ = -1;
    std::string name_;
    bool owned_ = false;
    bool waits_ = false;             // a pipe, socket or terminal: may block for ever
};

/// The whole content of a file, at most `limit` bytes. Error{io}; Error{bad_data} above the limit.
std::string read_file(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 30);

/// Standard input, a pipe or a device: what is read there is gone.
bool read_only_once(const std::string& path);

/// Do both paths name the same existing file (device and inode)?
bool same_file(const std::string& a, const std::string& b);

}  // namespace stillhouse::formats
