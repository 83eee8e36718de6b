// SPDX-License-Identifier: Apache-2.0
// A network token by token: states, prefill and step.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/scratch.hpp"

#include <numeric>
#include <utility>

namespace stillhouse::models {

namespace {

constexpr Index joined_tokens = 512;   // beyond which the second cache counts more than a region

}  // namespace

Index NetworkState::bytes_per_sequence() const
{
    Index sum = 0;
    for (const auto& layer : layers) {
        sum += layer->bytes_per_sequence();
    }
    return sum;
}

template <class T>
void Network<T>::check_positions(Index positions) const
{
    if (positions <= config_.max_positions) {
        return;
    }
    for (std::size_t i = 0; i < config_.mixers.size(); ++i) {
        if (config_.mixers[i].kind == MixerKind::attention || !config_.mixers[i].kept_heads.empty()) {
            throw_error(ErrorCode::bad_data,
                        "sequence of " + std::to_string(positions) + " tokens: the attention of layer "
                            + std::to_string(i) + " has positions for " + std::to_string(config_.max_positions)
                            + "; shorten the prompt or ask for fewer tokens");
        }
    }
}

template <class T>
NetworkState Network<T>::start(Index batch, Execution execution) const
{
    STILLHOUSE_CHECK(batch > 0);
    NetworkState state;
    state.batch = batch;
    for (std::size_t i = 0; i < mixers_.size(); ++i) {
        with_context("layer " + std::to_string(i),
                     [&] { state.layers.push_back(mixers_[i]->start(batch, execution)); });
    }
    return state;
}

template <class T>
NetworkState Network<T>::hand_over(const NetworkState& exact) const
{
    NetworkState state;
    state.batch = exact.batch;
    state.position = exact.position;
    for (std::size_t i = 0; i < mixers_.size(); ++i) {
        with_context("layer " + std::to_string(i),
                     [&] { state.layers.push_back(mixers_[i]->hand_over(*ops_, *exact.layers.at(i))); });
    }
    return state;
}

// One layer in place on the next tokens, its mixer beside its MLP: two regions of the pool for all products.
template <class T>
void Network<T>::advance_joined(Index i, Sequences<T> x, MixerState& state, bool decode) const
{
    const Mixer<T>& here = mixer(i);
    const Index n = x.size();
    const Index tokens = x.tokens();
    const auto outputs = static_cast<Index>(here.outputs().size());
    const Index widths[] = {config_.width, config_.width, total_out(here.inputs()), inner_width(),
                            total_in(here.outputs()), config_.width * (outputs + 1)};
    Scratch<T> memory(tokens * std::accumulate(std::begin(widths), std::end(widths), Index{0}));
    T* place = memory.data();
    const auto part = [&](int which) { return std::exchange(place, place + tokens * widths[which]); };
    const Sequences<T> normed(part(0), x.batch, x.length, x.width);
    const Matrix<T> normed2(part(1), tokens, config_.width);
    T* const z = part(2);
    T* const inner = part(3);
    T* const features = part(4);
    T* const branches = part(5);

    normalize(parts(i).norm1, x.rows(), normed.rows(), nullptr);
    normalize(parts(i).norm2, x.rows(), normed2, nullptr);
    ProjectedList<T> maps;
    add_up(i, normed2, inner, maps);
    maps.add_inputs(here.inputs(), normed.rows(), z);
    maps.run(*ops_, decode);
    close_gate(tokens, inner);
    here.mix(*ops_, normed, z, state, decode, features);
    maps.add({&parts(i).down, Matrix<const T>(inner, tokens, config_.ffn), Matrix<T>(branches, tokens, x.width)});
    maps.add_outputs(here.outputs(), features, Matrix<T>(branches + n, tokens, x.width), branches + 2 * n);
    maps.run(*ops_, decode);
    for (Index more = 1; more < outputs; ++more) {
        add<T>(ops_->pool(), branches + n, branches + (1 + more) * n, n, branches + n);
    }
    add_three<T>(ops_->pool(), x.data, branches + n, branches, n, x.data);
}

// One layer in place on the next tokens.
template <class T>
void Network<T>::advance(Index i, Sequences<T> x, MixerState& state, bool decode) const
{
    if (config_.parallel_residual && x.tokens() <= joined_tokens) {
        advance_joined(i, x, state, decode);
        return;
    }
    const Index n = x.size();
    Scratch<T> memory(2 * n);
    const Sequences<T> normed(memory.data(), x.batch, x.length, x.width);
    const Sequences<T> mixed(memory.data() + n, x.batch, x.length, x.width);
    normalize(parts(i).norm1, x.rows(), normed.rows(), nullptr);
    if (decode) {
        mixer(i).step(*ops_, normed.rows(), state, mixed.rows());
    } else {
        mixer(i).prefill(*ops_, normed, state, mixed);
    }
    if (config_.parallel_residual) {
        mlp(i, x.rows(), normed.rows(), decode);
        add_three(ops_->pool(), x.data, mixed.data, normed.data, n, x.data);
    } else {
        add(ops_->pool(), x.data, mixed.data, n, x.data);
        mlp(i, x.rows(), normed.rows(), decode);
        add(ops_->pool(), x.data, normed.data, n, x.data);
    }
}

template <class T>
void Network<T>::prefill_stream(const Index* tokens, NetworkState& state, Sequences<T> stream) const
{
    STILLHOUSE_CHECK(stream.batch == state.batch && stream.width == config_.width);
    check_positions(state.position + stream.length);
    embed(tokens, stream.tokens(), stream.data);
    for (Index i = 0; i < config_.layers; ++i) {
        advance(i, stream, *state.layers.at(static_cast<std::size_t>(i)), false);
    }
    state.position += stream.length;
}

template <class T>
void Network<T>::prefill(const Index* tokens, Index length, NetworkState& state, Matrix<T> logits) const
{
    STILLHOUSE_CHECK(length > 0);
    Scratch<T> memory(state.batch * length * config_.width);
    const Sequences<T> stream(memory.data(), state.batch, length, config_.width);
    prefill_stream(tokens, state, stream);
    if (logits.rows > 0) {
        head(Matrix<const T>(stream.token(0, length - 1), state.batch, config_.width, length * config_.width), logits);
    }
}

// The final norm of the stream after one more token, [batch, D].
template <class T>
void Network<T>::step_stream(const Index* tokens, NetworkState& state, Matrix<T> normed) const
{
    check_positions(state.position + 1);
    Scratch<T> memory(state.batch * config_.width);
    const Sequences<T> x(memory.data(), state.batch, 1, config_.width);
    embed(tokens, state.batch, x.data);
    for (Index i = 0; i < config_.layers; ++i) {
        advance(i, x, *state.layers.at(static_cast<std::size_t>(i)), true);
    }
    state.position += 1;
    normalize(final_norm_, x.rows(), normed, nullptr);
}

template <class T>
void Network<T>::step(const Index* tokens, NetworkState& state, Matrix<T> logits) const
{
    Scratch<T> memory(state.batch * config_.width);
    const Matrix<T> normed(memory.data(), state.batch, config_.width);
    step_stream(tokens, state, normed);
    if (logits.rows > 0) {
        head_.decode(*ops_, normed, logits);
    }
}

template <class T>
void Network<T>::step(const Index* tokens, NetworkState& state, compute::TileSink<T>& sink) const
{
    Scratch<T> memory(state.batch * config_.width);
    const Matrix<T> normed(memory.data(), state.batch, config_.width);
    step_stream(tokens, state, normed);
    if (head_.packed()) {
        const compute::PackedLinear<T> map{normed, &head_.packed_weight(), nullptr, {},
                                           compute::Activation::identity, &sink};
        ops_->linear_packed(std::span<const compute::PackedLinear<T>>(&map, 1));
        return;
    }
    Scratch<T> logits(state.batch * config_.vocabulary);
    const Matrix<T> all(logits.data(), state.batch, config_.vocabulary);
    head_.decode(*ops_, normed, all);
    sink.begin(1);
    sink.take(0, 0, 0, all);
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                      \
    template void Network<T>::check_positions(Index) const;                                                           \
    template NetworkState Network<T>::start(Index, Execution) const;                                                  \
    template NetworkState Network<T>::hand_over(const NetworkState&) const;                                           \
    template void Network<T>::advance(Index, Sequences<T>, MixerState&, bool) const;                                  \
    template void Network<T>::prefill_stream(const Index*, NetworkState&, Sequences<T>) const;                        \
    template void Network<T>::prefill(const Index*, Index, NetworkState&, Matrix<T>) const;                           \
    template void Network<T>::step(const Index*, NetworkState&, Matrix<T>) const;                                     \
    template void Network<T>::step(const Index*, NetworkState&, compute::TileSink<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)

}  // namespace stillhouse::models
