// SPDX-License-Identifier: Apache-2.0
// Byte-pair merging.
#include "libcore/models/tokenizer_merge.hpp"

#include <limits>
#include <queue>
#include <tuple>

namespace stillhouse::models {
namespace {

constexpr std::int32_t no_rank = std::numeric_limits<std::int32_t>::max();

void merge_short(const MergeTable& merges, std::vector<Token>& symbols)
{
    std::int32_t ranks[64];
    Token products[64];
    std::size_t n = symbols.size();
    const auto look = [&](std::size_t i) {
        const Merge* merge = merges.find(symbols[i], symbols[i + 1]);
        ranks[i] = merge == nullptr ? no_rank : merge->rank;
        products[i] = merge == nullptr ? -1 : merge->id;
    };
    for (std::size_t i = 0; i + 1 < n; ++i) {
        look(i);
    }
    while (n > 1) {
        std::size_t best = 0;
        for (std::size_t i = 1; i + 1 < n; ++i) {
            if (ranks[i] < ranks[best]) {
                best = i;
            }
        }
        if (ranks[best] == no_rank) {
            break;
        }
        symbols[best] = products[best];
        --n;
        for (std::size_t i = best + 1; i < n; ++i) {
            symbols[i] = symbols[i + 1];
            ranks[i] = ranks[i + 1];
            products[i] = products[i + 1];
        }
        if (best > 0) {
            look(best - 1);
        }
        if (best + 1 < n) {
            look(best);
        }
    }
    symbols.resize(n);
}

void merge_long(const MergeTable& merges, std::vector<Token>& symbols)
{
    const auto n = static_cast<std::int32_t>(symbols.size());
    std::vector<std::int32_t> next(symbols.size()), previous(symbols.size());
    using Candidate = std::tuple<std::int32_t, std::int32_t, Token, Token>;   // rank, place, left, right
    std::vector<Candidate> storage;
    storage.reserve(symbols.size());
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>{}, std::move(storage));
    const auto offer = [&](std::int32_t at) {
        const Token left = symbols[static_cast<std::size_t>(at)];
        const Token right = symbols[static_cast<std::size_t>(next[static_cast<std::size_t>(at)])];
        if (const Merge* merge = merges.find(left, right)) {
            queue.emplace(merge->rank, at, left, right);
        }
    };
    for (std::int32_t i = 0; i < n; ++i) {
        next[static_cast<std::size_t>(i)] = i + 1;
        previous[static_cast<std::size_t>(i)] = i - 1;
    }
    for (std::int32_t i = 0; i + 1 < n; ++i) {
        offer(i);
    }
    while (!queue.empty()) {
        const auto [rank, at, left, right] = queue.top();
        queue.pop();
        const auto place = static_cast<std::size_t>(at);
        const std::int32_t after = next[place];
        // stale: this place has been merged since, or its neighbour has
        if (symbols[place] != left || after >= n || symbols[static_cast<std::size_t>(after)] != right) {
            continue;
        }
        symbols[place] = merges.find(left, right)->id;
        symbols[static_cast<std::size_t>(after)] = -1;
        const std::int32_t beyond = next[static_cast<std::size_t>(after)];
        next[place] = beyond;
        if (beyond < n) {
            previous[static_cast<std::size_t>(beyond)] = at;
            offer(at);
        }
        if (previous[place] >= 0) {
            offer(previous[place]);
        }
    }
    std::size_t kept = 0;
    for (std::int32_t i = 0; i < n; i = next[static_cast<std::size_t>(i)]) {
        symbols[kept++] = symbols[static_cast<std::size_t>(i)];
    }
    symbols.resize(kept);
}

}  // namespace

MergeTable::MergeTable(std::size_t count)
{
    std::size_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    slots_.assign(size, Slot{empty, {}});
    mask_ = size - 1;
}

void MergeTable::set(Token left, Token right, const Merge& merge)
{
    const std::uint64_t key = key_of(left, right);
    std::size_t i = slot_of(key);
    while (slots_[i].key != empty && slots_[i].key != key) {
        i = (i + 1) & mask_;
    }
    slots_[i] = {key, merge};
}

void merge_symbols(const MergeTable& merges, std::vector<Token>& symbols)
{
    if (symbols.size() <= 64) {
        merge_short(merges, symbols);
    } else {
        merge_long(merges, symbols);
    }
}

}  // namespace stillhouse::models
