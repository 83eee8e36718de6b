// SPDX-License-Identifier: Apache-2.0
// The maps and marks of a tensor stream as bytes and back: the only file that sees msgpack-c.
#include "formats/stream/frame.hpp"

#include "libcore/base/error.hpp"

#include <msgpack.hpp>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace stillhouse::formats::frame {

static_assert(std::endian::native == std::endian::little, "payloads and numbers are stored as they lie in memory");

namespace {

using Packer = msgpack::packer<msgpack::sbuffer>;

[[noreturn]] void bad(const std::string& message)
{
    throw_error(ErrorCode::bad_data, message);
}

std::uint32_t size32(std::size_t n)
{
    return static_cast<std::uint32_t>(n);                // at most max_map, checked when the map is complete
}

void pack(Packer& packer, const Value& value, std::size_t depth);

void pack_bin(Packer& packer, const char* bytes, std::size_t n)
{
    packer.pack_bin(size32(n));
    packer.pack_bin_body(bytes, size32(n));
}

void pack_text(Packer& packer, std::string_view text)
{
    packer.pack_str(size32(text.size()));
    packer.pack_str_body(text.data(), size32(text.size()));
}

void pack_map(Packer& packer, const Map& map, std::size_t depth)
{
    if (depth > max_depth) {
        throw_error(ErrorCode::bad_argument, "attributes nested deeper than " + std::to_string(max_depth) + " levels");
    }
    packer.pack_map(size32(map.size()));
    for (const auto& [key, value] : map) {
        pack_text(packer, key);
        pack(packer, value, depth + 1);
    }
}

void pack(Packer& packer, const Value& value, std::size_t depth)
{
    const Value::Kind& kind = value.kind();
    if (const auto* b = std::get_if<bool>(&kind)) {
        *b ? packer.pack_true() : packer.pack_false();
    } else if (const auto* i = std::get_if<std::int64_t>(&kind)) {
        packer.pack_int64(*i);                           // takes the shortest form
    } else if (const auto* u = std::get_if<std::uint64_t>(&kind)) {
        packer.pack_uint64(*u);
    } else if (const auto* d = std::get_if<double>(&kind)) {
        char bytes[sizeof *d];                           // pack_double would make 1.0 an integer and lose -0.0
        std::memcpy(bytes, d, sizeof bytes);
        pack_bin(packer, bytes, sizeof bytes);
    } else if (const auto* s = std::get_if<std::string>(&kind)) {
        pack_text(packer, *s);
    } else if (const auto* bytes = std::get_if<Bytes>(&kind)) {
        pack_bin(packer, bytes->data.data(), bytes->data.size());
    } else if (const auto* extension = std::get_if<Extension>(&kind)) {
        packer.pack_ext(extension->data.size(), static_cast<std::int8_t>(extension->type));
        packer.pack_ext_body(extension->data.data(), size32(extension->data.size()));
    } else if (const auto* list = std::get_if<List>(&kind)) {
        if (depth > max_depth) {
            throw_error(ErrorCode::bad_argument,
                        "attributes nested deeper than " + std::to_string(max_depth) + " levels");
        }
        packer.pack_array(size32(list->size()));
        for (const Value& item : *list) {
            pack(packer, item, depth + 1);
        }
    } else if (const auto* map = std::get_if<Map>(&kind)) {
        pack_map(packer, *map, depth);
    } else {
        packer.pack_nil();
    }
}

std::string text_of(const msgpack::object_str& text)
{
    return {text.ptr, text.size};
}

Value unpack(const msgpack::object& object);

Map unpack_map(const msgpack::object_map& source)
{
    Map map;
    map.reserve(source.size);
    std::vector<std::string_view> keys;
    for (std::uint32_t i = 0; i < source.size; ++i) {
        const msgpack::object& key = source.ptr[i].key;
        if (key.type != msgpack::type::STR) {
            bad("a key of a map is no string");
        }
        keys.emplace_back(key.via.str.ptr, key.via.str.size);
        map.emplace_back(text_of(key.via.str), unpack(source.ptr[i].val));
    }
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end()) {
        bad("the key '" + std::string(*twice) + "' occurs twice in a map");
    }
    return map;
}

