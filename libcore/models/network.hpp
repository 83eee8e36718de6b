// SPDX-License-Identifier: Apache-2.0
// A language model: embedding, layers of (norm, mixer, norm, MLP), final norm, head. Teacher or student.
#pragma once

#include "libcore/models/dropout.hpp"
#include "libcore/models/mixer.hpp"
#include "libcore/models/projection.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace stillhouse::models {

/// What one layer keeps for its backward.
template <class T>
struct LayerTape {
    Buffer<T> input, norm1, norm1_statistics, norm2, norm2_statistics, mid, up, gate, active;
    std::unique_ptr<MixerTape> mixer;
    Dropout dropout;                     // of what the mixer and the MLP add to the stream: set before the forward
};

/// The states of all layers of a batch of sequences, and how many tokens they have seen.
class NetworkState {
public:
    std::vector<std::unique_ptr<MixerState>> layers;
    Index batch = 0;
    Index position = 0;
    Index bytes_per_sequence() const;
};

template <class T>
class Network {
public:
    /// Takes the weights over; `check(config)` and all shapes are verified (Error{bad_data} names the tensor).
    Network(NetworkConfig config, Parameters<T> weights, compute::Operations<T>& ops);

    const NetworkConfig& config() const { return config_; }
    /// Error{internal} for a packed network: what it was packed from is gone.
    Parameters<T>& weights();
    const Parameters<T>& weights() const { return weights_; }   // packed: shapes, and the values that were not packed
    const Mixer<T>& mixer(Index layer) const { return *mixers_.at(static_cast<std::size_t>(layer)); }

    /// After weights changed: what mixers derive from them.
    void refresh();

    /// Packs every projection, and the head, for generation and evaluation, and frees what they were packed from: the
    /// network then holds about their packed bytes, computes everything from them and refuses to be trained. The
    /// embedding becomes bf16 unless both formats are f32. Error{bad_data} naming a tensor that holds a number which is
    /// not finite, for int8; Error{unsupported} in double.
    void pack(compute::WeightFormat layers, compute::WeightFormat head);
    bool packed() const { return head_.packed(); }
    /// Bytes of weights that a step reads once: all projections and the head.
    Index bytes_per_step() const;
    /// Bytes of all weights that are held: values, packed matrices, the rounded embedding.
    Index bytes_held() const;

    /// x[tokens, D] = embedding rows. Error{bad_data} naming an id outside the vocabulary and its place.
    void embed(const Index* tokens, Index n, T* x) const;

    /// out = layer(x), [batch, length, D]; out may be x when tape is null. `mixer_output`, when not null, receives
    /// the mixer's output [batch, length, D].
    void layer(Index i, Sequences<const T> x, Sequences<T> out, LayerTape<T>* tape, T* mixer_output = nullptr) const;
    /// What the mixer of layer i is given: norm1(x).
    void mixer_input(Index i, Sequences<const T> x, Sequences<T> normed) const;
    /// mlp(norm2(x)): the other branch of a parallel layer, or the second half of a sequential one.
    void mlp_branch(Index i, Sequences<const T> x, Sequences<T> out) const;
    /// dx (overwritten; may be dout; not wanted where its data is null) from dout; gradients added where wanted. What
    /// neither dx nor an entry of `gradient` needs is left out.
    void layer_backward(Index i, const LayerTape<T>& tape, Sequences<const T> dout, Sequences<T> dx,
                        Parameters<T>& gradient) const;

    /// logits[n, vocabulary] of n rows of the residual stream: final norm, head.
    void head(Matrix<const T> x, Matrix<T> logits) const;
    /// dx (overwritten) from dlogits, recomputing the final norm.
    void head_backward(Matrix<const T> x, Matrix<const T> dlogits, Matrix<T> dx, Parameters<T>& gradient) const;
    /// Gradient of the embedding rows, added in the order of the tokens.
    void embed_backward(const Index* tokens, Index n, const T* dx, Parameters<T>& gradient) const;

