// SPDX-License-Identifier: Apache-2.0
// The work of teacher-dump: batches of tokens, numbered over the whole, through the model into the stream.
#pragma once

#include "tools/adapters/training/activations.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/text/samples.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <functional>

namespace stillhouse::adapters {

/// What is left after `skip` batches of `total`, the part-th of so many parts.
BatchRange batch_range(Index total, Index skip, Index part, Index parts);

/// Those of a range that the model draws itself.
template <class T>
NextBatch sampled(const SampledRows<T>& rows, const RowPlan& plan, BatchRange range, const Control& control);

/// What teacher-dump is asked for.
struct DumpRequest {
    TokenRequest tokens;                         // files; for samples context, batch and limit alone count
    bool sample = false;
    std::uint64_t seed = 0;
    Index skip = 0;                              // first batches left out
    Index part = 1, parts = 1;                   // of --shard
    bool weights = true;                         // written before the batches
    Shown shown;                                 // nothing: tokens alone, no network is made
};

/// What the tool lends.
struct DumpTools {
    Notice notice;
    TokenSource::Open open;
    std::function<formats::StreamWriter(formats::StreamInfo)> create;
    Control control;
};

struct DumpTotals {
    Index batches = 0;
    Index tokens = 0;
};

/// The whole stream: texts, weights as they were stored, batches; of a shard marked as such. Memory is that of the
/// model and one batch (samples: and their caches). Error{bad_data}: no tokens at all, ids outside the vocabulary,
/// samples of a model without a first token.
template <class T>
DumpTotals dump(ModelSource& source, const DumpRequest& request, compute::Operations<T>& ops, const DumpTools& tools);
/// The same without a network.
DumpTotals dump_tokens(ModelSource& source, const DumpRequest& request, const DumpTools& tools);

}  // namespace stillhouse::adapters
