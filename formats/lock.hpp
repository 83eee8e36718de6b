// SPDX-License-Identifier: Apache-2.0
// One run at a time.
#pragma once

#include "formats/fd.hpp"

namespace stillhouse::formats {

/// Locks an open file or folder for as long as its descriptor is open, in this process or in one that shares it; a run
/// that was just killed is given `tries` tenths of a second to die. False: another one holds it. File systems without
/// locks are taken at the user's word: true.
bool lock(const Fd& file, int tries = 30);

}  // namespace stillhouse::formats