    /// All of it: logits [batch * length, vocabulary] of sequences that begin at position 0.
    void forward(const Index* tokens, Index batch, Index length, Matrix<T> logits) const;

    /// Generation. Error{bad_data} when an attention layer's positions run out (config().max_positions).
    NetworkState start(Index batch, Execution execution) const;
    /// The recurrent state that goes on best from one of exact_original: prompts read by the filters themselves
    /// (Mixer::hand_over).
    NetworkState hand_over(const NetworkState& exact) const;
    /// tokens [batch, length]; logits [batch, vocabulary] after the last token of each (may be empty: none wanted).
    void prefill(const Index* tokens, Index length, NetworkState& state, Matrix<T> logits) const;
    /// The residual stream after the last layer for the next tokens of each sequence, [batch, length, D]; the state
    /// moves on. What prefill and the evaluation of a recurrence are made of.
    void prefill_stream(const Index* tokens, NetworkState& state, Sequences<T> stream) const;
    void step(const Index* tokens, NetworkState& state, Matrix<T> logits) const;
    /// step, its logits handed to `sink` in tiles (rows are sequences, columns ids) and never stored as a whole.
    void step(const Index* tokens, NetworkState& state, compute::TileSink<T>& sink) const;

    compute::Operations<T>& ops() const { return *ops_; }

private:
    using Entry = typename Parameters<T>::Entry;
    struct NormWeights {
        const Entry* weight = nullptr;
        const Entry* bias = nullptr;          // null with Norm::rms
    };
    struct LayerWeights {
        NormWeights norm1, norm2;
        Projection<T> up, gate, down;         // gate where the MLP has one
    };

    NormWeights norm_weights(const std::string& name) const;
    Index statistics_per_row() const { return config_.norm == Norm::layer ? 2 : 1; }
    void normalize(const NormWeights& weights, Matrix<const T> x, Matrix<T> y, T* statistics) const;
    void normalize_backward(const NormWeights& weights, Matrix<const T> x, const T* statistics, Matrix<const T> dy,
                            Matrix<T> dx, Parameters<T>& gradient) const;
    const LayerWeights& parts(Index layer) const { return layers_.at(static_cast<std::size_t>(layer)); }
    /// out = mlp(norm2(x)); decode: by linear_decode.
    void mlp(Index i, Matrix<const T> x, Matrix<T> out, bool decode) const;
    /// The maps of the MLP that read norm2(x), into inner [rows, ffn] (and behind it the gate's); and what follows.
    void add_up(Index i, Matrix<const T> normed, T* inner, ProjectedList<T>& maps) const;
    void close_gate(Index rows, T* inner) const;
    Index inner_width() const { return config_.ffn * (config_.mlp == MlpKind::gated ? 2 : 1); }
    void mlp_with_tape(Index i, Matrix<const T> x, Matrix<T> out, LayerTape<T>& tape) const;
    void mlp_backward(Index i, const LayerTape<T>& tape, Matrix<const T> dout, Matrix<T> dnormed,
                      Parameters<T>& gradient) const;
    void advance(Index i, Sequences<T> x, MixerState& state, bool decode) const;
    void advance_joined(Index i, Sequences<T> x, MixerState& state, bool decode) const;
    void step_stream(const Index* tokens, NetworkState& state, Matrix<T> normed) const;
    template <class Visit>
    void each_projection(const Visit& visit);
    void check_positions(Index positions) const;

    NetworkConfig config_;
    Parameters<T> weights_;                   // its entries stay where they are: the members below point into it
    compute::Operations<T>* ops_;
    const Entry* embedding_ = nullptr;
    Buffer<std::uint16_t> rounded_embedding_;   // bf16, of a packed network
    NormWeights final_norm_;
    Projection<T> head_;
    std::vector<LayerWeights> layers_;
    std::vector<std::unique_ptr<Mixer<T>>> mixers_;
};

/// Every weight of the network with its shape, mixers included, in the order of the manual.
std::vector<WeightShape> network_weights(const NetworkConfig& config);

}  // namespace stillhouse::models
