// SPDX-License-Identifier: Apache-2.0
// Which weights gradient steps change unless somebody says otherwise.
#pragma once

#include <string_view>

namespace stillhouse::training {

/// All but the grid and the window of the implicit filter, which its publishers keep fixed too.
inline bool trained_by_default(std::string_view name)
{
    return !name.ends_with(".filter_mlp.positions") && !name.ends_with(".filter_mlp.decay") &&
           !name.ends_with(".filter_mlp.times");
}

}  // namespace stillhouse::training
