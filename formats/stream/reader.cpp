// SPDX-License-Identifier: Apache-2.0
// Reads one tensor stream (stillhouse-stream(5)), suspiciously, in memory of one frame.
#include "formats/stream/reader.hpp"

#include "formats/stream/frame.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace stillhouse::formats {

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
// A tensor on a pipe above this is read into memory that grows with what really comes.
constexpr std::uint64_t trusted_bytes = std::uint64_t{1} << 30;

bool printable(std::string_view bytes)
{
    return std::all_of(bytes.begin(), bytes.end(), [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return u >= 0x20 || c == '\n' || c == '\t' || c == '\r' || c == '\x1b';
    });
}

// What else the first bytes of a file may be.
std::string not_a_stream(std::string_view start)
{
    const std::string expected = "not a tensor stream";
    if (start.substr(0, 6) == "\x93NUMPY") {
        return expected + " but a .npy file; convert it with tensor-stream import";
    }
    if (start.substr(0, 2) == "\x1f\x8b" || start.substr(0, 4) == "\x28\xb5\x2f\xfd") {
        return expected + " but compressed; unpack it first";
    }
    if (start.size() > 8 && start[8] == '{' && !printable(start.substr(0, 8))) {
        return expected + ", perhaps a .safetensors file; convert it with tensor-stream import";
    }
    if (start.substr(0, 2) == frame::magic.substr(0, 2) || start.substr(2, 4) == frame::magic.substr(2, 4)) {
        return "not a tensor stream any more: its first ten bytes are damaged (copied as text?)";
    }
    if (printable(start)) {
        std::string line(start.substr(0, std::min<std::size_t>(start.find('\n'), 48)));
        return expected + " but text ('" + line + "'): a log was redirected into this file?";
    }
    return expected;
}

}  // namespace

struct StreamReader::State {
    Fd input;
    StreamInfo info;
    frame::TensorFrame tensor;
    Note note;
    std::string map_bytes;                   // of the current frame
    std::vector<char> buffer = std::vector<char>(65536);
    std::size_t begin = 0, end = 0;          // what of it is not yet used
    std::uint64_t offset = 0;                // of buffer[begin] in the stream
    std::uint64_t frame_offset = 0;
    Index frame_number = 0;                  // the open frame is 1
    std::string last = "the open frame";     // the last whole frame, for messages
    frame::Hash hash, hashes;
    frame::EndFrame counts;                  // as found
    bool payload_pending = false;
    bool ended = false;

    explicit State(Fd file) : input(std::move(file)) {}

    std::string place() const
    {
        return "frame " + std::to_string(frame_number) + " at byte " + std::to_string(frame_offset);
    }
    std::string tensor_place() const { return "tensor " + tensor.header.name + " (" + place() + ")"; }
    [[noreturn]] void bad(const std::string& message) const
    {
        throw_error(ErrorCode::bad_data, input.name() + ": " + message);
    }
    [[noreturn]] void cut(const std::string& where, const std::string& how_far) const
    {
        bad(where + ": the stream ends " + how_far + "; the program that wrote it died, or the file was cut");
    }
    static std::string of(std::uint64_t n, std::uint64_t m)
    {
        return "after " + std::to_string(n) + " of " + std::to_string(m) + " bytes";
    }

    std::size_t buffered() const { return end - begin; }
    // Brings in more bytes, whatever the next read gives; false at the end of the input.
    bool fill()
    {
        if (begin > 0) {
            std::memmove(buffer.data(), buffer.data() + begin, buffered());
            end -= begin;
            begin = 0;
        }
        if (end == buffer.size()) {
            buffer.resize(buffer.size() * 2);
        }
        const std::size_t got =
            input.read_some(reinterpret_cast<std::byte*>(buffer.data()) + end, buffer.size() - end);
        end += got;
        return got > 0;
    }
    // n buffered bytes, or fewer at the end of the input.
    std::string_view peek(std::size_t n)
    {
        while (buffered() < n && fill()) {
        }
        return {buffer.data() + begin, std::min(n, buffered())};
    }
    void use(std::size_t n)
    {
        begin += n;
        offset += n;
    }
    // A small object of known size that belongs to the frame.
    std::string take(std::size_t n, const std::string& where, const char* what)
    {
        const std::string_view bytes = peek(n);
        if (bytes.size() < n) {
            cut(where, std::string("within ") + what + ", " + of(bytes.size(), n));
        }
        std::string taken(bytes);
        use(n);
        return taken;
    }

    void read_magic()
    {
        const std::string_view start = peek(64);
        if (start.empty()) {
            bad("empty where a tensor stream is expected: the program that was to write it failed?");
        }
        if (start.substr(0, frame::magic.size()) != frame::magic) {
            if (frame::magic.substr(0, start.size()) == start) {
                cut("the first ten bytes", of(start.size(), frame::magic.size()));
            }
            bad(not_a_stream(start));
        }
        use(frame::magic.size());
    }

