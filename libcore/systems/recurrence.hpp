// SPDX-License-Identifier: Apache-2.0
// Running realized filters token by token, many signals at once.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/systems/realization.hpp"

namespace stillhouse::systems {

/// A bank of filters in one form; signal i uses filter filter_of[i]. The state of a signal is `state_size` numbers of
/// T: order states (the largest of the bank), then K - 1 past inputs (newest first). A filter whose fir is zero below
/// lag `delay` is run with `delay` less taps: its caller feeds it u[t - delay] (Recurrence::delay()).
template <class T>
class Recurrence {
public:
    /// delay: leading lags at which every filter of the bank is zero and which the caller supplies by feeding late.
    Recurrence(std::vector<Realization> filters, Index delay);

    Index filters() const;
    Index delay() const;
    Index state_size() const;

    /// y[i] = output of signal i for input u[i]; states [signals, state_size], updated. Single-threaded.
    void step(const T* u, const Index* filter_of, Index signals, T* state, T* y) const;

    /// The same for `length` inputs of one signal at a time: u[i, t], y[i, t] (y may be u), in the same arithmetic.
    void scan(Matrix<const T> u, const Index* filter_of, T* state, Matrix<T> y) const;

private:
    std::vector<Realization> filters_;
    Index delay_ = 0;
    Index order_ = 0;
    Index taps_ = 0;
    std::vector<T> table_;                       // coefficients in T, filter after filter
};

}  // namespace stillhouse::systems
