// SPDX-License-Identifier: Apache-2.0
// The folder of a training's checkpoints: each a tensor stream of its own, whole or not there.
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/tensor.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/models/parameters.hpp"
#include "tools/adapters/checkpoint_folder.hpp"
#include "tools/adapters/content_key.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace stillhouse::adapters {

/// What one checkpoint is made of. `record` says where the training is and what it must agree with; `parts` are views
/// that live until the checkpoint is written.
struct CheckpointContent {
    struct Part {
        std::string name;
        DType dtype = DType::f32;
        Shape shape;
        const void* data = nullptr;
    };
    Index step = 0;
    formats::Map record;
    std::vector<Part> parts;

    template <class T>
    void add(std::string name, Shape shape, const T* data)
    {
        static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, Index>);
        const DType dtype = std::is_same_v<T, float> ? DType::f32 : std::is_same_v<T, double> ? DType::f64 : DType::i64;
        parts.push_back({std::move(name), dtype, std::move(shape), data});
    }
    /// Every entry, under `prefix` and its name.
    template <class T>
    void add(const std::string& prefix, const models::Parameters<T>& set)
    {
        for (const auto& entry : set) {
            add(prefix + entry.name, entry.shape, entry.values.data());
        }
    }
};

/// A checkpoint that was read and verified.
struct Checkpoint {
    std::string name;                            // of the file, for messages
    formats::Map record;
    std::map<std::string, formats::Tensor, std::less<>> tensors;

    const formats::Value& at(std::string_view key) const;          // Error{bad_data} when it is not there
    Index integer(std::string_view key) const { return at(key).integer(); }
    const formats::Tensor& tensor(std::string_view name) const;    // Error{bad_data} when it is not there
    /// Values of a tensor into an array of n; Error{bad_data} naming it when the count or the type differ.
    template <class T>
    void put_back(std::string_view name, T* to, Index n) const;
    /// All of a tensor.
    template <class T>
    std::vector<T> values(std::string_view name) const;
    /// Every entry of `set` from prefix + its name.
    template <class T>
    void put_back(const std::string& prefix, models::Parameters<T>& set) const
    {
        for (auto& entry : set) {
            put_back(prefix + entry.name, entry.values.data(), entry.values.size());
        }
    }
};

/// DIR/step-000000000120.mts and the one before it. A new one is written beside them and takes its name when it is
/// whole, so that one whole checkpoint is there at any moment, and two but while one is written. One run at a time:
/// the folder is locked.
class Checkpoints {
public:
    using Say = std::function<void(const std::string&)>;
    using Begin = CheckpointFolder::Begin;

    /// Errors as those of CheckpointFolder. `every_s`: seconds between two checkpoints.
    Checkpoints(std::string folder, double every_s, Begin begin, formats::Overwrite overwrite, Say warn, Say info);

    /// With Begin::resume the newest whole checkpoint; what is cut or damaged is warned of and passed over. Nothing
    /// when there is none.
    std::optional<Checkpoint> newest();

    bool due() const;
    /// Writes it, unless one of this step is there. A failure (disc full) is a warning: the one before stays.
    void write(const CheckpointContent& content);
    bool any() const { return !folder_.numbers().empty(); }
    const std::string& folder() const { return folder_.name(); }
    /// When the training is done and its result is safe.
    void clear();

private:
    CheckpointFolder folder_;                    // its numbers are steps
    double every_s_;
    Say warn_, info_;
    Index written_ = -1;                         // the step of the last one that is known to be whole
    std::chrono::steady_clock::time_point last_;
};

/// Error{bad_argument} naming what differs between a checkpoint's record and that of this run: "settings" (the text of
/// a JSON object) option by option, and the values under the keys of `same` (key, what the user would call it).
void require_same_run(const Checkpoint& checkpoint, const formats::Map& now,
                      const std::vector<std::pair<std::string, std::string>>& same);

}  // namespace stillhouse::adapters
