// SPDX-License-Identifier: Apache-2.0
// Writes one tensor stream (stillhouse-stream(5)).
#include "formats/stream/writer.hpp"

#include "formats/stream/frame.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <utility>

namespace stillhouse::formats {

struct StreamWriter::State {
    AtomicFile output;
    std::string buffer;                      // small pieces, joined until a frame ends or a payload is large
    frame::Hash hash;                        // of the frame
    frame::Hash hashes;                      // of the hash bodies
    frame::EndFrame counts;
    std::uint64_t offset = 0;                // bytes of the stream so far
    std::string tensor;                      // being written
    std::vector<std::uint64_t> chunks;
    std::size_t chunk = 0;                   // the next one to open
    std::uint64_t left_in_chunk = 0;
    std::uint64_t left = 0;
    bool in_tensor = false;
    bool finished = false;

    explicit State(AtomicFile file) : output(std::move(file)) {}

    void flush()
    {
        output.fd().write_full(reinterpret_cast<const std::byte*>(buffer.data()), buffer.size());
        buffer.clear();
    }
    void put(const void* bytes, std::size_t n)
    {
        constexpr std::size_t small = 65536;
        offset += n;
        if (buffer.size() + n > small) {
            flush();
        }
        if (n >= small) {
            output.fd().write_full(static_cast<const std::byte*>(bytes), n);
        } else {
            buffer.append(static_cast<const char*>(bytes), n);
        }
    }
    void put_hashed(const void* bytes, std::size_t n)
    {
        hash.update(bytes, n);
        put(bytes, n);
    }
    void end_frame()
    {
        const std::array<char, 8> body = hash.digest();
        hashes.update(body.data(), body.size());
        put("\xd7\x54", 2);
        put(body.data(), body.size());
        hash.reset();
        flush();
    }
    void map_frame(const std::string& map)
    {
        STILLHOUSE_CHECK(!in_tensor && !finished);
        put_hashed(map.data(), map.size());
        end_frame();
    }
    void begin(const std::string& name, const std::string& map, std::vector<std::uint64_t> sizes)
    {
        STILLHOUSE_CHECK(!in_tensor && !finished);
        put_hashed(map.data(), map.size());
        const std::string pad = frame::pad_at(offset);
        put_hashed(pad.data(), pad.size());
        tensor = name;
        chunks = std::move(sizes);
        chunk = 0;
        left_in_chunk = 0;
        left = 0;
        for (const std::uint64_t size : chunks) {
            left += size;
        }
        counts.bytes += left;
        in_tensor = true;
    }
    void append(const std::byte* data, std::size_t n)
    {
        STILLHOUSE_CHECK(in_tensor && n <= left);
        while (n > 0) {
            if (left_in_chunk == 0) {
                left_in_chunk = chunks[chunk++];
                const std::string header = frame::chunk_header(left_in_chunk);
                put_hashed(header.data(), header.size());
            }
            // Hash and write while the piece is in the cache.
            const auto piece =
                static_cast<std::size_t>(std::min({std::uint64_t{n}, left_in_chunk, std::uint64_t{1} << 20U}));
            put_hashed(data, piece);
            data += piece;
            n -= piece;
            left_in_chunk -= piece;
            left -= piece;
        }
    }
    void end()
    {
        STILLHOUSE_CHECK(in_tensor && left == 0);
        in_tensor = false;
        ++counts.tensors;
        end_frame();
    }
};

StreamWriter::StreamWriter(AtomicFile output, const StreamInfo& info)
    : state_(std::make_unique<State>(std::move(output)))
{
    state_->put(frame::magic.data(), frame::magic.size());
    state_->map_frame(frame::encode_open(info));
}

StreamWriter::StreamWriter(StreamWriter&&) noexcept = default;
StreamWriter::~StreamWriter() = default;

void StreamWriter::begin(const TensorHeader& header)
{
    std::vector<std::uint64_t> chunks = frame::chunks_of(header.bytes());
    const std::string map = with_context("tensor " + header.name, [&] { return frame::encode_tensor(header, chunks); });
    state_->begin(header.name, map, std::move(chunks));
}

void StreamWriter::append(const std::byte* data, std::size_t n)
{
    state_->append(data, n);
}

void StreamWriter::end()
{
    state_->end();
}

void StreamWriter::write(const TensorHeader& header, const std::byte* data)
{
    begin(header);
    append(data, static_cast<std::size_t>(header.bytes()));
    end();
}

void StreamWriter::write(const Note& note)
{
    note_encoded(frame::encode_note(note));
}

void StreamWriter::note_encoded(const std::string& map)
{
    ++state_->counts.notes;
    state_->map_frame(map);
}

void StreamWriter::begin_encoded(const std::string& name, const std::string& map, std::vector<std::uint64_t> chunks)
{
    state_->begin(name, map, std::move(chunks));
}

void StreamWriter::finish()
{
    STILLHOUSE_CHECK(!state_->in_tensor && !state_->finished);
    const std::array<char, 8> body = state_->hashes.digest();
    state_->counts.hashes.assign(body.data(), body.size());
    state_->map_frame(frame::encode_end(state_->counts));
    state_->finished = true;
    state_->output.commit();
}

std::uint64_t StreamWriter::bytes_written() const
{
    return state_->offset;
}

Index StreamWriter::tensors_written() const
{
    return static_cast<Index>(state_->counts.tensors);
}

}  // namespace stillhouse::formats
