// SPDX-License-Identifier: Apache-2.0
// Rows of text drawn from a network itself.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/sampling.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <cstdint>
#include <vector>

namespace stillhouse::adapters {

/// Which ids may be drawn: those with text. All without a tokenizer.
models::Drawable drawable(const models::Tokenizer* tokenizer, Index vocabulary);

/// recurrent where every long convolution has a realization or trained modes; else exact, by the filters.
template <class T>
models::Execution natural_execution(const models::NetworkConfig& config, const models::Parameters<T>& weights);

/// Each row begins with the model's first token and goes on at temperature 1. Where the end of a text was drawn it goes
/// on with the first token (an end that is itself the first token is both). Row r draws from the generator keyed by
/// (seed, r), so it is the same whatever rows are drawn with it, and a shorter row is the beginning of a longer one.
template <class T>
class SampledRows {
public:
    /// Error{bad_data} when the model names no first token.
    SampledRows(const models::Network<T>& network, SpecialTokens special, models::Drawable allowed,
                std::uint64_t seed);

    /// tokens[rows, length]: rows first_row, first_row + 1, ...; all at once, through the cache.
    void draw(Index first_row, Index rows, Index length, Index* tokens, const Control& control) const;

    /// Rows worth drawing at once: the caches stay within 64 MiB, about what a processor keeps near.
    Index good_rows(Index length) const;

    const models::NetworkConfig& config() const { return network_.config(); }

private:
    const models::Network<T>& network_;
    SpecialTokens special_;
    models::Drawable allowed_;
    std::uint64_t seed_;
    models::Execution execution_;
};

/// `limit` tokens in rows of `length` and batches of `batch` rows; where they do not come out even, the last full row
/// may end a smaller batch, and what is left is one shorter row, a batch of its own.
struct RowPlan {
    Index limit = 0;
    Index length = 0;
    Index batch = 0;

    struct Place {
        Index first_row = 0;
        Index rows = 0;
        Index length = 0;
    };
    Index full_rows() const { return limit / length; }
    Index batches() const;
    Place batch_at(Index number) const;
};

/// The batches of a plan, drawn many rows at a time.
template <class T>
class SampledBatches {
public:
    SampledBatches(const SampledRows<T>& rows, RowPlan plan);

    /// tokens[rows, length] of a batch; batches are asked for in ascending order, `last` is the last that will be.
    RowPlan::Place read(Index number, Index last, std::vector<Index>& tokens, const Control& control);

private:
    const SampledRows<T>& rows_;
    RowPlan plan_;
    Index at_once_;
    Index drawn_first_ = 0;
    Index drawn_rows_ = 0;
    std::vector<Index> drawn_;
};

}  // namespace stillhouse::adapters
