// SPDX-License-Identifier: Apache-2.0
// Writes one tensor stream (stillhouse-stream(5)).
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/tensor.hpp"

#include <memory>

namespace stillhouse::formats {

class StreamWriter {
public:
    StreamWriter(AtomicFile output, const StreamInfo& info);
    StreamWriter(StreamWriter&&) noexcept;
    ~StreamWriter();                                 // without finish: no end frame, no final name

    void write(const TensorHeader& header, const std::byte* data);   // header.bytes() bytes
    void write(const Tensor& tensor) { write(tensor.header, tensor.data.data()); }
    void write(const Note& note);

    /// A tensor while it is being produced: begin, then exactly header.bytes() bytes in any pieces, then end.
    void begin(const TensorHeader& header);
    void append(const std::byte* data, std::size_t n);
    void end();

    /// End frame, sync, rename. Error{io}.
    void finish();

    std::uint64_t bytes_written() const;
    Index tensors_written() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace stillhouse::formats
