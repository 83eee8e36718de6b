// SPDX-License-Identifier: Apache-2.0
// The maps and marks of a tensor stream as bytes and back: what reader and writer share (stillhouse-stream(5)).
#pragma once

#include "formats/stream/tensor.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::formats::frame {

inline constexpr std::string_view magic{"\xd7\x53STIL\r\n\x1a\n", 10};
inline constexpr int hash_type = 0x54;
inline constexpr std::size_t max_map = std::size_t{1} << 20;
inline constexpr std::size_t max_depth = 8;
inline constexpr std::uint64_t max_chunk = std::uint64_t{1} << 30;
inline constexpr std::size_t max_name = 1024;
inline constexpr std::size_t alignment = 64;
inline constexpr std::size_t hash_bytes = 10;            // d7 54 and the body
inline constexpr std::size_t chunk_header_bytes = 5;     // c6 and the length

/// Canonical bytes of a map. Error{bad_argument} above 1 MiB or 8 levels.
std::string encode(const Map& map);

/// The map at the start of `bytes` and its length; nothing while bytes are missing (map unchanged).
/// Error{bad_data}: no map, over a limit, keys that are no strings or occur twice, floating formats.
std::optional<std::size_t> decode(std::string_view bytes, Map& map);

std::string encode_open(const StreamInfo& info);
StreamInfo decode_open(const Map& map);

struct TensorFrame {
    TensorHeader header;
    std::vector<std::uint64_t> chunks;
};
std::string encode_tensor(const TensorHeader& header, const std::vector<std::uint64_t>& chunks);
/// Checks name, type, shape, size and chunks against each other and the limits.
TensorFrame decode_tensor(const Map& map);
std::vector<std::uint64_t> chunks_of(std::uint64_t bytes);

std::string encode_note(const Note& note);

struct EndFrame {
    std::uint64_t tensors = 0, notes = 0, bytes = 0;
    std::string hashes;                                  // 8 bytes
};
std::string encode_end(const EndFrame& end);
EndFrame decode_end(const Map& map);

/// The pad object for a map that ends `offset` bytes after the start of the stream.
std::string pad_at(std::uint64_t offset);
std::string chunk_header(std::uint64_t bytes);

/// XXH3-64, seed 0, fed in pieces; `digest` is the canonical (big-endian) form.
class Hash {
public:
    Hash();
    Hash(const Hash&) = delete;
    Hash& operator=(const Hash&) = delete;
    ~Hash();
    void reset();
    void update(const void* bytes, std::size_t n);
    std::array<char, 8> digest() const;

private:
    void* state_;
};

}  // namespace stillhouse::formats::frame
