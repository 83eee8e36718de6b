// SPDX-License-Identifier: Apache-2.0
// What a teacher's activations ask of a student's layer.
#pragma once

#include "libcore/models/network.hpp"

#include <vector>

namespace stillhouse::training {

/// Teacher activations of equally long sequences, kept in memory for all layers.
template <class T>
struct Activations {
    Index batch = 0;
    Index length = 0;
    std::vector<Index> tokens;                  // [batch, length], or empty: nothing here reads them
    std::vector<Buffer<T>> residual;            // layers + 1 of [batch, length, D]: before each layer, after the last
    Index size() const { return batch * length; }
    Sequences<const T> stream(Index layer, Index width) const
    {
        return {residual.at(static_cast<std::size_t>(layer)).data(), batch, length, width};
    }
};

/// What the mixer of `layer` has to give on the student's stream s, so that the drift of the layers below is corrected:
/// parallel residual x_{l+1} - s_l - MLP(LN2(s_l)), sequential x_l + a_l - s_l (x, a: the teacher's; `attention` is the
/// teacher's mixer of the layer). y [batch, length, D].
template <class T>
void mixer_target(const models::Network<T>& student, const models::Mixer<T>& attention, Index layer,
                  const Activations<T>& teacher, Sequences<const T> s, Sequences<T> y);

}  // namespace stillhouse::training
