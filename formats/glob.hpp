// SPDX-License-Identifier: Apache-2.0
// Patterns for names of tensors.
#pragma once

#include <string_view>

namespace stillhouse::formats {

/// `*` any run of characters (dots too), `?` one character, `[abc]`, `[0-9]`, `[!a]` one of a set, `{a,b}` one of
/// several (not nested); everything else stands for itself. The whole name must match. Time at most pattern times name.
bool glob_matches(std::string_view pattern, std::string_view name);

/// Does it hold any of the characters above?
bool is_glob(std::string_view text);

}  // namespace stillhouse::formats
