// SPDX-License-Identifier: Apache-2.0
// Extents of row-major arrays, with arithmetic that cannot overflow unseen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stillhouse {

using Index = std::int64_t;
using Shape = std::vector<Index>;   // outermost first; {} is a scalar with one element

inline constexpr Index max_rank = 8;

/// Product of the extents. Throws Error{bad_data} on a negative extent or above 2^62.
Index element_count(const Shape& shape);

/// "[4, 512, 192]"
std::string to_string(const Shape& shape);

}  // namespace stillhouse
