// SPDX-License-Identifier: Apache-2.0
// A bank of recurrences in the precision of the network, or in double.
#include "libcore/systems/recurrence_bank.hpp"

#include "libcore/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace stillhouse::systems {

namespace {

constexpr Index trial_steps = 2048;
constexpr double trial_limit = 3e-6;

/// Does T follow double on white noise?
template <class T>
bool follows(const Recurrence<T>& narrow, const Recurrence<double>& wide)
{
    std::vector<T> input(trial_steps);
    std::vector<double> exact(trial_steps);
    Random random(0, 0x62616e6b);
    for (Index t = 0; t < trial_steps; ++t) {
        input[static_cast<std::size_t>(t)] = static_cast<T>(random.normal());
        exact[static_cast<std::size_t>(t)] = static_cast<double>(input[static_cast<std::size_t>(t)]);
    }
    std::vector<T> is(trial_steps);
    std::vector<double> should(trial_steps);
    for (Index f = 0; f < wide.filters(); ++f) {
        std::vector<T> state(static_cast<std::size_t>(narrow.state_size()));
        std::vector<double> reference(static_cast<std::size_t>(wide.state_size()));
        narrow.scan({input.data(), 1, trial_steps}, &f, state.data(), {is.data(), 1, trial_steps});
        wide.scan({exact.data(), 1, trial_steps}, &f, reference.data(), {should.data(), 1, trial_steps});
        double error = 0.0;
        double energy = 0.0;
        for (std::size_t t = 0; t < should.size(); ++t) {
            const double d = static_cast<double>(is[t]) - should[t];
            error += d * d;
            energy += should[t] * should[t];
        }
        if (!(std::sqrt(error) <= trial_limit * std::sqrt(energy))) {
            return false;
        }
    }
    return true;
}

}  // namespace

template <class T>
RecurrenceBank<T>::RecurrenceBank(std::vector<Realization> filters, Index delay)
    : narrow_(std::make_unique<Recurrence<T>>(filters, delay))
{
    if constexpr (!std::is_same_v<T, double>) {
        wide_ = std::make_unique<Recurrence<double>>(std::move(filters), delay);
        if (follows(*narrow_, *wide_)) {
            wide_.reset();
        } else {
            narrow_.reset();
        }
    }
}

template <class T>
Index RecurrenceBank<T>::state_size() const
{
    return narrow_ != nullptr ? narrow_->state_size()
                              : wide_->state_size() * static_cast<Index>(sizeof(double) / sizeof(T));
}

template <class T>
void RecurrenceBank<T>::step(const T* u, const Index* filter_of, Index signals, T* state, T* y) const
{
    if (narrow_ != nullptr) {
        narrow_->step(u, filter_of, signals, state, y);
        return;
    }
    // all states at once: one after the other they would cost an allocation a signal and token
    const auto bytes = static_cast<std::size_t>(signals * wide_->state_size()) * sizeof(double);
    thread_local std::vector<double> inputs, numbers;
    inputs.assign(u, u + signals);
    numbers.resize(static_cast<std::size_t>(signals * wide_->state_size()));
    std::memcpy(numbers.data(), state, bytes);
    wide_->step(inputs.data(), filter_of, signals, numbers.data(), inputs.data());
    std::memcpy(state, numbers.data(), bytes);
    std::transform(inputs.begin(), inputs.end(), y, [](double x) { return static_cast<T>(x); });
}

template <class T>
void RecurrenceBank<T>::scan(Matrix<const T> u, const Index* filter_of, T* state, Matrix<T> y) const
{
    if (narrow_ != nullptr) {
        narrow_->scan(u, filter_of, state, y);
        return;
    }
    const auto bytes = static_cast<std::size_t>(wide_->state_size()) * sizeof(double);
    thread_local std::vector<double> row, numbers;
    row.resize(static_cast<std::size_t>(u.cols));
    numbers.resize(static_cast<std::size_t>(wide_->state_size()));
    for (Index i = 0; i < u.rows; ++i) {
        std::memcpy(numbers.data(), state + i * state_size(), bytes);
        std::copy_n(u.row(i), u.cols, row.begin());
        wide_->scan({row.data(), 1, u.cols}, filter_of + i, numbers.data(), {row.data(), 1, u.cols});
        std::transform(row.begin(), row.end(), y.row(i), [](double x) { return static_cast<T>(x); });
        std::memcpy(state + i * state_size(), numbers.data(), bytes);
    }
}

template <class T>
LaneRecurrence<T> RecurrenceBank<T>::lanes(std::span<const Index> filter_of) const
{
    if (narrow_ != nullptr) {
        return LaneRecurrence<T>(LaneTable<T>(*narrow_, filter_of));
    }
    return LaneRecurrence<T>(std::make_unique<LaneTable<double>>(*wide_, filter_of));
}

template class RecurrenceBank<float>;
template class RecurrenceBank<double>;

}  // namespace stillhouse::systems
