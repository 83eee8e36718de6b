// SPDX-License-Identifier: Apache-2.0
// Reads one tensor stream (stillhouse-stream(5)), suspiciously, in memory of one frame.
#pragma once

#include "formats/fd.hpp"
#include "formats/stream/tensor.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace stillhouse::formats {

class StreamWriter;

/// Error{bad_data} for every fault of the stream, naming the frame or tensor, what was found and what was expected:
/// not a stream (a redirected log is recognised), major version, limits, truncation anywhere, hash, bytes after the
/// end.
class StreamReader {
public:
    explicit StreamReader(Fd input);
    StreamReader(StreamReader&&) noexcept;
    StreamReader& operator=(StreamReader&&) noexcept;
    ~StreamReader();

    const std::string& name() const;                 // of the file, for messages
    const StreamInfo& info() const;

    enum class Frame { tensor, note, end };
    /// The next frame; an unread payload is skipped (and still hashed). After `end` the whole stream is verified.
    Frame next();
    const TensorHeader& header() const;              // of the current tensor
    const Note& note() const;                        // of the current note

    /// The payload of the current tensor; the hash is verified before these return.
    Tensor read();
    void read_into(std::byte* to);                   // header().bytes() bytes
    /// The payload in order, in pieces of at most 1 MiB, in constant memory.
    void read_pieces(const std::function<void(const std::byte*, std::size_t)>& use);
    /// Copies the current tensor or note to `writer` chunk by chunk, in constant memory.
    void copy_to(StreamWriter& writer);

    std::uint64_t bytes_read() const;
    Index tensors_read() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace stillhouse::formats
