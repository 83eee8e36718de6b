// SPDX-License-Identifier: Apache-2.0
// Batches through a model.
#include "tools/adapters/training/dump.hpp"

#include "formats/stream/shard.hpp"

#include <algorithm>
#include <memory>
#include <optional>

namespace stillhouse::adapters {

BatchRange batch_range(Index total, Index skip, Index part, Index parts)
{
    require_batches(skip, total);
    const formats::Share share = formats::share_of(total - skip, part, parts);
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

namespace {

/// Needed for text, and to keep samples among the ids that have one.
std::unique_ptr<models::Tokenizer> tokenizer_for(const DumpRequest& request, const ModelSource& source)
{
    if (request.tokens.text.empty() && (!request.sample || source.texts().tokenizer.empty())) {
        return nullptr;
    }
    return std::make_unique<models::Tokenizer>(make_tokenizer(source.texts().tokenizer, source.name()));
}

formats::StreamWriter begin_stream(const ModelSource& source, const DumpRequest& request, const DumpTools& tools)
{
    formats::StreamInfo info = source.info();
    info.kind = request.weights ? "model" : "tensors";
    formats::mark_shard(info, request.part, request.parts);
    formats::StreamWriter writer = tools.create(info);
    write_texts(writer, source.texts());
    return writer;
}

template <class Write>
DumpTotals write_batches(const NextBatch& next, const Control& control, const Write& write)
{
    DumpTotals totals;
    while (const std::optional<TokenBatch> batch = next()) {
        control.throw_if_stopped();
        write(*batch);
        ++totals.batches;
        totals.tokens += batch->rows * batch->length;
        control.at(totals.tokens, -1, "tokens");
    }
    return totals;
}

}  // namespace

DumpTotals dump_tokens(ModelSource& source, const DumpRequest& request, const DumpTools& tools)
{
    const auto tokenizer = tokenizer_for(request, source);
    source.read_to_end();
    const TokenSource tokens(request.tokens, tokenizer.get(), tools.notice, tools.open);
    const NextBatch next = tokens.share(request.skip, request.part, request.parts);
    formats::StreamWriter writer = begin_stream(source, request, tools);
    const DumpTotals totals = write_batches(next, tools.control, [&](const TokenBatch& batch) {
        write_tokens(writer, batch.number, batch.tokens.data(), batch.rows, batch.length, request.shown.owned);
    });
    writer.finish();
    return totals;
}

template <class T>
DumpTotals dump(ModelSource& source, const DumpRequest& request, compute::Operations<T>& ops, const DumpTools& tools)
{
    const auto tokenizer = tokenizer_for(request, source);
    // Whatever is wrong with the input should be known before the output begins.
    std::optional<TokenSource> tokens;
    NextBatch next;
    if (!request.sample) {
        tokens.emplace(request.tokens, tokenizer.get(), tools.notice, tools.open);
        next = tokens->share(request.skip, request.part, request.parts);
    }
    Model<T> model = source.load<T>(request.weights ? ModelSource::Others::keep : ModelSource::Others::drop);
    formats::StreamWriter writer = begin_stream(source, request, tools);
    if (request.weights) {
        write_weights(writer, model.config, model.weights, model.inventory);
    }
    model.inventory = {};
    const models::Network<T> network(model.config, std::move(model.weights), ops);
    std::optional<SampledRows<T>> rows;
    if (request.sample) {
        const Index vocabulary = model.config.vocabulary;
        rows.emplace(network, special_tokens(model.texts.config, model.texts.generation_config, vocabulary),
                     drawable(tokenizer.get(), vocabulary), request.seed);
        const RowPlan plan{request.tokens.limit, request.tokens.context, request.tokens.batch};
        next = sampled(*rows, plan, batch_range(plan.batches(), request.skip, request.part, request.parts),
                       tools.control);
    }
    const DumpTotals totals = write_batches(next, tools.control, [&](const TokenBatch& batch) {
        write_activations(network, request.shown, batch.number, batch.tokens.data(), batch.rows, batch.length, writer,
                          tools.control);
    });
    writer.finish();
    return totals;
}
template DumpTotals dump(ModelSource&, const DumpRequest&, compute::Operations<float>&, const DumpTools&);
template DumpTotals dump(ModelSource&, const DumpRequest&, compute::Operations<double>&, const DumpTools&);

}  // namespace stillhouse::adapters
