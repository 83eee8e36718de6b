// SPDX-License-Identifier: Apache-2.0
// Keys and values between tokens.
#include "libcore/models/attention.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace stillhouse::models {

template <class T>
AttentionCache<T>::AttentionCache(AttentionGeometry geometry, Index batch)
    : geometry_(geometry), sequences_(static_cast<std::size_t>(batch))
{
    if (geometry_.window > 0) {
        slots_ = geometry_.window;
        for (Sequence& sequence : sequences_) {
            sequence.blocks.emplace_back(block_size());
        }
    }
}

template <class T>
typename AttentionCache<T>::Sequence AttentionCache<T>::Sequence::clone() const
{
    Sequence copy{position, {}};
    for (const Buffer<T>& one : blocks) {
        copy.blocks.push_back(one.clone());
    }
    return copy;
}

template <class T>
Index AttentionCache<T>::common_position() const
{
    for (const Sequence& sequence : sequences_) {
        STILLHOUSE_CHECK(sequence.position == sequences_.front().position);
    }
    return sequences_.front().position;
}

template <class T>
T* AttentionCache<T>::part(Index block_index, Index sequence, Index head, bool value)
{
    T* data = sequences_[static_cast<std::size_t>(sequence)].blocks[static_cast<std::size_t>(block_index)].data();
    return data + ((value ? geometry_.kv_heads : 0) + head) * geometry_.head_dim * slots_;
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
    std::size_t most = 0;
    for (const Sequence& sequence : sequences_) {
        most = std::max(most, sequence.blocks.size());
    }
    return static_cast<Index>(most) * block_size() * static_cast<Index>(sizeof(T));
}

template <class T>
void AttentionCache<T>::append(compute::Operations<T>& ops, Sequences<const T> k, Sequences<const T> v)
{
    STILLHOUSE_CHECK(k.batch == batch() && v.batch == batch() && k.length == v.length);
    STILLHOUSE_CHECK(k.width == geometry_.key_width() && v.width == k.width);
    const bool ring = geometry_.window > 0;
    for (Sequence& sequence : sequences_) {
        while (!ring && static_cast<Index>(sequence.blocks.size()) * slots_ < sequence.position + k.length) {
            sequence.blocks.emplace_back(block_size());
        }
    }
    const Index first = ring ? std::max<Index>(0, k.length - slots_) : 0;   // a ring forgets what it would overwrite
    const Index width = geometry_.head_dim;
    ops.pool().for_each(batch(), [&](Index b) {
        for (Index t = first; t < k.length; ++t) {
            const Index position = at(b).position + t;
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
    for (Sequence& sequence : sequences_) {
        sequence.position += k.length;
    }
}

template <class T>
void AttentionCache<T>::recall(Index sequence, Index n, T* k, T* v) const
{
    STILLHOUSE_CHECK(n <= position(sequence) && n <= blocks(sequence) * slots_);
    const Index width = geometry_.head_dim;
    for (Index t = 0; t < n; ++t) {
        const Index position = at(sequence).position - n + t;
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
    std::vector<Index> header{geometry_.kv_heads, geometry_.head_dim, geometry_.window, static_cast<Index>(sizeof(T)),
                              batch()};
    std::size_t total = 0;
    for (const Sequence& sequence : sequences_) {
        header.push_back(sequence.position);
        total += sequence.blocks.size() * static_cast<std::size_t>(block_size()) * sizeof(T);
    }
    std::size_t place = header.size() * sizeof(Index);
    std::vector<std::byte> bytes(place + total);
    std::memcpy(bytes.data(), header.data(), place);
    for (const Sequence& sequence : sequences_) {
        for (const Buffer<T>& one : sequence.blocks) {
            const std::size_t size = static_cast<std::size_t>(one.size()) * sizeof(T);
            std::memcpy(bytes.data() + place, one.data(), size);
            place += size;
        }
    }
    return bytes;
}

template <class T>
void AttentionCache<T>::load(const std::vector<std::byte>& bytes)
{
    const Index expected[] = {geometry_.kv_heads, geometry_.head_dim, geometry_.window, static_cast<Index>(sizeof(T)),
                              batch()};
    std::vector<Index> header(5 + sequences_.size());
    std::size_t place = header.size() * sizeof(Index);
    if (bytes.size() < place) {
        throw_error(ErrorCode::bad_data, "attention state: " + std::to_string(bytes.size()) + " bytes, too few");
    }
    std::memcpy(header.data(), bytes.data(), place);
    for (std::size_t i = 0; i < 5; ++i) {
        static const char* const names[] = {"key-value heads", "head dim", "window", "bytes a number", "sequences"};
        if (header[i] != expected[i]) {
            throw_error(ErrorCode::bad_data, std::string("attention state: ") + names[i] + ": found "
                                                 + std::to_string(header[i]) + ", expected "
                                                 + std::to_string(expected[i]));
        }
    }
    const std::size_t each = static_cast<std::size_t>(block_size()) * sizeof(T);
    std::size_t left = (bytes.size() - place) / each;        // whole blocks that the bytes hold
    std::vector<Sequence> sequences;
    for (std::size_t i = 5; i < header.size(); ++i) {
        const Index position = header[i];
        const auto count =
            static_cast<std::size_t>(geometry_.window > 0 ? 1 : position / slots_ + (position % slots_ != 0 ? 1 : 0));
        if (position < 0 || count > left) {
            throw_error(ErrorCode::bad_data, "attention state: " + std::to_string(bytes.size())
                                                 + " bytes do not hold " + std::to_string(position) + " positions");
        }
        left -= count;
        Sequence& sequence = sequences.emplace_back();
        sequence.position = position;
        for (std::size_t j = 0; j < count; ++j, place += each) {
            sequence.blocks.emplace_back(block_size());
            std::memcpy(sequence.blocks.back().data(), bytes.data() + place, each);
        }
    }
    if (place != bytes.size()) {
        throw_error(ErrorCode::bad_data, "attention state: " + std::to_string(bytes.size() - place)
                                             + " bytes more than its positions take");
    }
    sequences_ = std::move(sequences);
}

template <class T>
void AttentionCache<T>::select(const std::vector<Index>& sequences)
{
    std::vector<Sequence> chosen;
    for (auto next = sequences.begin(); next != sequences.end(); ++next) {
        STILLHOUSE_CHECK(*next >= 0 && *next < batch());
        Sequence& sequence = sequences_[static_cast<std::size_t>(*next)];
        const bool wanted_again = std::find(next + 1, sequences.end(), *next) != sequences.end();
        chosen.push_back(wanted_again ? sequence.clone() : std::move(sequence));
    }
    sequences_ = std::move(chosen);
}

template <class T>
void AttentionCache<T>::take(Index to, const MixerState& other, Index from)
{
    const auto& source = dynamic_cast<const AttentionCache&>(other);
    STILLHOUSE_CHECK(to >= 0 && to <= batch() && from >= 0 && from < source.batch());
    STILLHOUSE_CHECK(source.block_size() == block_size());
    if (to == batch()) {
        sequences_.emplace_back();
    }
    sequences_[static_cast<std::size_t>(to)] = source.at(from).clone();
}

template class AttentionCache<float>;
template class AttentionCache<double>;

}  // namespace stillhouse::models
