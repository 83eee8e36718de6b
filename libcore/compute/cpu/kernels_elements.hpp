// SPDX-License-Identifier: Apache-2.0
// Elementwise functions and row reductions, written so that the compiler makes lanes of them; included once a level.
#pragma once

#include "libcore/compute/cpu/kernels.hpp"

// Everything here has internal linkage: two files compiled for different processors must share no inline function.
// Polynomial coefficients are weighted minimax fits (Lawson iteration) over the interval stated beside them.
namespace {

using stillhouse::Index;
using stillhouse::compute::cpu::Pair;

#if defined(__FMA__)
inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
inline float fused(float a, float b, float c) { return a * b + c; }
#endif

inline int bits_of(float x) { return __builtin_bit_cast(int, x); }
inline float float_of(int x) { return __builtin_bit_cast(float, x); }
inline float magnitude(float x) { return float_of(bits_of(x) & 0x7FFFFFFF); }
inline float with_sign_of(float x, float sign) { return float_of(bits_of(x) | (bits_of(sign) & ~0x7FFFFFFF)); }

/// exp(x) as 2^n exp(r), |r| <= log(2) / 2. `any`: the power of two is applied in two halves, so subnormals round once;
/// else |x| < 80, for the same bits in less time.
template <bool any>
inline float exp_within(float x)
{
    const float clamped = !any ? x : x > 89.0F ? 89.0F : (x < -105.0F ? -105.0F : x);
    constexpr float shifter = 12582912.0F;   // 1.5 2^23: adding it rounds to an integer in the low bits
    const float shifted = clamped * 1.44269504F + shifter;
    const float n = shifted - shifter;
    // log 2 in two parts, the first of 11 bits: n times it is exact with or without fused operations.
    float r = fused(-n, 0.693359375F, clamped);
    r = fused(-n, -2.12194440e-4F, r);
    float p = 1.979031804e-04F;   // (exp(r) - 1 - r) / r^2, |r| < 0.3467
    p = fused(p, r, 1.394468942e-03F);
    p = fused(p, r, 8.333497681e-03F);
    p = fused(p, r, 4.166629538e-02F);
    p = fused(p, r, 1.666666567e-01F);
    p = fused(p, r, 0.5F);
    const float value = 1.0F + fused(p * r, r, r);
    const int power = bits_of(shifted) - bits_of(shifter);
    if constexpr (!any) {
        return value * float_of((power + 127) << 23);
    }
    const int half = power >> 1;
    return value * float_of((half + 127) << 23) * float_of((power - half + 127) << 23);
}

inline float exp_of(float x) { return exp_within<true>(x); }

inline float tanh_of(float x)
{
    const float a = magnitude(x);
    const float z = x * x;
    float p = 2.147536958e-03F;   // (tanh(x) / x - 1) / x^2, |x| < 0.625
    p = fused(p, z, -8.182673715e-03F);
    p = fused(p, z, 2.170296758e-02F);
    p = fused(p, z, -5.394720286e-02F);
    p = fused(p, z, 1.333321035e-01F);
    p = fused(p, z, -3.333333135e-01F);
    const float small = with_sign_of(fused(p * z, x, x), x);   // the sign of a zero is kept
    const float e = exp_within<false>(2.0F * (a > 10.0F ? 10.0F : a));
    const float large = with_sign_of(1.0F - 2.0F / (e + 1.0F), x);
    return a < 0.625F ? small : large;   // of a NaN, a NaN
}

inline float erf_of(float x)
{
    const float a = magnitude(x);
    const float z = x * x;
    float p = 8.382388478e-05F;   // erf(x) / x - 2 / sqrt(pi), |x| < 0.92
    p = fused(p, z, -8.145596948e-04F);
    p = fused(p, z, 5.201286171e-03F);
    p = fused(p, z, -2.685949951e-02F);
    p = fused(p, z, 1.128369719e-01F);
    p = fused(p, z, -3.761263490e-01F);
    // 2 / sqrt(pi) = 1 + the constant: keeps the last bit of the leading term.
    const float small = x + x * fused(p, z, 0.128379167F);
    const float t = (a > 4.0F ? 4.0F : a) - 1.5F;
    float q = -2.082861829e-05F;   // log(erfc(x)), 0.9 < x < 4, in x - 1.5
    q = fused(q, t, 2.126930776e-04F);
    q = fused(q, t, -1.257864991e-03F);
    q = fused(q, t, 6.007856689e-03F);
    q = fused(q, t, -2.582392655e-02F);
    q = fused(q, t, -8.926404119e-01F);
    q = fused(q, t, -3.508800745e+00F);
    q = fused(q, t, -3.384492159e+00F);
    const float large = with_sign_of(1.0F - exp_within<false>(q), x);
    return a < 0.92F ? small : large;   // of a NaN, a NaN
}

inline float sigmoid_of(float x)
{
    return 1.0F / (1.0F + exp_of(-x));
}

inline float gelu_erf_of(float x) { return 0.5F * x * (1.0F + erf_of(x * 0.707106781F)); }

inline float gelu_tanh_of(float x)
{
    return 0.5F * x * (1.0F + tanh_of(0.797884561F * (x + 0.044715F * x * x * x)));
}

inline float silu_of(float x) { return x * sigmoid_of(x); }

// What a gradient is multiplied with on its way through each of them.

/// (1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi)
inline float gelu_erf_slope(float x)
{
    return 0.5F * (1.0F + erf_of(x * 0.707106781F)) + x * (0.398942280F * exp_of(-0.5F * x * x));
}

inline float gelu_tanh_slope(float x)
{
    const float t = tanh_of(0.797884561F * (x + 0.044715F * x * x * x));
    const float inner = 0.797884561F * (1.0F + 0.134145F * x * x);
    return 0.5F * (1.0F + t) + 0.5F * x * (1.0F - t * t) * inner;
}

inline float silu_slope(float x)
{
    const float s = sigmoid_of(x);
    return s * (1.0F + x * (1.0F - s));
}

/// sin(x + ahead pi) for |x| <= 1e5, ahead 0 or 1/2: x = (n - ahead) pi + r, in double, whose bits cover the
/// cancellation.
inline float sine_of(float from, double ahead)
{
    const double x = static_cast<double>(from);
    constexpr double shifter = 6755399441055744.0;   // 1.5 2^52
    const double shifted = x * 0.31830988618379067 + ahead + shifter;
    const double n = shifted - shifter;
    // pi in two parts, the first of 33 bits: exact products up to 2^19 turns.
    const double turns = n - ahead;
    const double r = (x - turns * 3.1415926534682512) - turns * 1.2154201013012384e-10;
    const double z = r * r;
    double p = -2.388879048482312e-08;   // (sin(r) / r - 1) / r^2, |r| < pi / 2
    p = p * z + 2.752537781718859e-06;
    p = p * z + -0.00019840868083869224;
    p = p * z + 0.008333331107660446;
    p = p * z + -0.16666666626127796;
    const float value = with_sign_of(magnitude(static_cast<float>(r + r * (z * p))), static_cast<float>(r));
    const double half = n * 0.5;
    const double even = (half + shifter) - shifter;   // n is even where half is an integer
    return even == half ? value : -value;
}

inline float sin_of(float x) { return sine_of(x, 0.0); }
inline float cos_of(float x) { return sine_of(x, 0.5); }

#define STILLHOUSE_MAP(name, function)                \
    void name(const float* x, Index n, float* y)       \
    {                                                  \
        for (Index i = 0; i < n; ++i) {                \
            y[i] = function(x[i]);                     \
        }                                              \
    }
STILLHOUSE_MAP(map_exp, exp_of)
STILLHOUSE_MAP(map_erf, erf_of)
STILLHOUSE_MAP(map_tanh, tanh_of)
STILLHOUSE_MAP(map_sin, sin_of)
STILLHOUSE_MAP(map_cos, cos_of)
STILLHOUSE_MAP(map_sigmoid, sigmoid_of)
STILLHOUSE_MAP(map_gelu_erf, gelu_erf_of)
STILLHOUSE_MAP(map_gelu_tanh, gelu_tanh_of)
STILLHOUSE_MAP(map_silu, silu_of)
#undef STILLHOUSE_MAP

#define STILLHOUSE_BACKWARD(name, slope)                                   \
    void name(const float* x, const float* dy, Index n, float* dx)         \
    {                                                                      \
        for (Index i = 0; i < n; ++i) {                                    \
            dx[i] = dy[i] * slope(x[i]);                                   \
        }                                                                  \
    }
STILLHOUSE_BACKWARD(gelu_erf_backward, gelu_erf_slope)
STILLHOUSE_BACKWARD(gelu_tanh_backward, gelu_tanh_slope)
STILLHOUSE_BACKWARD(silu_backward, silu_slope)
#undef STILLHOUSE_BACKWARD

/// Nearest even; a NaN stays one.
inline unsigned int bf16_bits(float x)
{
    const unsigned int bits = __builtin_bit_cast(unsigned int, x);
    const unsigned int rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    return (bits & 0x7FFFFFFFU) > 0x7F800000U ? (bits >> 16) | 0x40U : rounded;
}

void round_bf16(const float* x, Index n, float* y)
{
    for (Index i = 0; i < n; ++i) {
        y[i] = __builtin_bit_cast(float, bf16_bits(x[i]) << 16);
    }
}

void pair_rows(const float* x, Index stride, Index rows, Index width, Pair* to, Index padded)
{
    for (Index r = 0; r < rows; r += 2, to += padded) {
        const float* const upper = x + r * stride;
        const float* const lower = r + 1 < rows ? upper + stride : nullptr;
        for (Index i = 0; i < width; ++i) {
            to[i] = bf16_bits(upper[i]) | (lower == nullptr ? 0U : bf16_bits(lower[i]) << 16);
        }
        for (Index i = width; i < padded; ++i) {
            to[i] = 0;
        }
    }
}

void pair_along(const float* x, Index n, Pair* to)
{
    for (Index i = 0; i < n / 2; ++i) {
        to[i] = bf16_bits(x[2 * i]) | (bf16_bits(x[2 * i + 1]) << 16);
    }
    if (n % 2 != 0) {
        to[n / 2] = bf16_bits(x[n - 1]);
    }
}

/// sum of f(i), i < n, in sixteen lanes added pairwise: a fixed order that the compiler turns into vectors.
template <class S, class F>
inline S lanes_sum(Index n, const F& f)
{
    S lanes[16] = {};
    Index i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int l = 0; l < 16; ++l) {
            lanes[l] += f(i + l);
        }
    }
    for (; i < n; ++i) {
        lanes[i % 16] += f(i);
    }
    for (int step = 8; step > 0; step /= 2) {
        for (int l = 0; l < step; ++l) {
            lanes[l] += lanes[l + step];
        }
    }
    return lanes[0];
}

