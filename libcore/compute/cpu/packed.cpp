// SPDX-License-Identifier: Apache-2.0
// Packing weights, and the products with them: which thread reads what, and in which order.
#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/cpu/scratch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>

namespace stillhouse::compute::cpu {

namespace {

constexpr Index panel_rows = PackedMatrix::panel_rows;
constexpr Index group_cols = PackedMatrix::group_cols;
constexpr Index step_bytes = PackedMatrix::step_bytes;
constexpr Index group_steps = group_cols / 4;
constexpr Index part_cols = group_cols;      // of activations that are packed at once
constexpr Index depth = 256;                 // steps of a block: two panels of it fit the first cache
constexpr Index block_bytes = 1 << 19;       // of packed activations that a block of rows keeps in the second cache
constexpr Index fetch_distance = 2048;       // bytes: two thirds more speed at eight rows than without
constexpr Index most_maps = 16;              // of a region
constexpr Index serial_elements = 1 << 12;   // of activations, below which waking a thread costs more than packing them

Index ceil_div(Index a, Index b)
{
    return (a + b - 1) / b;
}

Index steps_of(Index cols, WeightFormat format)
{
    return ceil_div(cols, format == WeightFormat::f32 ? 1 : format == WeightFormat::bf16 ? 2 : 4);
}

const PackedKernels::Format& kernels_of(WeightFormat format)
{
    return level().packed.formats[static_cast<int>(format)];
}

/// to[j * to_step + i] = from[i * from_row + j], i < rows, j < cols, whatever the 4 bytes mean.
void turn(const std::uint32_t* from, Index from_row, Index rows, Index cols, std::uint32_t* to, Index to_step)
{
    level().single.panels.transpose(reinterpret_cast<const float*>(from), from_row, rows, cols,
                                    reinterpret_cast<float*>(to), to_step);
}

/// One row as the products take it: an f32, two bf16 or four int8 a step.
void pack_line(const float* x, Index cols, WeightFormat format, std::uint32_t* to)
{
    if (format == WeightFormat::f32) {
        std::memcpy(to, x, static_cast<std::size_t>(cols) * 4);
    } else {
        level().pair_along(x, cols, to);
    }
}

void pack_panel(Matrix<const float> w, Index panel, PackedMatrix& packed)
{
    const Index first = panel * panel_rows;
    const Index rows = std::min(panel_rows, w.rows - first);
    const Index steps = packed.steps();
    Scratch<std::uint32_t, 6> lines(panel_rows * steps);
    const auto turn_steps = [&](Index step, Index count, std::byte* to) {
        turn(lines.data() + step, steps, panel_rows, count, reinterpret_cast<std::uint32_t*>(to), panel_rows);
    };
    std::fill_n(lines.data(), panel_rows * steps, packed.format() == WeightFormat::int8 ? 0x80808080U : 0U);
    if (packed.format() != WeightFormat::int8) {
        for (Index r = 0; r < rows; ++r) {
            pack_line(w.row(first + r), w.cols, packed.format(), lines.data() + r * steps);
        }
        turn_steps(0, steps, packed.panel(panel));
        return;
    }
    std::byte* to = packed.panel(panel);
    for (Index col = 0; col < w.cols; col += group_cols) {
        const Index n = std::min(group_cols, w.cols - col);
        float scales[panel_rows] = {};
        for (Index r = 0; r < rows; ++r) {
            auto* const line = reinterpret_cast<std::int8_t*>(lines.data() + r * steps + col / 4);
            std::int32_t sum = 0;
            scales[r] = level().packed.quantise(w.row(first + r) + col, n, line, &sum);
            if (std::isnan(scales[r])) {
                throw_error(ErrorCode::bad_data, "row " + std::to_string(first + r) + " holds a number that is not "
                                                     "finite: it cannot be stored as int8; take f32 or bf16");
            }
            for (Index i = 0; i < (n + 3) / 4 * 4; ++i) {
                line[i] = static_cast<std::int8_t>(line[i] ^ -128);
            }
        }
        turn_steps(col / 4, (n + 3) / 4, to);
        to += (n + 3) / 4 * step_bytes;
        std::memcpy(to, scales, sizeof(scales));
        to += step_bytes;
    }
}

/// Activations packed for one format: row tiles [steps, rows of the tile], behind each other.
struct Activations {
    Matrix<const float> x;
    WeightFormat format = WeightFormat::f32;
    Index steps = 0;
    Index groups = 0;
    Index tiles = 0;
    Index first_item = 0;          // among the items of all activations
    std::uint32_t* data = nullptr;
    float* scales = nullptr;       // int8: [tile][groups, rows]
    std::int32_t* offsets = nullptr;

