// SPDX-License-Identifier: Apache-2.0
// Tall thin products, blocked so that each pass reads the columns once.
#include "libcore/compute/basis.hpp"

#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/vector.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::compute {

Basis::Basis(Index n) : n_(n), stride_((n + 7) / 8 * 8)
{
    STILLHOUSE_CHECK(n >= 1);
    // Columns at a large power of two from each other would fall into one set of the cache.
    stride_ += stride_ % 512 == 0 ? 8 : 0;
}

void Basis::push(const double* w)
{
    if (size_ == static_cast<Index>(blocks_.size()) * per_block) {
        blocks_.emplace_back(per_block * stride_);
    }
    std::copy_n(w, n_, column(size_++));
}

void Basis::shrink(Index size)
{
    STILLHOUSE_CHECK(size <= size_);
    size_ = size;
}

void Basis::project(const double* w, double* c) const
{
    std::fill_n(c, size_, 0.0);
    double part[per_block];
    for (Index i = 0; i < n_; i += piece) {
        const Index length = std::min(piece, n_ - i);
        for (Index j = 0; j < size_; j += per_block) {
            const Index count = std::min(per_block, size_ - j);
            cpu::kernels<double>().dots(w + i, n_, 1, column(j) + i, stride_, count, length, nullptr, part, per_block);
            for (Index k = 0; k < count; ++k) {
                c[j + k] += part[k];
            }
        }
    }
}

void Basis::combine(const double* a, double* w) const
{
    for (Index i = 0; i < n_; i += piece) {
        const Index length = std::min(piece, n_ - i);
        for (Index j = 0; j < size_; j += per_block) {
            const Index count = std::min(per_block, size_ - j);
            cpu::kernels<double>().combine(a + j, column(j) + i, stride_, count, length, w + i);
        }
    }
}

void Basis::replace(const double* S, Index count)
{
    STILLHOUSE_CHECK(count <= size_);
    // Piece after piece of all columns is read, then overwritten.
    constexpr Index few = 256;
    std::vector<double> fresh(static_cast<std::size_t>(count * few));
    for (Index i = 0; i < n_; i += few) {
        const Index length = std::min(few, n_ - i);
        std::fill(fresh.begin(), fresh.end(), 0.0);
        for (Index k = 0; k < count; ++k) {
            for (Index j = 0; j < size_; j += per_block) {
                const Index columns = std::min(per_block, size_ - j);
                cpu::kernels<double>().combine(S + k * size_ + j, column(j) + i, stride_, columns, length,
                                               fresh.data() + k * few);
            }
        }
        for (Index k = 0; k < count; ++k) {
            std::copy_n(fresh.data() + k * few, length, column(k) + i);
        }
    }
    shrink(count);
}

double Basis::orthogonalise(double* w)
{
    along_.resize(static_cast<std::size_t>(size_));
    double before = std::sqrt(dot(w, w, n_));
    // Twice is enough (Kahan); once is, where little was taken away.
    for (int pass = 0; pass < 3; ++pass) {
        project(w, along_.data());
        for (double& c : along_) {
            c = -c;
        }
        combine(along_.data(), w);
        const double after = std::sqrt(dot(w, w, n_));
        const bool clean = after > 0.7 * before;
        before = after;
        if (clean) {
            break;
        }
    }
    return before;
}

}  // namespace stillhouse::compute
