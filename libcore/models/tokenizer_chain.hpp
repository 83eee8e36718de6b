// SPDX-License-Identifier: Apache-2.0
// Merges a word that has no end in sight, in memory that does not grow with it. Internal to the tokenizer.
#pragma once

#include "libcore/models/tokenizer_merge.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace stillhouse::models {

// Why a word may be given away before it ends.
//
// Let E(s) be what merging makes of the symbols s: again and again the adjacent pair of lowest rank, leftmost first.
//
// (A) If no merge of s = x y crosses the border of x and y, then E(s) = E(x) E(y): merges on one side do not see the
//     other side; the pair chosen in s, when it lies in x, is of lowest rank in x as well; so the merges done in x are
//     those done in x alone, in the same order, and s is finished only when x and y are. Hence whenever E(s) has a
//     token border at q, E(s) = E(s[0, q)) E(s[q, n)).
// (B) Every prefix s[0, n) therefore has one last token t(n), and E(s[0, n)) = E(s[0, n - |t(n)|)) t(n): the last
//     tokens of all prefixes are a tree, from each n an edge back to n - |t(n)|.
// (C) t(n) must be a token whose symbols end s[0, n), with E(its symbols) = itself, and with E(u t) = u t for
//     u = t(n - |t|): both follow from (A). If a single candidate passes, it is t(n). If several do (tables of merges
//     in which ranks do not grow along a derivation allow that), E(s[0, n)) itself is computed and decides.
// (D) Let M be the length of the longest token. E of any continuation of s[0, N) has a border q in (N - M, N], and by
//     (A) agrees with E(s[0, q)) up to q. So a border that is on the paths back from all of N - M + 1 ... N is a border
//     whatever follows, and the tokens before it are final.
//
// The paths meet after a few tokens in all but contrived cases; as long as they do not, nothing is given away and
// memory grows, but no id is ever wrong.

/// Every token that merging can make, by its symbols read backwards.
class ChainTables {
public:
    struct Node {
        int parent = -1;
        Token symbol = -1;      // on the edge from the parent; the first symbol of the token that ends here
        int depth = 0;
        Token token = -1;
    };

    explicit ChainTables(const MergeTable& merges) : merges_(merges), nodes_(1) {}
    /// False when two sequences of symbols make the same id: then the tables cannot be used.
    bool add(const std::vector<Token>& symbols, Token token);
    void refuse() noexcept { usable_ = false; }
    bool usable() const noexcept { return usable_; }

    const MergeTable& merges() const noexcept { return merges_; }
    int child(int node, Token symbol) const noexcept
    {
        const auto found = children_.find(static_cast<std::uint64_t>(node) << 32 | static_cast<std::uint32_t>(symbol));
        return found == children_.end() ? -1 : found->second;
    }
    const Node& node(int n) const noexcept { return nodes_[static_cast<std::size_t>(n)]; }
    int node_of(Token token) const { return by_token_.at(token); }
    void append_symbols(int node, std::vector<Token>& to) const;
    int longest() const noexcept { return longest_; }

private:
    const MergeTable& merges_;
    std::vector<Node> nodes_;
    std::unordered_map<std::uint64_t, int> children_;
    std::unordered_map<Token, int> by_token_;
    int longest_ = 1;
    bool usable_ = true;
};

/// One word, symbol by symbol.
class Chain {
public:
    /// Looks for what can be given away whenever `interval` symbols have come together.
    Chain(const ChainTables& tables, std::size_t interval)
        : tables_(tables), interval_(interval), next_check_(interval)
    {
    }
    void push(Token symbol, std::vector<Token>& ids);
    void finish(std::vector<Token>& ids);
    bool empty() const noexcept { return symbols_.empty(); }

private:
    int last_token(std::size_t n);
    bool whole(int node);
    bool stable(int left, int right);
    void give(std::size_t border, std::vector<Token>& ids);
    std::size_t common_border() const;

    const ChainTables& tables_;
    std::vector<Token> symbols_;            // those not given away
    std::vector<int> last_;                 // last_[n - 1]: node of t(n)
    std::size_t interval_, next_check_;     // symbols
    std::unordered_map<int, bool> whole_;
    std::unordered_map<std::uint64_t, bool> stable_;
};

}  // namespace stillhouse::models
