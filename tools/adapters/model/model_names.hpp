// SPDX-License-Identifier: Apache-2.0
// What a folder calls the tensors that stillhouse-model(5) names.
#pragma once

#include "libcore/models/config.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace stillhouse::adapters {

/// A tensor of a folder, or a third of one: GPT-NeoX stores query, key and value as rows [heads, 3, head_dim].
struct StoredName {
    std::string name;
    int part = -1;                               // 0, 1, 2: q, k, v of an interleaved tensor; -1: all of it
};

/// Translates names for one folder: its own spelling (gpt_neox, llama, or ours after an export), and with or without
/// the prefix of the inner model.
class FolderNames {
public:
    /// has(name): is there a tensor of that name?
    FolderNames(const models::NetworkConfig& config, const std::function<bool(const std::string&)>& has);

    StoredName of(std::string_view weight) const;
    std::string head() const;                    // of the output matrix, which a tied model may hold too
    bool ours() const { return ours_; }

private:
    bool neox_ = false;
    bool ours_ = false;
    std::string prefix_;
    std::string head_;
};

/// Buffers that old files hold and every program recomputes: causal masks, rotary frequencies.
bool is_legacy_buffer(std::string_view name);

}  // namespace stillhouse::adapters
