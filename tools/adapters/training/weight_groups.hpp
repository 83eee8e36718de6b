// SPDX-License-Identifier: Apache-2.0
// Numbers for groups of weights, as a command line gives them: GLOB=X.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace stillhouse::adapters {

using WeightGroups = std::vector<std::pair<std::string, double>>;    // glob, number

/// `given` to `option`, each GLOB=X. Error{bad_argument} when one is not, or X is negative or not finite.
WeightGroups parse_weight_groups(const std::string& option, const std::vector<std::string>& given);

/// The number of each of `names` that a glob matches; of several globs the last. Error{bad_argument} for a glob that
/// matches none.
std::map<std::string, double, std::less<>> numbers_of_weights(const std::string& option, const WeightGroups& groups,
                                                              const std::vector<std::string>& names);

}  // namespace stillhouse::adapters
