// SPDX-License-Identifier: Apache-2.0
// Steps of each form, written once for step and scan.
#include "libcore/systems/recurrence.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/cascade.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace stillhouse::systems {

namespace {

/// Sums eight lanes in a fixed order.
template <class T>
T sum_lanes(const T (&lane)[8])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

template <class T>
T dot(const T* a, const T* b, Index n)
{
    T lane[8] = {};
    Index i = 0;
    for (; i + 8 <= n; i += 8) {
        for (Index l = 0; l < 8; ++l) {
            lane[l] += a[i + l] * b[i + l];
        }
    }
    for (Index l = 0; i < n; ++i, ++l) {
        lane[l] += a[i] * b[i];
    }
    return sum_lanes(lane);
}

/// The least number of type T not below x that keeps a pole of modulus < 1 there after rounding.
template <class T>
T damping(double a, T im)
{
    const double square = static_cast<double>(im) * static_cast<double>(im);
    // |lambda|^2 = 1 - a (2 - a) + im^2, without the cancellation of 1 - a
    auto outside = [&](T value) { return !(square < static_cast<double>(value) * (2.0 - static_cast<double>(value))); };
    T rounded = static_cast<T>(a);
    if (outside(rounded)) {
        rounded = static_cast<T>(square / (1.0 + std::sqrt(std::max(0.0, 1.0 - square))));
        while (outside(rounded) && rounded < T(1)) {
            rounded = std::nextafter(rounded, T(2));
        }
    }
    return rounded;
}

}  // namespace

template <class T>
Recurrence<T>::Recurrence(std::vector<Realization> filters, Index delay) : delay_(delay)
{
    if (filters.empty()) {
        throw_error(ErrorCode::bad_data, "a bank of no filters has no recurrence");
    }
    form_ = filters.front().form;
    for (std::size_t i = 0; i < filters.size(); ++i) {
        const Realization& r = filters[i];
        const std::string which = "filter " + std::to_string(i);
        if (r.form != form_) {
            throw_error(ErrorCode::bad_data, which + " is in " + std::string(name_of(r.form)) + " form, the first in " +
                        std::string(name_of(form_)) + "; a bank has one form");
        }
        const Index taps = static_cast<Index>(r.fir.size());
        if (taps <= delay) {
            throw_error(ErrorCode::bad_data, which + " has " + std::to_string(taps) +
                        " first taps; a delay of " + std::to_string(delay) + " needs more than that");
        }
        for (Index k = 0; k < delay; ++k) {
            if (r.fir[static_cast<std::size_t>(k)] != 0.0) {
                throw_error(ErrorCode::bad_data, which + " is not zero at lag " + std::to_string(k) +
                            ", below its delay of " + std::to_string(delay));
            }
        }
        Filter filter;
        filter.order = r.order;
        filter.taps = taps - delay;
        filter.fir = static_cast<Index>(table_.size());
        for (Index k = delay; k < taps; ++k) {
            table_.push_back(static_cast<T>(r.fir[static_cast<std::size_t>(k)]));
        }
        filter.coefficients = static_cast<Index>(table_.size());
        with_context(which, [&] {
            switch (form_) {
            case Form::modal: append_modal(r, filter); break;
            case Form::cascade: append_cascade(r, filter); break;
            case Form::companion: append_companion(r, filter); break;
            case Form::balanced:
            case Form::dense: append_dense(r, filter); break;
            }
        });
        order_ = std::max(order_, filter.order);
        taps_ = std::max(taps_, filter.taps);
        bank_.push_back(filter);
    }
}

template <class T>
template <class Stored>
Recurrence<T>::Recurrence(const Recurrence<Stored>& stored)
    : form_(stored.form_), delay_(stored.delay_), order_(stored.order_), taps_(stored.taps_),
      table_(stored.table_.begin(), stored.table_.end())
{
    for (const auto& f : stored.bank_) {
        bank_.push_back({f.order, f.pairs, f.sections, f.taps, f.coefficients, f.fir});
    }
}

