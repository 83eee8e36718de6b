// SPDX-License-Identifier: Apache-2.0
// Stored bytes to weights and back.
#pragma once

#include "formats/stream/tensor.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/base/parallel.hpp"
#include "libcore/models/config.hpp"
#include "libcore/models/mixer.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stillhouse::adapters {

/// n elements (numbers; complex ones count two) as T, by the threads of a pool where there is one. Error{bad_data}
/// naming the first NaN or infinity and its place.
template <class T>
void read_weight(DType type, const std::byte* from, Index n, T* to, ThreadPool* pool = nullptr);

/// Does T hold every value of the type exactly?
template <class T>
bool holds(DType type) noexcept;

/// The shape of a tensor as real numbers: complex ones get a last extent of 2.
Shape real_shape(DType type, const Shape& shape);
/// The type of those numbers.
DType real_type(DType type) noexcept;

/// The weights that a configuration asks for, and what its tensors may be besides.
class Expected {
public:
    explicit Expected(const models::NetworkConfig& config);

    const std::vector<models::WeightShape>& all() const { return weights_; }
    /// Null when the network has no such weight.
    const Shape* shape(std::string_view name) const;
    /// A weight, or something a mixer reads beside its weights: materialised filters, modes, realizations.
    bool wanted(std::string_view name) const;
    /// Error{bad_data} when the shape contradicts the configuration; `label` is how the file calls the tensor.
    void check_shape(std::string_view name, const std::string& label, const Shape& found) const;
    /// Error{bad_data}: the weight is in no file.
    [[noreturn]] void missing(std::string_view name, const std::string& label) const;

private:
    std::vector<models::WeightShape> weights_;
    std::unordered_map<std::string, const Shape*> by_name_;
};


}  // namespace stillhouse::adapters