    Index begin(Index tile) const { return x.rows * tile / tiles; }   // first row: tiles differ by one row at most
    Index rows(Index tile) const { return begin(tile + 1) - begin(tile); }

    Index parts() const { return ceil_div(x.cols, part_cols); }

    /// A part of the columns of one tile.
    void pack(Index tile, Index part) const
    {
        const Index r0 = begin(tile);
        const Index n = rows(tile);
        const Index first = part * part_cols;
        const Index cols = std::min(part_cols, x.cols - first);
        const Index step = first * steps_of(part_cols, format) / part_cols;
        const Index count = steps_of(cols, format);
        std::uint32_t* const to = data + r0 * steps + step * n;
        std::array<std::uint32_t, part_cols * 16> several;
        std::uint32_t* const lines = n == 1 ? to : several.data();
        for (Index r = 0; r < n; ++r) {
            const float* const from = x.row(r0 + r) + first;
            std::uint32_t* const line = lines + r * count;
            if (format != WeightFormat::int8) {
                pack_line(from, cols, format, line);
                continue;
            }
            std::int32_t sum = 0;
            const Index at = r0 * groups + part * n + r;
            scales[at] = level().packed.quantise(from, cols, reinterpret_cast<std::int8_t*>(line), &sum);
            offsets[at] = -128 * sum;
        }
        if (n > 1) {
            turn(lines, count, n, count, to, n);
        }
    }
};

/// How one map is cut: blocks of row tiles, in each units of a few panels, which are multiplied side by side.
struct Plan {
    const PackedLinear<float>* map = nullptr;
    const Activations* x = nullptr;
    Index at_once = 1;             // panels of a unit
    Index across = 0;              // units of a block of rows; the last may be smaller
    Index tiles = 1;               // row tiles of a block
    Index units = 0;
};

const std::byte* place_of(const PackedMatrix& w, Index panel, Index step)
{
    return w.panel(panel) + (step + (w.format() == WeightFormat::int8 ? step / group_steps : 0)) * step_bytes;
}

/// What becomes of a block of finished sums.
void finish(const PackedLinear<float>& map, Index slot, Index row, Index column, Matrix<float> sums)
{
    const bool moves = map.sink == nullptr && sums.data != map.y.row(row) + column;
    for (Index r = 0; r < sums.rows; ++r) {
        float* const line = sums.row(r);
        if (map.bias != nullptr) {
            kernels<float>().axpy(1.0F, map.bias + column, sums.cols, line);
        }
        for (Index j = 0; map.activation != Activation::identity && j < sums.cols; j += activation_piece) {
            activate_block(map.activation, line + j, std::min(activation_piece, sums.cols - j), line + j);
        }
        if (moves) {
            std::memcpy(map.y.row(row + r) + column, line, static_cast<std::size_t>(sums.cols) * sizeof(float));
        }
    }
    if (map.sink != nullptr) {
        map.sink->take(slot, row, column, sums);
    }
}

/// Steps p0 .. p0 + steps of `count` panels, `apart` from each other beginning with `first`, times the row tiles tile0
/// .. tile1, into sums whose first column is that of `first`. `ahead`, unless null, is wanted next.
void multiply_panels(const Plan& plan, Index tile0, Index tile1, Index p0, Index steps, Index first, Index apart,
                     Index count, const std::byte* ahead, float* sums, Index row)
{
    const PackedMatrix& w = *plan.map->w;
    const Activations& x = *plan.x;
    const bool bytes = w.format() == WeightFormat::int8;
    const auto multiply = kernels_of(w.format()).multiply;
    const Index g0 = p0 / group_steps;
    PackedTile tile;
    tile.panels = count;
    tile.steps = steps;
    tile.w = place_of(w, first, p0);
    tile.panel_bytes = apart * w.panel_bytes();
    tile.row = row;
    tile.panel_sums = apart * panel_rows;
    tile.first = p0 == 0;
    tile.group_steps = group_steps;
    // One tile of rows: each panel is fetched some lines ahead. Several: while they use these weights, the next ones
    // come nearer, a share with each tile.
    const bool streams = x.tiles == 1;
    const Index share = ahead == nullptr ? 0 : ceil_div(steps * count, tile1 - tile0) * step_bytes;
    tile.ahead = streams ? tile.w + fetch_distance : ahead == nullptr ? tile.w : ahead;
    tile.ahead_panel = streams ? tile.panel_bytes : 0;
    tile.ahead_step = streams || ahead != nullptr ? step_bytes : 0;
    for (Index t = tile0; t < tile1; ++t) {
        const Index r0 = x.begin(t);
        tile.rows = x.rows(t);
        tile.x = x.data + r0 * x.steps + p0 * tile.rows;
        tile.sums = sums + (r0 - x.begin(tile0)) * row;
        if (bytes) {
            tile.scales = x.scales + r0 * x.groups + g0 * tile.rows;
            tile.offsets = x.offsets + r0 * x.groups + g0 * tile.rows;
        }
        multiply(tile);
        tile.ahead += share;
    }
}

/// Units first .. first + count of one block of rows. With few rows as many runs of neighbouring panels as a unit has
/// panels, so that each is read as one long stream; with many, panel after panel.
void run_units(const Plan& plan, Index first, Index count, Index slot)
{
    const PackedLinear<float>& map = *plan.map;
    const Index tile0 = first / plan.across * plan.tiles;
    const Index tile1 = std::min(plan.x->tiles, tile0 + plan.tiles);
    const Index row0 = plan.x->begin(tile0);
    const Index rows = plan.x->begin(tile1) - row0;
    const Index panel0 = first % plan.across * plan.at_once;
    const Index panel1 = std::min(map.w->panels(), panel0 + count * plan.at_once);
    const Index column = panel0 * panel_rows;
    const Index cols = (panel1 - panel0) * panel_rows;
    // Sums are made where the result belongs, unless zeros behind its last column would be written there as well.
    const bool direct = map.sink == nullptr && column + cols <= map.w->rows();
    Scratch<float, 8> scratch(direct ? 0 : rows * cols);
    Matrix<float> sums = direct ? Matrix<float>(map.y.row(row0) + column, rows, cols, map.y.stride)
                                : Matrix<float>(scratch.data(), rows, cols);
    const auto at = [&](Index panel) { return sums.data + (panel - panel0) * panel_rows; };
    const PackedMatrix& w = *map.w;
    const Index full = (panel1 - panel0) / plan.at_once;
    if (plan.x->tiles == 1) {
        for (Index i = 0; i < full; ++i) {
            multiply_panels(plan, tile0, tile1, 0, w.steps(), panel0 + i, full, plan.at_once, nullptr, at(panel0 + i),
                            sums.stride);
        }
        for (Index panel = panel0 + full * plan.at_once, some = 0; panel < panel1; panel += some) {
            some = panel1 - panel >= 2 ? 2 : 1;
            multiply_panels(plan, tile0, tile1, 0, w.steps(), panel, 1, some, nullptr, at(panel), sums.stride);
        }
    } else {
        // The activations of a block of steps stay in the second cache for all these panels.
        for (Index p0 = 0; p0 < w.steps(); p0 += depth) {
            for (Index panel = panel0, some = 0; panel < panel1; panel += some) {
                some = std::min(plan.at_once, panel1 - panel);
                const std::byte* ahead = panel + some < panel1    ? place_of(w, panel + some, p0)
                                         : p0 + depth < w.steps() ? place_of(w, panel0, p0 + depth)
                                                                  : nullptr;
                multiply_panels(plan, tile0, tile1, p0, std::min(depth, w.steps() - p0), panel, 1, some, ahead,
                                at(panel), sums.stride);
            }
        }
    }
    sums.cols = std::min(cols, map.w->rows() - column);
    finish(map, slot, row0, column, sums);
}

/// Hands out units of the plans to threads, many at first and fewer towards the end, so that all end together.
class Units {
public:
    Units(std::span<const Plan> plans, Index threads) : plans_(plans), threads_(threads)
    {
        for (const Plan& plan : plans) {
            total_ += plan.units;
        }
    }

