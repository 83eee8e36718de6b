// SPDX-License-Identifier: Apache-2.0
// A network trained from nothing: its random weights.
#pragma once

#include "libcore/models/mixer.hpp"

namespace stillhouse::models {

/// Every weight of `config`, as GPT-NeoX begins: embedding, head and inner projections normal of variance 2 / (5 D),
/// the MLP's down projection of standard deviation 2 / (layers sqrt(D)), norms 1, biases 0; mixers by initialize_mixer.
/// Numbers depend on the seed and the name of a weight alone.
template <class T>
Parameters<T> initialize_network(const NetworkConfig& config, std::uint64_t seed);

}  // namespace stillhouse::models
