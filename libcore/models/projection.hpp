// SPDX-License-Identifier: Apache-2.0
// A linear map whose weight and bias live in a set of parameters, with its backward.
#pragma once

#include "libcore/compute/backend.hpp"
#include "libcore/models/parameters.hpp"

#include <string>

namespace stillhouse::models {

/// y = x W^T + b, x [n, in], W [out, in] called `name`.weight, b [out] called `name`.bias or absent. The weights are
/// looked up once and read live.
template <class T>
class Projection {
public:
    Projection() = default;
    /// Error{bad_data} naming the tensor that is missing or has another shape.
    Projection(const Parameters<T>& weights, std::string name, Index out, Index in, bool bias);
    /// The same with a weight of any name and no bias.
    static Projection bare(const Parameters<T>& weights, std::string weight_name, Index out, Index in);

    Index out() const { return weight_->shape[0]; }
    Index in() const { return weight_->shape[1]; }

    void forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const;
    void decode(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const;

    /// dx = beta dx + dy W (not wanted where dx.data is null); dW += dy^T x and db += sum of rows of dy where
    /// `gradient` has them.
    void backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                  Parameters<T>& gradient) const;

private:
    const typename Parameters<T>::Entry* weight_ = nullptr;
    const typename Parameters<T>::Entry* bias_ = nullptr;

    const T* bias() const { return bias_ == nullptr ? nullptr : bias_->values.data(); }
};

}  // namespace stillhouse::models
