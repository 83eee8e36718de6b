// SPDX-License-Identifier: Apache-2.0
// Real transforms over FFTW with one process-wide plan cache under a lock.
#pragma once

#include "libcore/base/array.hpp"

#include <complex>
#include <memory>

namespace stillhouse::compute {

/// Smallest 2^a 3^b 5^c 7^e >= n.
Index fft_size(Index n);

/// Unnormalised real transform of length n (FFTW_ESTIMATE: measured plans change results between runs).
/// forward: n reals -> n/2 + 1 complex; inverse: back, times n. Pointers must be 64-byte aligned (Buffer is).
/// One object may be used by many threads at once. The inverse overwrites its input.
template <class T>
class RealFft {
public:
    explicit RealFft(Index n);
    Index size() const noexcept { return n_; }
    Index spectrum_size() const noexcept { return n_ / 2 + 1; }
    void forward(const T* x, std::complex<T>* spectrum) const;
    void inverse(std::complex<T>* spectrum, T* x) const;

private:
    Index n_;
    void* forward_;
    void* inverse_;
};

}  // namespace stillhouse::compute
