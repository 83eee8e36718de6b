// SPDX-License-Identifier: Apache-2.0
// From a teacher's configuration and a user's wishes to a student: which mixers, and what becomes of the attention.
#pragma once

#include "libcore/models/config.hpp"
#include "libcore/models/parameters.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// What the options of layer-distill say of the mixers.
struct StudentOptions {
    std::string mixer = "hyena";                 // hyena | multihyena | linear
    std::string filter = "modal";                // modal | implicit | free
    std::optional<Index> heads;                  // filters, and heads of multihyena
    std::optional<Index> length;                 // of the filters; default the context
    std::optional<Index> order;                  // states of a modal filter; default 16, at most half the lags
    Index filter_width = 64;
    Index filter_features = 33;
    double filter_frequency = 14.0;
    Index taps = 0;
    Index window = 0;
    std::vector<std::string> keep;               // "2", "0-3", "3:0" (layer 3, head 0)
};

/// The configuration of the student; every layer gets the same mixer, but what `keep` names. `context` is the length of
/// the teacher's sequences. Error{bad_argument} names the option that contradicts the teacher.
models::NetworkConfig student_config(const models::NetworkConfig& teacher, const StudentOptions& options,
                                     Index context);

/// Takes the attention weights of the layers that `student` replaces out of `weights`; the rows of kept heads stay
/// behind as copies under the same names.
template <class T>
models::Parameters<T> take_attention(const models::NetworkConfig& teacher, const models::NetworkConfig& student,
                                     models::Parameters<T>& weights);

}  // namespace stillhouse::adapters
