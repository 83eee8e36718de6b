// SPDX-License-Identifier: Apache-2.0
// Marks of shards (stillhouse-stream(5), Shards).
#include "formats/stream/shard.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>

namespace stillhouse::formats {

namespace {

// Two counts under a key.
std::optional<std::pair<Index, Index>> pair_at(const Map& map, std::string_view key)
{
    for (const auto& [name, value] : map) {
        if (name == key) {
            return with_context("attribute '" + std::string(key) + "'", [&] {
                const List& list = value.list();
                if (list.size() != 2) {
                    throw_error(ErrorCode::bad_data, "found " + std::to_string(list.size()) + " numbers, expected 2");
                }
                return std::pair(Index{list[0].integer()}, Index{list[1].integer()});
            });
        }
    }
    return std::nullopt;
}

void erase_key(Map& map, std::string_view key)
{
    std::erase_if(map, [&](const auto& entry) { return entry.first == key; });
}

std::string text_of(const ShardMark& mark)
{
    return std::to_string(mark.part) + "/" + std::to_string(mark.parts);
}

}  // namespace

std::optional<ShardMark> shard_of(const StreamInfo& info)
{
    const auto pair = pair_at(info.attributes, "shard");
    if (!pair) {
        return std::nullopt;
    }
    const ShardMark mark{pair->first, pair->second};
    if (mark.parts < 1 || mark.part < 1 || mark.part > mark.parts) {
        throw_error(ErrorCode::bad_data, "attribute 'shard': " + text_of(mark) + " is no shard");
    }
    return mark;
}

void mark_shard(StreamInfo& info, Index part, Index parts)
{
    STILLHOUSE_CHECK(part >= 1 && part <= parts);
    const ShardMark wanted{part, parts};
    if (const std::optional<ShardMark> present = shard_of(info)) {
        if (!(*present == wanted)) {
            throw_error(ErrorCode::bad_data, "the stream is shard " + text_of(*present) + ", --shard " +
                                                 text_of(wanted) +
                                                 " cannot be taken of it; join the shards with tensor-stream cat");
        }
        return;
    }
    if (parts > 1) {
        info.attributes.emplace_back("shard", List{part, parts});
    }
}

void remove_shard_mark(StreamInfo& info)
{
    erase_key(info.attributes, "shard");
}

bool is_owned(const TensorHeader& header)
{
    const Value* mark = header.attribute("owned");
    return mark != nullptr && mark->boolean();
}

std::optional<RowRange> rows_of(const TensorHeader& header)
{
    return with_context("tensor " + header.name, [&]() -> std::optional<RowRange> {
        const auto pair = pair_at(header.attributes, "rows");
        if (!pair) {
            return std::nullopt;
        }
        const RowRange rows{pair->first, pair->second};
        if (header.shape.empty() || rows.first < 0 || rows.first > rows.total ||
            header.shape[0] > rows.total - rows.first) {
            throw_error(ErrorCode::bad_data, "rows from " + std::to_string(rows.first) + " of " +
                                                 std::to_string(rows.total) + " do not fit the shape " +
                                                 to_string(header.shape));
        }
        return rows;
    });
}

void mark_owned(TensorHeader& header)
{
    header.set_attribute("owned", true);
}

void mark_rows(TensorHeader& header, Index first, Index total)
{
    header.set_attribute("rows", List{first, total});
}

void remove_marks(TensorHeader& header)
{
    erase_key(header.attributes, "owned");
    erase_key(header.attributes, "rows");
}

Share share_of(Index items, Index part, Index parts)
{
    STILLHOUSE_CHECK(items >= 0 && part >= 1 && part <= parts);
    // floor(k items / n) without the product, which might not fit.
    const auto bound = [&](Index k) { return items / parts * k + items % parts * k / parts; };
    return {bound(part - 1), bound(part) - bound(part - 1)};
}

}  // namespace stillhouse::formats