    /// Works until none is left.
    void work(Index slot)
    {
        Index begin = next_.load(std::memory_order_relaxed);
        while (begin < total_) {
            Index first = begin;                                 // within its plan
            std::size_t p = 0;
            while (first >= plans_[p].units) {
                first -= plans_[p++].units;
            }
            const Plan& plan = plans_[p];
            const Index fair = std::clamp<Index>((total_ - begin) / (4 * threads_), 1, most_units);
            const Index count = std::min(fair, plan.across - first % plan.across);
            if (next_.compare_exchange_weak(begin, begin + count, std::memory_order_relaxed)) {
                run_units(plan, first, count, slot);
                begin = next_.load(std::memory_order_relaxed);
            }
        }
    }

private:
    static constexpr Index most_units = 8;
    std::span<const Plan> plans_;
    Index threads_;
    Index total_ = 0;
    std::atomic<Index> next_{0};
};

/// At most most_maps of them.
void run_region(ThreadPool& pool, std::span<const PackedLinear<float>> maps)
{
    std::array<Activations, most_maps> activations;
    std::array<Plan, most_maps> plans;
    std::size_t n = 0;
    Index items = 0;
    Index dwords = 0;
    Index groups = 0;
    Index elements = 0;
    for (std::size_t m = 0; m < maps.size(); ++m) {
        const PackedLinear<float>& map = maps[m];
        const PackedMatrix& w = *map.w;
        STILLHOUSE_CHECK(map.x.cols == w.cols());
        STILLHOUSE_CHECK(map.sink != nullptr || (map.y.rows == map.x.rows && map.y.cols == w.rows()));
        std::size_t same = 0;
        while (same < n && !(activations[same].x.data == map.x.data && activations[same].x.rows == map.x.rows
                             && activations[same].x.cols == map.x.cols && activations[same].x.stride == map.x.stride
                             && activations[same].format == w.format())) {
            ++same;
        }
        if (same == n) {
            Activations& x = activations[n++];
            x.x = map.x;
            x.format = w.format();
            x.steps = w.steps();
            x.groups = w.format() == WeightFormat::int8 ? ceil_div(w.cols(), group_cols) : 0;
            x.tiles = ceil_div(map.x.rows, kernels_of(w.format()).most_rows);
            x.first_item = items;
            items += x.tiles * x.parts();
            dwords += map.x.rows * x.steps;
            groups += map.x.rows * x.groups;
            elements += map.x.rows * map.x.cols;
        }
        plans[m].map = &map;
        plans[m].x = &activations[same];
    }

    Scratch<std::uint32_t, 0> data(dwords);
    Scratch<float, 1> scales(groups);
    Scratch<std::int32_t, 2> offsets(groups);
    dwords = 0;
    groups = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Activations& x = activations[i];
        x.data = data.data() + dwords;
        x.scales = scales.data() + groups;
        x.offsets = offsets.data() + groups;
        dwords += x.x.rows * x.steps;
        groups += x.x.rows * x.groups;
    }
    const auto pack_item = [&](Index item) {
        std::size_t i = n - 1;
        while (item < activations[i].first_item) {
            --i;
        }
        const Index at = item - activations[i].first_item;
        activations[i].pack(at / activations[i].parts(), at % activations[i].parts());
    };
    if (elements <= serial_elements) {
        for (Index item = 0; item < items; ++item) {
            pack_item(item);
        }
    } else {
        pool.for_each(items, pack_item);
    }

