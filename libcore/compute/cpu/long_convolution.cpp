// SPDX-License-Identifier: Apache-2.0
// Causal convolutions of token-major signals, a block of channels at a time, by transforms over registers.
#include "libcore/base/error.hpp"
#include "libcore/compute/block_convolution.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/cpu/scratch.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <numbers>
#include <vector>

namespace stillhouse::compute::cpu {

namespace {

constexpr Index spectra_elements = Index{1} << 23;   // of filters at a time, all threads together

/// A plan and what it points to.
template <class T>
struct Plan {
    std::vector<T> twiddles;
    std::vector<std::int32_t> pairs;
    FftPlan<T> view{};

    explicit Plan(Index n)
    {
        Index total = 0;
        for (Index m = n; m > 8; m /= 4) {
            total += m / 4 * 6;
        }
        twiddles.reserve(static_cast<std::size_t>(total));
        view.n = n;
        for (Index m = n; m > 8; m /= 4) {
            view.twiddles[log2_of(m)] = twiddles.data() + twiddles.size();
            for (Index j = 0; j < m / 4; ++j) {
                for (Index power = 1; power <= 3; ++power) {
                    const double angle = -2.0 * std::numbers::pi * static_cast<double>(j * power % m) /
                                         static_cast<double>(m);
                    twiddles.push_back(static_cast<T>(std::cos(angle)));
                    twiddles.push_back(static_cast<T>(std::sin(angle)));
                }
            }
        }
        for (Index k = 0; k <= n / 2; ++k) {
            pairs.push_back(static_cast<std::int32_t>(place(k, n)));
            pairs.push_back(static_cast<std::int32_t>(place((n - k) % n, n)));
        }
        view.pairs = pairs.data();
    }

    static int log2_of(Index n)
    {
        int log = 0;
        while ((Index{1} << log) < n) {
            ++log;
        }
        return log;
    }

