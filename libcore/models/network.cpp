// SPDX-License-Identifier: Apache-2.0
// A network's weights and its forward over whole sequences.
#include "libcore/models/network.hpp"

#include "libcore/models/elementwise.hpp"
#include "libcore/models/scratch.hpp"

#include <bit>

namespace stillhouse::models {
namespace {

constexpr Index mlp_rows = 512;   // rows of the MLP at a time, so that its inner width costs no memory

template <class T>
void ensure(Buffer<T>& buffer, Index n)
{
    if (buffer.size() != n) {
        buffer = Buffer<T>(n);
    }
}

}  // namespace

std::vector<WeightShape> network_weights(const NetworkConfig& config)
{
    std::vector<WeightShape> list{{"embed.weight", {config.vocabulary, config.width}}};
    const auto norm = [&](const std::string& name) {
        list.push_back({name + ".weight", {config.width}});
        if (config.norm == Norm::layer) {
            list.push_back({name + ".bias", {config.width}});
        }
    };
    const auto projection = [&](const std::string& name, Index out, Index in) {
        list.push_back({name + ".weight", {out, in}});
        if (config.mlp_bias) {
            list.push_back({name + ".bias", {out}});
        }
    };
    for (Index i = 0; i < config.layers; ++i) {
        const std::string prefix = "layers." + std::to_string(i) + ".";
        norm(prefix + "norm1");
        norm(prefix + "norm2");
        for (WeightShape& weight : mixer_weights(config, i)) {
            list.push_back(std::move(weight));
        }
        if (config.mlp == MlpKind::gated) {
            projection(prefix + "mlp.gate", config.ffn, config.width);
        }
        projection(prefix + "mlp.up", config.ffn, config.width);
        projection(prefix + "mlp.down", config.width, config.ffn);
    }
    norm("final_norm");
    if (!config.tied) {
        list.push_back({"head.weight", {config.vocabulary, config.width}});
    }
    return list;
}

template <class T>
Network<T>::Network(NetworkConfig config, Parameters<T> weights, compute::Operations<T>& ops)
    : config_(std::move(config)), weights_(std::move(weights)), ops_(&ops)
{
    check(config_);
    embedding_ = &weights_.at("embed.weight", {config_.vocabulary, config_.width});
    final_norm_ = norm_weights("final_norm");
    head_ = Projection<T>::bare(weights_, config_.tied ? "embed.weight" : "head.weight", config_.vocabulary,
                                config_.width);
    for (Index i = 0; i < config_.layers; ++i) {
        const std::string prefix = "layers." + std::to_string(i) + ".";
        LayerWeights parts;
        parts.norm1 = norm_weights(prefix + "norm1");
        parts.norm2 = norm_weights(prefix + "norm2");
        parts.up = Projection<T>(weights_, prefix + "mlp.up", config_.ffn, config_.width, config_.mlp_bias);
        if (config_.mlp == MlpKind::gated) {
            parts.gate = Projection<T>(weights_, prefix + "mlp.gate", config_.ffn, config_.width, config_.mlp_bias);
        }
        parts.down = Projection<T>(weights_, prefix + "mlp.down", config_.width, config_.ffn, config_.mlp_bias);
        layers_.push_back(std::move(parts));
        mixers_.push_back(make_mixer(config_, i, weights_));
        mixers_.back()->refresh(*ops_);
    }
}

template <class T>
typename Network<T>::NormWeights Network<T>::norm_weights(const std::string& name) const
{
    NormWeights norm;
    norm.weight = &weights_.at(name + ".weight", {config_.width});
    if (config_.norm == Norm::layer) {
        norm.bias = &weights_.at(name + ".bias", {config_.width});
    }
    return norm;
}

template <class T>
void Network<T>::refresh()
{
    for (const auto& mixer : mixers_) {
        mixer->refresh(*ops_);
    }
}

template <class T>
void Network<T>::embed(const Index* tokens, Index n, T* x) const
{
    for (Index i = 0; i < n; ++i) {
        if (tokens[i] < 0 || tokens[i] >= config_.vocabulary) {
            throw_error(ErrorCode::bad_data, "token " + std::to_string(i) + ": id " + std::to_string(tokens[i])
                                                 + " is outside the vocabulary of " + std::to_string(config_.vocabulary)
                                                 + "; encode with the model's own tokenizer");
        }
        T* const row = x + i * config_.width;
        if (rounded_embedding_.empty()) {
            std::copy_n(embedding_->values.data() + tokens[i] * config_.width, config_.width, row);
        } else {
            const std::uint16_t* const from = rounded_embedding_.data() + tokens[i] * config_.width;
            for (Index j = 0; j < config_.width; ++j) {
                row[j] = static_cast<T>(std::bit_cast<float>(static_cast<std::uint32_t>(from[j]) << 16));
            }
        }
    }
}

template <class T>
void Network<T>::normalize(const NormWeights& weights, Matrix<const T> x, Matrix<T> y, T* statistics) const
{
    const T eps = static_cast<T>(config_.norm_eps);
    if (config_.norm == Norm::layer) {
        ops_->layer_norm(x, weights.weight->values.data(), weights.bias->values.data(), eps, y, statistics);
    } else {
        ops_->rms_norm(x, weights.weight->values.data(), eps, y, statistics);
    }
}

template <class T>
void Network<T>::mixer_input(Index i, Sequences<const T> x, Sequences<T> normed) const
{
    normalize(parts(i).norm1, x.rows(), normed.rows(), nullptr);
}

template <class T>
void Network<T>::mlp_branch(Index i, Sequences<const T> x, Sequences<T> out) const
{
    mlp(i, x.rows(), out.rows(), false);
}

template <class T>
void Network<T>::add_up(Index i, Matrix<const T> normed, T* inner, ProjectedList<T>& maps) const
{
    const LayerWeights& weights = parts(i);
    const Index n = normed.rows * config_.ffn;
    const Matrix<T> up(inner, normed.rows, config_.ffn);
    if (config_.mlp == MlpKind::gated) {
        maps.add({&weights.up, normed, up});
        maps.add({&weights.gate, normed, Matrix<T>(inner + n, normed.rows, config_.ffn), config_.activation});
    } else {
        maps.add({&weights.up, normed, up, config_.activation});
    }
}

template <class T>
void Network<T>::close_gate(Index rows, T* inner) const
{
    if (config_.mlp == MlpKind::gated) {
        const Index n = rows * config_.ffn;
        multiply<T>(ops_->pool(), inner + n, inner, n, inner);
    }
}

template <class T>
void Network<T>::mlp(Index i, Matrix<const T> x, Matrix<T> out, bool decode) const
{
    const LayerWeights& weights = parts(i);
    const Index rows = std::min(mlp_rows, x.rows);
    Scratch<T> memory(rows * (config_.width + inner_width()));
    ProjectedList<T> maps;
    for (Index first = 0; first < x.rows; first += rows) {
        const Index n = std::min(rows, x.rows - first);
        const Matrix<T> normed(memory.data(), n, config_.width);
        const Matrix<T> up(memory.data() + rows * config_.width, n, config_.ffn);
        normalize(weights.norm2, Matrix<const T>(x.row(first), n, x.cols, x.stride), normed, nullptr);
        add_up(i, normed, up.data, maps);
        maps.run(*ops_, decode);
        close_gate(n, up.data);
        maps.add({&weights.down, up, Matrix<T>(out.row(first), n, out.cols, out.stride)});
        maps.run(*ops_, decode);
    }
}

template <class T>
void Network<T>::mlp_with_tape(Index i, Matrix<const T> x, Matrix<T> out, LayerTape<T>& tape) const
{
    const LayerWeights& weights = parts(i);
    const Index inner = x.rows * config_.ffn;
    ensure(tape.norm2, x.rows * config_.width);
    ensure(tape.norm2_statistics, x.rows * statistics_per_row());
    ensure(tape.up, inner);
    ensure(tape.active, inner);
    const Matrix<T> normed(tape.norm2.data(), x.rows, config_.width);
    const Matrix<T> active(tape.active.data(), x.rows, config_.ffn);
    normalize(weights.norm2, x, normed, tape.norm2_statistics.data());
    weights.up.forward(*ops_, normed, Matrix<T>(tape.up.data(), x.rows, config_.ffn));
    if (config_.mlp == MlpKind::gated) {
        ensure(tape.gate, inner);
        weights.gate.forward(*ops_, normed, Matrix<T>(tape.gate.data(), x.rows, config_.ffn));
        ops_->activate(config_.activation, tape.gate.data(), inner, active.data);
        multiply(ops_->pool(), active.data, tape.up.data(), inner, active.data);
    } else {
        ops_->activate(config_.activation, tape.up.data(), inner, active.data);
    }
    weights.down.forward(*ops_, active, out);
}

template <class T>
void Network<T>::layer(Index i, Sequences<const T> x, Sequences<T> out, LayerTape<T>* tape, T* mixer_output) const
{
    STILLHOUSE_CHECK(x.width == config_.width && out.size() == x.size());
    STILLHOUSE_CHECK(tape == nullptr || out.data != x.data);
    const Index n = x.size();
    Scratch<T> normed_memory(tape == nullptr ? n : 0);
    Scratch<T> mixed_memory(mixer_output == nullptr ? n : 0);
    T* normed = normed_memory.data();
    T* statistics = nullptr;
    if (tape != nullptr) {
        tape->mixer.reset();               // its memory is the next one's
        ensure(tape->input, n);
        std::copy_n(x.data, n, tape->input.data());
        ensure(tape->norm1, n);
        ensure(tape->norm1_statistics, x.tokens() * statistics_per_row());
        normed = tape->norm1.data();
        statistics = tape->norm1_statistics.data();
    }
    const Sequences<T> normed_x(normed, x.batch, x.length, x.width);
    const Sequences<T> mixed(mixer_output == nullptr ? mixed_memory.data() : mixer_output, x.batch, x.length, x.width);
    normalize(parts(i).norm1, x.rows(), normed_x.rows(), statistics);
    mixer(i).forward(*ops_, normed_x, mixed, tape == nullptr ? nullptr : &tape->mixer);
    if (tape != nullptr && tape->dropout.active()) {
        drop(ops_->pool(), tape->dropout, Dropout::at_mixer(i), mixed.data, n, mixed.data);
    }

    // From here on: parallel: out = x + mixed + mlp(x); sequential: mid = x + mixed, out = mid + mlp(mid).
    Scratch<T> branch_memory(tape == nullptr ? 0 : n);
    const Matrix<T> branch(tape == nullptr ? normed : branch_memory.data(), x.tokens(), x.width);
    const auto mlp_of = [&](const T* from) {
        const Matrix<const T> rows(from, x.tokens(), x.width);
        tape == nullptr ? mlp(i, rows, branch, false) : mlp_with_tape(i, rows, branch, *tape);
        if (tape != nullptr && tape->dropout.active()) {
            drop(ops_->pool(), tape->dropout, Dropout::at_mlp(i), branch.data, n, branch.data);
        }
    };
    if (config_.parallel_residual) {
        mlp_of(x.data);
        add_three(ops_->pool(), x.data, mixed.data, branch.data, n, out.data);
        return;
    }
    T* mid = out.data;
    if (tape != nullptr) {
        ensure(tape->mid, n);
        mid = tape->mid.data();
    }
    add(ops_->pool(), x.data, mixed.data, n, mid);
    mlp_of(mid);
    add(ops_->pool(), mid, branch.data, n, out.data);
}

template <class T>
void Network<T>::head(Matrix<const T> x, Matrix<T> logits) const
{
    STILLHOUSE_CHECK(x.cols == config_.width && logits.rows == x.rows && logits.cols == config_.vocabulary);
    Scratch<T> memory(x.rows * x.cols);
    const Matrix<T> normed(memory.data(), x.rows, x.cols);
    normalize(final_norm_, x, normed, nullptr);
    head_.forward(*ops_, normed, logits);
}

template <class T>
void Network<T>::forward(const Index* tokens, Index batch, Index length, Matrix<T> logits) const
{
    check_positions(length);
    Scratch<T> memory(batch * length * config_.width);
    const Sequences<T> x(memory.data(), batch, length, config_.width);
    embed(tokens, x.tokens(), x.data);
    for (Index i = 0; i < config_.layers; ++i) {
        layer(i, x, x, nullptr);
    }
    head(x.rows(), logits);
}

template class Network<float>;
template class Network<double>;

}  // namespace stillhouse::models
