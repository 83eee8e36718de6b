// SPDX-License-Identifier: Apache-2.0
// What a long-convolution mixer remembers between tokens, and the filters it then runs; for hyena*.cpp alone.
#pragma once

#include "libcore/models/attention.hpp"
#include "libcore/models/hyena_mixer.hpp"
#include "libcore/systems/recurrence_bank.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace stillhouse::models {

/// How the filters of a layer are run in one execution: one recurrence for each convolution of the chain, or
/// responses.
template <class T>
struct HyenaFilters {
    std::vector<systems::RecurrenceBank<T>> recurrences;  // recurrent
    std::vector<systems::ModalSystem> modes;              // exact_modes, where modes are known
    std::vector<systems::Realization> realizations;       // exact_modes, where only a realization is
};

/// The realization `layers.i.mixer.ssm.*`, or the trained modes realized, one recurrence for each convolution.
template <class T>
HyenaFilters<T> recurrent_filters(const MixerConfig& mixer, Index layer, const Parameters<T>& weights);
/// What exact_modes convolves with.
template <class T>
HyenaFilters<T> modal_filters(const MixerConfig& mixer, Index layer, const Parameters<T>& weights);
/// h[F, length] of modal_filters.
template <class T>
void modal_responses(const HyenaFilters<T>& filters, ThreadPool& pool, Matrix<T> h);

/// Impulse responses over `lags` lags as the exact executions use them.
template <class T>
struct HyenaResponses {
    Index lags = 0;
    Buffer<T> forward;                                    // [F, lags], lag 0 first
    Buffer<T> reversed;                                   // [F, lags], lag 0 last
    void set(Index filters, Index count, const T* h);
};

template <class T>
class HyenaState final : public MixerState {
public:
    /// One array of numbers for each sequence of the batch.
    struct Part {
        Buffer<T> data;
        Index each = 0;
        T* of(Index sequence) { return data.data() + sequence * each; }
    };

    HyenaState(Execution execution, Index batch) : execution_(execution), batch_(batch) {}

    Index bytes_per_sequence() const override;
    std::vector<std::byte> save() const override;
    void load(const std::vector<std::byte>& bytes) override;
    void select(const std::vector<Index>& sequences) override;
    void take(Index to, const MixerState& other, Index from) override;
    bool mixes_lengths() const override { return late.empty() && history.empty(); }

    Execution execution() const { return execution_; }
    Index batch() const { return batch_; }
    Index position = 0;

    Part make(Index each) const { return {Buffer<T>(batch_ * each), each}; }
    /// Room for `tokens` past tokens in the histories.
    void reserve(Index tokens);

    std::vector<Part> past_z;                 // of each projection: its last short_taps - 1 values, oldest first
    Part past_x;                              // inputs of the taps, oldest first
    std::vector<Part> late;                   // rings of `delay` convolution inputs: u of each convolution; or k
    std::vector<Part> modes;                  // states of each recurrence; of `linear`: sum k v^T
    std::vector<Part> history;                // exact: u of each convolution [n, capacity]; or k and v [capacity, n]
    Index lines = 0;                          // each history is [lines, capacity, pace]
    Index pace = 0;
    Index capacity = 0;
    std::optional<AttentionCache<T>> window, kept;

    std::shared_ptr<const HyenaFilters<T>> filters;
    HyenaResponses<T> responses;

private:
    std::vector<Part*> parts();
    std::vector<const Part*> parts() const;

    Execution execution_;
    Index batch_;
};

}  // namespace stillhouse::models
