// SPDX-License-Identifier: Apache-2.0
// What a network does on a batch of tokens, as the tensors `batches.N.*` of stillhouse-model(5).
#pragma once

#include "formats/stream/writer.hpp"
#include "libcore/base/control.hpp"
#include "libcore/models/network.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// What is shown of each batch beside its tokens.
struct Shown {
    bool residual = false;                       // the stream before each layer, and after the last
    bool mixer = false;                          // what each mixer adds
    bool lag = false;                            // mean attention by lag
    bool logits = false;
    Index top_k = 0;                             // the k largest logits in place of all; 0: all
    std::vector<Index> layers;                   // these layers, and the stream after each; empty: all
    DType dtype = DType::f32;                    // of what is shown; lags and remaining masses are F64
    bool owned = false;                          // marks for a shard

    bool any() const { return residual || mixer || lag || logits; }
};

/// "batches.7."
std::string batch_prefix(Index number);

/// batches.N.tokens, [batch, length] I64.
void write_tokens(formats::StreamWriter& writer, Index number, const Index* tokens, Index batch, Index length,
                  bool owned);

/// Runs the network over one batch and writes, after its tokens, what is shown: layer by layer input, mixer.output,
/// mixer.lag, then output, then logits. Layers that nothing shown depends on are not computed. Memory is a few times
/// batch * length * width, whatever the vocabulary: logits are made and written a strip at a time.
template <class T>
void write_activations(const models::Network<T>& network, const Shown& shown, Index number, const Index* tokens,
                       Index batch, Index length, formats::StreamWriter& writer, const Control& control);

}  // namespace stillhouse::adapters
