// SPDX-License-Identifier: Apache-2.0
// Rotary positions: the planes of each head turned by an angle that grows with the position.
#pragma once

#include "libcore/compute/backend.hpp"
#include "libcore/models/config.hpp"

#include <vector>

namespace stillhouse::models {

/// Radians per position of the dims/2 planes: theta^(-2i/dims), with the scaling of the configuration.
/// linear: divided by `factor`. llama3: wavelengths above original_max_positions / low_freq_factor divided by
/// `factor`, those below original_max_positions / high_freq_factor kept, between them interpolated (as in
/// transformers' modeling_rope_utils). In double; angles and their cosines are as well, rounded to T at the end.
std::vector<double> rotary_frequencies(const Rotary& rotary);

/// x [batch, length, n * head_dim], in place: in every head, with a = position * frequency[i], h = dims / 2:
///     x[i]     <- x[i] cos a - x[i + h] sin a
///     x[i + h] <- x[i + h] cos a + x[i] sin a
/// for i < h; dimensions from 2h on stay. Token t of each sequence stands at position first + t.
/// `back` turns the other way, which is the adjoint.
template <class T>
void rotate(compute::Operations<T>& ops, const std::vector<double>& frequencies, Index head_dim, Index first,
            Sequences<T> x, bool back = false);
/// The same for rows x [n, heads * head_dim], contiguous, of which row i stands at positions[i].
template <class T>
void rotate_rows(compute::Operations<T>& ops, const std::vector<double>& frequencies, Index head_dim,
                 const Index* positions, Matrix<T> x);

}  // namespace stillhouse::models
