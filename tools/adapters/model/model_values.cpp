// SPDX-License-Identifier: Apache-2.0
// Converting and judging the tensors of a model.
#include "tools/adapters/model/model_values.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/network.hpp"
#include "tools/adapters/model/model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace stillhouse::adapters {

DType real_type(DType type) noexcept
{
    return type == DType::c128 ? DType::f64 : type == DType::c64 ? DType::f32 : type;
}

Shape real_shape(DType type, const Shape& shape)
{
    Shape result = shape;
    if (is_complex(type)) {
        result.push_back(2);
    }
    return result;
}

template <class T>
void read_weight(DType type, const std::byte* from, Index n, T* to, ThreadPool* pool)
{
    // In blocks, so that the look for NaN finds the values in the cache.
    const DType real = real_type(type);
    const Index numbers = is_complex(type) ? 2 * n : n;
    constexpr Index block = 1 << 14;
    const std::size_t size = size_of(real);
    // Tensors of a file may begin anywhere.
    const bool aligned = reinterpret_cast<std::uintptr_t>(from) % size == 0;
    const Index blocks = (numbers + block - 1) / block;
    std::vector<Index> bad(static_cast<std::size_t>(blocks), numbers);   // the first of each block
    const auto read = [&](Index which) {
        const Index i = which * block;
        const Index m = std::min(block, numbers - i);
        const std::byte* values = from + static_cast<std::size_t>(i) * size;
        Buffer<std::byte> copy(aligned ? 0 : m * static_cast<Index>(size));
        if (!aligned) {
            std::copy_n(values, static_cast<std::size_t>(m) * size, copy.data());
            values = copy.data();
        }
        convert_from(real, values, m, to + i);
        int wrong = 0;
        for (Index j = i; j < i + m; ++j) {
            wrong |= to[j] - to[j] != T(0) ? 1 : 0;  // not of finite numbers
        }
        if (wrong != 0) {
            bad[static_cast<std::size_t>(which)] =
                std::find_if(to + i, to + i + m, [](T x) { return !std::isfinite(x); }) - to;
        }
    };
    if (pool != nullptr && blocks > 1) {
        pool->for_each(blocks, read);
    } else {
        for (Index i = 0; i < blocks; ++i) {
            read(i);
        }
    }
    const auto first = std::min_element(bad.begin(), bad.end());
    if (first != bad.end() && *first < numbers) {
        throw_error(ErrorCode::bad_data, std::string(std::isnan(to[*first]) ? "NaN" : "an infinite value") +
                                             " at element " + std::to_string(*first) + " of " +
                                             std::to_string(numbers) + ", expected finite weights");
    }
}
template void read_weight(DType, const std::byte*, Index, float*, ThreadPool*);
template void read_weight(DType, const std::byte*, Index, double*, ThreadPool*);

template <>
bool holds<float>(DType type) noexcept
{
    switch (type) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::c64:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::boolean:
        return true;
    default:
        return false;
    }
}

template <>
bool holds<double>(DType type) noexcept
{
    return type != DType::i64;
}

Expected::Expected(const models::NetworkConfig& config) : weights_(models::network_weights(config))
{
    for (const models::WeightShape& weight : weights_) {
        by_name_.emplace(weight.name, &weight.shape);
    }
}

const Shape* Expected::shape(std::string_view name) const
{
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? nullptr : found->second;
}

bool Expected::wanted(std::string_view name) const
{
    if (shape(name) != nullptr) {
        return true;
    }
    // What modal-fit and realize-ssm found, and filters that the weights determine.
    static constexpr std::array<std::string_view, 7> read{"filter",          "filter.poles",    "filter.residues",
                                                          "filter.fir",      "filter.order",    "filter.sections",
                                                          "filter.cascade"};
    const std::string_view mixer = ".mixer.";
    const std::size_t at = name.find(mixer);
    if (name.substr(0, 7) != "layers." || at == std::string_view::npos) {
        return false;
    }
    const std::string_view rest = name.substr(at + mixer.size());
    return rest.substr(0, 4) == "ssm." || std::find(read.begin(), read.end(), rest) != read.end();
}

void Expected::check_shape(std::string_view name, const std::string& label, const Shape& found) const
{
    const Shape* expected = shape(name);
    if (expected != nullptr && *expected != found) {
        throw_error(ErrorCode::bad_data, "tensor " + label + ": found " + to_string(found) +
                                             ", but config.json makes it " + to_string(*expected));
    }
}

void Expected::missing(std::string_view name, const std::string& label) const
{
    throw_error(ErrorCode::bad_data, "tensor " + label + ": missing, but config.json asks for it with shape " +
                                         to_string(*shape(name)) +
                                         (label == "embed.weight" ? "; teacher-dump --no-model leaves weights out"
                                                                  : ""));
}

bool derived_from_filter(std::string_view name)
{
    const std::size_t mixer = name.find(".mixer.");
    if (mixer == std::string_view::npos) {
        return false;
    }
    const std::string_view rest = name.substr(mixer + 7);
    return rest.substr(0, 7) == "filter." || rest.substr(0, 4) == "ssm.";
}

}  // namespace stillhouse::adapters