Value unpack(const msgpack::object& object)
{
    switch (object.type) {
    case msgpack::type::NIL: return {};
    case msgpack::type::BOOLEAN: return object.via.boolean;
    case msgpack::type::POSITIVE_INTEGER:
        if (object.via.u64 <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return static_cast<std::int64_t>(object.via.u64);
        }
        return std::uint64_t{object.via.u64};
    case msgpack::type::NEGATIVE_INTEGER: return std::int64_t{object.via.i64};
    case msgpack::type::STR: return text_of(object.via.str);
    case msgpack::type::BIN: {
        if (object.via.bin.size == sizeof(double)) {
            double number = 0.0;
            std::memcpy(&number, object.via.bin.ptr, sizeof number);
            return number;
        }
        return Bytes{{object.via.bin.ptr, object.via.bin.size}};
    }
    case msgpack::type::ARRAY: {
        List list;
        list.reserve(object.via.array.size);
        for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
            list.push_back(unpack(object.via.array.ptr[i]));
        }
        return list;
    }
    case msgpack::type::MAP: return unpack_map(object.via.map);
    case msgpack::type::EXT:
        return Extension{object.via.ext.type(), {object.via.ext.data(), object.via.ext.size}};
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64: bad("a floating number in a map; numbers are stored as bins of 8 bytes");
    }
    bad("an unknown msgpack type in a map");
}

std::string encode_frame(std::string_view frame, Map fields, const Map& unknown)
{
    Map map;
    map.reserve(1 + fields.size() + unknown.size());
    map.emplace_back("frame", frame);
    std::move(fields.begin(), fields.end(), std::back_inserter(map));
    map.insert(map.end(), unknown.begin(), unknown.end());
    return encode(map);
}

const Value& field(const Map& map, std::string_view key)
{
    for (const auto& [name, value] : map) {
        if (name == key) {
            return value;
        }
    }
    bad("the key '" + std::string(key) + "' is missing");
}

// The value of a key through `get`, with the key in the message when it does not fit.
template <class Get>
auto field_as(const Map& map, std::string_view key, Get get)
{
    const Value& value = field(map, key);
    return with_context("key '" + std::string(key) + "'", [&] { return get(value); });
}

std::uint64_t count_of(const Value& value)
{
    const std::int64_t n = value.integer();
    if (n < 0) {
        bad("found " + std::to_string(n) + " where a count is expected");
    }
    return static_cast<std::uint64_t>(n);
}

Map unknown_keys(const Map& map, std::initializer_list<std::string_view> known)
{
    Map unknown;
    for (const auto& entry : map) {
        if (std::find(known.begin(), known.end(), entry.first) == known.end()) {
            unknown.push_back(entry);
        }
    }
    return unknown;
}

void check_name(const std::string& name)
{
    if (name.empty() || name.size() > max_name) {
        bad("a name of " + std::to_string(name.size()) + " bytes, 1 to " + std::to_string(max_name) + " are allowed");
    }
}

}  // namespace

std::string encode(const Map& map)
{
    msgpack::sbuffer buffer;
    Packer packer(buffer);
    pack_map(packer, map, 1);
    if (buffer.size() > max_map) {
        throw_error(ErrorCode::bad_argument, "a header of " + std::to_string(buffer.size()) +
                                                 " bytes, at most 1 MiB is allowed; what grows belongs into a tensor");
    }
    return {buffer.data(), buffer.size()};
}

