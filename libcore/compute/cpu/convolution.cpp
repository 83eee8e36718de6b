// SPDX-License-Identifier: Apache-2.0
// Causal convolutions and their adjoints by real transforms long enough not to wrap.
#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/fft.hpp"

#include <algorithm>
#include <complex>
#include <vector>

namespace stillhouse::compute::cpu {

namespace {

template <class T>
using Complex = std::complex<T>;

/// Scratch of one thread for one length.
template <class T>
struct Scratch {
    explicit Scratch(const RealFft<T>& fft) : time(fft.size()), frequency(fft.spectrum_size()) {}
    Buffer<T> time;
    Buffer<Complex<T>> frequency;
};

/// One Scratch a thread and length, kept as long as the thread.
template <class T>
Scratch<T>& scratch_for(const RealFft<T>& fft, int which)
{
    thread_local std::vector<std::unique_ptr<Scratch<T>>> kept(2);
    auto& slot = kept[static_cast<std::size_t>(which)];
    if (!slot || slot->time.size() != fft.size()) {
        slot = std::make_unique<Scratch<T>>(fft);
    }
    return *slot;
}

template <class T>
void load(const T* from, Index n, Buffer<T>& to)
{
    std::copy_n(from, n, to.data());
    std::fill(to.data() + n, to.end(), T(0));
}

/// product by hand: std::complex's operator* looks for infinities
template <class T>
Complex<T> times(Complex<T> a, Complex<T> b)
{
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

template <class T>
Complex<T> times_conjugate(Complex<T> a, Complex<T> b)
{
    return {a.real() * b.real() + a.imag() * b.imag(), a.imag() * b.real() - a.real() * b.imag()};
}

Index rows_per_task(Index rows, Index length)
{
    return std::clamp<Index>(16384 / std::max<Index>(1, length), 1, std::max<Index>(1, rows));
}

/// Spectra of all filters over the transform's length, taps beyond `length` left out: they reach no output.
template <class T>
Buffer<Complex<T>> spectra_of(ThreadPool& pool, const RealFft<T>& fft, Matrix<const T> h, Index taps)
{
    Buffer<Complex<T>> spectra(h.rows * fft.spectrum_size());
    const T scale = T(1) / static_cast<T>(fft.size());
    pool.for_each(h.rows, [&](Index f) {
        Scratch<T>& scratch = scratch_for(fft, 0);
        load(h.row(f), taps, scratch.time);
        fft.forward(scratch.time.data(), scratch.frequency.data());
        for (Index i = 0; i < fft.spectrum_size(); ++i) {
            spectra[f * fft.spectrum_size() + i] = scratch.frequency[i] * scale;
        }
    });
    return spectra;
}

void check_filters(const Index* filter_of, Index signals, Index filters)
{
    for (Index i = 0; i < signals; ++i) {
        STILLHOUSE_CHECK(filter_of[i] >= 0 && filter_of[i] < filters);
    }
}

template <class T, class Product>
void filter_all(ThreadPool& pool, Matrix<const T> u, Matrix<const T> h, const Index* filter_of, Matrix<T> y,
                const Product& product)
{
    const Index length = u.cols;
    STILLHOUSE_CHECK(y.rows == u.rows && y.cols == length);
    check_filters(filter_of, u.rows, h.rows);
    if (u.rows == 0 || length == 0) {
        return;
    }
    const Index taps = std::min(h.cols, length);
    const RealFft<T> fft(fft_size(length + std::max<Index>(1, taps) - 1));
    const Index bins = fft.spectrum_size();
    const Buffer<Complex<T>> spectra = spectra_of(pool, fft, h, taps);
    const Index block = rows_per_task(u.rows, length);
    pool.for_each((u.rows + block - 1) / block, [&](Index task) {
        Scratch<T>& scratch = scratch_for(fft, 0);
        for (Index i = task * block; i < std::min(u.rows, (task + 1) * block); ++i) {
            load(u.row(i), length, scratch.time);
            fft.forward(scratch.time.data(), scratch.frequency.data());
            const Complex<T>* filter = spectra.data() + filter_of[i] * bins;
            for (Index f = 0; f < bins; ++f) {
                scratch.frequency[f] = product(scratch.frequency[f], filter[f]);
            }
            fft.inverse(scratch.frequency.data(), scratch.time.data());
            std::copy_n(scratch.time.data(), length, y.row(i));
        }
    });
}

}  // namespace

template <class T>
void convolve(ThreadPool& pool, Matrix<const T> u, Matrix<const T> h, const Index* filter_of, Matrix<T> y)
{
    filter_all(pool, u, h, filter_of, y, [](Complex<T> a, Complex<T> b) { return times(a, b); });
}

template <class T>
void convolve_adjoint(ThreadPool& pool, Matrix<const T> dy, Matrix<const T> h, const Index* filter_of, Matrix<T> du)
{
    // Correlating with h: lags -(taps - 1) .. length - 1 occupy the transform without touching 0 .. length - 1.
    filter_all(pool, dy, h, filter_of, du, [](Complex<T> a, Complex<T> b) { return times_conjugate(a, b); });
}

template <class T>
void correlate(ThreadPool& pool, Matrix<const T> dy, Matrix<const T> u, const Index* filter_of, Matrix<T> dh)
{
    const Index length = u.cols;
    STILLHOUSE_CHECK(dy.rows == u.rows && dy.cols == length);
    check_filters(filter_of, u.rows, dh.rows);
    if (u.rows == 0 || length == 0 || dh.cols == 0) {
        return;
    }
    const Index taps = std::min(dh.cols, length);
    const RealFft<T> fft(fft_size(length + taps - 1));
    const Index bins = fft.spectrum_size();
    const T scale = T(1) / static_cast<T>(fft.size());
    std::vector<std::vector<Index>> signals(static_cast<std::size_t>(dh.rows));
    for (Index i = 0; i < u.rows; ++i) {
        signals[static_cast<std::size_t>(filter_of[i])].push_back(i);
    }
    // A filter's signals are summed by one thread, in their order, as spectra: one inverse transform a filter.
    pool.for_each(dh.rows, [&](Index f) {
        const std::vector<Index>& mine = signals[static_cast<std::size_t>(f)];
        if (mine.empty()) {
            return;
        }
        Scratch<T>& left = scratch_for(fft, 0);
        Scratch<T>& right = scratch_for(fft, 1);
        Buffer<Complex<T>> sum(bins);
        for (const Index i : mine) {
            load(dy.row(i), length, left.time);
            load(u.row(i), length, right.time);
            fft.forward(left.time.data(), left.frequency.data());
            fft.forward(right.time.data(), right.frequency.data());
            for (Index b = 0; b < bins; ++b) {
                sum[b] += times_conjugate(left.frequency[b], right.frequency[b]);
            }
        }
        fft.inverse(sum.data(), left.time.data());
        for (Index tau = 0; tau < taps; ++tau) {
            dh(f, tau) += scale * left.time[tau];
        }
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                        \
    template void convolve<T>(ThreadPool&, Matrix<const T>, Matrix<const T>, const Index*, Matrix<T>);   \
    template void convolve_adjoint<T>(ThreadPool&, Matrix<const T>, Matrix<const T>, const Index*, Matrix<T>); \
    template void correlate<T>(ThreadPool&, Matrix<const T>, Matrix<const T>, const Index*, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute::cpu
