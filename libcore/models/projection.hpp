// SPDX-License-Identifier: Apache-2.0
// A linear map whose weight and bias live in a set of parameters, with its backward.
#pragma once

#include "libcore/compute/backend.hpp"
#include "libcore/models/parameters.hpp"
#include "libcore/models/scratch.hpp"

#include <array>
#include <string>
#include <vector>

namespace stillhouse::models {

template <class T>
class Projection;
template <class T>
class Stacked;

/// One of several projections that are computed together: y = f(map(x)).
template <class T>
struct Projected {
    const Projection<T>* map = nullptr;
    Matrix<const T> x;
    Matrix<T> y;
    compute::Activation activation = compute::Activation::identity;
};

/// Several of them, none reading what another writes: run in one region of the pool where they are packed, else one
/// after another, by linear_decode when `decode`; the list is empty afterwards and keeps its memory.
template <class T>
class ProjectedList {
public:
    void add(const Projected<T>& one);
    /// z [rows of x, out] of each behind the other.
    void add_inputs(const std::vector<Projection<T>*>& maps, Matrix<const T> x, T* z);
    /// From features [rows of y, in] of each behind the other; the first to y, the others to `more` behind each other.
    void add_outputs(const std::vector<Projection<T>*>& maps, const T* features, Matrix<T> y, T* more);
    void run(compute::Operations<T>& ops, bool decode);

private:
    static constexpr std::size_t most = 16;       // more are run in several regions
    std::array<Projected<T>, most> list_;
    std::size_t size_ = 0;
    std::vector<Projected<T>> rest_;
};

/// y = x W^T + b, x [n, in], W [out, in] called `name`.weight, b [out] called `name`.bias or absent. The weights are
/// looked up once and read live, until they are packed.
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

    /// Packs W for generation; from then on forward and decode read the packed form and backward is refused. The plain
    /// values stay until their owner frees them.
    void pack(compute::Operations<T>& ops, compute::WeightFormat format);
    bool packed() const { return !packed_.empty(); }
    const compute::PackedMatrix& packed_weight() const { return packed_; }
    Index bytes() const { return packed() ? packed_.bytes() : weight_->values.size() * static_cast<Index>(sizeof(T)); }
    const std::string& weight_name() const { return weight_->name; }

    void forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const;
    void decode(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const;

    /// dx = beta dx + dy W (not wanted where dx.data is null); dW += dy^T x and db += sum of rows of dy where
    /// `gradient` has them.
    void backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                  Parameters<T>& gradient) const;

private:
    const typename Parameters<T>::Entry* weight_ = nullptr;
    const typename Parameters<T>::Entry* bias_ = nullptr;
    compute::PackedMatrix packed_;

    const T* bias() const { return bias_ == nullptr ? nullptr : bias_->values.data(); }

    friend class ProjectedList<T>;
    friend class Stacked<T>;
};

/// Maps of one input as one: y [n, sum of out], their outputs side by side. The input is then read, rounded and packed
/// once. Their weights are copied together where this is made, and read from there; packed ones are multiplied one by
/// one, and have no backward.
template <class T>
class Stacked {
public:
    explicit Stacked(std::vector<const Projection<T>*> maps);

    void forward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<T> y) const;
    /// As Projection::backward of each map, dy as y.
    void backward(compute::Operations<T>& ops, Matrix<const T> x, Matrix<const T> dy, T beta, Matrix<T> dx,
                  Parameters<T>& gradient) const;

private:
    std::vector<const Projection<T>*> maps_;
    Index in_ = 0;
    Index out_ = 0;
    Scratch<T> weight_, bias_;

    Matrix<const T> weight() const { return Matrix<const T>(weight_.data(), out_, in_); }
};

}  // namespace stillhouse::models
