// SPDX-License-Identifier: Apache-2.0
// Keeping, choosing and growing the state of a long-convolution mixer.
#include "libcore/models/hyena_state.hpp"

#include <algorithm>
#include <cstring>

namespace stillhouse::models {

namespace {

constexpr Index version = 1;
constexpr Index first_capacity = 256;

void append(std::vector<std::byte>& bytes, const void* from, std::size_t size)
{
    const auto* first = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), first, first + size);
}

[[noreturn]] void refuse(const std::string& what, Index found, Index expected)
{
    throw_error(ErrorCode::bad_data, "mixer state: " + what + ": found " + std::to_string(found) + ", expected " +
                                         std::to_string(expected));
}

/// Reads numbers off saved bytes.
struct Source {
    const std::vector<std::byte>& bytes;
    std::size_t at = 0;

    void read(void* to, std::size_t size)
    {
        if (size > bytes.size() - at) {
            refuse("bytes left", static_cast<Index>(bytes.size() - at), static_cast<Index>(size));
        }
        std::memcpy(to, bytes.data() + at, size);
        at += size;
    }
    Index number()
    {
        Index value = 0;
        read(&value, sizeof(value));
        return value;
    }
};

}  // namespace

template <class T>
void HyenaResponses<T>::set(Index filters, Index count, const T* h)
{
    lags = count;
    forward = Buffer<T>(filters * count);
    reversed = Buffer<T>(filters * count);
    std::copy_n(h, filters * count, forward.data());
    for (Index f = 0; f < filters; ++f) {
        std::reverse_copy(h + f * count, h + (f + 1) * count, reversed.data() + f * count);
    }
}

template <class T>
std::vector<typename HyenaState<T>::Part*> HyenaState<T>::parts()
{
    std::vector<Part*> all;
    for (auto* list : {&past_z, &late, &modes, &history}) {
        for (Part& part : *list) {
            all.push_back(&part);
        }
    }
    all.push_back(&past_x);
    return all;
}

template <class T>
std::vector<const typename HyenaState<T>::Part*> HyenaState<T>::parts() const
{
    std::vector<const Part*> all;
    for (const Part* part : const_cast<HyenaState*>(this)->parts()) {
        all.push_back(part);
    }
    return all;
}

template <class T>
Index HyenaState<T>::bytes_per_sequence() const
{
    Index numbers = 0;
    for (const Part* part : parts()) {
        numbers += part->each;
    }
    return numbers * static_cast<Index>(sizeof(T)) + (window ? window->bytes_per_sequence() : 0) +
           (kept ? kept->bytes_per_sequence() : 0);
}

template <class T>
std::vector<std::byte> HyenaState<T>::save() const
{
    std::vector<std::byte> bytes;
    const auto all = parts();
    const Index header[] = {version, static_cast<Index>(sizeof(T)), static_cast<Index>(execution_), batch_, position,
                            capacity, static_cast<Index>(all.size())};
    append(bytes, header, sizeof(header));
    for (const Part* part : all) {
        append(bytes, &part->each, sizeof(part->each));
        append(bytes, part->data.data(), static_cast<std::size_t>(part->data.size()) * sizeof(T));
    }
    for (const auto* cache : {&window, &kept}) {
        const std::vector<std::byte> held = *cache ? (*cache)->save() : std::vector<std::byte>();
        const auto size = static_cast<Index>(held.size());
        append(bytes, &size, sizeof(size));
        append(bytes, held.data(), held.size());
    }
    return bytes;
}

