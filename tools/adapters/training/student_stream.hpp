// SPDX-License-Identifier: Apache-2.0
// A student, new or trained further, into a stream.
#pragma once

#include "libcore/models/network.hpp"
#include "tools/adapters/model/model.hpp"

#include <functional>
#include <string_view>

namespace stillhouse::adapters {

/// Texts (config.json saying what the network is), weights, and the materialised filters `layers.i.mixer.filter` of
/// every layer whose filter changed. What was derived from such a filter, spectra, fits, realizations, is left out:
/// the tool that changes a tensor drops it. Weights for which `changed` says no go out as they came in. The network's
/// entries of dropped tensors are erased.
template <class T>
void write_student(formats::StreamWriter& writer, const Texts& texts, models::Network<T>& network,
                   const Inventory& inventory, const std::function<bool(std::string_view)>& changed);

}  // namespace stillhouse::adapters
