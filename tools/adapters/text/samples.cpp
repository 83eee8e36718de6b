// SPDX-License-Identifier: Apache-2.0
// Sampling many rows at once.
#include "tools/adapters/text/samples.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>

namespace stillhouse::adapters {

namespace {

// Random numbers of other uses of the same seed come from other streams.
constexpr std::uint64_t row_streams = std::uint64_t{1} << 40;

}  // namespace

models::Drawable drawable(const models::Tokenizer* tokenizer, Index vocabulary)
{
    std::vector<bool> allowed;
    if (tokenizer != nullptr) {
        for (Index id = 0; id < vocabulary; ++id) {
            allowed.push_back(tokenizer->has_text(static_cast<Token>(id)));
        }
    }
    return allowed;
}

template <class T>
models::Execution natural_execution(const models::NetworkConfig& config, const models::Parameters<T>& weights)
{
    for (Index i = 0; i < config.layers; ++i) {
        const models::MixerConfig& mixer = config.mixers[static_cast<std::size_t>(i)];
        const bool filters = mixer.kind == models::MixerKind::hyena || mixer.kind == models::MixerKind::multihyena;
        if (filters && mixer.form != models::FilterForm::modal &&
            weights.find("layers." + std::to_string(i) + ".mixer.ssm.fir") == nullptr) {
            return models::Execution::exact_original;
        }
    }
    return models::Execution::recurrent;
}
template models::Execution natural_execution(const models::NetworkConfig&, const models::Parameters<float>&);
template models::Execution natural_execution(const models::NetworkConfig&, const models::Parameters<double>&);

template <class T>
SampledRows<T>::SampledRows(const models::Network<T>& network, SpecialTokens special, models::Drawable allowed,
                            std::uint64_t seed)
    : network_(network), special_(std::move(special)), allowed_(std::move(allowed)), seed_(seed),
      execution_(natural_execution(network.config(), network.weights()))
{
    if (special_.first < 0) {
        throw_error(ErrorCode::bad_data, "config.json: no bos_token_id: samples begin with the model's first token; "
                                         "give --text or --tokens instead");
    }
}

template <class T>
void SampledRows<T>::draw(Index first_row, Index rows, Index length, Index* tokens, const Control& control) const
{
    const Index vocabulary = network_.config().vocabulary;
    std::vector<Random> random;
    for (Index r = 0; r < rows; ++r) {
        random.emplace_back(seed_, row_streams + static_cast<std::uint64_t>(first_row + r));
    }
    models::NetworkState state = network_.start(rows, execution_);
    Buffer<T> logits(rows * vocabulary);
    std::vector<Index> current(static_cast<std::size_t>(rows), special_.first);
    const models::Sampling sampling;
    for (Index t = 0; t < length; ++t) {
        control.throw_if_stopped();
        for (Index r = 0; r < rows; ++r) {
            tokens[r * length + t] = current[static_cast<std::size_t>(r)];
        }
        if (t + 1 == length) {
            break;
        }
        network_.step(current.data(), state, {logits.data(), rows, vocabulary});
        network_.ops().pool().for_each(rows, [&](Index r) {
            const std::size_t i = static_cast<std::size_t>(r);
            // Drawn even where it is not used, so that the place in the row alone decides which numbers a token takes.
            const Token drawn =
                models::sample(logits.data() + r * vocabulary, vocabulary, allowed_, sampling, random[i]);
            const Token before = static_cast<Token>(current[i]);
            current[i] = special_.ends(before) && before != special_.first ? special_.first : drawn;
        });
    }
}

template <class T>
Index SampledRows<T>::good_rows(Index length) const
{
    models::NetworkState state = network_.start(1, execution_);
    Buffer<T> logits(network_.config().vocabulary);
    const Index first = special_.first;
    network_.step(&first, state, {logits.data(), 1, logits.size()});
    // A cache of keys and values grows with the row; its size after one token may already be a block's.
    Index bytes = state.bytes_per_sequence();
    const models::NetworkConfig& config = network_.config();
    for (const models::MixerConfig& mixer : config.mixers) {
        if (mixer.kind == models::MixerKind::attention) {
            bytes += 2 * length * config.kv_heads * config.head_dim * static_cast<Index>(sizeof(T));
        }
    }
    bytes += 2 * config.vocabulary * static_cast<Index>(sizeof(T));
    return std::clamp<Index>((Index{1} << 26) / bytes, 1, 256);
}

Index RowPlan::batches() const
{
    return (full_rows() + batch - 1) / batch + (limit % length > 0 ? 1 : 0);
}

RowPlan::Place RowPlan::batch_at(Index number) const
{
    const Index first = number * batch;
    if (first >= full_rows()) {
        return {full_rows(), 1, limit % length};
    }
    return {first, std::min(batch, full_rows() - first), length};
}

template <class T>
SampledBatches<T>::SampledBatches(const SampledRows<T>& rows, RowPlan plan)
    : rows_(rows), plan_(plan), at_once_(rows.good_rows(plan.length))
{
}

template <class T>
RowPlan::Place SampledBatches<T>::read(Index number, Index last, std::vector<Index>& tokens, const Control& control)
{
    const RowPlan::Place place = plan_.batch_at(number);
    tokens.resize(static_cast<std::size_t>(place.rows * place.length));
    if (place.length < plan_.length) {
        rows_.draw(place.first_row, place.rows, place.length, tokens.data(), control);
        return place;
    }
    const Index wanted_end = place.first_row + place.rows;
    for (Index row = place.first_row; row < wanted_end; ++row) {
        if (row < drawn_first_ || row >= drawn_first_ + drawn_rows_) {
            const Index end = std::min(plan_.full_rows(), (last + 1) * plan_.batch);
            drawn_first_ = row;
            drawn_rows_ = std::min(at_once_, end - row);
            drawn_.resize(static_cast<std::size_t>(drawn_rows_ * plan_.length));
            rows_.draw(drawn_first_, drawn_rows_, plan_.length, drawn_.data(), control);
        }
        std::copy_n(drawn_.begin() + (row - drawn_first_) * plan_.length, plan_.length,
                    tokens.begin() + (row - place.first_row) * plan_.length);
    }
    return place;
}

template class SampledRows<float>;
template class SampledRows<double>;
template class SampledBatches<float>;
template class SampledBatches<double>;

}  // namespace stillhouse::adapters
