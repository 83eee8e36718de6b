// SPDX-License-Identifier: Apache-2.0
// Damaged streams: every flipped byte, every cut, hostile headers. All must be refused as bad data, none may be
// believed.
#define BOOST_TEST_MODULE corrupt
#include "tests/unit/formats/scratch.hpp"

#include "formats/stream/frame.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <thread>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace stillhouse;
using namespace stillhouse::formats;
using namespace stillhouse::formats::test;
using namespace std::string_literals;

namespace {

enum class Source { file, pipe };

Fd source_of(const std::string& bytes, Source source)
{
    if (source == Source::pipe) {
        int ends[2];
        BOOST_REQUIRE(::pipe(ends) == 0);
        BOOST_REQUIRE(::write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));  // fits
        ::close(ends[1]);
        return {ends[0], "damaged.mts", true};
    }
    const int fd = ::memfd_create("damaged", MFD_CLOEXEC);
    BOOST_REQUIRE(fd >= 0);
    BOOST_REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    BOOST_REQUIRE(::lseek(fd, 0, SEEK_SET) == 0);
    return {fd, "damaged.mts", true};
}

void walk(const std::string& bytes, Source source)
{
    StreamReader reader(source_of(bytes, source));
    for (StreamReader::Frame frame = reader.next(); frame != StreamReader::Frame::end; frame = reader.next()) {
        if (frame == StreamReader::Frame::tensor) {
            (void)reader.read();
        }
    }
}

// The message with which `bytes` are refused.
std::string refusal(const std::string& bytes, Source source = Source::file)
{
    const auto error = error_of([&] { walk(bytes, source); });
    if (!error) {
        return "NOT REFUSED";
    }
    if (error->code() != ErrorCode::bad_data) {
        return "WRONG CODE: "s + error->what();
    }
    return error->what();
}

