// SPDX-License-Identifier: Apache-2.0
// Named arrays in a list, with an index of their names.
#include "libcore/models/parameters.hpp"

namespace stillhouse::models {

template <class T>
typename Parameters<T>::Entry& Parameters<T>::add(std::string name, Shape shape)
{
    if (by_name_.contains(name)) {
        throw_error(ErrorCode::internal, "tensor " + name + ": it exists already");
    }
    const Index count = element_count(shape);
    entries_.push_back({std::move(name), std::move(shape), Buffer<T>(count), {}});
    Entry& entry = entries_.back();
    by_name_.emplace(entry.name, &entry);
    return entry;
}

template <class T>
typename Parameters<T>::Entry* Parameters<T>::find(std::string_view name)
{
    const auto place = by_name_.find(std::string(name));
    return place == by_name_.end() ? nullptr : place->second;
}

template <class T>
const typename Parameters<T>::Entry* Parameters<T>::find(std::string_view name) const
{
    const auto place = by_name_.find(std::string(name));
    return place == by_name_.end() ? nullptr : place->second;
}

template <class T>
typename Parameters<T>::Entry& Parameters<T>::at(std::string_view name)
{
    Entry* entry = find(name);
    if (entry == nullptr) {
        throw_error(ErrorCode::bad_data, "tensor " + std::string(name) + ": the model has none of this name");
    }
    return *entry;
}

template <class T>
const typename Parameters<T>::Entry& Parameters<T>::at(std::string_view name) const
{
    return const_cast<Parameters&>(*this).at(name);
}

template <class T>
const typename Parameters<T>::Entry& Parameters<T>::at(std::string_view name, const Shape& expected) const
{
    const Entry& entry = at(name);
    if (entry.shape != expected) {
        throw_error(ErrorCode::bad_data, "tensor " + entry.name + ": shape " + to_string(entry.shape)
                                             + ", but the configuration asks for " + to_string(expected));
    }
    return entry;
}

template <class T>
void Parameters<T>::erase(std::string_view name)
{
    const auto place = by_name_.find(std::string(name));
    if (place == by_name_.end()) {
        return;
    }
    const Entry* entry = place->second;
    by_name_.erase(place);
    entries_.remove_if([entry](const Entry& other) { return &other == entry; });
}

template <class T>
Index Parameters<T>::elements() const
{
    Index sum = 0;
    for (const Entry& entry : entries_) {
        sum += entry.values.size();
    }
    return sum;
}

template <class T>
Parameters<T> Parameters<T>::zeros_like() const
{
    Parameters zeros;
    for (const Entry& entry : entries_) {
        zeros.add(entry.name, entry.shape);
    }
    return zeros;
}

template <class T>
Parameters<T> Parameters<T>::clone() const
{
    Parameters copy;
    for (const Entry& entry : entries_) {
        Entry& made = copy.add(entry.name, entry.shape);
        std::copy_n(entry.values.data(), entry.values.size(), made.values.data());
        made.exact = entry.exact.clone();
    }
    return copy;
}

template <class T>
void Parameters<T>::fill_zero()
{
    for (Entry& entry : entries_) {
        std::fill_n(entry.values.data(), entry.values.size(), T(0));
    }
}

template class Parameters<float>;
template class Parameters<double>;

}  // namespace stillhouse::models