template <class T>
T dot_of(const T* x, const T* y, Index n)
{
    return lanes_sum<T>(n, [=](Index i) { return x[i] * y[i]; });
}

template <class T>
void axpy_of(T a, const T* x, Index n, T* y)
{
    for (Index i = 0; i < n; ++i) {
        y[i] += a * x[i];
    }
}

template <class T>
double sum_of(const T* x, Index n)
{
    return lanes_sum<double>(n, [=](Index i) { return static_cast<double>(x[i]); });
}

template <class T>
double sum_of_squares(const T* x, Index n, double centre)
{
    return lanes_sum<double>(n, [=](Index i) {
        const double d = static_cast<double>(x[i]) - centre;
        return d * d;
    });
}

template <class T>
T largest_of(const T* x, Index n)
{
    T lanes[16];
    for (int l = 0; l < 16; ++l) {
        lanes[l] = -static_cast<T>(__builtin_inf());
    }
    Index i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int l = 0; l < 16; ++l) {
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
        }
    }
    for (; i < n; ++i) {
        lanes[i % 16] = x[i] > lanes[i % 16] ? x[i] : lanes[i % 16];
    }
    for (int l = 1; l < 16; ++l) {
        lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    }
    return lanes[0];
}

template <class T>
void normalise(const T* x, Index n, T centre, T scale, const T* weight, const T* bias, T* y)
{
    if (bias == nullptr) {
        for (Index i = 0; i < n; ++i) {
            y[i] = (x[i] - centre) * scale * weight[i];
        }
        return;
    }
    for (Index i = 0; i < n; ++i) {
        y[i] = (x[i] - centre) * scale * weight[i] + bias[i];
    }
}

