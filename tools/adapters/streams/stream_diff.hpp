// SPDX-License-Identifier: Apache-2.0
// Two streams compared tensor by tensor (tensor-stream diff).
#pragma once

#include "formats/stream/reader.hpp"
#include "libcore/base/control.hpp"

#include <functional>
#include <optional>
#include <string>

namespace stillhouse::adapters {

struct DiffResult {
    Index compared = 0, different = 0;
};

/// Compares by name. Without a tolerance everything counts: kind, history, attributes, notes, order of notes, and every
/// byte. With one, tensors alone: of floating and complex ones |a - b| / |a| (l2 over the tensor; 0 where both are
/// zero, infinite where only a is, or where one has a NaN that the other has not at the same place) must not exceed it,
/// whatever their types; others must be equal. `tell` gets one result for each difference. Memory: two tensors where
/// the order is the same, else what is waiting for its partner.
DiffResult diff_streams(formats::StreamReader& a, formats::StreamReader& b, std::optional<double> tolerance,
                        const std::function<void(const formats::Value& json, const std::string& text)>& tell,
                        const Control& control);

}  // namespace stillhouse::adapters