bool refused(const std::string& message)
{
    return message.rfind("damaged.mts: ", 0) == 0;
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

const std::string& sample()
{
    static const std::string bytes = [] {
        const Scratch scratch;
        write_sample(scratch.file("a.mts"));
        return content(scratch.file("a.mts"));
    }();
    return bytes;
}

// Puts frames behind each other with right hashes, so that only what a test makes wrong is wrong.
class Forge {
public:
    Forge() { add(frame::encode_open({})); }
    Forge& add(const std::string& frame_bytes)
    {
        frame::Hash hash;
        hash.update(frame_bytes.data(), frame_bytes.size());
        const std::array<char, 8> body = hash.digest();
        all_.update(body.data(), body.size());
        bytes_ += frame_bytes + "\xd7\x54" + std::string(body.data(), body.size());
        return *this;
    }
    Forge& tensor(const Map& map, const std::string& chunks)
    {
        const std::string encoded = frame::encode(map);
        return add(encoded + frame::pad_at(bytes_.size() + encoded.size()) + chunks);
    }
    std::string finished(std::uint64_t tensors, std::uint64_t notes, std::uint64_t payload)
    {
        const std::array<char, 8> body = all_.digest();
        add(frame::encode_end({tensors, notes, payload, {body.data(), body.size()}}));
        return bytes_;
    }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_{frame::magic};
    frame::Hash all_;
};

Map tensor_map(const List& shape, Value bytes, const List& chunks)
{
    return {{"frame", "tensor"}, {"name", "x"}, {"dtype", "U8"}, {"shape", shape}, {"bytes", std::move(bytes)},
            {"chunks", chunks}, {"attributes", Map{}}};
}

Map without(Map map, const std::string& key)
{
    std::erase_if(map, [&](const auto& entry) { return entry.first == key; });
    return map;
}

Map with(Map map, const std::string& key, const Value& value)
{
    for (auto& entry : map) {
        if (entry.first == key) {
            entry.second = value;
        }
    }
    return map;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_sample_and_the_forge_are_sound)
{
    BOOST_CHECK_NO_THROW(walk(sample(), Source::file));
    BOOST_CHECK_NO_THROW(walk(sample(), Source::pipe));
    BOOST_CHECK_NO_THROW(
        walk(Forge().tensor(tensor_map({2}, 2, {2}), frame::chunk_header(2) + "hi").finished(1, 0, 2), Source::file));
}

BOOST_AUTO_TEST_CASE(every_flipped_byte_is_found)
{
    for (const Source source : {Source::file, Source::pipe}) {
        for (std::size_t i = 0; i < sample().size(); ++i) {
            for (const int flip : {0x01, 0x10, 0x80, 0xff}) {
                std::string bytes = sample();
                bytes[i] = static_cast<char>(bytes[i] ^ flip);
                const std::string message = refusal(bytes, source);
                BOOST_REQUIRE_MESSAGE(refused(message), "byte " << i << " xor " << flip << ": " << message);
                const bool placed = i < 10 || contains(message, "frame ") || contains(message, "tensor ") ||
                                    contains(message, "note ") || contains(message, "bytes after");
                BOOST_REQUIRE_MESSAGE(placed, "byte " << i << " xor " << flip << " names no place: " << message);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(every_cut_is_found)
{
    for (const Source source : {Source::file, Source::pipe}) {
        for (std::size_t n = 0; n < sample().size(); ++n) {
            const std::string message = refusal(sample().substr(0, n), source);
            BOOST_REQUIRE_MESSAGE(refused(message), n << " bytes: " << message);
            BOOST_REQUIRE_MESSAGE(n == 0 || contains(message, "the stream ends"), n << " bytes: " << message);
        }
    }
    const std::size_t payload = sample().find("\xc6\x00\x00\x00\x18"s) + 5;
    BOOST_TEST(refusal(sample().substr(0, payload + 7)) ==
               "damaged.mts: tensor layers.0.mixer.filter (frame 2 at byte 147): the stream ends after 7 of 24 bytes; "
               "the program that wrote it died, or the file was cut");
}

BOOST_AUTO_TEST_CASE(lost_doubled_and_exchanged_frames_are_found)
{
    const std::string note = frame::encode_note({{{"loss", 1}}});
    Forge two;
    two.add(note).add(frame::encode_note({{{"loss", 2}}}));
    const std::size_t start = Forge().bytes().size();
    const std::size_t frame_size = note.size() + 10;
    const std::string whole = two.finished(0, 2, 0);
    BOOST_CHECK_NO_THROW(walk(whole, Source::file));
    BOOST_TEST(contains(refusal(whole.substr(0, start) + whole.substr(start + frame_size)), "2 notes, found 1"));
    BOOST_TEST(contains(refusal(whole.substr(0, start + frame_size) + whole.substr(start)), "2 notes, found 3"));
    BOOST_TEST(contains(refusal(whole.substr(0, start) + whole.substr(start + frame_size, frame_size) +
                                whole.substr(start, frame_size) + whole.substr(start + 2 * frame_size)),
                        "hash of all hashes"));
}

BOOST_AUTO_TEST_CASE(bytes_after_the_end_are_an_error)
{
    BOOST_TEST(contains(refusal(sample() + "x"), "bytes after the end frame"));
    BOOST_TEST(contains(refusal(sample() + std::string(1, '\0')), "bytes after the end frame"));
    BOOST_TEST(contains(refusal(sample() + sample()), "tensor-stream cat"));
}

BOOST_AUTO_TEST_CASE(other_files_are_recognised)
{
    BOOST_TEST(contains(refusal("teacher-dump: 4 layers, 12 batches\nteacher-dump: done\n"),
                        "a log was redirected into this file?"));
    BOOST_TEST(contains(refusal("\x93NUMPY\x01\x00v\x00{'descr': '<f4'"s), "tensor-stream import"));
    BOOST_TEST(contains(refusal("\x40\x00\x00\x00\x00\x00\x00\x00{\"x\":{\"dtype\":\"F32\""s), ".safetensors"));
    BOOST_TEST(contains(refusal("\x1f\x8b\x08\x00"s), "compressed"));
    BOOST_TEST(contains(refusal("\xd7\x53STIL\n\x1a\n\x85"s), "damaged"));
    BOOST_TEST(contains(refusal(""), "empty"));
    BOOST_TEST(refused(refusal(std::string(100, '\0'))));
}

BOOST_AUTO_TEST_CASE(open_frames_that_lie)
{
    const auto open = [](const Map& map) {
        const std::string encoded = frame::encode(map);
        frame::Hash hash;
        hash.update(encoded.data(), encoded.size());
        const auto body = hash.digest();
        return std::string(frame::magic) + encoded + "\xd7\x54" + std::string(body.data(), body.size());
    };
    const Map good{
        {"frame", "open"}, {"format", List{1, 0}}, {"kind", "model"}, {"history", List{}}, {"attributes", Map{}}};
    BOOST_TEST(contains(refusal(open(good)), "without its end frame"));
    BOOST_TEST(contains(refusal(open(with(good, "format", List{2, 0}))), "stream format 2.0, this version reads 1.x"));
    BOOST_TEST(
        contains(refusal(open(with(good, "format", List{1, 7}))), "without its end frame")); // a newer minor version
    BOOST_TEST(contains(refusal(open(with(good, "format", List{1}))), "format"));
    BOOST_TEST(contains(refusal(open(with(good, "kind", "recipe"))), "kind 'recipe'"));
    BOOST_TEST(contains(refusal(open(with(good, "frame", "note"))), "expected 'open'"));
    BOOST_TEST(contains(refusal(open(with(good, "history", 3))), "key 'history': found an integer"));
    for (const char* key : {"format", "kind", "history", "attributes"}) {
        BOOST_TEST(contains(refusal(open(without(good, key))), "'"s + key + "' is missing"));
    }
    BOOST_TEST(contains(refusal(open(without(good, "frame"))), "does not begin with the key 'frame'"));
}

BOOST_AUTO_TEST_CASE(tensor_frames_that_lie)
{
    const std::string hi = frame::chunk_header(2) + "hi";
    const Map good = tensor_map({2}, 2, {2});
    const auto of = [&](const Map& map) { return refusal(Forge().tensor(map, hi).finished(1, 0, 2)); };
    for (const char* key : {"name", "dtype", "shape", "bytes", "chunks", "attributes"}) {
        BOOST_TEST(contains(of(without(good, key)), "'"s + key + "' is missing"));
    }
    BOOST_TEST(contains(of(with(good, "name", "")), "a name of 0 bytes"));
    BOOST_TEST(contains(of(with(good, "name", std::string(1025, 'n'))), "a name of 1025 bytes"));
    BOOST_TEST(contains(of(with(good, "dtype", "F8")), "unknown type 'F8'"));
    BOOST_TEST(contains(of(with(good, "shape", List{-1, -2})), "tensor x"));
    BOOST_TEST(contains(of(with(good, "shape", List{3})), "another size"));
    BOOST_TEST(contains(of(with(good, "shape", List{1, 1, 1, 1, 1, 1, 1, 1, 2})), "rank 9"));
    BOOST_TEST(contains(of(with(good, "bytes", 3)), "another size"));
    BOOST_TEST(contains(of(with(good, "bytes", -2)), "-2"));
    BOOST_TEST(contains(of(with(good, "chunks", List{1})), "chunks of 1 bytes together"));
    BOOST_TEST(contains(of(with(good, "chunks", List{2, 0})), "a chunk of 0 bytes"));
    BOOST_TEST(contains(of(with(good, "chunks", List{std::int64_t{1} << 31})), "1 GiB"));
    BOOST_TEST(contains(of(with(good, "frame", "tensors")), "unknown kind 'tensors'"));
    // Products that overflow 64 bits, to nothing or to the right size.
    const std::int64_t big = std::int64_t{1} << 32;
    BOOST_TEST(refused(of(with(good, "shape", List{big, big}))));
    BOOST_TEST(refused(of(with(good, "shape", List{big, big, 2}))));
    BOOST_TEST(refused(of(with(with(good, "shape", List{std::int64_t{1} << 62}), "dtype", "F64"))));
    // What follows the map.
    BOOST_TEST(contains(refusal(Forge().tensor(good, frame::chunk_header(3) + "hix").finished(1, 0, 2)),
                        "no chunk of the size"));
    BOOST_TEST(contains(refusal(Forge().tensor(good, "\xc4\x02hi").finished(1, 0, 2)), "tensor x"));
    BOOST_TEST(contains(refusal(Forge().add(frame::encode(good) + "\xc4\x00"s + hi).finished(1, 0, 2)), "pad"));
}

BOOST_AUTO_TEST_CASE(end_frames_that_lie)
{
    const std::string hi = frame::chunk_header(2) + "hi";
    const Map good = tensor_map({2}, 2, {2});
    BOOST_TEST(contains(refusal(Forge().tensor(good, hi).finished(2, 0, 2)), "2 tensors, found 1"));
    BOOST_TEST(contains(refusal(Forge().tensor(good, hi).finished(1, 1, 2)), "1 notes, found 0"));
    BOOST_TEST(contains(refusal(Forge().tensor(good, hi).finished(1, 0, 3)), "3 bytes, found 2"));
    const Map partial{{"frame", "end"}, {"tensors", 0}, {"notes", 0}, {"bytes", 0},
                      {"hashes", Extension{0x54, "12345678"}}, {"status", "partial"}};
    BOOST_TEST(contains(refusal(Forge().add(frame::encode(partial)).bytes()), "status 'partial'"));
    BOOST_TEST(contains(refusal(Forge().add(frame::encode(with(partial, "status", "complete"))).bytes()),
                        "hash of all hashes"));
    BOOST_TEST(
        contains(refusal(Forge().add(frame::encode(with(partial, "hashes", 1))).bytes()), "'hashes' holds no hash"));
}

BOOST_AUTO_TEST_CASE(hostile_msgpack)
{
    const std::string start = Forge().bytes();
    const auto of = [&](const std::string& bytes) { return refusal(start + bytes); };
    const std::string junk(3 << 20, 'x');
    BOOST_TEST(contains(of("\xdf\xff\xff\xff\xff"s), "limit"));                                 // 4 G entries
    BOOST_TEST(contains(of("\x81\xa1" "a" "\xdd\xff\xff\xff\xff"s), "limit"));                  // a list of 4 G
    BOOST_TEST(contains(of("\x81\xa1" "a" "\xc6\xff\xff\xff\xff"s + junk), "1 MiB"));           // bytes
    BOOST_TEST(contains(of("\x81\xa1" "a" "\xdb\xff\xff\xff\xff"s + junk), "1 MiB"));           // text
    BOOST_TEST(contains(of("\x81\xa1" "a" "\xc9\xff\xff\xff\xff\x01"s + junk), "1 MiB"));       // extension
    BOOST_TEST(contains(of("\x81\xa1" "a"s + std::string(100000, '\x91')), "limit"));           // depth
    BOOST_TEST(contains(of("\x81\xa1" "a\xc1"s), "not msgpack"));
    BOOST_TEST(contains(of("\x81\x01\x02"s), "no string"));
    BOOST_TEST(contains(of("\x82\xa1" "a\x01\xa1" "a\x02"s), "'a' occurs twice"));
    BOOST_TEST(contains(of("\x81\xa1" "a\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"s), "floating"));
    BOOST_TEST(contains(of("\x01"s), "where the map of a frame begins"));
    std::string long_map = "\x82\xa1"
                           "a\xdb\x00\x0f\xff\xf0"s +
                           std::string(0xffff0, 'x') +
                           "\xa1"
                           "b\xd9\x40"s +
                           std::string(64, 'x');
    BOOST_TEST(contains(of(long_map), "longer than 1 MiB"));
}

BOOST_AUTO_TEST_CASE(a_declared_size_alone_allocates_nothing)
{
    // 2^42 bytes declared, none there: with 2 GiB of address space to spare, believing it would show as another error.
    List chunks;
    for (int i = 0; i < 4096; ++i) {
        chunks.push_back(std::int64_t{1} << 30);
    }
    const std::int64_t size = std::int64_t{1} << 42;
    Forge forge;
    forge.tensor(tensor_map({size}, size, chunks), frame::chunk_header(1U << 30U) + "a few bytes");
    BOOST_TEST(contains(refusal(forge.bytes(), Source::file), "bytes"));
    const std::string message = refusal(forge.bytes(), Source::pipe);
    BOOST_TEST(refused(message));
    BOOST_TEST(contains(message, "of 4398046511104 bytes"));
}
