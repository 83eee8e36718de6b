// SPDX-License-Identifier: Apache-2.0
// Running realized filters token by token, many signals at once.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/systems/realization.hpp"

namespace stillhouse::systems {

template <class T>
class LaneTable;

/// A bank of filters in one form; signal i uses filter filter_of[i]. The state of a signal is `state_size` numbers of
/// T: order states (the largest of the bank; a filter of lower order leaves the rest zero), then K - 1 past inputs
/// (newest first). A filter whose fir is zero below lag `delay` is run with `delay` less taps: its caller feeds it
/// u[t - delay] (Recurrence::delay()). `step` and `scan` perform the same operations in the same order: same bits.
template <class T>
class Recurrence {
public:
    /// delay: leading lags at which every filter of the bank is zero and which the caller supplies by feeding late.
    /// Error{bad_data} when a filter is not zero there, has no tap beyond, or is not in the form of the first.
    Recurrence(std::vector<Realization> filters, Index delay);

    /// The coefficients as `stored` rounded them, in the arithmetic of T: what their rounding alone does to a response.
    template <class Stored>
    explicit Recurrence(const Recurrence<Stored>& stored);

    Index filters() const { return static_cast<Index>(bank_.size()); }
    Index delay() const { return delay_; }
    Index order() const { return order_; }
    Index state_size() const { return order_ + taps_ - 1; }

    /// y[i] = output of signal i for input u[i]; states [signals, state_size], updated. Single-threaded. y may be u.
    void step(const T* u, const Index* filter_of, Index signals, T* state, T* y) const;

    /// The same for `length` inputs of one signal at a time: u[i, t], y[i, t] (y may be u), in the same arithmetic.
    void scan(Matrix<const T> u, const Index* filter_of, T* state, Matrix<T> y) const;

private:
    template <class Other>
    friend class Recurrence;
    template <class Other>
    friend class LaneTable;
    struct Filter {
        Index order = 0;
        Index pairs = 0;         // modal: complex pairs; cascade: sections of two states
        Index sections = 0;      // modal: pairs and single poles; cascade: all sections
        Index taps = 1;
        Index coefficients = 0;  // where in table_
        Index fir = 0;
    };

    void append_modal(const Realization& r, Filter& filter);
    void append_cascade(const Realization& r, Filter& filter);
    void append_companion(const Realization& r, Filter& filter);
    void append_dense(const Realization& r, Filter& filter);
    /// C x, then x = A x + B u.
    T advance(const Filter& filter, T u, T* x, T* scratch) const;
    T output(const Filter& filter, T u, T* state, T* scratch) const;

    std::vector<Filter> bank_;
    Form form_ = Form::modal;
    Index delay_ = 0;
    Index order_ = 0;
    Index taps_ = 1;
    std::vector<T> table_;                       // coefficients in T, filter after filter
};

}  // namespace stillhouse::systems