std::optional<std::size_t> decode(std::string_view bytes, Map& map)
{
    if (bytes.empty()) {
        return std::nullopt;
    }
    const auto first = static_cast<unsigned char>(bytes[0]);
    if ((first & 0xf0U) != 0x80U && first != 0xde && first != 0xdf) {
        bad("found a byte " + std::to_string(first) + " where the map of a frame begins");
    }
    constexpr std::size_t items = 65536;                 // bounds what a declared length alone can allocate
    const msgpack::unpack_limit limits(items, items, max_map, max_map, max_map, max_depth);
    try {
        std::size_t length = 0;
        const msgpack::object_handle handle =
            msgpack::unpack(bytes.data(), std::min(bytes.size(), max_map), length, nullptr, nullptr, limits);
        map = unpack_map(handle.get().via.map);
        return length;
    } catch (const msgpack::insufficient_bytes&) {
        if (bytes.size() >= max_map) {
            bad("the map of a frame is longer than 1 MiB");
        }
        return std::nullopt;
    } catch (const msgpack::size_overflow&) {
        bad("the map of a frame exceeds a limit (1 MiB, 65536 entries a list, 8 levels)");
    } catch (const msgpack::unpack_error&) {
        bad("the map of a frame is not msgpack");
    }
}

std::string encode_open(const StreamInfo& info)
{
    return encode_frame("open",
                        {{"format", List{info.major, info.minor}},
                         {"kind", info.kind},
                         {"history", info.history},
                         {"attributes", info.attributes}},
                        info.unknown);
}

StreamInfo decode_open(const Map& map)
{
    StreamInfo info;
    const List format = field_as(map, "format", [](const Value& x) { return x.list(); });
    if (format.size() != 2) {
        bad("key 'format': found " + std::to_string(format.size()) + " numbers, expected [major, minor]");
    }
    const std::int64_t major = format[0].integer();
    const std::int64_t minor = format[1].integer();
    if (major != 1) {
        bad("stream format " + std::to_string(major) + "." + std::to_string(minor) +
            ", this version reads 1.x; use the version of stillhouse that wrote it, or a newer one");
    }
    if (minor < 0 || minor > std::numeric_limits<int>::max()) {
        bad("stream format 1." + std::to_string(minor));
    }
    info.minor = static_cast<int>(minor);
    info.kind = field_as(map, "kind", [](const Value& x) { return x.text(); });
    if (info.kind != "model" && info.kind != "tensors") {
        bad("kind '" + info.kind + "', expected 'model' or 'tensors'");
    }
    info.history = field_as(map, "history", [](const Value& x) { return x.list(); });
    info.attributes = field_as(map, "attributes", [](const Value& x) { return x.map(); });
    info.unknown = unknown_keys(map, {"frame", "format", "kind", "history", "attributes"});
    return info;
}

std::string encode_tensor(const TensorHeader& header, const std::vector<std::uint64_t>& chunks)
{
    check_name(header.name);
    List shape(header.shape.begin(), header.shape.end());
    List sizes(chunks.begin(), chunks.end());
    return encode_frame("tensor",
                        {{"name", header.name},
                         {"dtype", name_of(header.dtype)},
                         {"shape", std::move(shape)},
                         {"bytes", header.bytes()},
                         {"chunks", std::move(sizes)},
                         {"attributes", header.attributes}},
                        header.unknown);
}