/// sum_bias tells the two norms apart: LayerNorm has a bias and subtracts the mean, RMSNorm neither.
template <class T>
void normalise_backward(const T* x, const T* dy, Index n, T centre, T scale, const T* weight, T* dx,
                        double* sum_weight, double* sum_bias)
{
    const auto inner = [=](Index i) { return dy[i] * weight[i]; };
    const auto normal = [=](Index i) { return (x[i] - centre) * scale; };
    const double across = 1.0 / static_cast<double>(n);
    const auto mean_of = [=](const auto& term) {
        return static_cast<T>(lanes_sum<double>(n, [=](Index i) { return static_cast<double>(term(i)); }) * across);
    };
    const T slope = mean_of([=](Index i) { return inner(i) * normal(i); });
    const T mean = sum_bias == nullptr ? T(0) : mean_of(inner);
    for (Index i = 0; i < n; ++i) {
        sum_weight[i] += static_cast<double>(dy[i] * normal(i));
    }
    if (sum_bias != nullptr) {
        for (Index i = 0; i < n; ++i) {
            sum_bias[i] += static_cast<double>(dy[i]);
        }
    }
    for (Index i = 0; i < n; ++i) {
        dx[i] = scale * (inner(i) - mean - normal(i) * slope);
    }
}

inline float root_of(float x) { return __builtin_sqrtf(x); }
inline double root_of(double x) { return __builtin_sqrt(x); }

