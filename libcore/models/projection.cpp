// SPDX-License-Identifier: Apache-2.0
// A linear map and its backward, by the products of the backend.
#include "libcore/models/projection.hpp"

#include "libcore/models/elementwise.hpp"
#include "libcore/models/hyena_kernels.hpp"

#include <algorithm>

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
void Projection<T>::pack(compute::Operations<T>& ops, compute::WeightFormat format)
{
    with_context("tensor " + weight_->name, [&] { packed_ = ops.pack(weight_->matrix(), format); });
}

template <class T>
void ProjectedList<T>::add(const Projected<T>& one)
{
    if (size_ < most) {
        list_[size_++] = one;
    } else {
        rest_.push_back(one);
    }
}

template <class T>
void ProjectedList<T>::add_inputs(const std::vector<Projection<T>*>& maps, Matrix<const T> x, T* z)
{
    for (const Projection<T>* map : maps) {
        add({map, x, Matrix<T>(z, x.rows, map->out())});
        z += x.rows * map->out();
    }
}

template <class T>
void ProjectedList<T>::add_outputs(const std::vector<Projection<T>*>& maps, const T* features, Matrix<T> y, T* more)
{
    for (std::size_t i = 0; i < maps.size(); ++i) {
        const Matrix<T> to = i == 0 ? y : Matrix<T>(more + static_cast<Index>(i - 1) * y.rows * y.cols, y.rows, y.cols);
        add({maps[i], Matrix<const T>(features, y.rows, maps[i]->in()), to});
        features += y.rows * maps[i]->in();
    }
}

template <class T>
void ProjectedList<T>::run(compute::Operations<T>& ops, bool decode)
{
    std::array<compute::PackedLinear<T>, most> together;
    std::size_t n = 0;
    const auto flush = [&] {
        ops.linear_packed(std::span<const compute::PackedLinear<T>>(together.data(), n));
        n = 0;
    };
    for (std::size_t i = 0; i < size_ + rest_.size(); ++i) {
        const Projected<T>& one = i < size_ ? list_[i] : rest_[i - size_];
        if (one.map->packed()) {
            together[n++] = {one.x, &one.map->packed_, one.map->bias(), one.y, one.activation, nullptr};
            if (n == most) {
                flush();
            }
            continue;
        }
        decode ? one.map->decode(ops, one.x, one.y) : one.map->forward(ops, one.x, one.y);
        if (one.activation != compute::Activation::identity) {
            STILLHOUSE_CHECK(one.y.stride == one.y.cols);
            ops.activate(one.activation, one.y.data, one.y.rows * one.y.cols, one.y.data);
        }
    }
    flush();
    size_ = 0;
    rest_.clear();
}

template <class T>
void Projection<T>::forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const
{
    if (packed()) {
        ops.linear_packed(x, packed_, bias(), y);
    } else {
        ops.linear(x, weight_->matrix(), bias(), y);
    }
}

template <class T>
void Projection<T>::decode(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const
{
    if (packed()) {
        ops.linear_packed(x, packed_, bias(), y);
    } else {
        ops.linear_decode(x, weight_->matrix(), bias(), y);
    }
}

template <class T>
void Projection<T>::backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                             Parameters<T>& gradient) const
{
    using compute::Transpose;
    if (packed()) {
        throw_error(ErrorCode::internal, "tensor " + weight_->name + ": packed for generation, which has no gradient");
    }
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

template <class T>
Stacked<T>::Stacked(std::vector<const Projection<T>*> maps) : maps_(std::move(maps)), in_(maps_.front()->in())
{
    for (const Projection<T>* map : maps_) {
        STILLHOUSE_CHECK(map->in() == in_ && map->packed() == maps_.front()->packed());
        out_ += map->out();
    }
    if (maps_.front()->packed()) {
        return;
    }
    weight_ = Scratch<T>(out_ * in_);
    bias_ = Scratch<T>(out_);
    Index row = 0;
    for (const Projection<T>* map : maps_) {
        std::copy_n(map->weight_->values.data(), map->out() * in_, weight_.data() + row * in_);
        if (map->bias() != nullptr) {
            std::copy_n(map->bias(), map->out(), bias_.data() + row);
        } else {
            std::fill_n(bias_.data() + row, map->out(), T(0));
        }
        row += map->out();
    }
}

template <class T>
void Stacked<T>::forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const
{
    if (!maps_.front()->packed()) {
        ops.linear(x, weight(), bias_.data(), y);
        return;
    }
    Index column = 0;
    for (const Projection<T>* map : maps_) {
        map->forward(ops, x, Matrix<T>(y.data + column, y.rows, map->out(), y.stride));
        column += map->out();
    }
}

template <class T>
void Stacked<T>::backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                          Parameters<T>& gradient) const
{
    using compute::Transpose;
    if (maps_.front()->packed()) {
        throw_error(ErrorCode::internal, "tensor " + maps_.front()->weight_name() + ": packed, which has no gradient");
    }
    const auto wants = [&](auto member) {
        return std::any_of(maps_.begin(), maps_.end(), [&](const Projection<T>* map) {
            return map->*member != nullptr && gradient.find((map->*member)->name) != nullptr;
        });
    };
    // Adds rows row .. of `from`, each `width` numbers, to what is wanted of `member`.
    const auto hand_out = [&](auto member, const T* from, Index width) {
        for (const Projection<T>* map : maps_) {
            auto* const wanted = map->*member != nullptr ? gradient.find((map->*member)->name) : nullptr;
            if (wanted != nullptr) {
                add<T>(ops.pool(), wanted->values.data(), from, map->out() * width, wanted->values.data());
            }
            from += map->out() * width;
        }
    };
    if (dx.data != nullptr) {
        ops.gemm(T(1), dy, Transpose::no, weight(), Transpose::no, beta, dx);
    }
    if (wants(&Projection<T>::weight_)) {
        const Scratch<T> sums(out_ * in_);
        ops.gemm(T(1), dy, Transpose::yes, x, Transpose::no, T(0), Matrix<T>(sums.data(), out_, in_));
        hand_out(&Projection<T>::weight_, sums.data(), in_);
    }
    if (wants(&Projection<T>::bias_)) {
        const Scratch<T> sums(out_);
        std::fill_n(sums.data(), out_, T(0));
        add_column_sums(ops.pool(), dy, sums.data());
        hand_out(&Projection<T>::bias_, sums.data(), 1);
    }
}

template class ProjectedList<float>;
template class ProjectedList<double>;
template class Projection<float>;
template class Projection<double>;
template class Stacked<float>;
template class Stacked<double>;

}  // namespace stillhouse::models
