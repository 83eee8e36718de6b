// SPDX-License-Identifier: Apache-2.0
// A network packed for generation.
#include "libcore/models/network.hpp"

#include <bit>

namespace stillhouse::models {

namespace {

/// to_bf16 of n numbers, without branches and calls: an embedding has millions.
template <class T>
void round_row(const T* x, Index n, std::uint16_t* to)
{
    for (Index i = 0; i < n; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(x[i]));
        const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
        const std::uint32_t nan = bits | 0x00400000U;
        to[i] = static_cast<std::uint16_t>(((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded) >> 16);
    }
}

}  // namespace

template <class T>
Parameters<T>& Network<T>::weights()
{
    if (packed()) {
        throw_error(ErrorCode::internal, "a network that is packed for generation has no weights to change");
    }
    return weights_;
}

template <class T>
template <class Visit>
void Network<T>::each_projection(const Visit& visit)
{
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        for (Projection<T>* map : mixers_[i]->inputs()) {
            visit(*map);
        }
        for (Projection<T>* map : mixers_[i]->outputs()) {
            visit(*map);
        }
        if (config_.mlp == MlpKind::gated) {
            visit(layers_[i].gate);
        }
        visit(layers_[i].up);
        visit(layers_[i].down);
    }
}

template <class T>
void Network<T>::pack(compute::WeightFormat layers, compute::WeightFormat head)
{
    STILLHOUSE_CHECK(!packed());
    const auto free = [&](const std::string& name) { weights_.at(name).values = Buffer<T>(); };
    each_projection([&](Projection<T>& map) {
        map.pack(*ops_, layers);
        free(map.weight_name());
    });
    head_.pack(*ops_, head);
    if (layers != compute::WeightFormat::f32 || head != compute::WeightFormat::f32) {
        const Buffer<T>& rows = embedding_->values;
        rounded_embedding_ = Buffer<std::uint16_t>(rows.size());
        ops_->pool().for_each(config_.vocabulary, [&](Index id) {
            round_row(rows.data() + id * config_.width, config_.width, rounded_embedding_.data() + id * config_.width);
        });
        free("embed.weight");
    }
    if (!config_.tied) {
        free("head.weight");
    }
}

template <class T>
Index Network<T>::bytes_per_step() const
{
    Index bytes = 0;
    const_cast<Network&>(*this).each_projection([&](const Projection<T>& map) { bytes += map.bytes(); });
    return bytes + head_.bytes();
}

template <class T>
Index Network<T>::bytes_held() const
{
    Index bytes = packed() ? bytes_per_step() : 0;
    for (const auto& entry : weights_) {
        bytes += entry.values.size() * static_cast<Index>(sizeof(T));
        bytes += entry.exact.size() * static_cast<Index>(sizeof(double));
    }
    return bytes + rounded_embedding_.size() * static_cast<Index>(sizeof(std::uint16_t));
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                      \
    template Parameters<T>& Network<T>::weights();                                                                     \
    template void Network<T>::pack(compute::WeightFormat, compute::WeightFormat);                                      \
    template Index Network<T>::bytes_per_step() const;                                                                 \
    template Index Network<T>::bytes_held() const;
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
