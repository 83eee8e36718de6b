// SPDX-License-Identifier: Apache-2.0
// A bank of recurrences in the precision of the network, or in double.
#include "libcore/systems/recurrence_bank.hpp"

#include "libcore/base/random.hpp"

#include <algorithm>
#include <cmath>
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