    /// Where the transform leaves frequency k.
    static Index place(Index k, Index n)
    {
        Index at = 0;
        while (n > 8) {
            at += k % 4 * (n / 4);
            k /= 4;
            n /= 4;
        }
        return at + (n == 8 ? k % 4 * 2 + k / 4 : k);
    }
};

/// The plan for a convolution of so many samples; plans live as long as the process.
template <class T>
const FftPlan<T>& plan_for(Index samples)
{
    static std::mutex lock;
    static std::map<Index, std::unique_ptr<Plan<T>>> cache;
    STILLHOUSE_CHECK(samples <= (Index{1} << 30));
    Index n = 16;
    while (n < samples) {
        n *= 2;
    }
    const std::lock_guard guard(lock);
    auto& slot = cache[n];
    if (!slot) {
        slot = std::make_unique<Plan<T>>(n);
    }
    return slot->view;
}

/// The channels of block i, and the filters of its lanes.
struct Block {
    Index first, channels;
    Block(Index i, Index size, Index width) : first(i * size), channels(std::min(size, width - first)) {}
};

/// Spectra of the filters of a block of channels.
template <class T>
void block_spectra(const FftPlan<T>& plan, const Block& block, Index size, Matrix<const T> h, Index taps,
                   const Index* filter_of, T* spectra)
{
    Scratch<T, 10> row_memory(taps * size);
    Scratch<T, 11> work(plan.n * size);
    T* const rows = row_memory.data();
    if (block.channels < size) {
        std::fill_n(rows, taps * size, T(0));
    }
    for (Index c = 0; c < block.channels; ++c) {
        const T* const filter = h.row(filter_of[block.first + c]);
        for (Index t = 0; t < taps; ++t) {
            rows[t * size + c] = filter[t];
        }
    }
    kernels<T>().transforms.spectra(plan, rows, taps, work.data(), spectra);
}

void check_filters(const Index* filter_of, Index channels, Index filters)
{
    for (Index c = 0; c < channels; ++c) {
        STILLHOUSE_CHECK(filter_of[c] >= 0 && filter_of[c] < filters);
    }
}

}  // namespace

template <class T>
void convolve_tokens(ThreadPool& pool, Sequences<const T> u, Matrix<const T> h, const Index* filter_of,
                     Sequences<T> y)
{
    STILLHOUSE_CHECK(y.batch == u.batch && y.length == u.length && y.width == u.width && h.cols > 0);
    check_filters(filter_of, u.width, h.rows);
    if (u.size() == 0) {
        return;
    }
    const Index taps = std::min(h.cols, u.length);
    const FftPlan<T>& plan = plan_for<T>(u.length + taps - 1);
    const auto& transforms = kernels<T>().transforms;
    const Index size = 2 * transforms.lanes;
    const Index blocks = (u.width + size - 1) / size;
    const Index each = (plan.n / 2 + 1) * 2 * size;
    const Index at_once = std::clamp<Index>(spectra_elements / each, 1, blocks);
    Scratch<T, 15> spectra_memory(at_once * each);
    T* const spectra = spectra_memory.data();
    for (Index first = 0; first < blocks; first += at_once) {
        const Index now = std::min(at_once, blocks - first);
        pool.for_each(now, [&](Index i) {
            block_spectra(plan, Block(first + i, size, u.width), size, h, taps, filter_of, spectra + i * each);
        });
        pool.for_each(now * u.batch, [&](Index task) {
            const Index i = task / u.batch;
            const Index b = task % u.batch;
            const Block block(first + i, size, u.width);
            Scratch<T, 11> work(plan.n * size);
            transforms.convolve(plan, spectra + i * each, false, u.token(b, 0) + block.first, u.width, u.length,
                                block.channels, work.data(), y.token(b, 0) + block.first);
        });
    }
}

template <class T>
void convolve_tokens_backward(ThreadPool& pool, Sequences<const T> dy, Sequences<const T> u, Matrix<const T> h,
                              const Index* filter_of, Sequences<T> du, Matrix<T> dh)
{
    STILLHOUSE_CHECK(dy.batch == u.batch && dy.length == u.length && dy.width == u.width && du.size() == u.size());
    STILLHOUSE_CHECK(h.cols > 0 && (dh.data == nullptr || dh.rows == h.rows));
    check_filters(filter_of, u.width, h.rows);
    if (u.size() == 0) {
        return;
    }
    const Index taps = std::min(h.cols, u.length);
    const Index lags = dh.data != nullptr ? std::min(dh.cols, u.length) : 0;
    const FftPlan<T>& plan = plan_for<T>(u.length + std::max(taps, lags) - 1);
    const auto& transforms = kernels<T>().transforms;
    const Index size = 2 * transforms.lanes;
    const Index blocks = (u.width + size - 1) / size;
    const Index each = (plan.n / 2 + 1) * 2 * size;
    Scratch<T, 15> memory(lags * size * blocks);
    T* const by_channel = memory.data();             // of each block [lags, size]
    // A block's sequences are summed by one thread in their order.
    pool.for_each(blocks, [&](Index i) {
        const Block block(i, size, u.width);
        Scratch<T, 12> spectra(each);
        block_spectra(plan, block, size, h, taps, filter_of, spectra.data());
        Scratch<T, 11> work(plan.n * size);
        Scratch<T, 13> sums(lags > 0 ? each : 0);
        Scratch<T, 14> other(lags > 0 ? plan.n * size : 0);
        std::fill_n(sums.data(), lags > 0 ? each : 0, T(0));
        for (Index b = 0; b < u.batch; ++b) {
            const T* const in = dy.token(b, 0) + block.first;
            T* const out = du.token(b, 0) + block.first;
            if (lags > 0) {
                transforms.correlate(plan, spectra.data(), in, u.token(b, 0) + block.first, u.width, u.length,
                                     block.channels, work.data(), other.data(), sums.data(), out);
            } else {
                transforms.convolve(plan, spectra.data(), true, in, u.width, u.length, block.channels, work.data(),
                                    out);
            }
        }
        if (lags > 0) {
            transforms.lags(plan, sums.data(), lags, work.data(), by_channel + i * lags * size);
        }
    });
    if (lags == 0) {
        return;
    }
    std::vector<std::vector<Index>> channels(static_cast<std::size_t>(h.rows));
    for (Index c = 0; c < u.width; ++c) {
        channels[static_cast<std::size_t>(filter_of[c])].push_back(c);
    }
    pool.for_each(h.rows, [&](Index f) {
        for (const Index c : channels[static_cast<std::size_t>(f)]) {
            const T* const from = by_channel + c / size * lags * size + c % size;
            for (Index t = 0; t < lags; ++t) {
                dh(f, t) += from[t * size];
            }
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                    \
    template void convolve_tokens<T>(ThreadPool&, Sequences<const T>, Matrix<const T>, const Index*, Sequences<T>);  \
    template void convolve_tokens_backward<T>(ThreadPool&, Sequences<const T>, Sequences<const T>, Matrix<const T>,  \
                                              const Index*, Sequences<T>, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute::cpu

namespace stillhouse::compute {

template <class T>
Index block_channels() noexcept
{
    return 2 * cpu::kernels<T>().transforms.lanes;
}

template <class T>
Index block_spectrum_size(Index n)
{
    return (n / 2 + 1) * 2 * block_channels<T>();
}

template <class T>
void block_spectrum(Index n, const T* h, Index taps, T* spectrum)
{
    const cpu::FftPlan<T>& plan = cpu::plan_for<T>(n);
    STILLHOUSE_CHECK(plan.n == n && taps <= n);
    cpu::Scratch<T, 11> work(n * block_channels<T>());
    cpu::kernels<T>().transforms.spectra(plan, h, taps, work.data(), spectrum);
}

template <class T>
void block_convolve(Index n, const T* spectrum, T* u, Index length)
{
    const cpu::FftPlan<T>& plan = cpu::plan_for<T>(n);
    const Index channels = block_channels<T>();
    STILLHOUSE_CHECK(plan.n == n && length <= n);
    cpu::Scratch<T, 11> work(n * channels);
    cpu::kernels<T>().transforms.convolve(plan, spectrum, false, u, channels, length, channels, work.data(), u);
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                    \
    template Index block_channels<T>() noexcept;                                                                     \
    template Index block_spectrum_size<T>(Index);                                                                    \
    template void block_spectrum<T>(Index, const T*, Index, T*);                                                     \
    template void block_convolve<T>(Index, const T*, T*, Index);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute
