// SPDX-License-Identifier: Apache-2.0
// The layout of packed weights.
#include "libcore/compute/packed.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace stillhouse::compute {

const char* name(WeightFormat format) noexcept
{
    switch (format) {
    case WeightFormat::f32:
        return "f32";
    case WeightFormat::bf16:
        return "bf16";
    case WeightFormat::int8:
        return "int8";
    }
    return "";
}

PackedMatrix::PackedMatrix(Index rows, Index cols, WeightFormat format) : rows_(rows), cols_(cols), format_(format)
{
    STILLHOUSE_CHECK(rows > 0 && cols > 0);
    const Index at_once = format == WeightFormat::f32 ? 1 : format == WeightFormat::bf16 ? 2 : 4;
    const Index groups = format == WeightFormat::int8 ? (cols + group_cols - 1) / group_cols : 0;
    steps_ = (cols + at_once - 1) / at_once;
    panel_bytes_ = (steps_ + groups) * step_bytes;
    data_ = Buffer<std::byte>(panels() * panel_bytes_);
}

void PackedMatrix::row(Index j, float* to) const
{
    STILLHOUSE_CHECK(j >= 0 && j < rows_);
    const std::byte* const lane = panel(j / panel_rows) + j % panel_rows * 4;
    switch (format_) {
    case WeightFormat::f32:
        for (Index i = 0; i < cols_; ++i) {
            std::memcpy(to + i, lane + i * step_bytes, 4);
        }
        return;
    case WeightFormat::bf16:
        for (Index i = 0; i < cols_; ++i) {
            std::uint32_t pair;
            std::memcpy(&pair, lane + i / 2 * step_bytes, 4);
            pair = i % 2 == 0 ? pair << 16 : pair & 0xFFFF0000U;
            std::memcpy(to + i, &pair, 4);
        }
        return;
    case WeightFormat::int8: {
        const std::byte* group = lane;
        for (Index first = 0; first < cols_; first += group_cols) {
            const Index n = std::min(group_cols, cols_ - first);
            const std::byte* const scale_place = group + (n + 3) / 4 * step_bytes;
            float scale;
            std::memcpy(&scale, scale_place, 4);
            for (Index i = 0; i < n; ++i) {
                to[first + i] = static_cast<float>(static_cast<int>(group[i / 4 * step_bytes + i % 4]) - 128) * scale;
            }
            group = scale_place + step_bytes;
        }
        return;
    }
    }
}

}  // namespace stillhouse::compute
