// SPDX-License-Identifier: Apache-2.0
// Batches through a model.
#include "tools/adapters/dump.hpp"

#include "formats/stream/shard.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <memory>

namespace stillhouse::adapters {

namespace {

void check_ids(const TokenBatch& batch, Index vocabulary)
{
    const auto bad = std::find_if(batch.tokens.begin(), batch.tokens.end(),
                                  [&](Index id) { return id < 0 || id >= vocabulary; });
    if (bad != batch.tokens.end()) {
        throw_error(ErrorCode::bad_data, "batch " + std::to_string(batch.number) + ": id " + std::to_string(*bad) +
                                             " at token " + std::to_string(bad - batch.tokens.begin()) +
                                             " is outside the model's vocabulary of " + std::to_string(vocabulary));
    }
}

}  // namespace

BatchRange batch_range(Index total, Index skip, Index part, Index parts)
{
    if (total < 0) {
        STILLHOUSE_CHECK(parts == 1);
        return {skip, -1};
    }
    const Index items = std::max<Index>(0, total - skip);
    const formats::Share share = formats::share_of(items, part, parts);
    return {skip + share.first, skip + share.first + share.count};
}

template <class T>
NextBatch sampled(const SampledRows<T>& rows, const RowPlan& plan, BatchRange range, const Control& control)
{
    auto batches = std::make_shared<SampledBatches<T>>(rows, plan);
    return [=, number = range.first]() mutable -> std::optional<TokenBatch> {
        if (number >= range.last) {
            return std::nullopt;
        }
        TokenBatch batch;
        batch.number = number;
        const RowPlan::Place place = batches->read(number, range.last - 1, batch.tokens, control);
        batch.rows = place.rows;
        batch.length = place.length;
        ++number;
        return batch;
    };
}
template NextBatch sampled(const SampledRows<float>&, const RowPlan&, BatchRange, const Control&);
template NextBatch sampled(const SampledRows<double>&, const RowPlan&, BatchRange, const Control&);

template <class T>
DumpTotals dump(const models::Network<T>* network, const models::NetworkConfig& config, const Shown& shown,
                const NextBatch& next, formats::StreamWriter& writer, const Control& control)
{
    DumpTotals totals;
    while (const std::optional<TokenBatch> batch = next()) {
        control.throw_if_stopped();
        check_ids(*batch, config.vocabulary);
        if (network == nullptr) {
            write_tokens(writer, batch->number, batch->tokens.data(), batch->rows, batch->length, shown.owned);
        } else {
            write_activations(*network, shown, batch->number, batch->tokens.data(), batch->rows, batch->length, writer,
                              control);
        }
        ++totals.batches;
        totals.tokens += batch->rows * batch->length;
        control.at(totals.tokens, -1, "tokens");
    }
    return totals;
}
template DumpTotals dump(const models::Network<float>*, const models::NetworkConfig&, const Shown&, const NextBatch&,
                         formats::StreamWriter&, const Control&);
template DumpTotals dump(const models::Network<double>*, const models::NetworkConfig&, const Shown&, const NextBatch&,
                         formats::StreamWriter&, const Control&);

}  // namespace stillhouse::adapters
