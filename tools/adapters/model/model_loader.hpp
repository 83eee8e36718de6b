// SPDX-License-Identifier: Apache-2.0
// Gathers the tensors of a model, in whatever order they come, into weights and inventory.
#pragma once

#include "tools/adapters/model/model.hpp"
#include "tools/adapters/model/model_values.hpp"

#include <map>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// Takes tensors by their names of stillhouse-model(5); `finish` checks that nothing is missing.
template <class T>
class ModelLoader {
public:
    ModelLoader(const models::NetworkConfig& config, ModelSource::Others others, Model<T>& model,
                ThreadPool* pool = nullptr);

    /// A tensor whose bytes are here already. `label` is how the file calls it.
    void take(const formats::TensorHeader& header, const std::byte* data, const std::string& label);
    /// The current tensor of a stream.
    void take(formats::StreamReader& reader);
    void take(formats::Note note);
    /// Error{bad_data} naming the first weight that did not come; `label` says how the file would call it.
    void finish(const std::function<std::string(std::string_view)>& label);

    const Expected& expected() const { return expected_; }
    /// A weight, or what a mixer reads besides.
    bool wanted(std::string_view name) const { return modes_part(name) || expected_.wanted(name); }

private:
    /// One of filter_modes.{sections,cascade,fir} of a layer whose filters are trained modes: what the network trains
    /// is made of them in `finish`.
    bool modes_part(std::string_view name) const;
    bool made_of_modes(std::string_view name) const;
    /// Free filters that were left out beside their fit (realize-ssm --drop-exact) are what the fit stands for.
    void restore_filters();
    T* add(const formats::TensorHeader& header, const std::string& label);
    void keep(const formats::TensorHeader& header, const std::byte* data);

    Expected expected_;
    ModelSource::Others others_;
    Model<T>& model_;
    ThreadPool* pool_;                           // may be null
    Buffer<std::byte> staging_;                  // of the tensor that is being read
    std::map<std::string, formats::Tensor, std::less<>> modes_;
};

}  // namespace stillhouse::adapters
