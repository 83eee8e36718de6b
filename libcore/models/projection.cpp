// SPDX-License-Identifier: Apache-2.0
// A linear map and its backward, by the products of the backend.
#include "libcore/models/projection.hpp"

#include "libcore/models/hyena_kernels.hpp"

namespace stillhouse::models {

template <class T>
Projection<T>::Projection(const Parameters<T>& weights, std::string name, Index out, Index in, bool bias)
    : weight_(&weights.at(name + ".weight", {out, in}))
{
    if (bias) {
        bias_ = &weights.at(name + ".bias", {out});
    }
}

template <class T>
Projection<T> Projection<T>::bare(const Parameters<T>& weights, std::string weight_name, Index out, Index in)
{
    Projection projection;
    projection.weight_ = &weights.at(weight_name, {out, in});
    return projection;
}

template <class T>
void Projection<T>::forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const
{
    ops.linear(x, weight_->matrix(), bias(), y);
}

template <class T>
void Projection<T>::decode(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const
{
    ops.linear_decode(x, weight_->matrix(), bias(), y);
}

template <class T>
void Projection<T>::backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                             Parameters<T>& gradient) const
{
    using compute::Transpose;
    if (dx.data != nullptr) {
        ops.gemm(T(1), dy, Transpose::no, weight_->matrix(), Transpose::no, beta, dx);
    }
    if (auto* wanted = gradient.find(weight_->name)) {
        ops.gemm(T(1), dy, Transpose::yes, x, Transpose::no, T(1), wanted->matrix());
    }
    if (bias_ != nullptr) {
        if (auto* wanted = gradient.find(bias_->name)) {
            add_column_sums(ops.pool(), dy, wanted->values.data());
        }
    }
}

template class Projection<float>;
template class Projection<double>;

}  // namespace stillhouse::models
