// SPDX-License-Identifier: Apache-2.0
// Products with packed weights: against sums in double, the same bits for any batch and any threads, at every level.
#include <boost/test/unit_test.hpp>

#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "tests/unit/compute/common.hpp"

#include <array>
#include <limits>
#include <vector>

using namespace stillhouse;
using compute::Activation;
using compute::PackedLinear;
using compute::PackedMatrix;
using compute::Precision;
using compute::WeightFormat;

namespace {

constexpr std::array formats{WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8};
const std::vector<std::array<Index, 2>> shapes{{16, 64}, {1, 1}, {37, 33}, {200, 512}, {96, 2050}, {512, 131}};

/// The bound of an element's error: roundings of operands, and of sums in f32.
double bound(WeightFormat format, Index k, double magnitudes, double step)
{
    const double sums = 4.0 * unit_roundoff<float>() * std::sqrt(static_cast<double>(k) + 4.0) * magnitudes + 1e-30;
    switch (format) {
    case WeightFormat::f32:
        return sums;
    case WeightFormat::bf16:
        return sums + (0x1p-8 + 0x1p-18) * magnitudes;   // 2^-9 of either operand
    case WeightFormat::int8:
        return sums + step;
    }
    return 0.0;
}

/// Half a step of x and of w in each group, times what it multiplies.
double int8_step(const float* x, const float* w, Index k)
{
    double total = 0;
    for (Index g = 0; g < k; g += PackedMatrix::group_cols) {
        const Index n = std::min(PackedMatrix::group_cols, k - g);
        double top_x = 0, top_w = 0, sum_x = 0, sum_w = 0;
        for (Index i = g; i < g + n; ++i) {
            top_x = std::max(top_x, std::abs(static_cast<double>(x[i])));
            top_w = std::max(top_w, std::abs(static_cast<double>(w[i])));
            sum_x += std::abs(static_cast<double>(x[i]));
            sum_w += std::abs(static_cast<double>(w[i]));
        }
        const double half_x = top_x / 254;
        const double half_w = top_w / 254;
        total += 1.001 * (half_x * sum_w + half_w * sum_x + half_x * half_w * static_cast<double>(n));
    }
    return total;
}

}  // namespace

BOOST_AUTO_TEST_CASE(packed_rows_are_the_weights)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    for (const auto& [n, k] : shapes) {
        const Dense<float> w(n, k, 5);
        std::vector<float> row(static_cast<std::size_t>(k));
        for (const WeightFormat format : formats) {
            const PackedMatrix packed = backend->single().pack(w.in(), format);
            BOOST_TEST(packed.rows() == n);
            BOOST_TEST(packed.cols() == k);
            for (Index j = 0; j < n; ++j) {
                packed.row(j, row.data());
                for (Index g = 0; g < k; g += PackedMatrix::group_cols) {
                    double top = 0;
                    const Index end = std::min(k, g + PackedMatrix::group_cols);
                    for (Index i = g; i < end; ++i) {
                        top = std::max(top, std::abs(w.at(j, i)));
                    }
                    for (Index i = g; i < end; ++i) {
                        const double most = format == WeightFormat::f32    ? 0.0
                                            : format == WeightFormat::bf16 ? 0x1p-8 * std::abs(w.at(j, i))
                                                                           : 1.0001 * top / 254;
                        const double found = row[static_cast<std::size_t>(i)];
                        BOOST_TEST_REQUIRE(std::abs(found - w.at(j, i)) <= most);
                    }
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(packed_products_equal_sums_in_double)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    for (const auto& [n, k] : shapes) {
        const Dense<float> w(n, k, 5);
        const Dense<float> bias(1, n, 6);
        for (const Index m : {1, 2, 3, 5, 8, 13, 14, 15, 29, 64, 300}) {
            const Dense<float> x(m, k, 7);
            for (const WeightFormat format : formats) {
                const PackedMatrix packed = backend->single().pack(w.in(), format);
                Dense<float> y(m, n);
                backend->single().linear_packed(x.in(), packed, bias.row(0), y.out());
                double worst = 0;
                for (Index i = 0; i < m; ++i) {
                    for (Index j = 0; j < n; ++j) {
                        double sum = bias.at(0, j);
                        double magnitudes = std::abs(sum);
                        for (Index p = 0; p < k; ++p) {
                            sum += x.at(i, p) * w.at(j, p);
                            magnitudes += std::abs(x.at(i, p) * w.at(j, p));
                        }
                        const double step = format == WeightFormat::int8 ? int8_step(x.row(i), w.row(j), k) : 0.0;
                        worst = std::max(worst, std::abs(y.at(i, j) - sum) / bound(format, k, magnitudes, step));
                    }
                }
                BOOST_TEST(worst <= 1.0, compute::name(format) << " " << m << " x " << n << " x " << k << ": " << worst
                                                               << " of the bound");
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(packed_rows_do_not_depend_on_the_batch_or_the_threads)
{
    const auto one = compute::make_backend("cpu", Precision::f32, 1);
    const auto three = compute::make_backend("cpu", Precision::f32, 3);
    constexpr Index most = 700;
    for (const auto& [n, k] : shapes) {
        const Dense<float> w(n, k, 5);
        const Dense<float> x(most, k, 8);
        for (const WeightFormat format : formats) {
            const PackedMatrix packed = one->single().pack(w.in(), format);
            Dense<float> whole(most, n);
            Dense<float> again(most, n);
            one->single().linear_packed(x.in(), packed, nullptr, whole.out());
            three->single().linear_packed(x.in(), packed, nullptr, again.out());
            BOOST_TEST(same_bits(whole, again), "depends on threads");
            for (const Index m : {1, 2, 3, 4, 7, 9, 14, 17, 100}) {
                Dense<float> part(m, k);
                Dense<float> y(m, n);
                for (Index i = 0; i < m; ++i) {
                    std::copy_n(x.row((17 + 7 * i) % most), k, part.row(i));
                }
                three->single().linear_packed(part.in(), packed, nullptr, y.out());
                Index different = 0;
                for (Index i = 0; i < m; ++i) {
                    different += same_row(y.row(i), whole.row((17 + 7 * i) % most), n) ? 0 : 1;
                }
                BOOST_TEST(different == 0, compute::name(format)
                                               << " " << n << " x " << k << ": " << different << " of " << m
                                               << " rows depend on the batch");
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(several_maps_in_one_region_are_those_alone)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 3);
    auto& ops = backend->single();
    for (const Index m : {1, 6, 40}) {
        const Dense<float> x(m, 192, 1);
        const Dense<float> z(m, 300, 2);
        std::vector<PackedMatrix> packed;
        std::vector<Dense<float>> alone;
        std::vector<Dense<float>> together;
        std::vector<PackedLinear<float>> maps;
        const std::array<Index, 3> widths{192, 300, 192};
        for (std::size_t i = 0; i < 3; ++i) {
            const Dense<float> w(50 + 30 * static_cast<Index>(i), widths[i], 10 + i);
            packed.push_back(ops.pack(w.in(), formats[i]));
            alone.emplace_back(m, w.rows);
            together.emplace_back(m, w.rows);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            const Matrix<const float> in = widths[i] == 192 ? x.in() : z.in();
            ops.linear_packed(in, packed[i], nullptr, alone[i].out());
            ops.activate(Activation::gelu_erf, alone[i].row(0), alone[i].data.size(), alone[i].row(0));
            maps.push_back({in, &packed[i], nullptr, together[i].out(), Activation::gelu_erf, nullptr});
        }
        ops.linear_packed(maps);
        for (std::size_t i = 0; i < 3; ++i) {
            BOOST_TEST(same_bits(alone[i], together[i]));
        }
    }
}

namespace {

/// Puts tiles together again, and sees that each element comes once.
class Gather final : public compute::TileSink<float> {
public:
    Gather(Index rows, Index cols) : result(rows, cols), count_(rows, cols) {}
    void begin(Index slots) override { BOOST_TEST(slots > 0); }
    void take(Index, Index first_row, Index first_column, Matrix<const float> tile) override
    {
        for (Index i = 0; i < tile.rows; ++i) {
            for (Index j = 0; j < tile.cols; ++j) {
                result.row(first_row + i)[first_column + j] = tile(i, j);
                count_.row(first_row + i)[first_column + j] += 1;
            }
        }
    }
    bool each_once() const
    {
        return std::all_of(count_.data.begin(), count_.data.end(), [](float c) { return c == 1; });
    }
    Dense<float> result;

private:
    Dense<float> count_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_sink_gets_every_element_once)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 3);
    const Dense<float> w(1000, 192, 5);
    for (const Index m : {1, 9, 300}) {
        const Dense<float> x(m, 192, 6);
        const PackedMatrix packed = backend->single().pack(w.in(), WeightFormat::bf16);
        Dense<float> y(m, w.rows);
        backend->single().linear_packed(x.in(), packed, nullptr, y.out());
        Gather gather(m, w.rows);
        const PackedLinear<float> map{x.in(), &packed, nullptr, {}, Activation::identity, &gather};
        backend->single().linear_packed(std::span<const PackedLinear<float>>(&map, 1));
        BOOST_TEST(gather.each_once());
        BOOST_TEST(same_bits(gather.result, y));
    }
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 2);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        Dense<float> w(20, 200, 5);
        w.row(17)[150] = bad;
        BOOST_CHECK_EXCEPTION(backend->single().pack(w.in(), WeightFormat::int8), Error, [](const Error& error) {
            return error.code() == ErrorCode::bad_data
                   && std::string(error.what()).find("row 17") != std::string::npos;
        });
        // An activation that is not finite is not lost in int8.
        const Dense<float> good(20, 200, 5);
        Dense<float> x(3, 200, 6);
        x.row(1)[3] = bad;
        Dense<float> y(3, 20);
        for (const WeightFormat format : formats) {
            backend->single().linear_packed(x.in(), backend->single().pack(good.in(), format), nullptr, y.out());
            BOOST_TEST(!std::isfinite(y.row(1)[0]));
            BOOST_TEST(std::isfinite(y.row(0)[0]));
            BOOST_TEST(std::isfinite(y.row(2)[0]));
        }
    }
    const Dense<double> w(2, 2, 1);
    BOOST_CHECK_THROW(backend->real().pack(w.in(), WeightFormat::f32), Error);
}

// Every level multiplies the same packed numbers; int8 sums are whole and agree to a rounding of their scales.
BOOST_AUTO_TEST_CASE(levels_agree)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 1);
    const Index k = 600;
    const Index group = PackedMatrix::group_cols;
    Dense<float> w(32, k, 5);
    std::fill_n(w.row(3), group, 1.0F);      // extremes: products that saturate in 16 bits if added in pairs
    std::fill_n(w.row(4), group, -1.0F);
    for (const WeightFormat format : formats) {
        const PackedMatrix packed = backend->single().pack(w.in(), format);
        const Index groups = format == WeightFormat::int8 ? (k + group - 1) / group : 0;
        for (const auto* const* each = compute::cpu::levels(); *each != nullptr; ++each) {
            const auto& kernels = (*each)->packed;
            const auto& multiply = kernels.formats[static_cast<int>(format)];
            for (Index rows = 1; rows <= multiply.most_rows; ++rows) {
                Dense<float> x(rows, k, 9);
                std::fill_n(x.row(0), group, -1.0F);
                Buffer<std::uint32_t> turned(rows * packed.steps());
                Buffer<float> scales(rows * groups + 1);
                Buffer<std::int32_t> offsets(rows * groups + 1);
                for (Index r = 0; r < rows; ++r) {
                    std::vector<std::uint32_t> line(static_cast<std::size_t>(packed.steps()));
                    if (format == WeightFormat::f32) {
                        std::memcpy(line.data(), x.row(r), sizeof(float) * static_cast<std::size_t>(k));
                    } else if (format == WeightFormat::bf16) {
                        (*each)->pair_along(x.row(r), k, line.data());
                    }
                    for (Index g = 0; g < groups; ++g) {
                        std::int32_t sum = 0;
                        scales[g * rows + r] =
                            kernels.quantise(x.row(r) + g * group, std::min(group, k - g * group),
                                             reinterpret_cast<std::int8_t*>(line.data() + g * group / 4), &sum);
                        offsets[g * rows + r] = -128 * sum;   // what the 128 in each weight adds
                    }
                    for (Index p = 0; p < packed.steps(); ++p) {
                        turned[p * rows + r] = line[static_cast<std::size_t>(p)];
                    }
                }
                for (const Index panels : {1, 2}) {
                    if (panels > multiply.panels[rows]) {
                        continue;
                    }
                    Dense<float> sums(rows, 32);
                    compute::cpu::PackedTile tile;
                    tile.rows = rows;
                    tile.panels = panels;
                    tile.steps = packed.steps();
                    tile.x = turned.data();
                    tile.w = packed.panel(0);
                    tile.panel_bytes = packed.panel_bytes();
                    tile.sums = sums.row(0);
                    tile.row = 32;
                    tile.group_steps = group / 4;
                    tile.scales = scales.data();
                    tile.offsets = offsets.data();
                    tile.ahead = tile.w;
                    multiply.multiply(tile);
                    double worst = 0;
                    for (Index r = 0; r < rows; ++r) {
                        for (Index j = 0; j < 16 * panels; ++j) {
                            double sum = 0;
                            double magnitudes = 0;
                            for (Index p = 0; p < k; ++p) {
                                sum += x.at(r, p) * w.at(j, p);
                                magnitudes += std::abs(x.at(r, p) * w.at(j, p));
                            }
                            const double step = groups > 0 ? int8_step(x.row(r), w.row(j), k) : 0.0;
                            worst = std::max(worst, std::abs(sums.at(r, j) - sum) / bound(format, k, magnitudes, step));
                        }
                    }
                    BOOST_TEST(worst <= 1.0, (*each)->name << " " << compute::name(format) << " " << rows << " rows, "
                                                           << panels << " panels: " << worst << " of the bound");
                }
            }
        }
    }
}
