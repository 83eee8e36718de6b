// SPDX-License-Identifier: Apache-2.0
// Singular values of the Hankel operators of a filter.
#include "libcore/systems/hankel.hpp"

#include "libcore/base/error.hpp"
#include "libcore/systems/finite.hpp"
#include "libcore/systems/lanczos.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>

#include <algorithm>
#include <cmath>

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;

constexpr Index dense_size = 96;         // below, all values at once cost less than Lanczos
constexpr Index dense_limit = 3000;      // above, never

/// Rounding of one number of this type relative to its size, root mean square over numbers.
double rounding(DType type)
{
    switch (type) {
    case DType::f16: return std::ldexp(1.0, -11) / std::sqrt(3.0);
    case DType::bf16: return std::ldexp(1.0, -8) / std::sqrt(3.0);
    case DType::f32: return std::ldexp(1.0, -24) / std::sqrt(3.0);
    default: return std::ldexp(1.0, -53) / std::sqrt(3.0);
    }
}

}  // namespace

Spectrum hankel_spectrum(std::span<const double> h, const SpectrumOptions& options, const Control& control)
{
    if (options.top < 1) {
        throw_error(ErrorCode::bad_argument, "asked for " + std::to_string(options.top) +
                    " singular values; at least 1 is needed");
    }
    require_finite(h);
    Spectrum result;
    if (h.size() < 2) {
        result.order_99 = result.order_999 = 0;
        return result;
    }
    const Index N = static_cast<Index>(h.size()) - 1;
    const bool window = options.op == HankelOperator::window;
    const Index rows = window ? (N + 1) / 2 : N;
    const Index cols = window ? N - rows + 1 : N;
    const Index size = std::min(rows, cols);
    const Index top = std::min(options.top, size);

    std::vector<double> g(h.begin() + 1, h.end());
    double largest = 0.0;
    for (const double x : g) {
        largest = std::max(largest, std::fabs(x));
    }
    result.sigma.assign(static_cast<std::size_t>(top), 0.0);
    if (largest == 0.0) {
        result.order_99 = result.order_999 = 0;
        return result;
    }
    double energy = 0.0;
    double frobenius = 0.0;
    for (Index t = 0; t < N; ++t) {
        double& x = g[static_cast<std::size_t>(t)];
        x /= largest;                    // subnormal and huge filters alike
        energy += x * x;
        frobenius += static_cast<double>(window ? std::min({t + 1, size, N - t}) : t + 1) * x * x;
    }

    std::vector<double> values;          // signed where square
    if (size <= dense_size || (3 * top > size && size <= dense_limit)) {
        MatrixXd H(rows, cols);
        for (Index j = 0; j < cols; ++j) {
            for (Index i = 0; i < rows; ++i) {
                H(i, j) = i + j < N ? g[static_cast<std::size_t>(i + j)] : 0.0;
            }
        }
        if (rows == cols) {
            const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(H, Eigen::EigenvaluesOnly);
            values.assign(eigen.eigenvalues().data(), eigen.eigenvalues().data() + rows);
        } else {
            const Eigen::BDCSVD<MatrixXd> svd(H);
            values.assign(svd.singularValues().data(), svd.singularValues().data() + size);
        }
    } else {
        HankelProduct product(g, rows, cols);
        if (rows == cols) {
            values = lanczos([&](const double* x, double* y) { product.apply(x, y); }, rows, top, options.tolerance,
                             Vectors::no, control).values;
        } else {
            values = golub_kahan(product, {.k = top, .tolerance = options.tolerance}, control).values;
        }
    }
    std::stable_sort(values.begin(), values.end(),
                     [](double a, double b) { return std::fabs(a) > std::fabs(b); });
    const double n = static_cast<double>(size);
    const double rms = std::sqrt(energy / static_cast<double>(N));
    const double noise = 1.5 * std::sqrt(n * std::log(std::max(n, 2.0))) * rounding(options.input) * rms;
    const double floor = std::max(noise, 1e-14 * std::fabs(values[0]));
    for (Index i = 0; i < top; ++i) {
        const double value = values[static_cast<std::size_t>(i)];
        result.sigma[static_cast<std::size_t>(i)] = std::fabs(value) * largest;
        result.rank += std::fabs(value) > floor ? 1 : 0;
    }
    result.floor = floor * largest;
    result.rank_is_least = result.rank == top && top < size;
    std::span<const double> leading{values.data(), static_cast<std::size_t>(top)};
    double sum = 0.0;
    for (const double value : leading) {
        sum += std::fabs(value);
    }
    double entropy = 0.0;
    double head = 0.0;
    for (std::size_t i = 0; i < leading.size(); ++i) {
        const double p = std::fabs(leading[i]) / sum;
        entropy -= p > 0.0 ? p * std::log(p) : 0.0;
        head += leading[i] * leading[i];
        const Index order = static_cast<Index>(i) + 1;
        if (!result.order_99 && head >= 0.99 * frobenius) {
            result.order_99 = order;
        }
        if (!result.order_999 && head >= 0.999 * frobenius) {
            result.order_999 = order;
        }
    }
    result.effective_rank = std::exp(entropy);
    return result;
}

}  // namespace stillhouse::systems
