// SPDX-License-Identifier: Apache-2.0
// Provenance: which tools, with which settings, made what is in a stream.
#pragma once

#include "formats/stream/tensor.hpp"

#include <string>

namespace stillhouse::formats {

/// {tool, version, settings} as stillhouse-stream(5) has it. `settings` holds what changes the result and nothing else:
/// no file names, threads, shards, clocks.
Map history_entry(const std::string& tool, const std::string& version, Map settings);

/// "teacher-dump | layer-distill | modal-fit": the tools of a history; entries that are none show as "?".
std::string history_text(const List& history);

}  // namespace stillhouse::formats
