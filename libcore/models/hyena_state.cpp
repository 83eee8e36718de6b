// SPDX-License-Identifier: Apache-2.0
// Keeping, choosing and growing the state of a long-convolution mixer.
#include "libcore/models/hyena_state.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace stillhouse::models {

namespace {

constexpr Index version = 2;
constexpr Index most_tokens = Index{1} << 40;        // of a text: numbers of rows above it are none

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
std::vector<typename HyenaState<T>::Part*> HyenaState<T>::parts()
{
    std::vector<Part*> all{&past_z};
    for (auto* list : {&late, &modes}) {
        for (Part& part : *list) {
            all.push_back(&part);
        }
    }
    for (History& one : history) {
        all.push_back(&one.part);
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
Index HyenaState<T>::longest() const
{
    return positions.empty() ? 0 : *std::max_element(positions.begin(), positions.end());
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
    const Index header[] = {version, static_cast<Index>(sizeof(T)), static_cast<Index>(execution_), batch_,
                            rows(), static_cast<Index>(all.size())};
    append(bytes, header, sizeof(header));
    append(bytes, positions.data(), positions.size() * sizeof(Index));
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
    const Index saved_rows = source.number();
    expect("parts", static_cast<Index>(parts().size()));
    std::vector<Index> saved_positions(positions.size());
    source.read(saved_positions.data(), saved_positions.size() * sizeof(Index));
    Index most = 0;
    for (const Index position : saved_positions) {
        if (position < 0 || position > most_tokens) {
            refuse("tokens seen", position, std::clamp<Index>(position, 0, most_tokens));
        }
        most = std::max(most, position);
    }
    const Index wanted_rows = most == 0 ? 0 : rows_for(most);
    if (saved_rows < wanted_rows || saved_rows > static_cast<Index>(bytes.size()) ||
        (saved_rows > 0 && saved_rows != rows_for(saved_rows))) {
        refuse("rows of past tokens", saved_rows, wanted_rows);
    }
    std::vector<Buffer<T>> values;
    const auto read_part = [&](Index wanted) {
        expect("numbers a sequence", wanted);
        if (wanted > static_cast<Index>(bytes.size())) {
            refuse("bytes left", static_cast<Index>(bytes.size()), wanted);
        }
        values.emplace_back(batch_ * wanted);
        source.read(values.back().data(), static_cast<std::size_t>(values.back().size()) * sizeof(T));
    };
    read_part(past_z.each);
    for (const auto* list : {&late, &modes}) {
        for (const Part& part : *list) {
            read_part(part.each);
        }
    }
    for (const History& one : history) {
        read_part(rows_of(one, saved_rows) * one.width);
    }
    read_part(past_x.each);
    for (auto* cache : {&window, &kept}) {
        const Index size = source.number();
        if (size < 0 || (size > 0) != cache->has_value() || static_cast<std::size_t>(size) > bytes.size() - source.at) {
            refuse("bytes of attention", size, *cache ? (*cache)->bytes_per_sequence() * batch_ : 0);
        }
        if (size > 0) {
            const auto* first = bytes.data() + source.at;
            (*cache)->load({first, first + size});
            source.at += static_cast<std::size_t>(size);
            for (Index b = 0; b < batch_; ++b) {
                if (const Index found = (*cache)->position(b); found != saved_positions[static_cast<std::size_t>(b)]) {
                    refuse("tokens that attention has seen", found, saved_positions[static_cast<std::size_t>(b)]);
                }
            }
        }
    }
    if (source.at != bytes.size()) {
        refuse("bytes", static_cast<Index>(bytes.size()), static_cast<Index>(source.at));
    }
    for (History& one : history) {
        one.rows = rows_of(one, saved_rows);
        one.part.each = one.rows * one.width;
    }
    const auto all = parts();
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i]->data = std::move(values[i]);
    }
    positions = std::move(saved_positions);
}

template <class T>
void HyenaState<T>::select(const std::vector<Index>& sequences)
{
    std::vector<Index> chosen_positions;
    for (const Index sequence : sequences) {
        STILLHOUSE_CHECK(sequence >= 0 && sequence < batch_);
        chosen_positions.push_back(position(sequence));
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
    positions = std::move(chosen_positions);
    batch_ = static_cast<Index>(sequences.size());
}

template <class T>
void HyenaState<T>::take(Index to, const MixerState& other, Index from)
{
    const auto& source = dynamic_cast<const HyenaState&>(other);
    STILLHOUSE_CHECK(to >= 0 && to <= batch_ && from >= 0 && from < source.batch_);
    STILLHOUSE_CHECK(source.execution_ == execution_);
    if (to == batch_) {
        ++batch_;
        positions.push_back(0);
        for (Part* part : parts()) {
            Buffer<T> larger(batch_ * part->each);
            std::copy_n(part->data.data(), part->data.size(), larger.data());
            part->data = std::move(larger);
        }
    }
    for (auto list : {&HyenaState::late, &HyenaState::modes}) {
        for (std::size_t i = 0; i < (this->*list).size(); ++i) {
            Part& part = (this->*list)[i];
            const Part& theirs = (source.*list)[i];
            STILLHOUSE_CHECK(part.each == theirs.each);
            std::copy_n(theirs.of(from), part.each, part.of(to));
        }
    }
    std::copy_n(source.past_z.of(from), past_z.each, past_z.of(to));
    std::copy_n(source.past_x.of(from), past_x.each, past_x.of(to));
    positions[static_cast<std::size_t>(to)] = 0;         // whoever was there is not moved any more
    if (source.position(from) > 0) {
        reserve(source.position(from));
    }
    positions[static_cast<std::size_t>(to)] = source.position(from);
    for (std::size_t i = 0; i < history.size(); ++i) {
        std::fill_n(history[i].part.of(to), history[i].part.each, T(0));
        copy_rows(source.history[i], from, source.position(from), history[i], to);
    }
    const auto take_cache = [&](std::optional<AttentionCache<T>>& cache, const std::optional<AttentionCache<T>>& of) {
        if (cache) {
            cache->take(to, *of, from);
        }
    };
    take_cache(window, source.window);
    take_cache(kept, source.kept);
}

template <class T>
Index HyenaState<T>::rows_for(Index tokens) const
{
    if (history.empty()) {
        return 0;
    }
    const auto whole = static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(tokens)));
    return std::min(std::max(whole, online.front().base()), online.front().most_rows());
}

