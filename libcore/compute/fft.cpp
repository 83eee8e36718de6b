// SPDX-License-Identifier: Apache-2.0
// FFTW's real transforms behind one locked cache of plans.
#include "libcore/compute/fft.hpp"

#include "libcore/base/error.hpp"

#include <fftw3.h>

#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace stillhouse::compute {

namespace {

// FFTW's planner is not thread safe, its execution is. Plans live as long as the process.
std::mutex planner;

template <class T>
struct Fftw;

template <>
struct Fftw<float> {
    using Plan = fftwf_plan;
    using Complex = fftwf_complex;
    static Plan plan_forward(int n, float* x, Complex* s) { return fftwf_plan_dft_r2c_1d(n, x, s, FFTW_ESTIMATE); }
    static Plan plan_inverse(int n, Complex* s, float* x) { return fftwf_plan_dft_c2r_1d(n, s, x, FFTW_ESTIMATE); }
    static void forward(void* plan, float* x, Complex* s) { fftwf_execute_dft_r2c(static_cast<Plan>(plan), x, s); }
    static void inverse(void* plan, Complex* s, float* x) { fftwf_execute_dft_c2r(static_cast<Plan>(plan), s, x); }
};

template <>
struct Fftw<double> {
    using Plan = fftw_plan;
    using Complex = fftw_complex;
    static Plan plan_forward(int n, double* x, Complex* s) { return fftw_plan_dft_r2c_1d(n, x, s, FFTW_ESTIMATE); }
    static Plan plan_inverse(int n, Complex* s, double* x) { return fftw_plan_dft_c2r_1d(n, s, x, FFTW_ESTIMATE); }
    static void forward(void* plan, double* x, Complex* s) { fftw_execute_dft_r2c(static_cast<Plan>(plan), x, s); }
    static void inverse(void* plan, Complex* s, double* x) { fftw_execute_dft_c2r(static_cast<Plan>(plan), s, x); }
};

template <class T>
std::pair<void*, void*> plans(Index n)
{
    static std::map<Index, std::pair<void*, void*>> cache;
    const std::lock_guard lock(planner);
    const auto found = cache.find(n);
    if (found != cache.end()) {
        return found->second;
    }
    // FFTW_ESTIMATE touches no data, but the planner looks at the alignment of what it is given.
    Buffer<T> x(n);
    Buffer<std::complex<T>> spectrum(n / 2 + 1);
    auto* s = reinterpret_cast<typename Fftw<T>::Complex*>(spectrum.data());
    void* forward = Fftw<T>::plan_forward(static_cast<int>(n), x.data(), s);
    void* inverse = Fftw<T>::plan_inverse(static_cast<int>(n), s, x.data());
    if (forward == nullptr || inverse == nullptr) {
        throw_error(ErrorCode::resource, "FFTW cannot plan a real transform of length " + std::to_string(n));
    }
    return cache.emplace(n, std::pair{forward, inverse}).first->second;
}

}  // namespace

Index fft_size(Index n)
{
    STILLHOUSE_CHECK(n <= (Index{1} << 40));
    if (n <= 1) {
        return 1;
    }
    Index best = 1;
    while (best < n) {
        best *= 2;
    }
    for (Index seven = 1; seven < best; seven *= 7) {
        for (Index five = seven; five < best; five *= 5) {
            for (Index three = five; three < best; three *= 3) {
                Index size = three;
                while (size < n) {
                    size *= 2;
                }
                best = size < best ? size : best;
            }
        }
    }
    return best;
}

template <class T>
RealFft<T>::RealFft(Index n) : n_(n), forward_(nullptr), inverse_(nullptr)
{
    STILLHOUSE_CHECK(n >= 1 && n <= std::numeric_limits<int>::max());
    const auto [forward, inverse] = plans<T>(n);
    forward_ = forward;
    inverse_ = inverse;
}

template <class T>
void RealFft<T>::forward(const T* x, std::complex<T>* spectrum) const
{
    // Out of place and without FFTW_DESTROY_INPUT the input is preserved, whatever FFTW's signature says.
    Fftw<T>::forward(forward_, const_cast<T*>(x), reinterpret_cast<typename Fftw<T>::Complex*>(spectrum));
}

template <class T>
void RealFft<T>::inverse(std::complex<T>* spectrum, T* x) const
{
    Fftw<T>::inverse(inverse_, reinterpret_cast<typename Fftw<T>::Complex*>(spectrum), x);
}

template class RealFft<float>;
template class RealFft<double>;

}  // namespace stillhouse::compute
