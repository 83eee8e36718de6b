// SPDX-License-Identifier: Apache-2.0
// A tensor as it travels: its attributes by key.
#include "formats/stream/tensor.hpp"

namespace stillhouse::formats {

const Value* TensorHeader::attribute(std::string_view key) const
{
    for (const auto& [present_key, value] : attributes) {
        if (present_key == key) {
            return &value;
        }
    }
    return nullptr;
}

void TensorHeader::set_attribute(std::string_view key, Value value)
{
    for (auto& [present_key, present] : attributes) {
        if (present_key == key) {
            present = std::move(value);
            return;
        }
    }
    attributes.emplace_back(std::string(key), std::move(value));
}

}  // namespace stillhouse::formats
