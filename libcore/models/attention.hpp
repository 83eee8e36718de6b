// SPDX-License-Identifier: Apache-2.0
// Causal softmax attention of grouped heads, over all the past or the last W tokens, and the mixer made of it.
#pragma once

#include "libcore/models/mixer.hpp"

#include <vector>

namespace stillhouse::models {

struct AttentionGeometry {
    Index heads = 0;
    Index kv_heads = 0;       // divides heads; query head i reads key-value head i * kv_heads / heads
    Index head_dim = 0;
    Index window = 0;         // a token sees itself and the window - 1 before it; 0: all before it

    Index query_width() const { return heads * head_dim; }
    Index key_width() const { return kv_heads * head_dim; }
};

/// Rotated keys and values of a batch of sequences, each at a position of its own: all of them, in blocks of `block`
/// positions added as they are needed, or with a window a ring of W slots (position p in slot p mod W).
template <class T>
class AttentionCache final : public MixerState {
public:
    static constexpr Index block = 64;

    AttentionCache(AttentionGeometry geometry, Index batch);

    Index batch() const { return static_cast<Index>(sequences_.size()); }
    Index position(Index sequence) const override { return at(sequence).position; }
    Index common_position() const;                             // of all sequences, which must agree
    Index bytes_per_sequence() const override;                 // of the longest
    std::vector<std::byte> save() const override;
    void load(const std::vector<std::byte>& bytes) override;
    void select(const std::vector<Index>& sequences) override;
    void take(Index to, const MixerState& other, Index from) override;

    /// Stores the rotated k and v [batch, length, key_width] of the next tokens.
    void append(compute::Operations<T>& ops, Sequences<const T> k, Sequences<const T> v);
    /// The last n tokens of the cache as k, v [n, key_width] of one sequence.
    void recall(Index sequence, Index n, T* k, T* v) const;

    Index slots_per_block() const { return slots_; }
    Index blocks(Index sequence) const { return static_cast<Index>(at(sequence).blocks.size()); }
    /// Keys of one head in a block, [head_dim, slots_per_block] (slot fastest), and values [slots_per_block, head_dim].
    const T* keys(Index block_index, Index sequence, Index head) const;
    const T* values(Index block_index, Index sequence, Index head) const;

private:
    struct Sequence {
        Index position = 0;
        std::vector<Buffer<T>> blocks;   // each [keys and values, kv_heads, head_dim * slots]: long runs to read
        Sequence clone() const;
    };
    const Sequence& at(Index sequence) const { return sequences_[static_cast<std::size_t>(sequence)]; }
    Index block_size() const { return geometry_.kv_heads * 2 * geometry_.head_dim * slots_; }
    T* part(Index block_index, Index sequence, Index head, bool value);

    AttentionGeometry geometry_;
    Index slots_ = block;
    std::vector<Sequence> sequences_;
};

/// y_t = sum_s A[t, s] v_s, A[t, s] = softmax_s(q_t . k_s / sqrt(head_dim)) over the s that t sees, in every head.
/// q and y are [batch, length, query_width], k and v [batch, length, key_width], projected already. No more than a
/// strip of queries by keys of A exists at a time. Sums over keys run upwards with one accumulator a result, so a row
/// depends neither on the batch nor on what follows it.
template <class T>
class SoftmaxAttention {
public:
    SoftmaxAttention(AttentionGeometry geometry, const Rotary& rotary);

    const AttentionGeometry& geometry() const { return geometry_; }

    /// Turns q and k in place (so they are what `backward` wants), then attends. statistics, [batch, heads, length],
    /// may be null: log sum_s exp(q_t . k_s / sqrt(head_dim)).
    void forward(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k, Sequences<const T> v, Sequences<T> y,
                 T* statistics) const;
    /// dq, dk, dv (overwritten): gradients of q and k as they were before they were turned, and of v. In T whatever the
    /// forward was rounded to; of its statistics only that exp(score - statistic) does not overflow is used.
    void backward(compute::Operations<T>& ops, Sequences<const T> q, Sequences<const T> k, Sequences<const T> v,
                  const T* statistics, Sequences<const T> dy, Sequences<T> dq, Sequences<T> dk, Sequences<T> dv) const;

    /// The next tokens of every sequence of the cache; q and k are turned in place.
    void prefill(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k, Sequences<const T> v,
                 AttentionCache<T>& cache, Sequences<T> y) const;
    /// One token of each: q, y [batch, query_width], k, v [batch, key_width], rows contiguous.
    void step(compute::Operations<T>& ops, Matrix<T> q, Matrix<T> k, Matrix<const T> v, AttentionCache<T>& cache,
              Matrix<T> y) const;

    /// lag[heads, length] (overwritten) = sum over the batch and t >= tau of A[t, t - tau]; turns q and k in place.
    void sum_by_lag(compute::Operations<T>& ops, Sequences<T> q, Sequences<T> k, Matrix<double> lag) const;

private:
    AttentionGeometry geometry_;
    std::vector<double> frequencies_;
};

/// The attention mixer of layer i: weights layers.i.attention.{q,k,v,out}.{weight,bias}.
template <class T>
std::unique_ptr<Mixer<T>> make_attention_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights);
std::vector<WeightShape> attention_weights(const NetworkConfig& config, Index layer);
/// q, k, v normal of variance 2 / (5 D), out of standard deviation 2 / (layers sqrt(E)), biases 0.
template <class T>
void initialize_attention(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights);

}  // namespace stillhouse::models