TensorFrame decode_tensor(const Map& map)
{
    TensorFrame frame;
    TensorHeader& header = frame.header;
    header.name = field_as(map, "name", [](const Value& x) { return x.text(); });
    check_name(header.name);
    return with_context("tensor " + header.name, [&] {
        const std::string dtype = field_as(map, "dtype", [](const Value& x) { return x.text(); });
        const std::optional<DType> known = dtype_named(dtype);
        if (!known) {
            bad("unknown type '" + dtype + "', known are F64 F32 F16 BF16 I64 I32 I16 I8 U32 U16 U8 BOOL C64 C128");
        }
        header.dtype = *known;
        const List extents = field_as(map, "shape", [](const Value& x) { return x.list(); });
        if (extents.size() > static_cast<std::size_t>(max_rank)) {
            bad("rank " + std::to_string(extents.size()) + ", at most " + std::to_string(max_rank) + " is allowed");
        }
        for (const Value& extent : extents) {
            header.shape.push_back(extent.integer());
        }
        const auto elements = static_cast<std::uint64_t>(element_count(header.shape));
        const std::uint64_t size = size_of(header.dtype);
        const std::uint64_t bytes = field_as(map, "bytes", count_of);
        if (elements > (std::uint64_t{1} << 62U) / size || bytes != elements * size) {
            bad("declares " + std::to_string(bytes) + " bytes, " + dtype + " " + to_string(header.shape) +
                " has another size");
        }
        std::uint64_t sum = 0;
        for (const Value& entry : field_as(map, "chunks", [](const Value& x) { return x.list(); })) {
            const std::uint64_t chunk = count_of(entry);
            if (chunk == 0 || chunk > max_chunk) {
                bad("a chunk of " + std::to_string(chunk) + " bytes, 1 byte to 1 GiB is allowed");
            }
            sum += chunk;                                // at most 65536 chunks of 1 GiB: no overflow
            frame.chunks.push_back(chunk);
        }
        if (sum != bytes) {
            bad("chunks of " + std::to_string(sum) + " bytes together, the payload has " + std::to_string(bytes));
        }
        header.attributes = field_as(map, "attributes", [](const Value& x) { return x.map(); });
        header.unknown = unknown_keys(map, {"frame", "name", "dtype", "shape", "bytes", "chunks", "attributes"});
        return std::move(frame);
    });
}

std::vector<std::uint64_t> chunks_of(std::uint64_t bytes)
{
    std::vector<std::uint64_t> chunks(static_cast<std::size_t>(bytes / max_chunk), max_chunk);
    if (bytes % max_chunk != 0) {
        chunks.push_back(bytes % max_chunk);
    }
    return chunks;
}

std::string encode_note(const Note& note)
{
    return encode_frame("note", note.map, {});
}

std::string encode_end(const EndFrame& end)
{
    return encode_frame("end",
                        {{"tensors", end.tensors},
                         {"notes", end.notes},
                         {"bytes", end.bytes},
                         {"hashes", Extension{hash_type, end.hashes}},
                         {"status", "complete"}},
                        {});
}

EndFrame decode_end(const Map& map)
{
    EndFrame end;
    end.tensors = field_as(map, "tensors", count_of);
    end.notes = field_as(map, "notes", count_of);
    end.bytes = field_as(map, "bytes", count_of);
    const Extension* hashes = std::get_if<Extension>(&field(map, "hashes").kind());
    if (hashes == nullptr || hashes->type != hash_type || hashes->data.size() != 8) {
        bad("key 'hashes' holds no hash");
    }
    end.hashes = hashes->data;
    const std::string status = field_as(map, "status", [](const Value& x) { return x.text(); });
    if (status != "complete") {
        bad("status '" + status + "', expected 'complete'");
    }
    return end;
}

std::string pad_at(std::uint64_t offset)
{
    const std::uint64_t after = (offset + 2 + chunk_header_bytes) % alignment;
    const auto zeros = static_cast<std::size_t>((alignment - after) % alignment);
    std::string pad("\xc4", 1);
    pad += static_cast<char>(zeros);
    pad.append(zeros, '\0');
    return pad;
}

std::string chunk_header(std::uint64_t bytes)
{
    std::string header("\xc6", 1);
    for (int shift = 24; shift >= 0; shift -= 8) {
        header += static_cast<char>((bytes >> shift) & 0xffU);
    }
    return header;
}

Hash::Hash() : state_(XXH3_createState())
{
    if (state_ == nullptr) {
        throw_error(ErrorCode::resource, "no memory for a hash");
    }
    reset();
}

Hash::~Hash()
{
    XXH3_freeState(static_cast<XXH3_state_t*>(state_));
}

void Hash::reset()
{
    XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_));
}

void Hash::update(const void* bytes, std::size_t n)
{
    XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), bytes, n);
}

std::array<char, 8> Hash::digest() const
{
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_)));
    std::array<char, 8> body{};
    std::memcpy(body.data(), canonical.digest, body.size());
    return body;
}

}  // namespace stillhouse::formats::frame
