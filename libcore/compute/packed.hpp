// SPDX-License-Identifier: Apache-2.0
// Weights packed once for generation: panels that products read as one long run of memory.
#pragma once

#include "libcore/base/array.hpp"

#include <cstddef>

namespace stillhouse::compute {

/// How packed weights are stored, and with them how a product is taken. f32: as it is. bf16: weights and activations
/// rounded to bf16, products exact, sums in f32. int8: weights and activations as whole numbers -127..127 times a scale
/// of each row and group of 512 columns (the largest magnitude over 127), products and sums of a group exact, the
/// groups summed in f32. Perplexity of the bundled teacher: bf16 +0.002 %, int8 +0.065 % (groups of 256 +0.050 %, of
/// 128 +0.019 % at six sevenths of the speed of many rows).
enum class WeightFormat { f32, bf16, int8 };

const char* name(WeightFormat format) noexcept;   // "f32", "bf16", "int8"

/// A weight matrix [rows, cols] as the kernels read it. Panels of 16 rows, the last filled with zeros; in each, for
/// every step of 4 bytes along a row (one f32, two bf16 or four int8) the 16 rows side by side: 64 bytes. Of int8 the
/// bytes are value + 128, and behind the steps of a group stand the 16 scales, in f32.
class PackedMatrix {
public:
    static constexpr Index panel_rows = 16;
    static constexpr Index step_bytes = 4 * panel_rows;
    static constexpr Index group_cols = 512;   // of int8

    PackedMatrix() = default;
    PackedMatrix(Index rows, Index cols, WeightFormat format);   // zeros

    bool empty() const { return data_.empty(); }
    Index rows() const { return rows_; }
    Index cols() const { return cols_; }
    WeightFormat format() const { return format_; }
    Index bytes() const { return data_.size(); }

    /// Row j in f32, as the products see it: what an embedding is read from.
    void row(Index j, float* to) const;

    // Of the kernels: a panel's steps and groups, and where it stands.
    Index panels() const { return (rows_ + panel_rows - 1) / panel_rows; }
    Index steps() const { return steps_; }
    Index panel_bytes() const { return panel_bytes_; }
    const std::byte* panel(Index i) const { return data_.data() + i * panel_bytes_; }
    std::byte* panel(Index i) { return data_.data() + i * panel_bytes_; }

private:
    Index rows_ = 0;
    Index cols_ = 0;
    Index steps_ = 0;
    Index panel_bytes_ = 0;
    WeightFormat format_ = WeightFormat::f32;
    Buffer<std::byte> data_;
};

}  // namespace stillhouse::compute
