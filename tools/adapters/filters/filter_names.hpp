// SPDX-License-Identifier: Apache-2.0
// Names of filters and of what derives from them, and which of them a shard works on.
#pragma once

#include "tools/adapters/filters/filters.hpp"

#include <functional>
#include <optional>
#include <string>

namespace stillhouse::adapters {

/// "filter" of "layers.0.mixer.filter", and "layers.0.mixer" (empty: no dot).
std::string last_part(const std::string& name);
std::string parent(const std::string& name);

/// The name that realizations of a filter begin with: its last part `filter` becomes `ssm`.
std::string realization_base(const std::string& filter);

/// Is `name` an earlier result of this run's tool on a selected filter?
bool is_result(const FilterRun& run, const std::string& name, const std::function<bool(const std::string&)>& is_filter);

/// Which tensors or rows this shard has.
struct ShardPlan {
    Index part = 1, parts = 1, items = 0;

    /// Rows of the item-th tensor that are this shard's, whole groups of them; nothing: none of the tensor.
    std::optional<formats::Share> share(Index item, Index rows, Index group = 1) const;
    void mark(formats::TensorHeader& header, const formats::Share& share, Index rows) const;
};

/// Counts the items: those of a second view of the input, or, where that is null, the one that a lone .npy (a named
/// pipe may be one) holds. Error{bad_argument} where neither tells and parts > 1.
ShardPlan plan_shards(const ArrayInput& input, ArrayInput* plan, const FilterRun& run,
                      const std::function<bool(const std::string&)>& counts,
                      const std::function<Index(const formats::TensorHeader&)>& rows);

}  // namespace stillhouse::adapters