template <class T>
void HyenaState<T>::load(const std::vector<std::byte>& bytes)
{
    Source source{bytes};
    const auto expect = [&](const char* what, Index wanted) {
        if (const Index found = source.number(); found != wanted) {
            refuse(what, found, wanted);
        }
    };
    expect("version", version);
    expect("bytes a number", sizeof(T));
    expect("execution", static_cast<Index>(execution_));
    expect("sequences", batch_);
    const Index new_position = source.number();
    const Index new_capacity = source.number();
    if (new_position < 0 || new_capacity < 0 || (!history.empty() && new_capacity < new_position)) {
        refuse("tokens", new_capacity, new_position);
    }
    const auto all = parts();
    expect("parts", static_cast<Index>(all.size()));
    std::vector<Buffer<T>> values;
    std::vector<Index> sizes;
    for (const Part* part : all) {
        const bool grows = std::any_of(history.begin(), history.end(), [&](const Part& p) { return &p == part; });
        const Index wanted = grows ? lines * new_capacity * pace : part->each;
        expect("numbers a sequence", wanted);
        if (wanted > static_cast<Index>(bytes.size())) {
            refuse("bytes left", static_cast<Index>(bytes.size()), wanted);
        }
        sizes.push_back(wanted);
        values.emplace_back(batch_ * wanted);
        source.read(values.back().data(), static_cast<std::size_t>(values.back().size()) * sizeof(T));
    }
    for (auto* cache : {&window, &kept}) {
        const Index size = source.number();
        if (size < 0 || (size > 0) != cache->has_value() || static_cast<std::size_t>(size) > bytes.size() - source.at) {
            refuse("bytes of attention", size, *cache ? (*cache)->bytes_per_sequence() * batch_ : 0);
        }
        if (size > 0) {
            const auto* first = bytes.data() + source.at;
            (*cache)->load({first, first + size});
            source.at += static_cast<std::size_t>(size);
        }
    }
    if (source.at != bytes.size()) {
        refuse("bytes", static_cast<Index>(bytes.size()), static_cast<Index>(source.at));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i]->data = std::move(values[i]);
        all[i]->each = sizes[i];
    }
    position = new_position;
    capacity = new_capacity;
}

template <class T>
void HyenaState<T>::select(const std::vector<Index>& sequences)
{
    for (const Index sequence : sequences) {
        STILLHOUSE_CHECK(sequence >= 0 && sequence < batch_);
    }
    for (Part* part : parts()) {
        Buffer<T> chosen(static_cast<Index>(sequences.size()) * part->each);
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            std::copy_n(part->of(sequences[i]), part->each, chosen.data() + static_cast<Index>(i) * part->each);
        }
        part->data = std::move(chosen);
    }
    for (auto* cache : {&window, &kept}) {
        if (*cache) {
            (*cache)->select(sequences);
        }
    }
    batch_ = static_cast<Index>(sequences.size());
}

template <class T>
void HyenaState<T>::take(Index to, const MixerState& other, Index from)
{
    const auto& source = dynamic_cast<const HyenaState&>(other);
    STILLHOUSE_CHECK(to >= 0 && to <= batch_ && from >= 0 && from < source.batch_);
    STILLHOUSE_CHECK(source.execution_ == execution_ && (mixes_lengths() || source.position == position));
    batch_ += to == batch_ ? 1 : 0;
    const auto mine = parts();
    const auto theirs = source.parts();
    for (std::size_t i = 0; i < mine.size(); ++i) {
        Part& part = *mine[i];
        STILLHOUSE_CHECK(part.each == theirs[i]->each);
        if (part.data.size() < batch_ * part.each) {
            Buffer<T> larger(batch_ * part.each);
            std::copy_n(part.data.data(), part.data.size(), larger.data());
            part.data = std::move(larger);
        }
        std::copy_n(theirs[i]->data.data() + from * part.each, part.each, part.of(to));
    }
    const auto take_cache = [&](std::optional<AttentionCache<T>>& cache, const std::optional<AttentionCache<T>>& of) {
        if (cache) {
            cache->take(to, *of, from);
        }
    };
    take_cache(window, source.window);
    take_cache(kept, source.kept);
    position = std::max(position, source.position);
}

template <class T>
void HyenaState<T>::reserve(Index tokens)
{
    if (tokens <= capacity || history.empty()) {
        return;
    }
    const Index grown = std::max({tokens, 2 * capacity, first_capacity});
    for (Part& part : history) {
        Part larger = make(lines * grown * pace);
        for (Index line = 0; line < batch_ * lines && capacity > 0; ++line) {
            std::copy_n(part.data.data() + line * capacity * pace, position * pace,
                        larger.data.data() + line * grown * pace);
        }
        part = std::move(larger);
    }
    capacity = grown;
}

template struct HyenaResponses<float>;
template struct HyenaResponses<double>;
template class HyenaState<float>;
template class HyenaState<double>;

}  // namespace stillhouse::models
