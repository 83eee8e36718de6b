// SPDX-License-Identifier: Apache-2.0
// Several streams into one (tensor-stream cat), and one into shards (tensor-stream split).
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/control.hpp"

#include <functional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

using CreateStream = std::function<formats::StreamWriter(formats::StreamInfo)>;

/// Shards, in any order, into the whole, as stillhouse-stream(5) says under Shards; streams that are no shards one
/// after another, each tensor once. Memory: one tensor (all rows of it where rows are joined) and the names of the
/// owned ones. Returns the number of tensors. Error{bad_data} naming files and tensor: a part missing or twice, shards
/// together with others, parts that differ where they must agree, rows that leave a gap.
Index merge_streams(std::vector<formats::StreamReader> inputs, const CreateStream& create, const Control& control);

/// The number n of `batches.n.`, or -1.
Index batch_number(const std::string& name);

/// Reads the stream twice (`open` is called twice): counts, then writes `parts` shards, so that merge_streams gives the
/// same bytes again. Items are the batches where there are any, else the tensors (texts, whose names end in .json, are
/// in every shard), else the rows of the only tensor. `create` gets the part, from 1.
void split_stream(const std::function<formats::StreamReader()>& open, Index parts,
                  const std::function<formats::StreamWriter(Index, formats::StreamInfo)>& create,
                  const Control& control);

}  // namespace stillhouse::adapters
