// SPDX-License-Identifier: Apache-2.0
// Several streams into one: shards walk in step, others follow each other.
#include "tools/adapters/streams/stream_merge.hpp"

#include "formats/stream/frame.hpp"
#include "formats/stream/shard.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

namespace stillhouse::adapters {

namespace {

using formats::Map;
using formats::Note;
using formats::ShardMark;
using formats::StreamReader;
using formats::StreamWriter;
using formats::Tensor;
using formats::TensorHeader;
using Frame = StreamReader::Frame;

[[noreturn]] void bad(const std::string& message)
{
    throw_error(ErrorCode::bad_data, message);
}

bool same_header(const TensorHeader& a, const TensorHeader& b)
{
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.attributes == b.attributes &&
           a.unknown == b.unknown;
}

// One shard and the frame at which it stands.
struct Part {
    StreamReader reader;
    ShardMark mark;
    Frame frame = Frame::end;
    Index key = -1;                          // batch number of its last owned frame

    bool owned() const
    {
        if (frame == Frame::tensor) {
            return formats::is_owned(reader.header());
        }
        if (frame == Frame::note) {
            const formats::Value* owned = formats::Value(reader.note().map).find("owned");
            return owned != nullptr && owned->boolean();
        }
        return false;
    }
    // What it stands at, for messages.
    std::string place() const
    {
        return reader.name() + (frame == Frame::tensor ? " has tensor " + reader.header().name
                                : frame == Frame::note ? " has a note"
                                                       : " ends");
    }
    void advance()
    {
        frame = reader.next();
        if (frame == Frame::tensor && owned()) {
            key = batch_number(reader.header().name);
        }
    }
};

[[noreturn]] void differ(const Part& a, const Part& b)
{
    bad(a.place() + " where " + b.place() + "; they are not parts of one run");
}

std::vector<Part> parts_in_order(std::vector<StreamReader> inputs)
{
    std::vector<Part> parts;
    for (StreamReader& reader : inputs) {
        const auto mark = with_context(reader.name(), [&] { return formats::shard_of(reader.info()); });
        if (!mark) {
            bad(reader.name() + ": is no shard, others here are; join shards alone");
        }
        parts.push_back({std::move(reader), *mark});
    }
    std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.mark.part < b.mark.part; });
    const Index total = parts[0].mark.parts;
    std::string missing;
    std::size_t at = 0;
    for (Index part = 1; part <= total; ++part) {
        if (at < parts.size() && parts[at].mark.part == part && parts[at].mark.parts == total) {
            ++at;
            if (at < parts.size() && parts[at].mark.part == part && parts[at].mark.parts == total) {
                bad("shard " + std::to_string(part) + " of " + std::to_string(total) + " is given twice: " +
                    parts[at - 1].reader.name() + " and " + parts[at].reader.name());
            }
        } else if (missing.size() < 60) {
            missing += (missing.empty() ? "" : ", ") + std::to_string(part);
        }
    }
    for (const Part& part : parts) {
        if (part.mark.parts != total) {
            bad(part.reader.name() + ": is a shard of " + std::to_string(part.mark.parts) + ", " +
                parts[0].reader.name() + " one of " + std::to_string(total));
        }
    }
    if (!missing.empty()) {
        bad("of " + std::to_string(total) + " shards these are missing: " + missing + "; name all of them");
    }
    return parts;
}

formats::StreamInfo common_info(const std::vector<Part>& parts)
{
    formats::StreamInfo info = parts[0].reader.info();
    formats::remove_shard_mark(info);
    for (const Part& part : parts) {
        formats::StreamInfo other = part.reader.info();
        formats::remove_shard_mark(other);
        const char* what = other.kind != info.kind               ? "kind"
                           : !(other.history == info.history)    ? "history"
                           : !(other.attributes == info.attributes && other.unknown == info.unknown) ? "attributes"
                                                                                                     : nullptr;
        if (what != nullptr) {
            bad(part.reader.name() + ": its " + what + " is not that of " + parts[0].reader.name() +
                "; they are not shards of one run");
        }
    }
    return info;
}

// A tensor that all parts have: the first part's is written, the others' must be the same.
void merge_shared(std::vector<Part>& parts, StreamWriter& writer)
{
    for (const Part& part : parts) {
        if (!same_header(part.reader.header(), parts[0].reader.header())) {
            bad("tensor " + part.reader.header().name + ": " + part.reader.name() +
                " has another type, shape or attribute than " + parts[0].reader.name());
        }
    }
    const Tensor tensor = parts[0].reader.read();
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::byte* expected = tensor.data.data();
        parts[i].reader.read_pieces([&](const std::byte* bytes, std::size_t n) {
            if (std::memcmp(bytes, expected, n) != 0) {
                bad("tensor " + tensor.name() + ": " + parts[i].reader.name() + " has other values than " +
                    parts[0].reader.name() + "; two shards disagree");
            }
            expected += n;
        });
    }
    writer.write(tensor);
}

