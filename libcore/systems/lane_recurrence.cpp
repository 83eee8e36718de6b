// SPDX-License-Identifier: Apache-2.0
// Coefficients side by side, and the walk over a block's slots.
#include "libcore/systems/lane_recurrence.hpp"

#include "libcore/systems/cascade.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace stillhouse::systems {

namespace {

constexpr Index pair_rows = 5;
constexpr Index single_rows = 3;
constexpr Index most = LaneRecurrence<float>::longest * lane_count;

}  // namespace

template <class T>
LaneTable<T>::LaneTable(const Recurrence<T>& bank, std::span<const Index> filter_of) : form_(bank.form_)
{
    for (const auto& filter : bank.bank_) {
        const bool modal = form_ == Form::modal;
        pairs_ = std::max(pairs_, modal ? filter.pairs : filter.sections);
        singles_ = std::max(singles_, modal ? filter.sections - filter.pairs : 0);
    }
    taps_ = bank.taps_;
    Index coefficients = 0;
    switch (form_) {
    case Form::modal:
        order_ = 2 * pairs_ + singles_;
        coefficients = pair_rows * pairs_ + single_rows * singles_;
        break;
    case Form::cascade:
        order_ = 2 * pairs_;
        coefficients = section_rows * pairs_;
        break;
    case Form::companion:
        order_ = bank.order_;
        coefficients = 2 * order_;
        break;
    case Form::balanced:
    case Form::dense:
        order_ = bank.order_;
        coefficients = order_ * (order_ + 2);
        break;
    }
    table_rows_ = coefficients + taps_;

    const auto signals = static_cast<Index>(filter_of.size());
    std::map<std::vector<Index>, Index> known;
    std::vector<std::vector<Index>> distinct;
    for (Index first = 0; first < signals; first += lane_count) {
        std::vector<Index> filters(filter_of.begin() + first,
                                   filter_of.begin() + std::min(first + lane_count, signals));
        const auto [found, fresh] = known.try_emplace(filters, static_cast<Index>(distinct.size()));
        if (fresh) {
            distinct.push_back(std::move(filters));
        }
        table_of_.push_back(found->second);
    }
    table_ = Buffer<T>(static_cast<Index>(distinct.size()) * table_rows_ * lane_count);
    const auto fewer = [&](const auto& filter) { return filter.taps != taps_; };
    const bool uneven = std::any_of(bank.bank_.begin(), bank.bank_.end(), fewer);
    late_.assign(uneven ? distinct.size() * lane_count : 0, 0);
    for (std::size_t i = 0; i < distinct.size(); ++i) {
        for (std::size_t l = 0; uneven && l < distinct[i].size(); ++l) {
            late_[i * lane_count + l] = bank.bank_[static_cast<std::size_t>(distinct[i][l])].taps - 1;
        }
        fill(bank, distinct[i], table_.data() + static_cast<Index>(i) * table_rows_ * lane_count);
    }
}

/// What the bank's table of a section says, as rows of LaneSection. Of a section of one state the second stays zero.
template <class T>
void LaneTable<T>::fill_section(const T* from, T* slot, Index lane) const
{
    const bool one = std::fabs(from[0]) == T(1);
    const T sign = from[0] < T(0) ? T(-1) : T(1);
    const SectionNumbers<T> n{sign, from[1], from[2], from[3], from[4], from[5]};
    const auto put = [&](LaneSection which, T value) { slot[which * lane_count + lane] = value; };
    put(section_b, one ? T(1) : n.b);
    put(section_in, one ? T(1) : n.s2);
    put(section_s, sign);
    put(section_a, sign * n.a);
    put(section_r, sign * n.rest);
    put(section_g, n.s1);
    put(section_d, one ? -sign : T(1));
    if (one) {                                  // w' = s1 x1 - sign (w - a w)
        put(section_d2, -sign * n.a);
        put(section_o1, n.s1);
    } else {
        put(section_d2, n.b);
        put(section_o2, n.s2);
        put(section_h, n.s1);
        put(section_s2, sign);
        put(section_a2, sign * n.a);
        put(section_r2, sign * n.rest);
    }
}

