// SPDX-License-Identifier: Apache-2.0
// Circular convolutions of blocks of token-major signals with filters whose transforms are kept.
#pragma once

#include "libcore/base/shape.hpp"

namespace stillhouse::compute {

/// Signals of a block on this processor: real and imaginary parts of as many complex transforms as a register holds.
template <class T>
Index block_channels() noexcept;

/// Numbers of the spectrum of a block of filters for transforms of length n = 2^a >= 16.
template <class T>
Index block_spectrum_size(Index n);
/// spectrum of filters h[taps, block_channels], taps <= n.
template <class T>
void block_spectrum(Index n, const T* h, Index taps, T* spectrum);

/// u[length, block_channels] <- the first `length` rows of the circular convolution of length n with u and zeros behind
/// it. Single-threaded: for use inside tasks.
template <class T>
void block_convolve(Index n, const T* spectrum, T* u, Index length);

}  // namespace stillhouse::compute
