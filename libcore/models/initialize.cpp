// SPDX-License-Identifier: Apache-2.0
// A network trained from nothing: its random weights.
#include "libcore/models/initialize.hpp"

#include "libcore/base/random.hpp"
#include "libcore/models/network.hpp"

#include <cmath>

namespace stillhouse::models {

namespace {

/// The same number for the same name on every machine (FNV-1a).
std::uint64_t stream_of(const std::string& name)
{
    std::uint64_t hash = 14695981039346656037ull;
    for (const char c : name) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    }
    return hash;
}

}  // namespace

template <class T>
Parameters<T> initialize_network(const NetworkConfig& config, std::uint64_t seed)
{
    Parameters<T> weights;
    const auto width = static_cast<double>(config.width);
    for (const auto& shape : network_weights(config)) {
        if (shape.name.find(".mixer.") != std::string::npos || shape.name.find(".attention.") != std::string::npos) {
            continue;
        }
        auto& entry = weights.add(shape.name, shape.shape);
        if (shape.name.find("norm") != std::string::npos) {
            std::fill(entry.values.begin(), entry.values.end(), shape.name.ends_with(".weight") ? T(1) : T(0));
        } else if (shape.name.ends_with(".weight")) {
            const bool down = shape.name.find(".mlp.down.") != std::string::npos;
            const double deviation =
                down ? 2.0 / (static_cast<double>(config.layers) * std::sqrt(width)) : std::sqrt(2.0 / (5.0 * width));
            Random random(seed, stream_of(shape.name));
            for (T& x : entry.values) {
                x = static_cast<T>(deviation * random.normal());
            }
        }
    }
    for (Index layer = 0; layer < config.layers; ++layer) {
        initialize_mixer(config, layer, seed, weights);
    }
    return weights;
}

template Parameters<float> initialize_network<float>(const NetworkConfig&, std::uint64_t);
template Parameters<double> initialize_network<double>(const NetworkConfig&, std::uint64_t);

}  // namespace stillhouse::models
