// SPDX-License-Identifier: Apache-2.0
// What tells one input from another whatever it is called: for runs that go on where an earlier one was stopped.
#pragma once

#include "libcore/models/parameters.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Size and XXH3-64 of a file, of its first and last MiB where it is larger than both; empty for what can be read only
/// once. Error{io}.
std::string content_key(const std::string& path);
/// Those of several, in order.
std::string content_keys(const std::vector<std::string>& paths);

/// XXH3-64 of names, shapes and values, as hexadecimal digits.
template <class T>
std::string fingerprint(const models::Parameters<T>& weights);

}  // namespace stillhouse::adapters
