// SPDX-License-Identifier: Apache-2.0
// Rows of text drawn from a network itself.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/tokenizer.hpp"
#include "tools/adapters/model_config.hpp"

#include <cstdint>
#include <vector>

namespace stillhouse::adapters {

/// Which ids may be drawn: those with text. Empty (all) without a tokenizer.
std::vector<bool> drawable(const models::Tokenizer* tokenizer, Index vocabulary);

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
    SampledRows(const models::Network<T>& network, SpecialTokens special, std::vector<bool> allowed,
                std::uint64_t seed);

    /// tokens[rows, length]: rows first_row, first_row + 1, ...; all at once, through the cache.
    void draw(Index first_row, Index rows, Index length, Index* tokens, const Control& control) const;

    /// Rows worth drawing at once: the caches stay within a quarter of a GiB.
    Index good_rows(Index length) const;

private:
    const models::Network<T>& network_;
    SpecialTokens special_;
    std::vector<bool> allowed_;
    std::uint64_t seed_;
    models::Execution execution_;
};

}  // namespace stillhouse::adapters