    Map read_map()
    {
        ++frame_number;
        frame_offset = offset;
        hash.reset();
        Map map;
        for (;;) {
            const std::string_view bytes(buffer.data() + begin, buffered());
            const std::optional<std::size_t> length = with_context(
                input.name(), [&] { return with_context(place(), [&] { return frame::decode(bytes, map); }); });
            if (length) {
                map_bytes.assign(bytes.substr(0, *length));
                hash.update(map_bytes.data(), map_bytes.size());
                use(*length);
                return map;
            }
            if (!fill()) {
                if (buffered() == 0) {
                    bad("the stream ends after " + last + " (" + std::to_string(frame_number - 1) +
                        " frames) without its end frame; the program that wrote it died, or the file was cut");
                }
                cut(place() + ", behind " + last, "within its map, after " + std::to_string(buffered()) + " bytes");
            }
        }
    }
    void check_hash(const std::string& where)
    {
        const std::string found = take(frame::hash_bytes, where, "its hash");
        const std::array<char, 8> body = hash.digest();
        if (found[0] != '\xd7' || found[1] != '\x54') {
            bad(where + ": no hash where one belongs; the stream is damaged");
        }
        if (std::memcmp(found.data() + 2, body.data(), body.size()) != 0) {
            bad(where + ": its hash does not fit its bytes; the stream is damaged");
        }
        hashes.update(body.data(), body.size());
    }
    std::string frame_kind(const Map& map)
    {
        if (map.empty() || map[0].first != "frame" || !std::holds_alternative<std::string>(map[0].second.kind())) {
            bad(place() + ", behind " + last + ": its map does not begin with the key 'frame'");
        }
        return map[0].second.text();
    }
    template <class Decode>
    auto decoded(const std::string& where, Decode decode)
    {
        return with_context(input.name(), [&] { return with_context(where, decode); });
    }

    void read_open()
    {
        const Map map = read_map();
        if (const std::string kind = frame_kind(map); kind != "open") {
            bad("the first frame is '" + kind + "', expected 'open'");
        }
        // Before the hash, since another major version may hash otherwise.
        info = decoded("frame 1 (open)", [&] { return frame::decode_open(map); });
        check_hash("frame 1 (open)");
    }

    void read_pad()
    {
        const std::string where = tensor_place();
        const std::string expected = frame::pad_at(offset);
        const std::string found = take(expected.size(), where, "its pad");
        if (found != expected) {
            bad(where + ": its pad does not align the payload; the stream is damaged");
        }
        hash.update(found.data(), found.size());
    }

    // Reads exactly n payload bytes to `to`; `done` of `total` are there before.
    void read_piece(std::byte* to, std::size_t n, std::uint64_t done, std::uint64_t total)
    {
        const std::size_t ready = std::min(n, buffered());
        std::memcpy(to, buffer.data() + begin, ready);
        use(ready);
        const std::size_t got = ready == n ? 0 : input.read_full(to + ready, n - ready);
        offset += got;
        if (ready + got < n) {
            cut(tensor_place(), of(done + ready + got, total));
        }
        hash.update(to, n);
    }
    // Runs over the payload in pieces of at most 1 MiB: each goes where `place_for(done, n)` says, then to `use_piece`.
    template <class PlaceFor, class UsePiece>
    void payload(PlaceFor place_for, UsePiece use_piece)
    {
        STILLHOUSE_CHECK(payload_pending);
        payload_pending = false;
        const std::string where = tensor_place();
        const std::uint64_t total = tensor.header.bytes();
        std::uint64_t done = 0;
        for (const std::uint64_t chunk : tensor.chunks) {
            const std::string header = take(frame::chunk_header_bytes, where, "the header of a chunk");
            if (header != frame::chunk_header(chunk)) {
                bad(where + ": after " + std::to_string(done) + " of " + std::to_string(total) +
                    " bytes no chunk of the size that the map names; the stream is damaged");
            }
            hash.update(header.data(), header.size());
            for (std::uint64_t in_chunk = 0; in_chunk < chunk;) {
                const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, chunk - in_chunk));
                std::byte* const to = place_for(done, n);
                read_piece(to, n, done, total);
                use_piece(to, n);
                in_chunk += n;
                done += n;
            }
        }
        check_hash(where);
        ++counts.tensors;
        counts.bytes += total;
        last = "tensor " + tensor.header.name;
    }
    template <class UsePiece>
    void payload_by_pieces(UsePiece use_piece)
    {
        std::vector<std::byte> scratch(
            static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, tensor.header.bytes())));
        payload([&](std::uint64_t, std::size_t) { return scratch.data(); }, use_piece);
    }
    // A regular file says how much it can hold; so a damaged or hostile size is refused before memory is asked for.
    void check_room(std::uint64_t bytes) const
    {
        const std::optional<std::uint64_t> left = input.bytes_left();
        if (!left) {
            return;
        }
        std::uint64_t room = *left + buffered();
        std::uint64_t there = 0;                         // payload alone, without the headers of chunks
        for (const std::uint64_t chunk : tensor.chunks) {
            const std::uint64_t header = std::min<std::uint64_t>(room, frame::chunk_header_bytes);
            const std::uint64_t body = std::min(room - header, chunk);
            there += body;
            room -= header + body;
        }
        if (there < bytes) {
            cut(tensor_place(), of(there, bytes));
        }
    }

    void read_end(const Map& map)
    {
        const std::array<char, 8> body = hashes.digest();
        const std::string where = "end frame (" + place() + ")";
        const frame::EndFrame said = decoded(where, [&] { return frame::decode_end(map); });
        check_hash(where);
        const auto compare = [&](const char* what, std::uint64_t declared, std::uint64_t found) {
            if (declared != found) {
                bad(where + ": says " + std::to_string(declared) + " " + what + ", found " + std::to_string(found) +
                    "; a frame was lost or added");
            }
        };
        compare("tensors", said.tensors, counts.tensors);
        compare("notes", said.notes, counts.notes);
        compare("bytes", said.bytes, counts.bytes);
        if (std::memcmp(said.hashes.data(), body.data(), body.size()) != 0) {
            bad(where + ": the hash of all hashes does not fit; frames were lost, exchanged or added");
        }
        if (const std::string_view rest = peek(frame::magic.size()); !rest.empty()) {
            bad("bytes after the end frame, at byte " + std::to_string(offset) +
                (rest == frame::magic ? ": a second stream begins there; join streams with tensor-stream cat" : ""));
        }
        ended = true;
    }
};

