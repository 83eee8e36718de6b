// SPDX-License-Identifier: Apache-2.0
// Token ids to text (tensor-stream text).
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/reader.hpp"
#include "libcore/base/control.hpp"
#include "libcore/models/tokenizer.hpp"

#include <functional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Writes ids as text, exactly and nothing else: rows follow each other as in the text they were cut from. With
/// `lines`, each row (along the last axis) is decoded by itself and ends with a line feed.
enum class Rows { joined, lines };

/// The ids of a tensor, or of all that match a glob, with the tensor tokenizer.json of the same stream (`tokenizer`,
/// where it is not empty, is the text of another). Memory: one tensor, and those of ids that come before the tokenizer.
/// Error{bad_data}: no such tensor, no tokenizer, no integers, an id outside the vocabulary.
void write_tensor_text(formats::StreamReader& reader, const std::string& name, std::string tokenizer, bool skip_special,
                       Rows rows, formats::AtomicFile output, const Control& control);

/// The text of the tokenizer.json of a model folder or stream. Error{bad_data}: it has none.
std::string tokenizer_of(const std::string& model,
                         const std::function<formats::StreamReader(const std::string&)>& open_stream);

/// Ids as given on a command line.
void write_ids_text(const std::vector<Index>& ids, const std::string& tokenizer, bool skip_special,
                    formats::AtomicFile output);

}  // namespace stillhouse::adapters