/// Below the base there are no outlooks.
template <class T>
Index HyenaState<T>::rows_of(const History& one, Index rows) const
{
    if (!one.outlook) {
        return rows;
    }
    return rows > online.front().base() ? rows / 2 : 0;
}

/// Rows of one sequence into zeros, of an array that may be of another length: inputs as far back as there are, and
/// outlooks. What else stands there is of no token, or of a sequence that had the place before.
template <class T>
void HyenaState<T>::copy_rows(const History& from, Index from_sequence, Index position, History& to,
                              Index to_sequence) const
{
    const Index end = online.front().outlook_end(position);
    for (Index t = from.outlook ? position : std::max<Index>(0, end - from.rows); t < end; ++t) {
        std::copy_n(from.row(from_sequence, t), from.width, to.row(to_sequence, t));
    }
}

template <class T>
void HyenaState<T>::reserve(Index tokens)
{
    const Index wanted = rows_for(tokens);
    if (wanted <= rows()) {
        return;
    }
    for (History& one : history) {
        History larger{{}, one.width, rows_of(one, wanted), one.outlook};
        larger.part = make(larger.rows * larger.width);
        for (Index b = 0; b < batch_ && one.rows > 0; ++b) {
            copy_rows(one, b, position(b), larger, b);
        }
        one = std::move(larger);
    }
}

template class HyenaState<float>;
template class HyenaState<double>;

}  // namespace stillhouse::models