template <class T>
void LaneTable<T>::fill(const Recurrence<T>& bank, std::span<const Index> filters, T* c) const
{
    const T* const numbers = bank.table_.data();
    T* const fir = c + (table_rows_ - taps_) * lane_count;
    for (std::size_t i = 0; i < filters.size(); ++i) {
        const auto& filter = bank.bank_[static_cast<std::size_t>(filters[i])];
        const auto lane = static_cast<Index>(i);
        const auto put = [&](T* base, Index at, T value) { base[at * lane_count + lane] = value; };
        const T* const from = numbers + filter.coefficients;
        for (Index k = 0; k < filter.taps; ++k) {
            put(fir, k, numbers[filter.fir + k]);
        }
        switch (form_) {
        case Form::modal: {
            const Index p = filter.pairs;
            const Index q = filter.sections - p;
            for (Index k = 0; k < p; ++k) {
                T* const slot = c + pair_rows * k * lane_count;
                put(slot, 0, from[k]);
                put(slot, 1, from[k] * from[p + k]);
                put(slot, 2, from[2 * p + k]);
                put(slot, 3, from[3 * p + k]);
                put(slot, 4, from[4 * p + k]);
            }
            const T* const single = from + 5 * p;
            for (Index k = 0; k < q; ++k) {
                T* const slot = c + (pair_rows * pairs_ + single_rows * k) * lane_count;
                put(slot, 0, single[k]);
                put(slot, 1, single[k] * single[q + k]);
                put(slot, 2, single[2 * q + k]);
            }
            break;
        }
        case Form::cascade: {
            const T* readout = from + 6 * filter.sections;
            for (Index k = 0; k < pairs_; ++k) {
                T* const slot = c + section_rows * k * lane_count;
                if (k >= filter.sections) {
                    put(slot, section_d, T(1));
                    continue;
                }
                fill_section(from + 6 * k, slot, lane);
                put(slot, section_c1, *readout++);
                if (std::fabs(from[6 * k]) == T(2)) {
                    put(slot, section_c2, *readout++);
                }
            }
            break;
        }
        case Form::companion:
            for (Index k = 0; k < filter.order; ++k) {
                put(c, k, from[k]);
                put(c, order_ + k, from[filter.order + k]);
            }
            break;
        case Form::balanced:
        case Form::dense: {
            const Index d = filter.order;
            for (Index j = 0; j < d; ++j) {
                for (Index k = 0; k < d; ++k) {
                    put(c, j * order_ + k, from[j * d + k]);
                }
            }
            for (Index k = 0; k < d; ++k) {
                put(c, order_ * order_ + k, from[d * d + k]);
                put(c, order_ * order_ + order_ + k, from[d * d + d + k]);
            }
            break;
        }
        }
    }
}

template <class T>
void LaneTable<T>::scan(Index block, const T* u, Index length, T* state, T* y) const
{
    const LaneKernels<T>& kernels = lane_kernels<T>();
    const T* const c = table_.data() + table_of(block) * table_rows_ * lane_count;
    const T* const fir = c + (table_rows_ - taps_) * lane_count;
    T* const past = state + order_ * lane_count;
    alignas(64) T fed[most];
    if (late_.empty()) {
        kernels.taps(taps_, fir, u, length, past, fed, y);
    } else {                                    // modes that follow fewer taps than others of the bank are fed earlier
        const Index* const late = late_.data() + table_of(block) * lane_count;
        for (Index t = 0; t < length; ++t) {
            alignas(64) T own[lane_count];
            for (Index l = 0; l < lane_count; ++l) {
                own[l] = u[t * lane_count + l];
                if (late[l] > 0) {               // `past` may be doubles within an array of floats
                    std::memcpy(&own[l], past + (late[l] - 1) * lane_count + l, sizeof(T));
                }
            }
            kernels.taps(taps_, fir, u + t * lane_count, 1, past, fed + t * lane_count, y + t * lane_count);
            std::copy_n(own, lane_count, fed + t * lane_count);
        }
    }
    switch (form_) {
    case Form::modal:
        kernels.pairs(pairs_, c, fed, length, state, y);
        kernels.singles(singles_, c + pair_rows * pairs_ * lane_count, fed, length, state + 2 * pairs_ * lane_count, y);
        break;
    case Form::cascade:
        kernels.sections(pairs_, c, fed, length, state, y);
        break;
    case Form::companion:
        kernels.companion(order_, c, fed, length, state, y);
        break;
    case Form::balanced:
    case Form::dense: {
        thread_local Buffer<T> next;
        if (next.size() < order_ * lane_count) {
            next = Buffer<T>(order_ * lane_count);
        }
        kernels.dense(order_, c, fed, length, state, next.data(), y);
        break;
    }
    }
}

template <class T>
Index LaneRecurrence<T>::state_size() const
{
    if (wide_ == nullptr) {
        return own_->rows() * lane_count;
    }
    return wide_->rows() * lane_count * static_cast<Index>(sizeof(double) / sizeof(T));
}

// The kernels read and write numbers by memcpy, so that doubles may live in an array of floats.
template <class T>
void LaneRecurrence<T>::scan(Index block, const T* u, Index length, T* state, T* y) const
{
    STILLHOUSE_CHECK(length <= longest);
    if (wide_ == nullptr) {
        own_->scan(block, u, length, state, y);
        return;
    }
    alignas(64) double numbers[most];
    std::copy_n(u, length * lane_count, numbers);
    wide_->scan(block, numbers, length, reinterpret_cast<double*>(state), numbers);
    std::transform(numbers, numbers + length * lane_count, y, [](double x) { return static_cast<T>(x); });
}

template <class T>
double LaneRecurrence<T>::state_at(const T* state, Index i, Index l) const
{
    if (wide_ == nullptr) {
        return static_cast<double>(state[i * lane_count + l]);
    }
    double value = 0.0;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(state) + (i * lane_count + l) * Index{sizeof(double)},
                sizeof(double));
    return value;
}

template <class T>
void LaneRecurrence<T>::set_state(T* state, Index i, Index l, double value) const
{
    if (wide_ == nullptr) {
        state[i * lane_count + l] = static_cast<T>(value);
        return;
    }
    std::memcpy(reinterpret_cast<std::byte*>(state) + (i * lane_count + l) * Index{sizeof(double)}, &value,
                sizeof(double));
}

template class LaneTable<float>;
template class LaneTable<double>;
template class LaneRecurrence<float>;
template class LaneRecurrence<double>;

}  // namespace stillhouse::systems