    for (std::size_t m = 0; m < maps.size(); ++m) {
        Plan& plan = plans[m];
        const Activations& x = *plan.x;
        const PackedMatrix& w = *plan.map->w;
        const auto& kernels = kernels_of(w.format());
        const Index most = x.rows(x.tiles - 1);            // the last tile is among the largest
        plan.at_once = x.tiles == 1 ? kernels.panels[most] : std::min<Index>(2, kernels.panels[most]);
        plan.across = ceil_div(w.panels(), plan.at_once);
        plan.tiles = std::clamp<Index>(block_bytes / (4 * w.steps() * most), 1, x.tiles);
        plan.units = ceil_div(x.tiles, plan.tiles) * plan.across;
        if (plan.map->sink != nullptr) {
            plan.map->sink->begin(pool.threads());
        }
    }
    Units units(std::span<const Plan>(plans.data(), maps.size()), pool.threads());
    pool.for_each(pool.threads(), [&](Index slot) { units.work(slot); });
}

}  // namespace

PackedMatrix pack(ThreadPool& pool, Matrix<const float> w, WeightFormat format)
{
    PackedMatrix packed(w.rows, w.cols, format);
    pool.for_each(packed.panels(), [&](Index panel) { pack_panel(w, panel, packed); });
    return packed;
}

void linear_packed(ThreadPool& pool, std::span<const PackedLinear<float>> maps)
{
    std::array<PackedLinear<float>, most_maps> some;
    std::size_t n = 0;
    for (const PackedLinear<float>& map : maps) {
        if (map.x.rows > 0) {
            some[n++] = map;
        }
        if (n == some.size()) {
            run_region(pool, std::span<const PackedLinear<float>>(some.data(), n));
            n = 0;
        }
    }
    if (n > 0) {
        run_region(pool, std::span<const PackedLinear<float>>(some.data(), n));
    }
}

}  // namespace stillhouse::compute::cpu