/// Pairs: sign, a = 1 - |Re|, Im, two readouts; then single poles: sign, a, readout; each as an array of its own, so
/// that a loop over pairs is one over neighbours. States: x1 of all pairs, x2 of all pairs, then the single ones.
template <class T>
void Recurrence<T>::append_modal(const Realization& r, Filter& filter)
{
    const std::size_t rows = r.coefficients.size() / 5;
    std::vector<const double*> pairs;
    std::vector<const double*> singles;
    for (std::size_t k = 0; k < rows; ++k) {
        const double* row = r.coefficients.data() + 5 * k;
        if (row[0] == 2.0) {
            pairs.push_back(row);
        } else if (row[0] == 1.0) {
            singles.push_back(row);
        }
    }
    const Index states = static_cast<Index>(2 * pairs.size() + singles.size());
    if (r.coefficients.size() % 5 != 0 || states != r.order) {
        throw_error(ErrorCode::bad_data, "the modal rows hold " + std::to_string(states) + " states, expected " +
                    std::to_string(r.order));
    }
    filter.pairs = static_cast<Index>(pairs.size());
    filter.sections = static_cast<Index>(pairs.size() + singles.size());
    for (const double* row : pairs) {
        table_.push_back(row[1] < 0.0 ? T(-1) : T(1));
    }
    for (const double* row : pairs) {
        table_.push_back(damping(1.0 - std::fabs(row[1]), static_cast<T>(row[2])));
    }
    for (const int column : {2, 3, 4}) {
        for (const double* row : pairs) {
            table_.push_back(static_cast<T>(row[column]));
        }
    }
    for (const double* row : singles) {
        table_.push_back(row[1] < 0.0 ? T(-1) : T(1));
    }
    for (const double* row : singles) {
        table_.push_back(damping(1.0 - std::fabs(row[1]), T(0)));
    }
    for (const double* row : singles) {
        table_.push_back(static_cast<T>(row[3]));
    }
}

/// Six numbers a section (states, which carry the sign of k1, a, rest of a, b, s1, s2), then the readout.
template <class T>
void Recurrence<T>::append_cascade(const Realization& r, Filter& filter)
{
    Index states = 0;
    for (std::size_t k = 0; k + 6 <= r.coefficients.size(); k += 6) {
        const double* row = r.coefficients.data() + k;
        if (row[0] == 0.0) {
            continue;
        }
        const AllPass s{static_cast<int>(row[0]), row[5] < 0.0 ? -1.0 : 1.0, row[1], row[2], row[3], row[4]};
        const SectionNumbers<T> c = section_numbers<T>(s);
        table_.push_back(static_cast<T>(c.sign * static_cast<T>(s.states)));
        table_.insert(table_.end(), {c.a, c.rest, c.b, c.s1, c.s2});
        states += s.states;
        ++filter.sections;
    }
    if (r.coefficients.size() % 6 != 0 || states != r.order || static_cast<Index>(r.readout.size()) < r.order) {
        throw_error(ErrorCode::bad_data, "the cascade rows hold " + std::to_string(states) +
                                             " states and the readout " + std::to_string(r.readout.size()) +
                                             ", expected " + std::to_string(r.order));
    }
    for (Index i = 0; i < r.order; ++i) {
        table_.push_back(static_cast<T>(r.readout[static_cast<std::size_t>(i)]));
    }
}

/// a, then b; the state is v[t-1], v[t-2], ...
template <class T>
void Recurrence<T>::append_companion(const Realization& r, Filter& filter)
{
    const std::size_t width = r.coefficients.size() / 2;
    if (r.coefficients.size() % 2 != 0 || static_cast<Index>(width) < r.order) {
        throw_error(ErrorCode::bad_data, "the companion rows hold " + std::to_string(width) +
                    " coefficients, expected " + std::to_string(r.order));
    }
    for (const std::size_t row : {std::size_t{0}, std::size_t{1}}) {
        for (Index i = 0; i < filter.order; ++i) {
            table_.push_back(static_cast<T>(r.coefficients[row * width + static_cast<std::size_t>(i)]));
        }
    }
}

/// A column after column, B, C.
template <class T>
void Recurrence<T>::append_dense(const Realization& r, Filter& filter)
{
    Index width = 0;
    while (width * (width + 2) < static_cast<Index>(r.coefficients.size())) {
        ++width;
    }
    if (width * (width + 2) != static_cast<Index>(r.coefficients.size()) || width < r.order) {
        throw_error(ErrorCode::bad_data, std::to_string(r.coefficients.size()) +
                    " coefficients are no [d, 2 + d] of at least " + std::to_string(r.order) + " states");
    }
    const Index d = filter.order;
    auto at = [&](Index i, Index j) { return r.coefficients[static_cast<std::size_t>(i * (width + 2) + j)]; };
    for (Index j = 0; j < d; ++j) {
        for (Index i = 0; i < d; ++i) {
            table_.push_back(static_cast<T>(at(i, j + 2)));
        }
    }
    for (const Index column : {Index{0}, Index{1}}) {
        for (Index i = 0; i < d; ++i) {
            table_.push_back(static_cast<T>(at(i, column)));
        }
    }
}

template <class T>
T Recurrence<T>::advance(const Filter& filter, T u, T* x, T* scratch) const
{
    const T* c = table_.data() + filter.coefficients;
    const Index d = filter.order;
    switch (form_) {
    case Form::modal: {
        const Index p = filter.pairs;
        const Index q = filter.sections - p;
        const T* sign = c;
        const T* a = c + p;
        const T* im = c + 2 * p;
        T* x1 = x;
        T* x2 = x + p;
        T y = dot(c + 3 * p, x1, 2 * p);
        for (Index i = 0; i < p; ++i) {
            const T u1 = sign[i] * (x1[i] - a[i] * x1[i]) - im[i] * x2[i];
            const T u2 = sign[i] * (x2[i] - a[i] * x2[i]) + im[i] * x1[i];
            x1[i] = u1 + u;
            x2[i] = u2;
        }
        sign = c + 5 * p;
        a = sign + q;
        x1 = x + 2 * p;
        y += dot(a + q, x1, q);
        for (Index i = 0; i < q; ++i) {
            x1[i] = sign[i] * (x1[i] - a[i] * x1[i]) + u;
        }
        return y;
    }
    case Form::cascade: {
        const T y = dot(c + 6 * filter.sections, x, d);
        T w = u;
        for (Index k = 0; k < filter.sections; ++k, c += 6) {
            const SectionNumbers<T> section{c[0] < T(0) ? T(-1) : T(1), c[1], c[2], c[3], c[4], c[5]};
            if (c[0] == T(2) || c[0] == T(-2)) {
                w = step_pair(section, x, w);
                x += 2;
            } else {
                w = step_single(section, x, w);
                x += 1;
            }
        }
        return y;
    }
    case Form::companion: {
        const T y = dot(c + d, x, d);
        const T v = u - dot(c, x, d);
        std::copy_backward(x, x + std::max<Index>(d - 1, 0), x + d);
        if (d > 0) {
            x[0] = v;
        }
        return y;
    }
    case Form::balanced:
    case Form::dense: {
        const T* b = c + d * d;
        const T y = dot(b + d, x, d);
        for (Index i = 0; i < d; ++i) {
            scratch[i] = b[i] * u;
        }
        for (Index j = 0; j < d; ++j) {
            for (Index i = 0; i < d; ++i) {
                scratch[i] += c[j * d + i] * x[j];
            }
        }
        std::copy_n(scratch, d, x);
        return y;
    }
    }
    return T(0);
}

template <class T>
T Recurrence<T>::output(const Filter& filter, T u, T* state, T* scratch) const
{
    const T* fir = table_.data() + filter.fir;
    T* past = state + order_;
    T y = fir[0] * u;
    for (Index k = 1; k < filter.taps; ++k) {
        y += fir[k] * past[k - 1];
    }
    y += advance(filter, filter.taps == 1 ? u : past[filter.taps - 2], state, scratch);
    if (taps_ > 1) {
        std::copy_backward(past, past + taps_ - 2, past + taps_ - 1);
        past[0] = u;
    }
    return y;
}

template <class T>
void Recurrence<T>::step(const T* u, const Index* filter_of, Index signals, T* state, T* y) const
{
    std::vector<T> scratch(static_cast<std::size_t>(order_));
    for (Index i = 0; i < signals; ++i) {
        y[i] = output(bank_[static_cast<std::size_t>(filter_of[i])], u[i], state + i * state_size(), scratch.data());
    }
}

template <class T>
void Recurrence<T>::scan(Matrix<const T> u, const Index* filter_of, T* state, Matrix<T> y) const
{
    std::vector<T> scratch(static_cast<std::size_t>(order_));
    for (Index i = 0; i < u.rows; ++i) {
        const Filter& filter = bank_[static_cast<std::size_t>(filter_of[i])];
        for (Index t = 0; t < u.cols; ++t) {
            y(i, t) = output(filter, u(i, t), state + i * state_size(), scratch.data());
        }
    }
}

template class Recurrence<float>;
template class Recurrence<double>;
template class Recurrence<long double>;
template Recurrence<long double>::Recurrence(const Recurrence<float>&);
template Recurrence<long double>::Recurrence(const Recurrence<double>&);

}  // namespace stillhouse::systems
