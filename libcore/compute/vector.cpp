// SPDX-License-Identifier: Apache-2.0
// Elementwise functions: f32 by the kernels of this processor, f64 by the C library.
#include "libcore/compute/vector.hpp"

#include "libcore/compute/cpu/kernels.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::compute {

namespace {

template <class F>
void map(const double* x, Index n, double* y, F f)
{
    for (Index i = 0; i < n; ++i) {
        y[i] = f(x[i]);
    }
}

/// The kernels' reduction holds for |x| <= 1e5; larger angles (and infinities) go through the C library.
template <class F>
void wave(const float* x, Index n, float* y, void (*kernel)(const float*, Index, float*), F exactly)
{
    constexpr Index piece = 512;
    float kept[piece];
    for (Index i0 = 0; i0 < n; i0 += piece) {
        const Index now = std::min(piece, n - i0);
        std::copy_n(x + i0, now, kept);
        kernel(kept, now, y + i0);
        for (Index i = 0; i < now; ++i) {
            if (std::abs(kept[i]) > 1e5F) {
                y[i0 + i] = static_cast<float>(exactly(static_cast<double>(kept[i])));
            }
        }
    }
}

}  // namespace

template <>
void vector_exp<float>(const float* x, Index n, float* y)
{
    cpu::level().exp(x, n, y);
}

template <>
void vector_exp<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return std::exp(v); });
}

template <>
void vector_erf<float>(const float* x, Index n, float* y)
{
    cpu::level().erf(x, n, y);
}

template <>
void vector_erf<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return std::erf(v); });
}

template <>
void vector_tanh<float>(const float* x, Index n, float* y)
{
    cpu::level().tanh(x, n, y);
}

template <>
void vector_tanh<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return std::tanh(v); });
}

template <>
void vector_sin<float>(const float* x, Index n, float* y)
{
    wave(x, n, y, cpu::level().sin, [](double v) { return std::sin(v); });
}

template <>
void vector_sin<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return std::sin(v); });
}

template <>
void vector_cos<float>(const float* x, Index n, float* y)
{
    wave(x, n, y, cpu::level().cos, [](double v) { return std::cos(v); });
}

template <>
void vector_cos<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return std::cos(v); });
}

template <>
void vector_sigmoid<float>(const float* x, Index n, float* y)
{
    cpu::level().sigmoid(x, n, y);
}

template <>
void vector_sigmoid<double>(const double* x, Index n, double* y)
{
    map(x, n, y, [](double v) { return 1.0 / (1.0 + std::exp(-v)); });
}

template <class T>
T dot(const T* x, const T* y, Index n)
{
    return cpu::kernels<T>().dot(x, y, n);
}

template <class T>
void axpy(T a, const T* x, Index n, T* y)
{
    cpu::kernels<T>().axpy(a, x, n, y);
}

template <class T>
double sum_of_squares(const T* x, Index n)
{
    return cpu::kernels<T>().sum_of_squares(x, n, 0.0);
}

template <class T>
void adamw_update(const AdamWFactors<T>& factors, const T* g, Index n, T* m, T* v, T* w)
{
    cpu::kernels<T>().adamw(factors, g, n, m, v, w);
}

template <class T>
const RowFunctions<T>& row_functions() noexcept
{
    return cpu::kernels<T>().rows;
}

template const RowFunctions<float>& row_functions<float>() noexcept;
template const RowFunctions<double>& row_functions<double>() noexcept;
template double sum_of_squares<float>(const float*, Index);
template double sum_of_squares<double>(const double*, Index);
template void adamw_update<float>(const AdamWFactors<float>&, const float*, Index, float*, float*, float*);
template void adamw_update<double>(const AdamWFactors<double>&, const double*, Index, double*, double*, double*);
template float dot<float>(const float*, const float*, Index);
template double dot<double>(const double*, const double*, Index);
template void axpy<float>(float, const float*, Index, float*);
template void axpy<double>(double, const double*, Index, double*);

const char* vector_level() noexcept
{
    return cpu::level().name;
}

}  // namespace stillhouse::compute
