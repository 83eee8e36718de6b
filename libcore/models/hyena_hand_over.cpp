// SPDX-License-Identifier: Apache-2.0
// From the past inputs of exact filters to the modes that go on from there.
#include "libcore/models/hyena_state.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::models {

namespace {

constexpr Index lanes = systems::lane_count;
constexpr Index longest_scan = systems::LaneRecurrence<float>::longest;
constexpr Index mean_length = 128;          // of what is generated after a prompt, the weights' assumption
constexpr Index horizon = 4 * mean_length;
constexpr double ridge = 1e-8;              // of each diagonal: directions that the horizon does not see stay

/// Least squares of the sixteen signals of one table: free responses O[i][t] of the states, and the factors of
/// Q + ridge diag(Q), Q = sum_t w_t O_i(t) O_j(t).
struct FreeResponses {
    Index order = 0;
    Index length = 0;
    std::vector<double> weights;
    std::vector<double> basis;              // [order, length, 16]
    std::vector<double> factors;            // [16, order, order], lower

    const double* row(Index i, Index t) const { return basis.data() + (i * length + t) * lanes; }

    void factor()
    {
        factors.assign(static_cast<std::size_t>(lanes * order * order), 0.0);
        for (Index i = 0; i < order; ++i) {
            for (Index j = 0; j <= i; ++j) {
                double sums[lanes] = {};
                for (Index t = 0; t < length; ++t) {
                    for (Index l = 0; l < lanes; ++l) {
                        sums[l] += weights[static_cast<std::size_t>(t)] * row(i, t)[l] * row(j, t)[l];
                    }
                }
                for (Index l = 0; l < lanes; ++l) {
                    factors[static_cast<std::size_t>((l * order + i) * order + j)] = sums[l];
                }
            }
        }
        for (Index l = 0; l < lanes; ++l) {
            double* const f = factors.data() + l * order * order;
            for (Index i = 0; i < order; ++i) {
                double& diagonal = f[i * order + i];
                diagonal = diagonal > 0.0 ? diagonal * (1.0 + ridge) : 1.0;     // an unused state stays zero
            }
            for (Index i = 0; i < order; ++i) {                                 // Cholesky, row by row
                const double least = 1e-14 * f[i * order + i];
                for (Index j = 0; j <= i; ++j) {
                    double sum = f[i * order + j];
                    for (Index k = 0; k < j; ++k) {
                        sum -= f[i * order + k] * f[j * order + k];
                    }
                    f[i * order + j] = i == j ? std::sqrt(std::max(sum, least)) : sum / f[j * order + j];
                }
            }
        }
    }

    /// delta[order] of signal l that brings sum_i delta_i O_i nearest to residual[length], `step` numbers apart.
    template <class T>
    void solve(Index l, const T* residual, Index step, double* delta) const
    {
        const double* const f = factors.data() + l * order * order;
        for (Index i = 0; i < order; ++i) {
            double sum = 0.0;
            for (Index t = 0; t < length; ++t) {
                sum += weights[static_cast<std::size_t>(t)] * row(i, t)[l] * static_cast<double>(residual[t * step]);
            }
            for (Index k = 0; k < i; ++k) {
                sum -= f[i * order + k] * delta[k];
            }
            delta[i] = sum / f[i * order + i];
        }
        for (Index i = order; i-- > 0;) {
            for (Index k = i + 1; k < order; ++k) {
                delta[i] -= f[k * order + i] * delta[k];
            }
            delta[i] /= f[i * order + i];
        }
    }
};

template <class T>
FreeResponses free_responses(const systems::LaneRecurrence<T>& recurrence, Index block, Index length)
{
    FreeResponses free;
    free.order = recurrence.order();
    free.length = length;
    for (Index t = 0; t < length; ++t) {
        free.weights.push_back(std::pow(1.0 - 1.0 / static_cast<double>(mean_length), static_cast<double>(t)));
    }
    free.basis.resize(static_cast<std::size_t>(free.order * length * lanes));
    Buffer<T> state(recurrence.state_size());
    Buffer<T> silence(longest_scan * lanes);
    Buffer<T> y(longest_scan * lanes);
    for (Index i = 0; i < free.order; ++i) {
        std::fill(state.begin(), state.end(), T(0));
        for (Index l = 0; l < lanes; ++l) {
            recurrence.set_state(state.data(), i, l, 1.0);
        }
        for (Index t = 0; t < length; t += longest_scan) {
            const Index count = std::min(longest_scan, length - t);
            recurrence.scan(block, silence.data(), count, state.data(), y.data());
            std::copy_n(y.data(), count * lanes, free.basis.data() + (i * length + t) * lanes);
        }
    }
    free.factor();
    return free;
}

/// All of a recurrence, by table.
template <class T>
std::vector<FreeResponses> all_free_responses(ThreadPool& pool, const systems::LaneRecurrence<T>& recurrence,
                                              Index length)
{
    std::vector<Index> block_of;
    for (Index block = 0; block < recurrence.blocks(); ++block) {
        if (recurrence.table_of(block) == static_cast<Index>(block_of.size())) {   // tables are numbered as they come
            block_of.push_back(block);
        }
    }
    std::vector<FreeResponses> all(block_of.size());
    pool.for_each(static_cast<Index>(all.size()), [&](Index i) {
        const auto at = static_cast<std::size_t>(i);
        all[at] = free_responses(recurrence, block_of[at], length);
    });
    return all;
}

/// The states, in `memory`, of the signals of some blocks: u[tokens, count] all their inputs, of which the recurrence
/// sees each `delay` tokens late, and residual[length, count] what it will lack of them after the last.
template <class T>
void fit_states(ThreadPool& pool, const systems::LaneRecurrence<T>& recurrence, const std::vector<FreeResponses>& all,
                Index first_block, Matrix<const T> u, Index delay, Matrix<const T> residual, T* memory)
{
    const Index blocks = (u.cols + lanes - 1) / lanes;
    const Index fed = u.rows - delay;
    pool.for_each(blocks, [&](Index block) {
        const Index column = block * lanes;
        const Index count = std::min(lanes, u.cols - column);
        T* const state = memory + block * recurrence.state_size();
        Buffer<T> in(longest_scan * lanes);
        std::fill_n(state, recurrence.state_size(), T(0));
        for (Index t = 0; t < fed; t += longest_scan) {
            const Index length = std::min(longest_scan, fed - t);
            std::fill(in.begin(), in.end(), T(0));
            for (Index i = 0; i < length; ++i) {
                std::copy_n(u.row(t + i) + column, count, in.data() + i * lanes);
            }
            recurrence.scan(first_block + block, in.data(), length, state, in.data());
        }
        const FreeResponses& free = all[static_cast<std::size_t>(recurrence.table_of(first_block + block))];
        std::vector<double> delta(static_cast<std::size_t>(free.order));
        for (Index l = 0; l < count; ++l) {
            free.solve(l, residual.data + column + l, residual.stride, delta.data());
            for (Index i = 0; i < free.order; ++i) {
                const double moved = recurrence.state_at(state, i, l) + delta[static_cast<std::size_t>(i)];
                recurrence.set_state(state, i, l, moved);
            }
        }
    });
}

/// d = h less the response of the recurrence, of the filter of one of its signals, over h's lags.
template <class T>
void missing_response(const systems::LaneRecurrence<T>& recurrence, Index signal, Index delay, const T* h, Index lags,
                      T* d)
{
    Buffer<T> state(recurrence.state_size());
    Buffer<T> rows(longest_scan * lanes);
    std::copy_n(h, lags, d);
    for (Index t = 0; t < lags - delay; t += longest_scan) {
        std::fill(rows.begin(), rows.end(), T(0));
        rows[signal % lanes] = t == 0 ? T(1) : T(0);
        const Index length = std::min(longest_scan, lags - delay - t);
        recurrence.scan(signal / lanes, rows.data(), length, state.data(), rows.data());
        for (Index i = 0; i < length; ++i) {
            d[delay + t + i] -= rows[i * lanes + signal % lanes];
        }
    }
}

}  // namespace

/// What a hand-over computes from the weights alone.
template <class T>
struct HyenaHandOver {
    std::vector<std::vector<FreeResponses>> free;    // of each convolution, by table
    Buffer<T> missing;                               // [convolutions, F, lags]: what recurrences lack of the filters
};

template <class T>
std::shared_ptr<const HyenaHandOver<T>> HyenaMixer<T>::make_hand_over(Operations& ops, const HyenaPlan<T>& plan) const
{
    auto made = std::make_shared<HyenaHandOver<T>>();
    const Index lags = mixer_.filter_length;
    const Index width = mixer_.head_width;
    const Index head_blocks = (width * width + lanes - 1) / lanes;
    made->missing = Buffer<T>(convolutions() * mixer_.filters * lags);
    for (std::size_t g = 0; g < plan.recurrences.size(); ++g) {
        const auto& recurrence = plan.recurrences[g];
        made->free.push_back(all_free_responses(ops.pool(), recurrence, std::clamp<Index>(lags, 1, horizon)));
        const Matrix<const T> h = filters(static_cast<Index>(g), lags);
        const auto& owner = wide() ? head_filter_ : filter_of_;
        ops.pool().for_each(mixer_.filters, [&](Index f) {
            const auto found = std::find(owner.begin(), owner.end(), f) - owner.begin();
            if (found < static_cast<Index>(owner.size())) {
                missing_response(recurrence, wide() ? found * head_blocks * lanes : static_cast<Index>(found), delay(),
                                 h.row(f), lags,
                                 made->missing.data() + (static_cast<Index>(g) * mixer_.filters + f) * lags);
            }
        });
    }
    return made;
}

