// SPDX-License-Identifier: Apache-2.0
// One stream into shards that merge into the same bytes again.
#include "formats/stream/shard.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/streams/stream_merge.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace stillhouse::adapters {

namespace {

using formats::StreamReader;
using formats::StreamWriter;
using formats::TensorHeader;
using Frame = StreamReader::Frame;

bool is_text(const std::string& name)
{
    constexpr std::string_view end = ".json";
    return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

// What is to be divided.
struct Items {
    enum class Kind { batches, tensors, rows } kind = Kind::tensors;
    std::vector<Index> batches;              // their numbers, ascending
    Index count = 0;
};

Items count_items(StreamReader reader, const Control& control)
{
    std::set<Index> batches;
    Index tensors = 0;
    Index rows = 0;
    Index last = -1;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame != Frame::tensor) {
            continue;
        }
        const TensorHeader& header = reader.header();
        if (formats::is_owned(header) || formats::rows_of(header)) {
            throw_error(ErrorCode::bad_data, reader.name() + ": tensor " + header.name +
                                                 " bears the mark of a shard; join the shards with tensor-stream cat");
        }
        const Index batch = batch_number(header.name);
        if (batch >= 0) {
            if (batch < last) {
                throw_error(ErrorCode::bad_data, reader.name() + ": batch " + std::to_string(batch) + " comes after " +
                                                     std::to_string(last) + "; batches must ascend to be split");
            }
            last = batch;
            batches.insert(batch);
        } else if (!is_text(header.name)) {
            ++tensors;
            rows = header.shape.empty() ? 0 : header.shape[0];
        }
    }
    if (!batches.empty()) {
        return {Items::Kind::batches, {batches.begin(), batches.end()}, static_cast<Index>(batches.size())};
    }
    if (tensors == 1 && rows > 0) {
        return {Items::Kind::rows, {}, rows};
    }
    return {Items::Kind::tensors, {}, tensors};
}

}  // namespace

void split_stream(const std::function<StreamReader()>& open, Index parts,
                  const std::function<StreamWriter(Index, formats::StreamInfo)>& create, const Control& control)
{
    const Items items = count_items(open(), control);
    StreamReader reader = open();
    if (formats::shard_of(reader.info())) {
        throw_error(ErrorCode::bad_data,
                    reader.name() + ": is a shard already; join the shards with tensor-stream cat");
    }
    std::vector<StreamWriter> writers;
    for (Index part = 1; part <= parts; ++part) {
        formats::StreamInfo info = reader.info();
        formats::mark_shard(info, part, parts);
        writers.push_back(create(part, std::move(info)));
    }
    const auto owner_of = [&](Index item) {
        Index part = 1;
        while (item >=
               formats::share_of(items.count, part, parts).first + formats::share_of(items.count, part, parts).count) {
            ++part;
        }
        return static_cast<std::size_t>(part - 1);
    };
    const auto to_all = [&](const TensorHeader& header) {
        for (StreamWriter& writer : writers) {
            writer.begin(header);
        }
        reader.read_pieces([&](const std::byte* bytes, std::size_t n) {
            for (StreamWriter& writer : writers) {
                writer.append(bytes, n);
            }
        });
        for (StreamWriter& writer : writers) {
            writer.end();
        }
    };
    Index tensor = 0;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame == Frame::note) {
            for (StreamWriter& writer : writers) {
                reader.copy_to(writer);
            }
            continue;
        }
        TensorHeader header = reader.header();
        const Index batch = batch_number(header.name);
        const bool shared = items.kind == Items::Kind::batches ? batch < 0 : is_text(header.name);
        if (shared || parts == 1) {
            to_all(header);
        } else if (items.kind == Items::Kind::rows) {
            const formats::Tensor whole = reader.read();
            const std::uint64_t row = header.bytes() / static_cast<std::uint64_t>(items.count);
            for (Index part = 1; part <= parts; ++part) {
                const formats::Share share = formats::share_of(items.count, part, parts);
                TensorHeader piece = header;
                piece.shape[0] = share.count;
                formats::mark_rows(piece, share.first, items.count);
                writers[static_cast<std::size_t>(part - 1)].write(
                    piece, whole.data.data() + static_cast<std::uint64_t>(share.first) * row);
            }
        } else {
            const Index item = batch < 0 ? tensor++
                                         : std::lower_bound(items.batches.begin(), items.batches.end(), batch) -
                                               items.batches.begin();
            formats::mark_owned(header);
            StreamWriter& writer = writers[owner_of(item)];
            writer.begin(header);
            reader.read_pieces([&](const std::byte* bytes, std::size_t n) { writer.append(bytes, n); });
            writer.end();
        }
    }
    for (StreamWriter& writer : writers) {
        writer.finish();
    }
}

}  // namespace stillhouse::adapters
