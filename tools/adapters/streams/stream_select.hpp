// SPDX-License-Identifier: Apache-2.0
// A stream with fewer tensors or one note more (tensor-stream select, note).
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/control.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Copies the tensors whose names match any of `keep` (none: all) and none of `drop`, and all notes, byte for byte, and
/// finishes. Error{bad_data}: a pattern that no name matched, since that is a mistyped name. Returns the number of
/// tensors.
Index select_tensors(formats::StreamReader& reader, const std::vector<std::string>& keep,
                     const std::vector<std::string>& drop, formats::StreamWriter writer, const Control& control);

/// Copies everything and adds a note at the end. Each of `entries` is KEY=VALUE, the value a JSON number, true, false,
/// null, or else a text. Error{bad_argument}: no '=', no key, a key twice, the key "frame".
formats::Note note_of(const std::vector<std::string>& entries);
void add_note(formats::StreamReader& reader, const formats::Note& note, formats::StreamWriter writer,
              const Control& control);

}  // namespace stillhouse::adapters
