// SPDX-License-Identifier: Apache-2.0
// Merging a word without end.
#include "libcore/models/tokenizer_chain.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>

namespace stillhouse::models {

bool ChainTables::add(const std::vector<Token>& symbols, Token token)
{
    int at = 0;
    for (std::size_t i = symbols.size(); i-- > 0;) {
        const auto [edge, is_new] = children_.emplace(
            static_cast<std::uint64_t>(at) << 32 | static_cast<std::uint32_t>(symbols[i]),
            static_cast<int>(nodes_.size()));
        if (is_new) {
            nodes_.push_back({at, symbols[i], nodes_[static_cast<std::size_t>(at)].depth + 1, -1});
        }
        at = edge->second;
    }
    Node& end = nodes_[static_cast<std::size_t>(at)];
    if (end.token == token) {
        return true;
    }
    if (end.token >= 0 || !by_token_.emplace(token, at).second) {
        usable_ = false;
        return false;
    }
    end.token = token;
    longest_ = std::max(longest_, end.depth);
    return true;
}

void ChainTables::append_symbols(int node, std::vector<Token>& to) const
{
    for (; node > 0; node = nodes_[static_cast<std::size_t>(node)].parent) {
        to.push_back(nodes_[static_cast<std::size_t>(node)].symbol);
    }
}

bool Chain::whole(int node)
{
    const auto [entry, is_new] = whole_.try_emplace(node, false);
    if (is_new) {
        std::vector<Token> symbols;
        tables_.append_symbols(node, symbols);
        merge_symbols(tables_.merges(), symbols);
        entry->second = symbols.size() == 1 && symbols[0] == tables_.node(node).token;
    }
    return entry->second;
}

bool Chain::stable(int left, int right)
{
    if (stable_.size() > (1U << 18)) {
        stable_.clear();   // a memory, not a result
    }
    const auto [entry, is_new] = stable_.try_emplace(
        static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right), false);
    if (is_new) {
        std::vector<Token> symbols;
        tables_.append_symbols(left, symbols);
        tables_.append_symbols(right, symbols);
        merge_symbols(tables_.merges(), symbols);
        entry->second = symbols.size() == 2 && symbols[0] == tables_.node(left).token
                        && symbols[1] == tables_.node(right).token;
    }
    return entry->second;
}

int Chain::last_token(std::size_t n)
{
    int found = -1, node = 0;
    int passed = 0;
    for (std::size_t length = 1; length <= n; ++length) {
        node = tables_.child(node, symbols_[n - length]);
        if (node < 0) {
            break;
        }
        if (tables_.node(node).token >= 0 && whole(node) && (length == n || stable(last_[n - length - 1], node))) {
            found = node;
            ++passed;
        }
    }
    STILLHOUSE_CHECK(passed > 0);
    if (passed > 1) {
        std::vector<Token> symbols(symbols_.begin(), symbols_.begin() + static_cast<std::ptrdiff_t>(n));
        merge_symbols(tables_.merges(), symbols);
        found = tables_.node_of(symbols.back());
    }
    return found;
}

void Chain::push(Token symbol, std::vector<Token>& ids)
{
    symbols_.push_back(symbol);
    last_.push_back(last_token(symbols_.size()));
    if (symbols_.size() >= next_check_) {
        give(common_border(), ids);
        next_check_ = std::max(interval_, 2 * symbols_.size());
    }
}

void Chain::finish(std::vector<Token>& ids)
{
    give(symbols_.size(), ids);
    next_check_ = interval_;
}

std::size_t Chain::common_border() const
{
    const std::size_t n = symbols_.size();
    const std::size_t window = std::min(n, static_cast<std::size_t>(tables_.longest()));
    if (window == n) {
        return 0;
    }
    std::vector<bool> reached(n + 1);
    std::fill(reached.end() - static_cast<std::ptrdiff_t>(window), reached.end(), true);
    std::size_t paths = window;
    for (std::size_t at = n; at > 0; --at) {
        if (!reached[at]) {
            continue;
        }
        if (paths == 1) {
            return at;
        }
        const std::size_t before = at - static_cast<std::size_t>(tables_.node(last_[at - 1]).depth);
        if (reached[before]) {
            --paths;
        }
        reached[before] = true;
    }
    return 0;
}

void Chain::give(std::size_t border, std::vector<Token>& ids)
{
    const auto first = static_cast<std::ptrdiff_t>(ids.size());
    for (std::size_t at = border; at > 0;) {
        const ChainTables::Node& node = tables_.node(last_[at - 1]);
        ids.push_back(node.token);
        at -= static_cast<std::size_t>(node.depth);
    }
    std::reverse(ids.begin() + first, ids.end());
    symbols_.erase(symbols_.begin(), symbols_.begin() + static_cast<std::ptrdiff_t>(border));
    last_.erase(last_.begin(), last_.begin() + static_cast<std::ptrdiff_t>(border));
}

}  // namespace stillhouse::models
