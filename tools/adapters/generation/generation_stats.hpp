// SPDX-License-Identifier: Apache-2.0
// What generation costs: speeds and sizes as JSON.
#pragma once

#include "formats/value.hpp"
#include "tools/adapters/generation/generation.hpp"

namespace stillhouse::adapters {

/// Bytes a second that all threads together read from `bytes` bytes of memory, eight streams each, best of passes that
/// take about a tenth of a second.
double read_rate(ThreadPool& pool, Index bytes);

/// {"mode", "prefill", "decode", "first_token_s", "state_bytes", "weight_bytes", "weight_bytes_per_token",
/// "read_limit_bytes_per_s", "share_of_read_limit"} as generate(1) has them. With `measure` it reads memory for a tenth
/// of a second to know the limit; else the last two are left out.
template <class T>
formats::Map to_json(const GenerationStats& stats, const models::Network<T>& network, models::Execution execution,
                     bool measure);

}  // namespace stillhouse::adapters
