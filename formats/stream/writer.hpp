// SPDX-License-Identifier: Apache-2.0
// Writes one tensor stream (stillhouse-stream(5)).
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/tensor.hpp"

#include <memory>
#include <string>
#include <vector>

namespace stillhouse::formats {

/// Errors beside Error{io} and Error{broken_pipe} of the output: Error{bad_argument} for a header above the limits.
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
    friend class StreamReader;                       // copies frames with their maps byte for byte
    void begin_encoded(const std::string& name, const std::string& map, std::vector<std::uint64_t> chunks);
    void note_encoded(const std::string& map);

    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace stillhouse::formats
