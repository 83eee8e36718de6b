// SPDX-License-Identifier: Apache-2.0
// The key `stillhouse` of a config.json: the mixers of a student, as stillhouse-model(5) describes them.
#pragma once

#include "formats/value.hpp"
#include "libcore/models/config.hpp"

namespace stillhouse::adapters {

/// Fills network.mixers, which has one entry a layer. Error{bad_data} or {unsupported} naming layer and key.
void read_mixers(const formats::Value& stillhouse, models::NetworkConfig& network);

/// The value of the key.
formats::Value write_mixers(const models::NetworkConfig& network);

}  // namespace stillhouse::adapters
