// SPDX-License-Identifier: Apache-2.0
// Exact convolution of signals that become known token by token; for hyena*.cpp alone.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/base/parallel.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace stillhouse::models {

/// Relaxed multiplication (van der Hoeven's name; FutureFill, Flash Inference): outputs up to token i are wanted before
/// input i + 1 exists. Tokens stand in blocks of `base`. Within its block a token's past is summed directly; whenever a
/// block begins, at token i, with 2^e the largest power of two that divides i, the inputs of [i - 2^e, i) are convolved
/// with lags 1 .. 2^(e+1) - 1 by one circular transform of 2^(e+1) and added to the outputs of [i, i + 2^e) that are
/// still to come. So every pair of tokens is counted once, and L tokens cost O(L log^2 L).
/// Copies share the spectra, and may make and use them at the same time.
/// A prefill of n tokens takes aligned pieces of a power of two: what has been added to them before, and their own
/// convolution; with 2^e limited by the length of the filters. It leaves what the steps would have left.
template <class T>
class OnlineFilters {
public:
    /// Signal c has filter filter_of[c] of `h`; signals stand in groups of `group` (heads), each from a new block on.
    OnlineFilters(std::span<const Index> filter_of, Index group, Index base);

    /// h [filters, lags], zero beyond `lags`; `whole`: there are no more lags than these, ever. The rows must stay.
    void set_responses(Matrix<const T> h, bool whole);
    Matrix<const T> responses() const { return h_; }

    Index base() const { return base_; }
    /// Rows that histories may ever need: twice the length of whole filters rounded up, else no bound.
    Index most_rows() const { return 2 * most_; }
    /// 2^e of token i, a multiple of the base.
    Index reach(Index i) const;
    /// Past inputs have been added to the outputs of tokens from `position` up to here, when `position` tokens are
    /// known and nothing has begun with the next.
    Index outlook_end(Index position) const;
    /// Tokens of the next piece: to the end of a block, or an aligned power of two, or less than a block at its begin.
    Index piece(Index position, Index remaining) const;

    Index blocks() const { return static_cast<Index>(blocks_.size()); }
    struct Block {
        Index first = 0;      // signal
        Index count = 0;      // of at most compute::block_channels
        Index table = 0;      // blocks of equal filters share
    };
    const Block& block(Index i) const { return blocks_[static_cast<std::size_t>(i)]; }

    /// Makes the spectra of fills of `reach` tokens, kept up to a reach of 4096: at most 16 K numbers a signal whose
    /// filter is its own. Beyond, fill makes its spectrum each time, which costs it half as much again.
    void prepare(ThreadPool& pool, Index reach);
    /// u [reach, block_channels] <- what inputs u of the last `reach` tokens add to the next ones.
    void fill(Index block, Index reach, T* u) const;

private:
    void spectrum(Index table, Index reach, T* to) const;

    Index base_;
    Index most_ = Index{1} << 40;              // reach at most: as far as anybody goes, unless filters are whole
    bool whole_ = false;
    Matrix<const T> h_;
    std::vector<Block> blocks_;
    std::vector<std::vector<Index>> tables_;   // filters of each table's signals
    struct Spectra {
        std::mutex lock;
        std::map<Index, Buffer<T>> by_reach;   // one that is there stays as it is
    };
    std::shared_ptr<Spectra> spectra_ = std::make_shared<Spectra>();
};

}  // namespace stillhouse::models
