// SPDX-License-Identifier: Apache-2.0
// Element counts that notice overflow, and shapes as text.
#include "libcore/base/shape.hpp"

#include "libcore/base/error.hpp"

namespace stillhouse {

Index element_count(const Shape& shape)
{
    constexpr Index limit = Index{1} << 62;
    Index count = 1;
    bool empty = false;
    for (const Index extent : shape) {
        if (extent < 0) {
            throw_error(ErrorCode::bad_data, "shape " + to_string(shape) + " has a negative extent");
        }
        if (extent == 0) {
            empty = true;
            continue;
        }
        // Zero extents are left out of the product, so [2^40, 2^40, 0] is refused whatever the order of its extents.
        if (count > limit / extent) {
            throw_error(ErrorCode::bad_data, "shape " + to_string(shape) + " has more than 2^62 elements");
        }
        count *= extent;
    }
    return empty ? 0 : count;
}

std::string to_string(const Shape& shape)
{
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (i > 0) {
            text += ", ";
        }
        text += std::to_string(shape[i]);
    }
    return text + "]";
}

}  // namespace stillhouse