StreamReader::StreamReader(Fd input) : state_(std::make_unique<State>(std::move(input)))
{
    state_->read_magic();
    state_->read_open();
}

StreamReader::StreamReader(StreamReader&&) noexcept = default;
StreamReader& StreamReader::operator=(StreamReader&&) noexcept = default;
StreamReader::~StreamReader() = default;

const std::string& StreamReader::name() const
{
    return state_->input.name();
}

const StreamInfo& StreamReader::info() const
{
    return state_->info;
}

StreamReader::Frame StreamReader::next()
{
    State& s = *state_;
    if (s.ended) {
        return Frame::end;
    }
    if (s.payload_pending) {
        s.payload_by_pieces([](const std::byte*, std::size_t) {});
    }
    const Map map = s.read_map();
    const std::string kind = s.frame_kind(map);
    if (kind == "tensor") {
        s.tensor = s.decoded(s.place() + ", behind " + s.last, [&] { return frame::decode_tensor(map); });
        s.read_pad();
        s.payload_pending = true;
        return Frame::tensor;
    }
    if (kind == "note") {
        s.check_hash("note (" + s.place() + ", behind " + s.last + ")");
        s.note.map.assign(map.begin() + 1, map.end());
        ++s.counts.notes;
        s.last = "a note (frame " + std::to_string(s.frame_number) + ")";
        return Frame::note;
    }
    if (kind == "end") {
        s.read_end(map);
        return Frame::end;
    }
    s.bad(s.place() + ", behind " + s.last + ": a frame of the unknown kind '" + kind.substr(0, 40) + "'");
}

const TensorHeader& StreamReader::header() const
{
    return state_->tensor.header;
}

const Note& StreamReader::note() const
{
    return state_->note;
}

Tensor StreamReader::read()
{
    State& s = *state_;
    const std::uint64_t bytes = s.tensor.header.bytes();
    s.check_room(bytes);
    Tensor tensor;
    tensor.header = s.tensor.header;
    const std::uint64_t at_first = s.input.is_regular() ? bytes : std::min(bytes, trusted_bytes);
    tensor.data = Buffer<std::byte>(static_cast<Index>(at_first));
    s.payload(
        [&](std::uint64_t done, std::size_t n) {
            const auto have = static_cast<std::uint64_t>(tensor.data.size());
            if (done + n > have) {
                Buffer<std::byte> larger(static_cast<Index>(std::min(bytes, 2 * have)));
                std::memcpy(larger.data(), tensor.data.data(), static_cast<std::size_t>(done));
                tensor.data = std::move(larger);
            }
            return tensor.data.data() + done;
        },
        [](const std::byte*, std::size_t) {});
    return tensor;
}

void StreamReader::read_into(std::byte* to)
{
    state_->payload([&](std::uint64_t done, std::size_t) { return to + done; }, [](const std::byte*, std::size_t) {});
}

void StreamReader::read_pieces(const std::function<void(const std::byte*, std::size_t)>& use)
{
    state_->payload_by_pieces(use);
}

void StreamReader::copy_to(StreamWriter& writer)
{
    State& s = *state_;
    if (!s.payload_pending) {
        writer.note_encoded(s.map_bytes);
        return;
    }
    writer.begin_encoded(s.tensor.header.name, s.map_bytes, s.tensor.chunks);
    s.payload_by_pieces([&](const std::byte* bytes, std::size_t n) { writer.append(bytes, n); });
    writer.end();
}

std::uint64_t StreamReader::bytes_read() const
{
    return state_->offset;
}

Index StreamReader::tensors_read() const
{
    return static_cast<Index>(state_->counts.tensors);
}

}  // namespace stillhouse::formats
