// SPDX-License-Identifier: Apache-2.0
// What mixes tokens in a layer, attention or convolution, behind one interface.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/compute/backend.hpp"
#include "libcore/models/config.hpp"
#include "libcore/models/parameters.hpp"
#include "libcore/models/projection.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stillhouse::models {

/// What a forward keeps for its backward; each mixer has its own.
class MixerTape {
public:
    virtual ~MixerTape() = default;
};

/// What a mixer remembers of each sequence of a batch between tokens: keys and values, past inputs, or modes.
class MixerState {
public:
    virtual ~MixerState() = default;
    virtual Index bytes_per_sequence() const = 0;            // as it stands now
    virtual std::vector<std::byte> save() const = 0;          // the whole batch, for --save-state
    virtual void load(const std::vector<std::byte>& bytes) = 0;   // Error{bad_data} when it does not fit
    virtual void select(const std::vector<Index>& sequences) = 0; // keep these rows of the batch, in this order
    /// Sequence `from` of another state of the same mixer and execution takes the place of sequence `to`, or with `to`
    /// equal to the batch joins behind the last. Only step may follow where lengths then differ. Nothing remains of who
    /// was there: taken into a state of one sequence and saved, it is the same bytes whatever was beside it.
    virtual void take(Index to, const MixerState& other, Index from) = 0;
    virtual Index position(Index sequence) const = 0;        // tokens that it has seen
};

/// How the long convolutions of a mixer are run token by token. `attention` mixers use their cache in every mode.
enum class Execution {
    recurrent,         // by the state space: `ssm.*`, or the modes of a modal filter where there is none
    exact_original,    // by the filter itself over all past inputs; zero beyond its length
    exact_modes,       // by the impulse response that the modes stand for, as far as it is needed
};

/// x and y are [batch, length, width]; y is the output after the output projection, before it is added to the
/// residual stream. Weights are read from the Parameters given at construction, live (training changes them);
/// `refresh` recomputes what is derived from them (materialised filters), and training calls it after each step.
template <class T>
class Mixer {
public:
    virtual ~Mixer() = default;

    virtual void refresh(compute::Operations<T>& ops) = 0;

    /// Sequences begin at position 0. tape: filled when not null.
    virtual void forward(compute::Operations<T>& ops, Sequences<const T> x, Sequences<T> y,
                         std::unique_ptr<MixerTape>* tape) const = 0;

    /// dx (overwritten; not wanted where dx.data is null) from dy, and gradients added to the entries of `gradient`
    /// (same names as the weights; a name that is absent there is not wanted).
    virtual void backward(compute::Operations<T>& ops, const MixerTape& tape, Sequences<const T> x,
                          Sequences<const T> dy, Sequences<T> dx, Parameters<T>& gradient) const = 0;

    /// The state before the first token. Error{bad_data} when the weights do not allow the execution.
    virtual std::unique_ptr<MixerState> start(Index batch, Execution execution) const = 0;

    /// The recurrent state that goes on best from one of exact_original. With d = h - h' over the lags of the filter h
    /// (h' of the recurrence, which goes on beyond), r(t) = (d * u)(P + t) what it will lack of the inputs u of P
    /// tokens in the t-th to come, O(t) = C A^t, and x the state that it has come to by itself: x + delta,
    ///     delta = argmin sum_{t < H} w_t |O(t) delta - r(t)|^2,  w_t = (1 - 1/m)^t,  H = min(4 m, lags)
    /// w_t is the chance that the t-th token is still asked for when m = 128 are on the average; a ridge of 1e-8 of the
    /// diagonal leaves states alone that do not show within H. Windows and attention go on as they are.
    virtual std::unique_ptr<MixerState> hand_over(compute::Operations<T>& ops, const MixerState& exact) const = 0;

    /// The next `length` tokens of each sequence: y as if each had been stepped, and the state after them.
    void prefill(compute::Operations<T>& ops, Sequences<const T> x, MixerState& state, Sequences<T> y) const;
    /// One token of each sequence, x and y [batch, width].
    void step(compute::Operations<T>& ops, Matrix<const T> x, MixerState& state, Matrix<T> y) const;

    /// What prefill and step are made of, so that a network may run a mixer's projections in one region with those of
    /// an MLP: z = the maps `inputs` of x, [tokens, out] of each behind the other; `mix` turns z (and x, for taps) into
    /// features, [tokens, in] of each of `outputs` behind the other, and moves the state on; y = the sum of their maps.
    const std::vector<Projection<T>*>& inputs() const { return inputs_; }
    const std::vector<Projection<T>*>& outputs() const { return outputs_; }
    /// decode: one token of each sequence, whose positions may differ. z may be overwritten.
    virtual void mix(compute::Operations<T>& ops, Sequences<const T> x, T* z, MixerState& state, bool decode,
                     T* features) const = 0;

    /// What the output projection and the taps see of x, [tokens, feature_width()]: the columns of c, of w where there
    /// is a window, and of x at lags 0 .. taps - 1. The closed start refits W_o and W_s on it. Only long convolutions
    /// have features (width > 0); attention throws Error{unsupported}.
    virtual Index feature_width() const { return 0; }
    virtual void features(compute::Operations<T>& ops, Sequences<const T> x, Matrix<T> out) const;

    /// lag[heads, length] (overwritten): for each lag tau the sum of A[t, t - tau] over the queries t >= tau of the
    /// sequences of x, in double. Divided by batch (length - tau) it is the mean attention by lag. Only attention has
    /// one; the others throw Error{unsupported}.
    virtual void sum_attention_by_lag(compute::Operations<T>& ops, Sequences<const T> x, Matrix<double> lag) const;

protected:
    std::vector<Projection<T>*> inputs_, outputs_;       // set by the constructors of those that derive

private:
    void advance(compute::Operations<T>& ops, Sequences<const T> x, MixerState& state, Sequences<T> y,
                 bool decode) const;
};

/// Their columns together.
template <class T>
Index total_out(const std::vector<Projection<T>*>& maps)
{
    Index sum = 0;
    for (const Projection<T>* map : maps) {
        sum += map->out();
    }
    return sum;
}
template <class T>
Index total_in(const std::vector<Projection<T>*>& maps)
{
    Index sum = 0;
    for (const Projection<T>* map : maps) {
        sum += map->in();
    }
    return sum;
}

/// The mixer of layer i as config.mixers[i] says; weights under "layers.i.attention." or "layers.i.mixer.".
/// Throws Error{bad_data} naming a tensor that is missing or has the wrong shape.
template <class T>
std::unique_ptr<Mixer<T>> make_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights);

/// Names and shapes of the weights that make_mixer will ask for (without `ssm.*`), in the order of the manual.
struct WeightShape {
    std::string name;
    Shape shape;
};
std::vector<WeightShape> mixer_weights(const NetworkConfig& config, Index layer);

/// Adds and fills those weights for a new, random mixer (the start `random`; copy and closed begin here).
template <class T>
void initialize_mixer(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights);

}  // namespace stillhouse::models