// Copies [n, ...] into rows of a wider tensor; both row-major.
void place_rows(const Tensor& piece, Index first, Tensor& whole)
{
    const Shape& from = piece.header.shape;
    const Shape& to = whole.header.shape;
    const std::size_t rank = from.size();
    const std::size_t size = size_of(piece.header.dtype);
    if (piece.data.empty()) {
        return;
    }
    const std::size_t run = rank > 1 ? static_cast<std::size_t>(from.back()) * size : size;
    std::vector<Index> at(rank, 0);
    at[0] = first;
    const std::byte* source = piece.data.data();
    const std::byte* const end = source + piece.data.size();
    while (source < end) {
        Index offset = 0;
        for (std::size_t d = 0; d < rank; ++d) {
            offset = offset * to[d] + at[d];
        }
        std::memcpy(whole.data.data() + static_cast<std::size_t>(offset) * size, source, run);
        source += run;
        for (std::size_t d = rank > 1 ? rank - 1 : rank; d-- > 0;) {
            if (++at[d] < from[d] + (d == 0 ? first : 0) || d == 0) {
                break;
            }
            at[d] = 0;
        }
    }
}

// Pieces of one tensor, one from each part.
void merge_rows(std::vector<Part>& parts, StreamWriter& writer)
{
    std::vector<Tensor> pieces;
    std::vector<formats::RowRange> ranges;
    for (Part& part : parts) {
        ranges.push_back(*formats::rows_of(part.reader.header()));
        pieces.push_back(part.reader.read());
        formats::remove_marks(pieces.back().header);
    }
    Tensor whole;
    whole.header = pieces[0].header;
    Shape& shape = whole.header.shape;
    const std::string where = "tensor " + whole.name() + ": ";
    Index covered = 0;
    std::vector<std::size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return ranges[a].first < ranges[b].first; });
    for (const std::size_t i : order) {
        const TensorHeader& header = pieces[i].header;
        const std::string& file = parts[i].reader.name();
        if (header.dtype != whole.header.dtype || header.shape.size() != shape.size() ||
            ranges[i].total != ranges[0].total || !(header.attributes == whole.header.attributes) ||
            !(header.unknown == whole.header.unknown)) {
            bad(where + file + " has another type, rank, number of rows or attribute than " + parts[0].reader.name());
        }
        if (header.shape[0] > 0) {
            if (ranges[i].first != covered) {
                bad(where + "rows " + std::to_string(covered) + " to " + std::to_string(ranges[i].first) +
                    (ranges[i].first > covered ? " are in no shard" : " are in two shards") + ", seen at " + file);
            }
            covered += header.shape[0];
        }
        for (std::size_t d = 1; d < shape.size(); ++d) {
            shape[d] = std::max(shape[d], header.shape[d]);
        }
    }
    if (covered != ranges[0].total) {
        bad(where + std::to_string(covered) + " rows in all shards together, expected " +
            std::to_string(ranges[0].total));
    }
    shape[0] = covered;
    whole.data = Buffer<std::byte>(static_cast<Index>(whole.header.bytes()));
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        place_rows(pieces[i], ranges[i].first, whole);
    }
    writer.write(whole);
}

// All parts stand at a frame that is not owned.
void merge_common(std::vector<Part>& parts, StreamWriter& writer)
{
    for (const Part& part : parts) {
        const bool same = part.frame == parts[0].frame &&
                          (part.frame != Frame::tensor || part.reader.header().name == parts[0].reader.header().name);
        if (!same) {
            differ(parts[0], part);
        }
        if (part.frame == Frame::note && !(part.reader.note().map == parts[0].reader.note().map)) {
            bad("a note in " + part.reader.name() + " is not that in " + parts[0].reader.name() +
                "; two shards disagree");
        }
    }
    if (parts[0].frame == Frame::note) {
        parts[0].reader.copy_to(writer);
        return;
    }
    const auto with_rows = std::count_if(parts.begin(), parts.end(), [](const Part& part) {
        return formats::rows_of(part.reader.header()).has_value();
    });
    if (with_rows == static_cast<std::ptrdiff_t>(parts.size())) {
        merge_rows(parts, writer);
    } else if (with_rows == 0) {
        merge_shared(parts, writer);
    } else {
        bad("tensor " + parts[0].reader.header().name + ": some shards hold rows of it, others all");
    }
}

