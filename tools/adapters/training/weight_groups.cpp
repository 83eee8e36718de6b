// SPDX-License-Identifier: Apache-2.0
// Numbers for groups of weights.
#include "tools/adapters/training/weight_groups.hpp"

#include "formats/glob.hpp"
#include "libcore/base/error.hpp"

#include <charconv>
#include <cmath>

namespace stillhouse::adapters {

WeightGroups parse_weight_groups(const std::string& option, const std::vector<std::string>& given)
{
    WeightGroups groups;
    for (const auto& one : given) {
        const auto sign = one.rfind('=');
        double x = -1.0;
        bool number = false;
        if (sign != std::string::npos && sign > 0) {
            const char* end = one.data() + one.size();
            const auto [rest, error] = std::from_chars(one.data() + sign + 1, end, x);
            number = error == std::errc() && rest == end && std::isfinite(x) && x >= 0.0;
        }
        if (!number) {
            throw_error(ErrorCode::bad_argument, option + " " + one + ": GLOB=X is expected, X a number from 0 on, as "
                                                              "'*.filter_modes.*=0.3'");
        }
        groups.emplace_back(one.substr(0, sign), x);
    }
    return groups;
}

std::map<std::string, double, std::less<>> numbers_of_weights(const std::string& option, const WeightGroups& groups,
                                                              const std::vector<std::string>& names)
{
    std::map<std::string, double, std::less<>> numbers;
    for (const auto& [glob, x] : groups) {
        bool found = false;
        for (const auto& name : names) {
            if (formats::glob_matches(glob, name)) {
                numbers[name] = x;
                found = true;
            }
        }
        if (!found) {
            throw_error(ErrorCode::bad_argument, option + " " + glob + " matches no weight that is trained; "
                                                                       "tensor-stream list shows their names");
        }
    }
    return numbers;
}

}  // namespace stillhouse::adapters
