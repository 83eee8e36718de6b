// SPDX-License-Identifier: Apache-2.0
// What a long-convolution mixer remembers between tokens, and the filters it then runs; for hyena*.cpp alone.
#pragma once

#include "libcore/models/attention.hpp"
#include "libcore/models/hyena_mixer.hpp"
#include "libcore/models/online_convolution.hpp"
#include "libcore/systems/recurrence_bank.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace stillhouse::models {

/// What a layer's filters are to be run as: one recurrence for each convolution of the chain, or responses.
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

/// A mixer's numbers as generation reads them: strips of sixteen channels, the last filled up with zeros.
template <class T>
struct HyenaPlan {
    Buffer<T> opening;                                    // [strips, gates, 1 + short_taps, 16]: bias, lags
    Buffer<T> skips;                                      // of each convolution [strips, 16]
    std::vector<systems::LaneRecurrence<T>> recurrences;  // of each convolution; N > 1: of all k_i v_j of all heads
};

/// What exact executions compute from the weights alone: one for all states of an execution.
template <class T>
struct HyenaExact {
    std::vector<OnlineFilters<T>> online;                 // of each convolution; states have copies
    HyenaFilters<T> filters;                              // exact_modes: what responses are made of
    std::mutex lock;                                      // of what follows; what is there stays as it is
    std::map<Index, Buffer<T>> responses;                 // exact_modes: [F, lags] by lags
    std::vector<Buffer<T>> near_lags;                     // N = 1: the first lags of each convolution, [base, n]
};

template <class T>
class HyenaState final : public MixerState {
public:
    /// One array of numbers for each sequence of the batch.
    struct Part {
        Buffer<T> data;
        Index each = 0;
        T* of(Index sequence) { return data.data() + sequence * each; }
        const T* of(Index sequence) const { return data.data() + sequence * each; }
    };
    /// Rows of a sequence, token p in row p mod rows.
    struct History {
        Part part;
        Index width = 0;
        Index rows = 0;
        bool outlook = false;             // rows of tokens to come, half as many as the others'
        T* row(Index sequence, Index token) { return part.of(sequence) + token % rows * width; }
        const T* row(Index sequence, Index token) const { return part.of(sequence) + token % rows * width; }
    };

    HyenaState(Execution execution, Index batch)
        : positions(static_cast<std::size_t>(batch)), execution_(execution), batch_(batch)
    {
    }

    Index bytes_per_sequence() const override;
    std::vector<std::byte> save() const override;
    void load(const std::vector<std::byte>& bytes) override;
    void select(const std::vector<Index>& sequences) override;
    void take(Index to, const MixerState& other, Index from) override;

    Execution execution() const { return execution_; }
    Index batch() const { return batch_; }
    Index position(Index sequence) const override { return positions[static_cast<std::size_t>(sequence)]; }
    Index longest() const;
    Index rows() const { return history.empty() ? 0 : history.front().rows; }

    Part make(Index each) const { return {Buffer<T>(batch_ * each), each}; }
    /// Rows for tokens below `tokens` in the histories: a power of two, at least the base, at most what the filters
    /// need (OnlineFilters::most_rows).
    void reserve(Index tokens);

    std::vector<Index> positions;             // tokens that each sequence has seen
    Part past_z;                              // [strips, gates, short_taps - 1, 16] projections, oldest first
    Part past_x;                              // inputs of the taps, oldest first
    std::vector<Part> late;                   // rings of `delay` convolution inputs: u of each convolution; or k
    std::vector<Part> modes;                  // states of each recurrence; of `linear`: sum k v^T
    /// exact: u of each convolution, [rows, n]; in the rows of tokens that are yet to come, what all the past so far
    /// adds to their outputs. N > 1: k, v [rows, n] and such outlooks [rows / 2, n N].
    std::vector<History> history;
    std::optional<AttentionCache<T>> window, kept;

    std::shared_ptr<const HyenaPlan<T>> plan;
    std::shared_ptr<HyenaExact<T>> exact;
    std::vector<OnlineFilters<T>> online;     // exact: of each convolution, with the lags that are needed so far

private:
    std::vector<Part*> parts();
    std::vector<const Part*> parts() const;
    Index rows_for(Index tokens) const;
    Index rows_of(const History& one, Index rows) const;
    void copy_rows(const History& from, Index from_sequence, Index position, History& to, Index to_sequence) const;

    Execution execution_;
    Index batch_;
};

}  // namespace stillhouse::models