// The owned frame of one part.
void take_owned(Part& part, std::unordered_map<std::string, std::string>& owner, StreamWriter& writer)
{
    if (part.frame == Frame::note) {
        Note note = part.reader.note();
        std::erase_if(note.map, [](const auto& entry) { return entry.first == "owned"; });
        writer.write(note);
        return;
    }
    TensorHeader header = part.reader.header();
    const auto [at, is_new] = owner.emplace(header.name, part.reader.name());
    if (!is_new) {
        bad("tensor " + header.name + ": owned by two shards, " + at->second + " and " + part.reader.name());
    }
    formats::remove_marks(header);
    writer.begin(header);
    part.reader.read_pieces([&](const std::byte* bytes, std::size_t n) { writer.append(bytes, n); });
    writer.end();
}

StreamWriter merge_shards(std::vector<StreamReader> inputs, const CreateStream& create, const Control& control)
{
    std::vector<Part> parts = parts_in_order(std::move(inputs));
    StreamWriter writer = create(common_info(parts));
    for (Part& part : parts) {
        part.advance();
    }
    std::unordered_map<std::string, std::string> owner;
    for (;;) {
        control.throw_if_stopped();
        Part* next = nullptr;
        for (Part& part : parts) {
            if (part.owned() && (next == nullptr || part.key < next->key)) {
                next = &part;
            }
        }
        if (next != nullptr) {
            take_owned(*next, owner, writer);
            next->advance();
            continue;
        }
        if (std::all_of(parts.begin(), parts.end(), [](const Part& part) { return part.frame == Frame::end; })) {
            return writer;
        }
        merge_common(parts, writer);
        for (Part& part : parts) {
            part.advance();
        }
    }
}

// Header and values in short: equal where tensors are.
std::string copied(StreamReader& reader, StreamWriter* writer)
{
    formats::frame::Hash hash;
    const TensorHeader header = reader.header();
    if (writer != nullptr) {
        writer->begin(header);
    }
    reader.read_pieces([&](const std::byte* bytes, std::size_t n) {
        hash.update(bytes, n);
        if (writer != nullptr) {
            writer->append(bytes, n);
        }
    });
    if (writer != nullptr) {
        writer->end();
    }
    const auto digest = hash.digest();
    return formats::frame::encode_tensor(header, {}) + std::string(digest.data(), digest.size());
}

StreamWriter join_streams(std::vector<StreamReader> inputs, const CreateStream& create, const Control& control)
{
    formats::StreamInfo info = inputs[0].info();
    for (const StreamReader& reader : inputs) {
        info.kind = reader.info().kind == "model" ? "model" : info.kind;
        for (const formats::Value& entry : reader.info().history) {
            if (std::find(info.history.begin(), info.history.end(), entry) == info.history.end()) {
                info.history.push_back(entry);
            }
        }
    }
    StreamWriter writer = create(info);
    std::unordered_map<std::string, std::pair<std::string, std::string>> known;    // name: contents, file
    for (StreamReader& reader : inputs) {
        for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
            control.throw_if_stopped();
            if (frame == Frame::note || inputs.size() == 1) {
                reader.copy_to(writer);
                continue;
            }
            const std::string name = reader.header().name;
            const auto present = known.find(name);
            const std::string contents = copied(reader, present == known.end() ? &writer : nullptr);
            if (present == known.end()) {
                known.emplace(name, std::pair(contents, reader.name()));
            } else if (present->second.first != contents) {
                bad("tensor " + name + ": " + reader.name() + " has another one than " + present->second.second +
                    "; leave one of them out with tensor-stream select --drop");
            }
        }
    }
    return writer;
}

}  // namespace

Index batch_number(const std::string& name)
{
    constexpr std::string_view start = "batches.";
    Index number = -1;
    if (name.compare(0, start.size(), start) == 0) {
        const char* const end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + start.size(), end, number);
        if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '.' || number < 0) {
            return -1;
        }
    }
    return number;
}

Index merge_streams(std::vector<StreamReader> inputs, const CreateStream& create, const Control& control)
{
    STILLHOUSE_CHECK(!inputs.empty());
    const bool shards = std::any_of(inputs.begin(), inputs.end(), [](const StreamReader& reader) {
        return with_context(reader.name(), [&] { return formats::shard_of(reader.info()); }).has_value();
    });
    StreamWriter writer = shards ? merge_shards(std::move(inputs), create, control)
                                 : join_streams(std::move(inputs), create, control);
    writer.finish();
    return writer.tensors_written();
}

}  // namespace stillhouse::adapters
