// SPDX-License-Identifier: Apache-2.0
// The reference filters and results, where they are at hand.
#pragma once

#include "formats/json.hpp"

#include <functional>
#include <string>
#include <vector>

namespace stillhouse::systems::test {

/// Calls visit(name, channel, h, its entry in reference.json) for each reference filter; false when they are absent.
bool each_reference(const std::function<void(const std::string&, std::size_t, const std::vector<double>&,
                                             const formats::Value&)>& visit);

}  // namespace stillhouse::systems::test