template <class T>
std::unique_ptr<MixerState> HyenaMixer<T>::hand_over(Operations& ops, const MixerState& exact) const
{
    const auto& from = dynamic_cast<const HyenaState<T>&>(exact);
    STILLHOUSE_CHECK(from.execution() == Execution::exact_original);
    auto started = start(from.batch(), Execution::recurrent);
    auto& to = dynamic_cast<HyenaState<T>&>(*started);
    const auto copy = [&](auto& mine, const auto& theirs) { mine.data = theirs.data.clone(); };
    to.positions = from.positions;
    copy(to.past_z, from.past_z);
    copy(to.past_x, from.past_x);
    for (Index b = 0; b < from.batch(); ++b) {
        if (to.window) {
            to.window->take(b, *from.window, b);
        }
        if (to.kept) {
            to.kept->take(b, *from.kept, b);
        }
    }
    if (mixer_.kind == MixerKind::linear) {
        copy(to.modes[0], from.modes[0]);
        for (std::size_t i = 0; i < to.late.size(); ++i) {
            copy(to.late[i], from.late[i]);
        }
        return started;
    }
    const Index width = mixer_.head_width;
    const Index square = width * width;
    const Index groups = wide() ? head_count() : 1;
    const Index signals = wide() ? square : n_;
    const Index length = std::clamp<Index>(mixer_.filter_length, 1, horizon);
    const Index lags = mixer_.filter_length;
    const Index head_blocks = (signals + lanes - 1) / lanes;
    std::shared_ptr<const HyenaHandOver<T>> derived;
    {
        const std::lock_guard lock(derived_);
        if (hand_over_ == nullptr) {
            hand_over_ = make_hand_over(ops, *to.plan);
        }
        derived = hand_over_;
    }
    for (Index b = 0; b < from.batch(); ++b) {
        const Index now = from.position(b);
        // What is older than a ring's half has met the end of the filter.
        const Index first = from.rows() == from.online.front().most_rows() ? std::max<Index>(0, now - from.rows() / 2)
                                                                           : 0;
        const Index known = now - first;
        for (std::size_t g = 0; g < to.modes.size() && known > 0; ++g) {
            const auto& recurrence = to.plan->recurrences[g];
            for (Index t = std::max<Index>(0, now - delay()); t < now; ++t) {        // on their way to the recurrence
                std::copy_n(from.history[g].row(b, t), n_, to.late[g].of(b) + t % delay() * n_);
            }
            const Matrix<const T> h(derived->missing.data() + static_cast<Index>(g) * mixer_.filters * lags,
                                    mixer_.filters, lags);
            for (Index group = 0; group < groups; ++group) {
                Scratch<T> memory(2 * (known + length) * signals);
                const Sequences<T> u(memory.data(), 1, known + length, signals);
                const Sequences<T> y(u.data + u.size(), 1, u.length, signals);
                std::fill_n(u.data, u.size(), T(0));
                std::vector<Index> filter_of = filter_of_;
                if (wide()) {
                    filter_of.assign(static_cast<std::size_t>(square), head_filter_[static_cast<std::size_t>(group)]);
                }
                ops.pool().for_each(known, [&](Index t) {
                    T* const row = u.token(0, t);
                    if (!wide()) {
                        std::copy_n(from.history[g].row(b, first + t), n_, row);
                        return;
                    }
                    const T* const k = from.history[0].row(b, first + t) + group * width;
                    const T* const v = from.history[1].row(b, first + t) + group * width;
                    for (Index i = 0; i < square; ++i) {
                        row[i] = k[i / width] * v[i % width];
                    }
                });
                ops.convolve_tokens(u, h, filter_of.data(), y);
                fit_states(ops.pool(), recurrence, derived->free[g], group * head_blocks,
                           Matrix<const T>(u.data, known, signals), delay(),
                           Matrix<const T>(y.token(0, known), length, signals),
                           to.modes[g].of(b) + group * head_blocks * recurrence.state_size());
            }
        }
    }
    return started;
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::unique_ptr<MixerState> HyenaMixer<T>::hand_over(Operations&, const MixerState&) const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
