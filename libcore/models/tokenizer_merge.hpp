// SPDX-License-Identifier: Apache-2.0
// Byte-pair merging: the table of merges, the plain algorithm, and the memory of pieces. Internal to the tokenizer.
#pragma once

#include "libcore/base/tokenizer_model.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace stillhouse::models {

/// What a merge makes: its rank (lower merges first) and the id of the product.
struct Merge {
    std::int32_t rank = -1;
    Token id = -1;
};

/// (left id, right id) -> merge. Open addressing, load at most a half.
class MergeTable {
public:
    explicit MergeTable(std::size_t count);
    /// Of equal pairs the last counts, as in the library's map.
    void set(Token left, Token right, const Merge& merge);

    const Merge* find(Token left, Token right) const noexcept
    {
        const std::uint64_t key = key_of(left, right);
        for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
            if (slots_[i].key == key) {
                return &slots_[i].merge;
            }
            if (slots_[i].key == empty) {
                return nullptr;
            }
        }
    }

private:
    struct Slot {
        std::uint64_t key;
        Merge merge;
    };
    static constexpr std::uint64_t empty = ~std::uint64_t{0};
    static std::uint64_t key_of(Token left, Token right) noexcept
    {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
    }
    std::size_t slot_of(std::uint64_t key) const noexcept
    {
        return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15U) >> 20) & mask_;
    }
    std::vector<Slot> slots_;
    std::size_t mask_;
};

/// Merges symbols in place: again and again the adjacent pair of lowest rank, the leftmost of equals, until none is
/// left. O(n^2) with a tiny constant up to 64 symbols, O(n log n) above.
void merge_symbols(const MergeTable& merges, std::vector<Token>& symbols);

/// Remembers the ids of short pieces: a fixed table (4 MiB), newer pieces replace older ones. What it holds changes
/// speed, never ids.
class PieceMemory {
public:
    static constexpr std::size_t longest = 24;   // bytes of a piece
    static constexpr int most = 9;               // ids of a piece
    static constexpr std::size_t slack = 24;     // bytes that must be readable from where a piece begins

    struct Entry {
        std::uint64_t key[3];
        std::uint8_t length;     // 0: free
        std::uint8_t count;
        Token ids[most];
    };
    static_assert(sizeof(Entry) == 64);

    PieceMemory() : entries_(std::size_t{1} << bits) {}

    /// The entry where a piece of 1 to `longest` bytes is or would be; `known` tells which.
    Entry& find(const char* piece, std::size_t length, bool& known) noexcept
    {
        std::uint64_t key[3];
        std::memcpy(key, piece, sizeof key);
        const auto mask = [length](std::size_t from) {
            const std::size_t bytes = length <= from ? 0 : length - from;
            return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
        };
        key[0] &= mask(0);
        key[1] &= mask(8);
        key[2] &= mask(16);
        std::uint64_t hash = (key[0] ^ length) * 0x9E3779B97F4A7C15U;
        hash ^= (key[1] ^ hash >> 29) * 0xBF58476D1CE4E5B9U;
        hash ^= (key[2] ^ hash >> 31) * 0x94D049BB133111EBU;
        hash *= 0x9E3779B97F4A7C15U;
        Entry& entry = entries_[hash >> (64 - bits)];
        known = entry.length == length && entry.key[0] == key[0] && entry.key[1] == key[1] && entry.key[2] == key[2];
        if (!known) {
            entry.key[0] = key[0];
            entry.key[1] = key[1];
            entry.key[2] = key[2];
            entry.length = 0;
        }
        return entry;
    }

private:
    static constexpr int bits = 16;
    std::vector<Entry> entries_;
};

}  // namespace stillhouse::models
