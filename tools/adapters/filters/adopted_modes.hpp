// SPDX-License-Identifier: Apache-2.0
// The modes that a fit found in the place of the filters they were fitted to: a model that trains as its recurrence.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/base/parallel.hpp"
#include "tools/adapters/model/model.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

struct Adopted {
    std::vector<std::string> weights;            // names of the entries that are new
    Index filters = 0;                           // that are modal now
    Index moved = 0;                             // those whose fit could not be trained as it was (trainable_modes)
};

/// Every filter that has a fit (modal-fit) becomes a modal filter with those modes, of the greatest order in its layer;
/// the parameters it had go. Filters that are modal already and have no fit stay. Error{bad_data} naming the first
/// layer whose filters are neither; Error{bad_argument} when no layer has a fit.
template <class T>
Adopted adopt_modes(Model<T>& model, ThreadPool& pool, const Control& control);

}  // namespace stillhouse::adapters
