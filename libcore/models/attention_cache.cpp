// SPDX-License-Identifier: Apache-2.0
// Keys and values between tokens.
#include "libcore/models/attention.hpp"

#include <cstring>

namespace stillhouse::models {

template <class T>
AttentionCache<T>::AttentionCache(AttentionGeometry geometry, Index batch) : geometry_(geometry), batch_(batch)
{
    if (geometry_.window > 0) {
        slots_ = geometry_.window;
        blocks_.emplace_back(batch_ * geometry_.kv_heads * 2 * geometry_.head_dim * slots_);
    }
}

template <class T>
T* AttentionCache<T>::part(Index block_index, Index sequence, Index head, bool value)
{
    T* data = blocks_[static_cast<std::size_t>(block_index)].data();
    return data + ((sequence * 2 + (value ? 1 : 0)) * geometry_.kv_heads + head) * geometry_.head_dim * slots_;
}

template <class T>
const T* AttentionCache<T>::keys(Index block_index, Index sequence, Index head) const
{
    return const_cast<AttentionCache&>(*this).part(block_index, sequence, head, false);
}

template <class T>
const T* AttentionCache<T>::values(Index block_index, Index sequence, Index head) const
{
    return const_cast<AttentionCache&>(*this).part(block_index, sequence, head, true);
}

template <class T>
Index AttentionCache<T>::bytes_per_sequence() const
{
    return blocks() * geometry_.kv_heads * 2 * geometry_.head_dim * slots_ * static_cast<Index>(sizeof(T));
}

template <class T>
void AttentionCache<T>::append(compute::Operations<T>& ops, Sequences<const T> k, Sequences<const T> v)
{
    STILLHOUSE_CHECK(k.batch == batch_ && v.batch == batch_ && k.length == v.length);
    STILLHOUSE_CHECK(k.width == geometry_.key_width() && v.width == k.width);
    const bool ring = geometry_.window > 0;
    while (!ring && blocks() * slots_ < position_ + k.length) {
        blocks_.emplace_back(batch_ * geometry_.kv_heads * 2 * geometry_.head_dim * slots_);
    }
    const Index first = ring ? std::max<Index>(0, k.length - slots_) : 0;   // a ring forgets what it would overwrite
    const Index width = geometry_.head_dim;
    ops.pool().for_each(batch_, [&](Index b) {
        for (Index t = first; t < k.length; ++t) {
            const Index position = position_ + t;
            const Index slot = position % slots_;
            const Index block_index = ring ? 0 : position / slots_;
            for (Index head = 0; head < geometry_.kv_heads; ++head) {
                const T* key = k.token(b, t) + head * width;
                T* column = part(block_index, b, head, false) + slot;
                for (Index d = 0; d < width; ++d) {
                    column[d * slots_] = key[d];
                }
                std::copy_n(v.token(b, t) + head * width, width, part(block_index, b, head, true) + slot * width);
            }
        }
    });
    position_ += k.length;
}

template <class T>
void AttentionCache<T>::recall(Index sequence, Index n, T* k, T* v) const
{
    STILLHOUSE_CHECK(n <= position_ && n <= blocks() * slots_);
    const Index width = geometry_.head_dim;
    for (Index t = 0; t < n; ++t) {
        const Index position = position_ - n + t;
        const Index slot = position % slots_;
        const Index block_index = geometry_.window > 0 ? 0 : position / slots_;
        for (Index head = 0; head < geometry_.kv_heads; ++head) {
            const Index place = t * geometry_.key_width() + head * width;
            const T* column = keys(block_index, sequence, head) + slot;
            for (Index d = 0; d < width; ++d) {
                k[place + d] = column[d * slots_];
            }
            std::copy_n(values(block_index, sequence, head) + slot * width, width, v + place);
        }
    }
}

template <class T>
std::vector<std::byte> AttentionCache<T>::save() const
{
    const Index header[] = {geometry_.kv_heads, geometry_.head_dim, geometry_.window, static_cast<Index>(sizeof(T)),
                            batch_, position_};
    std::vector<std::byte> bytes(sizeof(header) + static_cast<std::size_t>(batch_ * bytes_per_sequence()));
    std::memcpy(bytes.data(), header, sizeof(header));
    std::size_t at = sizeof(header);
    for (const Buffer<T>& one : blocks_) {
        const std::size_t size = static_cast<std::size_t>(one.size()) * sizeof(T);
        std::memcpy(bytes.data() + at, one.data(), size);
        at += size;
    }
    return bytes;
}

template <class T>
void AttentionCache<T>::load(const std::vector<std::byte>& bytes)
{
    const Index expected[] = {geometry_.kv_heads, geometry_.head_dim, geometry_.window, static_cast<Index>(sizeof(T)),
                              batch_};
    Index header[6] = {};
    if (bytes.size() < sizeof(header)) {
        throw_error(ErrorCode::bad_data, "attention state: " + std::to_string(bytes.size()) + " bytes, too few");
    }
    std::memcpy(header, bytes.data(), sizeof(header));
    for (std::size_t i = 0; i < 5; ++i) {
        static const char* const names[] = {"key-value heads", "head dim", "window", "bytes a number", "sequences"};
        if (header[i] != expected[i]) {
            throw_error(ErrorCode::bad_data, std::string("attention state: ") + names[i] + ": found "
                                                 + std::to_string(header[i]) + ", expected "
                                                 + std::to_string(expected[i]));
        }
    }
    const Index per_block = batch_ * geometry_.kv_heads * 2 * geometry_.head_dim * slots_;
    const Index count = geometry_.window > 0 ? 1 : header[5] / slots_ + (header[5] % slots_ != 0 ? 1 : 0);
    const auto found = static_cast<Index>((bytes.size() - sizeof(header)) / sizeof(T));
    if (header[5] < 0 || per_block == 0 || found % per_block != 0 || found / per_block != count
        || (bytes.size() - sizeof(header)) % sizeof(T) != 0) {
        throw_error(ErrorCode::bad_data, "attention state: " + std::to_string(bytes.size())
                                             + " bytes do not hold " + std::to_string(header[5]) + " positions");
    }
    std::vector<Buffer<T>> blocks;
    std::size_t at = sizeof(header);
    for (Index i = 0; i < count; ++i) {
        blocks.emplace_back(per_block);
        std::memcpy(blocks.back().data(), bytes.data() + at, static_cast<std::size_t>(per_block) * sizeof(T));
        at += static_cast<std::size_t>(per_block) * sizeof(T);
    }
    blocks_ = std::move(blocks);
    position_ = header[5];
}

template <class T>
void AttentionCache<T>::select(const std::vector<Index>& sequences)
{
    const Index each = geometry_.kv_heads * 2 * geometry_.head_dim * slots_;
    for (const Index sequence : sequences) {
        STILLHOUSE_CHECK(sequence >= 0 && sequence < batch_);
    }
    for (Buffer<T>& one : blocks_) {
        Buffer<T> chosen(static_cast<Index>(sequences.size()) * each);
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            std::copy_n(one.data() + sequences[i] * each, each, chosen.data() + static_cast<Index>(i) * each);
        }
        one = std::move(chosen);
    }
    batch_ = static_cast<Index>(sequences.size());
}

template class AttentionCache<float>;
template class AttentionCache<double>;

}  // namespace stillhouse::models
