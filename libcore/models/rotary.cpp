// SPDX-License-Identifier: Apache-2.0
// Frequencies of the rotary planes, and the turning of queries and keys.
#include "libcore/models/rotary.hpp"

#include "libcore/models/scratch.hpp"

#include <cmath>
#include <numbers>

namespace stillhouse::models {

std::vector<double> rotary_frequencies(const Rotary& rotary)
{
    std::vector<double> frequencies(static_cast<std::size_t>(rotary.dims / 2));
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rotary.dims);
        const double frequency = std::pow(rotary.theta, exponent);
        double scaled = frequency;
        if (rotary.scaling == Rotary::Scaling::linear) {
            scaled = frequency / rotary.factor;
        } else if (rotary.scaling == Rotary::Scaling::llama3) {
            // How often the plane turns within the context it was first trained on decides.
            const auto positions = static_cast<double>(rotary.original_max_positions);
            const double turns = positions * frequency / (2.0 * std::numbers::pi);
            if (turns < rotary.low_freq_factor) {
                scaled = frequency / rotary.factor;
            } else if (turns <= rotary.high_freq_factor) {
                const double kept =
                    (turns - rotary.low_freq_factor) / (rotary.high_freq_factor - rotary.low_freq_factor);
                scaled = (1.0 - kept) * frequency / rotary.factor + kept * frequency;
            }
        }
        frequencies[i] = scaled;
    }
    return frequencies;
}

namespace {

/// cos and sin of the angles of one position.
template <class T>
void angles(const std::vector<double>& frequencies, Index position, bool back, T* cosine, T* sine)
{
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double angle = static_cast<double>(position) * frequencies[i];
        cosine[i] = static_cast<T>(std::cos(angle));
        sine[i] = static_cast<T>(back ? -std::sin(angle) : std::sin(angle));
    }
}

/// All heads of one token.
template <class T>
void turn(const T* cosine, const T* sine, Index half, Index heads, Index head_dim, T* row)
{
    for (Index head = 0; head < heads; ++head, row += head_dim) {
        for (Index i = 0; i < half; ++i) {
            const T low = row[i];
            const T high = row[i + half];
            row[i] = low * cosine[i] - high * sine[i];
            row[i + half] = high * cosine[i] + low * sine[i];
        }
    }
}

}  // namespace

template <class T>
void rotate(compute::Operations<T>& ops, const std::vector<double>& frequencies, Index head_dim, Index first,
            Sequences<T> x, bool back)
{
    const auto half = static_cast<Index>(frequencies.size());
    if (half == 0 || x.size() == 0) {
        return;
    }
    STILLHOUSE_CHECK(2 * half <= head_dim && x.width % head_dim == 0);
    constexpr Index chunk = 16;                        // positions a task
    ops.pool().for_each((x.length + chunk - 1) / chunk, [&](Index task) {
        Scratch<T> memory(2 * half);
        T* const cosine = memory.data();
        T* const sine = cosine + half;
        for (Index t = task * chunk; t < std::min(x.length, (task + 1) * chunk); ++t) {
            angles(frequencies, first + t, back, cosine, sine);
            for (Index b = 0; b < x.batch; ++b) {
                turn(cosine, sine, half, x.width / head_dim, head_dim, x.token(b, t));
            }
        }
    });
}

template <class T>
void rotate_rows(compute::Operations<T>& ops, const std::vector<double>& frequencies, Index head_dim,
                 const Index* positions, Matrix<T> x)
{
    const auto half = static_cast<Index>(frequencies.size());
    if (half == 0) {
        return;
    }
    STILLHOUSE_CHECK(2 * half <= head_dim && x.cols % head_dim == 0 && x.stride == x.cols);
    constexpr Index chunk = 16;                        // rows a task
    ops.pool().for_each((x.rows + chunk - 1) / chunk, [&](Index task) {
        Scratch<T> memory(2 * half);
        T* const cosine = memory.data();
        T* const sine = cosine + half;
        for (Index r = task * chunk; r < std::min(x.rows, (task + 1) * chunk); ++r) {
            if (r == task * chunk || positions[r] != positions[r - 1]) {
                angles(frequencies, positions[r], false, cosine, sine);
            }
            turn(cosine, sine, half, x.cols / head_dim, head_dim, x.row(r));
        }
    });
}

template void rotate(compute::Operations<float>&, const std::vector<double>&, Index, Index, Sequences<float>, bool);
template void rotate(compute::Operations<double>&, const std::vector<double>&, Index, Index, Sequences<double>, bool);
template void rotate_rows(compute::Operations<float>&, const std::vector<double>&, Index, const Index*, Matrix<float>);
template void rotate_rows(compute::Operations<double>&, const std::vector<double>&, Index, const Index*,
                          Matrix<double>);

}  // namespace stillhouse::models
