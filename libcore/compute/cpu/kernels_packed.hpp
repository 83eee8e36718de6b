// SPDX-License-Identifier: Apache-2.0
// Products with packed weights over the lanes of a level, included once a level after them.
#pragma once

#include "libcore/compute/cpu/kernels.hpp"

// Everything here has internal linkage: two files compiled for different processors must share no inline function.
namespace {

using stillhouse::compute::cpu::PackedKernels;
using stillhouse::compute::cpu::PackedTile;

constexpr int most_packed_panels = 8;

/// Panels of a tile of so many rows: as many as leave sums, weights and one activation in registers, eight at most. Of
/// one row four: that many streams memory serves as fast as more, and longer ones.
template <class W>
constexpr int panels_beside(int rows)
{
    const int most = rows == 1 ? 4 : most_packed_panels;
    const int fit = (packed_registers - 1) / ((rows + 1) * W::vectors);
    return fit < 1 ? 1 : fit > most ? most : fit;
}

/// Fetches what a later step or tile wants. A single row reads as fast as memory gives without.
template <int Rows, int Panels>
inline void fetch_ahead(const PackedTile& tile, const std::byte*& ahead)
{
    if constexpr (Rows > 1) {
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j) {
            __builtin_prefetch(ahead + j * tile.ahead_panel, 0, 3);
        }
        ahead += tile.ahead_step;
    }
}

/// Rows x Panels of 16 columns, each sum one chain over the steps; continued where the tile says so.
template <class W, int Rows, int Panels>
void packed_sums_of(const PackedTile& tile)
{
    using V = typename W::V;
    V sum[Rows][Panels][W::vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
            for (int v = 0; v < W::vectors; ++v) {
                const float* const from = tile.sums + r * tile.row + j * tile.panel_sums + v * W::lanes;
                sum[r][j][v] = tile.first ? W::zero() : W::load_sum(from);
            }
        }
    }
    const std::uint32_t* x = tile.x;
    const std::byte* w = tile.w;
    const std::byte* ahead = tile.ahead;
    for (stillhouse::Index p = 0; p < tile.steps; ++p) {
        fetch_ahead<Rows, Panels>(tile, ahead);
        typename W::Weights weights[Panels][W::vectors];
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
            for (int v = 0; v < W::vectors; ++v) {
                weights[j][v] = W::load(w + j * tile.panel_bytes + v * (64 / W::vectors));
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const auto factor = W::all(x[r]);
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
                for (int v = 0; v < W::vectors; ++v) {
                    sum[r][j][v] = W::multiply_add(weights[j][v], factor, sum[r][j][v]);
                }
            }
        }
        x += Rows;
        w += 64;
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
            for (int v = 0; v < W::vectors; ++v) {
                W::store_sum(tile.sums + r * tile.row + j * tile.panel_sums + v * W::lanes, sum[r][j][v]);
            }
        }
    }
}

/// The same of bytes: whole sums of each group, times its scales, added to the sums in f32.
template <class W, int Rows, int Panels>
void packed_groups_of(const PackedTile& tile)
{
    using V = typename W::V;
    const std::uint32_t* x = tile.x;
    const std::byte* w = tile.w;
    const std::byte* ahead = tile.ahead;
    bool first = tile.first;
    stillhouse::Index group = 0;
    for (stillhouse::Index p0 = 0; p0 < tile.steps; p0 += tile.group_steps) {
        const stillhouse::Index now = tile.steps - p0 < tile.group_steps ? tile.steps - p0 : tile.group_steps;
        V sum[Rows][Panels][W::vectors];
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const V begin = W::begin(tile.offsets[group * Rows + r]);
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
                for (int v = 0; v < W::vectors; ++v) {
                    sum[r][j][v] = begin;
                }
            }
        }
        for (stillhouse::Index p = 0; p < now; ++p) {
            fetch_ahead<Rows, Panels>(tile, ahead);
            typename W::Weights weights[Panels][W::vectors];
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
                for (int v = 0; v < W::vectors; ++v) {
                    weights[j][v] = W::load(w + j * tile.panel_bytes + v * (64 / W::vectors));
                }
            }