template <class T>
void adamw_of(const stillhouse::compute::AdamWFactors<T>& step, const T* __restrict g, Index n, T* __restrict m,
              T* __restrict v, T* __restrict w)
{
    const T beta1 = step.beta1;
    const T beta2 = step.beta2;
    for (Index i = 0; i < n; ++i) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] = step.keep * w[i] - step.scale * m[i] / (root_of(v[i]) * step.root + step.epsilon);
    }
}

/// out[i] = bias[i] + sum_j weights[j, i] rows[j][i], the sum in order of j; without a bias it begins with j = 0.
template <class T>
void weigh_rows(const T* const* rows, Index count, const T* weights, const T* bias, Index n, T* __restrict out)
{
    if (count == 3) {
        const T* const now = rows[0];
        const T* const one = rows[1];
        const T* const two = rows[2];
        const T* const w1 = weights + n;
        const T* const w2 = w1 + n;
        if (bias != nullptr) {
            for (Index i = 0; i < n; ++i) {
                out[i] = bias[i] + weights[i] * now[i] + w1[i] * one[i] + w2[i] * two[i];
            }
        } else {
            for (Index i = 0; i < n; ++i) {
                out[i] = weights[i] * now[i] + w1[i] * one[i] + w2[i] * two[i];
            }
        }
        return;
    }
    for (Index i = 0; i < n; ++i) {
        const T first = weights[i] * rows[0][i];
        out[i] = bias != nullptr ? bias[i] + first : first;
    }
    for (Index j = 1; j < count; ++j) {
        const T* const row = rows[j];
        const T* const w = weights + j * n;
        for (Index i = 0; i < n; ++i) {
            out[i] += w[i] * row[i];
        }
    }
}

/// sums[j, i] += d[i] rows[j][i] for j < count.
template <class T>
void add_row_products(const T* d, const T* const* rows, Index count, Index n, T* __restrict sums)
{
    for (Index j = 0; j < count; ++j, sums += n) {
        const T* const row = rows[j];
        for (Index i = 0; i < n; ++i) {
            sums[i] += d[i] * row[i];
        }
    }
}

template <class T>
void add_row(const T* x, Index n, T* __restrict sums)
{
    for (Index i = 0; i < n; ++i) {
        sums[i] += x[i];
    }
}

template <class T>
void multiply_row(const T* a, const T* b, Index n, T* __restrict out)
{
    for (Index i = 0; i < n; ++i) {
        out[i] = a[i] * b[i];
    }
}

/// out = x + a b
template <class T>
void add_product_row(const T* x, const T* a, const T* b, Index n, T* __restrict out)
{
    for (Index i = 0; i < n; ++i) {
        out[i] = x[i] + a[i] * b[i];
    }
}

}  // namespace
