// SPDX-License-Identifier: Apache-2.0
// Which inputs are convolved when, and the spectra of the filters' parts.
#include "libcore/models/online_convolution.hpp"

#include "libcore/compute/block_convolution.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <bit>

namespace stillhouse::models {

namespace {

constexpr Index kept_reach = 4096;

Index power_below(Index n)
{
    return static_cast<Index>(std::bit_floor(static_cast<std::uint64_t>(n)));
}

Index power_above(Index n)
{
    return static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(n)));
}

}  // namespace

template <class T>
OnlineFilters<T>::OnlineFilters(std::span<const Index> filter_of, Index group, Index base) : base_(base)
{
    STILLHOUSE_CHECK(base >= 8 && base == power_below(base) && static_cast<Index>(filter_of.size()) % group == 0);
    const Index channels = compute::block_channels<T>();
    std::map<std::vector<Index>, Index> known;
    for (Index first = 0; first < static_cast<Index>(filter_of.size()); first += group) {
        for (Index c = first; c < first + group; c += channels) {
            const Index count = std::min(channels, first + group - c);
            std::vector<Index> filters(filter_of.begin() + c, filter_of.begin() + c + count);
            const auto [found, fresh] = known.try_emplace(filters, static_cast<Index>(tables_.size()));
            if (fresh) {
                tables_.push_back(std::move(filters));
            }
            blocks_.push_back({c, count, found->second});
        }
    }
}

template <class T>
void OnlineFilters<T>::set_responses(Matrix<const T> h, bool whole)
{
    STILLHOUSE_CHECK(h.cols >= h_.cols);
    h_ = h;
    if (whole) {
        most_ = std::max(base_, power_above(h.cols));
    }
    whole_ = whole;
}

template <class T>
Index OnlineFilters<T>::reach(Index i) const
{
    return std::min(most_, i & -i);
}

template <class T>
Index OnlineFilters<T>::outlook_end(Index position) const
{
    if (position <= base_) {
        return position;
    }
    return position <= most_ ? power_above(position) : (position + most_ - 1) / most_ * most_;
}

template <class T>
Index OnlineFilters<T>::piece(Index position, Index remaining) const
{
    if (const Index within = position % base_; within != 0) {
        return std::min(remaining, base_ - within);
    }
    if (remaining < base_) {
        return remaining;
    }
    const Index whole = std::min(most_, power_below(remaining));
    return position == 0 ? whole : std::min(whole, position & -position);
}

/// The filter's lags around `reach`, for a transform of 2 reach: row m has lag reach + m, rows from the end backwards
/// those below.
template <class T>
void OnlineFilters<T>::spectrum(Index table, Index reach, T* to) const
{
    const Index channels = compute::block_channels<T>();
    const Index n = 2 * reach;
    Scratch<T> rows(n * channels);
    std::fill_n(rows.data(), n * channels, T(0));
    const std::vector<Index>& filters = tables_[static_cast<std::size_t>(table)];
    for (std::size_t c = 0; c < filters.size(); ++c) {
        const T* const h = h_.row(filters[c]);
        for (Index m = 0; m < n; ++m) {
            const Index lag = m < reach ? reach + m : m - reach;
            if (m != reach && lag < h_.cols) {
                rows.data()[m * channels + static_cast<Index>(c)] = h[lag];
            }
        }
    }
    compute::block_spectrum(n, rows.data(), n, to);
}

template <class T>
void OnlineFilters<T>::prepare(ThreadPool& pool, Index reach)
{
    if (reach > kept_reach) {
        return;
    }
    const std::lock_guard lock(spectra_->lock);
    if (spectra_->by_reach.contains(reach)) {
        return;
    }
    STILLHOUSE_CHECK(whole_ || h_.cols >= 2 * reach);
    const Index each = compute::block_spectrum_size<T>(2 * reach);
    Buffer<T> made(static_cast<Index>(tables_.size()) * each);
    pool.for_each(static_cast<Index>(tables_.size()),
                  [&](Index table) { spectrum(table, reach, made.data() + table * each); });
    spectra_->by_reach.emplace(reach, std::move(made));
}

template <class T>
void OnlineFilters<T>::fill(Index block_index, Index reach, T* u) const
{
    const Index table = block(block_index).table;
    const Index each = compute::block_spectrum_size<T>(2 * reach);
    const T* kept = nullptr;
    {
        const std::lock_guard lock(spectra_->lock);
        const auto found = spectra_->by_reach.find(reach);
        kept = found != spectra_->by_reach.end() ? found->second.data() + table * each : nullptr;
    }
    if (kept != nullptr) {
        compute::block_convolve(2 * reach, kept, u, reach);
        return;
    }
    Scratch<T> own(each);
    spectrum(table, reach, own.data());
    compute::block_convolve(2 * reach, static_cast<const T*>(own.data()), u, reach);
}

template class OnlineFilters<float>;
template class OnlineFilters<double>;

}  // namespace stillhouse::models
