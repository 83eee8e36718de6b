// SPDX-License-Identifier: Apache-2.0
// Gradients through a network's layers, head and embedding.
#include "libcore/models/elementwise.hpp"
#include "libcore/models/network.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <string>

namespace stillhouse::models {

template <class T>
void Network<T>::normalize_backward(const NormWeights& weights, Matrix<const T> x, const T* statistics,
                                    Matrix<const T> dy, Matrix<T> dx, Parameters<T>& gradient) const
{
    Scratch<T> unwanted(2 * config_.width);
    std::fill_n(unwanted.data(), unwanted.size(), T(0));
    const auto place = [&](const Entry* weight, Index spare) {
        Entry* wanted = weight == nullptr ? nullptr : gradient.find(weight->name);
        return wanted == nullptr ? unwanted.data() + spare * config_.width : wanted->values.data();
    };
    const T* weight = weights.weight->values.data();
    if (config_.norm == Norm::layer) {
        ops_->layer_norm_backward(x, weight, statistics, dy, dx, place(weights.weight, 0), place(weights.bias, 1));
    } else {
        ops_->rms_norm_backward(x, weight, statistics, dy, dx, place(weights.weight, 0));
    }
}

template <class T>
void Network<T>::mlp_backward(Index i, const LayerTape<T>& tape, Matrix<const T> dout, Matrix<T> dnormed,
                              Parameters<T>& gradient) const
{
    const LayerWeights& weights = parts(i);
    const Index rows = dout.rows;
    const Index inner = rows * config_.ffn;
    const bool gated = config_.mlp == MlpKind::gated;
    Scratch<T> memory(inner * (gated ? 2 : 1));
    const Matrix<T> dup(memory.data(), rows, config_.ffn);
    const Matrix<const T> normed(tape.norm2.data(), rows, config_.width);
    const T* up = tape.up.data();
    weights.down.backward(*ops_, Matrix<const T>(tape.active.data(), rows, config_.ffn), dout, T(0), dup, gradient);
    if (gated) {
        // active = f(gate) up: dgate = f'(gate) dactive up, dup = dactive f(gate).
        const Matrix<T> dgate(memory.data() + inner, rows, config_.ffn);
        const T* gate = tape.gate.data();
        multiply(ops_->pool(), dup.data, up, inner, dgate.data);
        ops_->activate_backward(config_.activation, gate, dgate.data, inner, dgate.data);
        weights.gate.backward(*ops_, normed, dgate, T(0), dnormed, gradient);
        ops_->activate(config_.activation, gate, inner, dgate.data);
        multiply(ops_->pool(), dup.data, dgate.data, inner, dup.data);
        weights.up.backward(*ops_, normed, dup, T(1), dnormed, gradient);
    } else {
        ops_->activate_backward(config_.activation, up, dup.data, inner, dup.data);
        weights.up.backward(*ops_, normed, dup, T(0), dnormed, gradient);
    }
}

template <class T>
void Network<T>::layer_backward(Index i, const LayerTape<T>& tape, Sequences<const T> dout, Sequences<T> dx,
                                Parameters<T>& gradient) const
{
    STILLHOUSE_CHECK(dout.width == config_.width && dout.size() == tape.input.size());
    STILLHOUSE_CHECK(dx.data == nullptr || dx.size() == dout.size());
    const LayerWeights& weights = parts(i);
    const std::string prefix = "layers." + std::to_string(i) + ".";
    const auto wants = [&](const char* part) {
        return std::any_of(gradient.begin(), gradient.end(),
                           [&](const Entry& entry) { return entry.name.starts_with(prefix + part); });
    };
    const bool wants_input = dx.data != nullptr;
    const bool through_norm1 = wants_input || wants("norm1.");
    const bool through_mlp = wants_input || !config_.parallel_residual || wants("mlp.") || wants("norm2.");
    const Index n = dout.size();
    const auto rows = [&](auto* data) { return Matrix(data, dout.tokens(), dout.width); };
    const auto sequences = [&](auto* data) { return Sequences(data, dout.batch, dout.length, dout.width); };
    Scratch<T> through_memory(n);      // of the norm's output, then of its input
    Scratch<T> mlp_memory(n);
    const T* mlp_input = config_.parallel_residual ? tape.input.data() : tape.mid.data();
    T* const dmlp = mlp_memory.data();
    T* const through = through_memory.data();
    const bool drops = tape.dropout.active();
    Scratch<T> dropped(drops ? n : 0);
    if (through_mlp) {
        if (drops) {
            drop(ops_->pool(), tape.dropout, Dropout::at_mlp(i), dout.data, n, dropped.data());
        }
        mlp_backward(i, tape, drops ? Matrix<const T>(rows(dropped.data())) : dout.rows(), rows(through), gradient);
        normalize_backward(weights.norm2, rows(mlp_input), tape.norm2_statistics.data(), rows(through), rows(dmlp),
                           gradient);
    }
    // What comes back to the mixer's output: dout, and in a sequential layer also what came through the MLP.
    const T* dmixed = dout.data;
    if (!config_.parallel_residual) {
        add(ops_->pool(), dout.data, dmlp, n, dmlp);
        dmixed = dmlp;
    }
    if (drops) {
        drop(ops_->pool(), tape.dropout, Dropout::at_mixer(i), dmixed, n, dropped.data());
        dmixed = dropped.data();
    }
    Scratch<T> dinput(n);
    mixer(i).backward(*ops_, *tape.mixer, sequences(tape.norm1.data()), sequences(dmixed),
                      through_norm1 ? sequences(through) : Sequences<T>(), gradient);
    if (!through_norm1) {
        return;
    }
    normalize_backward(weights.norm1, rows(tape.input.data()), tape.norm1_statistics.data(), rows(through),
                       rows(dinput.data()), gradient);
    if (!wants_input) {
        return;
    }
    if (config_.parallel_residual) {
        add_three(ops_->pool(), dout.data, dinput.data(), dmlp, n, dx.data);
    } else {
        add(ops_->pool(), dmlp, dinput.data(), n, dx.data);
    }
}

template <class T>
void Network<T>::head_backward(Matrix<const T> x, Matrix<const T> dlogits, Matrix<T> dx, Parameters<T>& gradient) const
{
    STILLHOUSE_CHECK(x.cols == config_.width && dlogits.rows == x.rows && dlogits.cols == config_.vocabulary);
    Scratch<T> memory(x.rows * (2 * x.cols + statistics_per_row()));
    const Matrix<T> normed(memory.data(), x.rows, x.cols);
    const Matrix<T> dnormed(normed.data + x.rows * x.cols, x.rows, x.cols);
    T* const statistics = dnormed.data + x.rows * x.cols;
    normalize(final_norm_, x, normed, statistics);
    head_.backward(*ops_, normed, dlogits, T(0), dnormed, gradient);
    normalize_backward(final_norm_, x, statistics, dnormed, dx, gradient);
}

template <class T>
void Network<T>::embed_backward(const Index* tokens, Index n, const T* dx, Parameters<T>& gradient) const
{
    Entry* wanted = gradient.find(embedding_->name);
    if (wanted == nullptr) {
        return;
    }
    for (Index i = 0; i < n; ++i) {
        STILLHOUSE_CHECK(tokens[i] >= 0 && tokens[i] < config_.vocabulary);
        T* row = wanted->values.data() + tokens[i] * config_.width;
        for (Index d = 0; d < config_.width; ++d) {
            row[d] += dx[i * config_.width + d];
        }
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                      \
    template void Network<T>::normalize_backward(const NormWeights&, Matrix<const T>, const T*, Matrix<const T>,      \
                                                 Matrix<T>, Parameters<T>&) const;                                    \
    template void Network<T>::mlp_backward(Index, const LayerTape<T>&, Matrix<const T>, Matrix<T>, Parameters<T>&)    \
        const;                                                                                                        \
    template void Network<T>::layer_backward(Index, const LayerTape<T>&, Sequences<const T>, Sequences<T>,            \
                                             Parameters<T>&) const;                                                   \
    template void Network<T>::head_backward(Matrix<const T>, Matrix<const T>, Matrix<T>, Parameters<T>&) const;       \
    template void Network<T>::embed_backward(const Index*, Index, const T*, Parameters<T>&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)

}  // namespace stillhouse::models
