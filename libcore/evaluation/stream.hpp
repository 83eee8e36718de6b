// SPDX-License-Identifier: Apache-2.0
// The residual stream that scores are made of, by the mode of an evaluation: private to this folder.
#pragma once

#include "libcore/evaluation/perplexity.hpp"

#include <algorithm>

namespace stillhouse::evaluation {

template <class T>
Index first_maximum(const T* x, Index n)
{
    return std::max_element(x, x + n) - x;
}

/// Residual stream after the last layer for [batch, length] tokens.
template <class T>
Buffer<T> last_stream(const models::Network<T>& network, Mode mode, const std::vector<Index>& tokens, Index batch,
                      Index length)
{
    const Index width = network.config().width;
    Buffer<T> x(batch * length * width);
    const Sequences<T> s(x.data(), batch, length, width);
    if (mode == Mode::parallel) {
        network.embed(tokens.data(), batch * length, x.data());
        for (Index i = 0; i < network.config().layers; ++i) {
            network.layer(i, s, s, nullptr);
        }
    } else {
        models::NetworkState state = network.start(batch, models::Execution::recurrent);
        network.prefill_stream(tokens.data(), state, s);
    }
    return x;
}

}  // namespace stillhouse::evaluation