#pragma GCC unroll 16
            for (int r = 0; r < Rows; ++r) {
                const auto factor = W::all(x[r]);
#pragma GCC unroll 8
                for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
                    for (int v = 0; v < W::vectors; ++v) {
                        sum[r][j][v] = W::multiply_add(weights[j][v], factor, sum[r][j][v]);
                    }
                }
            }
            x += Rows;
            w += 64;
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const float scale = tile.scales[group * Rows + r];
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j) {
#pragma GCC unroll 4
                for (int v = 0; v < W::vectors; ++v) {
                    float* const to = tile.sums + r * tile.row + j * tile.panel_sums + v * W::lanes;
                    const auto* scales = reinterpret_cast<const float*>(w + j * tile.panel_bytes) + v * W::lanes;
                    W::add_group(sum[r][j][v], scale, scales, first, to);
                }
            }
        }
        first = false;
        w += 64;   // the scales
        fetch_ahead<Rows, Panels>(tile, ahead);
        ++group;
    }
}

template <class W, int Rows, int Panels>
void packed_tile(const PackedTile& tile)
{
    if constexpr (W::in_groups) {
        packed_groups_of<W, Rows, Panels>(tile);
    } else {
        packed_sums_of<W, Rows, Panels>(tile);
    }
}

template <class W, int Rows>
void packed_rows(const PackedTile& tile)
{
    constexpr int most = panels_beside<W>(Rows);
    if (tile.rows != Rows) {
        if constexpr (Rows > 1) {
            packed_rows<W, Rows - 1>(tile);
        }
        return;
    }
    if (tile.panels == most) {
        packed_tile<W, Rows, most>(tile);
    } else if (most > 2 && tile.panels == 2) {
        packed_tile<W, Rows, (most > 2 ? 2 : 1)>(tile);
    } else {
        packed_tile<W, Rows, 1>(tile);
    }
}

/// n numbers of one group as whole numbers -127 .. 127 in quads along the row, the last filled with zeros. Returns the
/// scale, NaN where one is not finite; sum: of the whole numbers.
float quantise_group(const float* x, stillhouse::Index n, std::int8_t* to, std::int32_t* sum)
{
    std::uint32_t bits = 0;                   // of the largest magnitude; of a NaN more than of any number
    for (stillhouse::Index i = 0; i < n; ++i) {
        const std::uint32_t magnitude = __builtin_bit_cast(std::uint32_t, x[i]) & 0x7FFFFFFFU;
        bits = magnitude > bits ? magnitude : bits;
    }
    for (stillhouse::Index i = n; i % 4 != 0; ++i) {
        to[i] = 0;
    }
    std::int32_t total = 0;
    const float largest = __builtin_bit_cast(float, bits);
    if (bits >= 0x7F800000U || largest < 0x1p-120F) {
        for (stillhouse::Index i = 0; i < n; ++i) {
            to[i] = 0;
        }
        *sum = 0;
        return bits >= 0x7F800000U ? __builtin_nanf("") : 0.0F;
    }
    const float inverse = 127.0F / largest;
    constexpr float shift = 12582912.0F;      // 1.5 * 2^23: the sum's last bits are the rounded number
    for (stillhouse::Index i = 0; i < n; ++i) {
        const float shifted = x[i] * inverse + shift;
        const std::int32_t whole = __builtin_bit_cast(std::int32_t, shifted) - 0x4B400000;
        to[i] = static_cast<std::int8_t>(whole);
        total += whole;
    }
    *sum = total;
    return largest / 127.0F;
}

/// Tiles of as many rows as leave two panels side by side, where the registers hold as much.
template <class W>
constexpr PackedKernels::Format packed_format()
{
    constexpr int most_rows = (packed_registers - 1) / (W::vectors == 1 ? 2 : W::vectors) - 1;
    PackedKernels::Format format{most_rows, {}, packed_rows<W, most_rows>};
    for (int rows = 1; rows <= most_rows; ++rows) {
        format.panels[rows] = panels_beside<W>(rows);
    }
    return format;
}

constexpr PackedKernels packed_here()
{
    return {{packed_format<PackedFloats>(), packed_format<PackedPairs>(), packed_format<PackedBytes>()},
            quantise_group};
}

}  // namespace
