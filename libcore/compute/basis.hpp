// SPDX-License-Identifier: Apache-2.0
// Vectors of one length, added one by one, and products with all of them: what Krylov methods keep.
#pragma once

#include "libcore/base/array.hpp"

#include <vector>

namespace stillhouse::compute {

/// Columns q_0, q_1 ... of length n in double. Memory is taken as columns come, nothing is moved. Products read the
/// basis once, in pieces that fit the first cache; they use the kernels of this processor and one thread.
class Basis {
public:
    explicit Basis(Index n);
    Index rows() const { return n_; }
    Index size() const { return size_; }
    double* column(Index j)
    {
        return blocks_[static_cast<std::size_t>(j / per_block)].data() + j % per_block * stride_;
    }
    const double* column(Index j) const { return const_cast<Basis*>(this)->column(j); }
    /// A copy of w [n] becomes the last column.
    void push(const double* w);
    /// Forgets all columns but the first `size`.
    void shrink(Index size);

    /// c_j = q_j . w, j < size.
    void project(const double* w, double* c) const;
    /// w += sum_j a_j q_j.
    void combine(const double* a, double* w) const;
    /// The columns become sum_j q_j S_ij, S [count, size] row-major, count <= size.
    void replace(const double* S, Index count);
    /// w less its part along the columns, repeated where rounding needs it; returns |w|. What is left of a w that the
    /// columns span is noise of about 1e-16 |w|.
    double orthogonalise(double* w);

private:
    static constexpr Index per_block = 8;
    static constexpr Index piece = 2048;         // numbers of a column in hand at a time
    Index n_, stride_, size_ = 0;
    std::vector<Buffer<double>> blocks_;
    std::vector<double> along_;
};

}  // namespace stillhouse::compute
