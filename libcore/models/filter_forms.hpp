// SPDX-License-Identifier: Apache-2.0
// The makers of the single filter forms, and how their tensors are called; for filter*.cpp alone.
#pragma once

#include "libcore/models/filter.hpp"

#include <string>

namespace stillhouse::models {

std::string filter_name(Index layer, const std::string& part);   // "layers.3.mixer." + part
Index filter_rows_of(const MixerConfig& config);                   // F = (order - 1) * filters

template <class T>
std::unique_ptr<Filter<T>> make_implicit_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights);
std::vector<WeightShape> implicit_filter_weights(const MixerConfig& config, Index layer);

template <class T>
std::unique_ptr<Filter<T>> make_modal_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights);
std::vector<WeightShape> modal_filter_weights(const MixerConfig& config, Index layer);

}  // namespace stillhouse::models
