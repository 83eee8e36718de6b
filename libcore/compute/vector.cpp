// SPDX-License-Identifier: Apache-2.0
// Elementwise kernels, one element after the other.
#include "libcore/compute/vector.hpp"

#include <cmath>

namespace stillhouse::compute {

namespace {

template <class T, class F>
void map(const T* x, Index n, T* y, F f)
{
    for (Index i = 0; i < n; ++i) {
        y[i] = static_cast<T>(f(static_cast<double>(x[i])));
    }
}

}  // namespace

template <class T>
void vector_exp(const T* x, Index n, T* y)
{
    map(x, n, y, [](double v) { return std::exp(v); });
}

template <class T>
void vector_erf(const T* x, Index n, T* y)
{
    map(x, n, y, [](double v) { return std::erf(v); });
}

template <class T>
void vector_tanh(const T* x, Index n, T* y)
{
    map(x, n, y, [](double v) { return std::tanh(v); });
}

template <class T>
void vector_sin(const T* x, Index n, T* y)
{
    map(x, n, y, [](double v) { return std::sin(v); });
}

template <class T>
void vector_sigmoid(const T* x, Index n, T* y)
{
    map(x, n, y, [](double v) { return 1.0 / (1.0 + std::exp(-v)); });
}

template <class T>
T dot(const T* x, const T* y, Index n)
{
    T lanes[16] = {};
    Index i = 0;
    for (; i + 16 <= n; i += 16) {
        for (Index l = 0; l < 16; ++l) {
            lanes[l] += x[i + l] * y[i + l];
        }
    }
    for (; i < n; ++i) {
        lanes[i % 16] += x[i] * y[i];
    }
    for (Index step = 8; step > 0; step /= 2) {
        for (Index l = 0; l < step; ++l) {
            lanes[l] += lanes[l + step];
        }
    }
    return lanes[0];
}

template <class T>
void axpy(T a, const T* x, Index n, T* y)
{
    for (Index i = 0; i < n; ++i) {
        y[i] += a * x[i];
    }
}

const char* vector_level() noexcept
{
    return "plain";
}

#define STILLHOUSE_INSTANTIATE(T)                        \
    template void vector_exp<T>(const T*, Index, T*);     \
    template void vector_erf<T>(const T*, Index, T*);     \
    template void vector_tanh<T>(const T*, Index, T*);    \
    template void vector_sin<T>(const T*, Index, T*);     \
    template void vector_sigmoid<T>(const T*, Index, T*); \
    template T dot<T>(const T*, const T*, Index);         \
    template void axpy<T>(T, const T*, Index, T*);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute
