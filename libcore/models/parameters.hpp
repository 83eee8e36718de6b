// SPDX-License-Identifier: Apache-2.0
// A set of named arrays: the weights of a network, their gradients, their moments.
#pragma once

#include "libcore/base/array.hpp"

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stillhouse::models {

/// Names are those of stillhouse-model(5) ("layers.0.mlp.up.weight"). Entries keep their order of insertion and
/// their address for the life of the set (also when the set is moved), so that layers may hold pointers into them.
template <class T>
class Parameters {
public:
    struct Entry {
        std::string name;
        Shape shape;
        Buffer<T> values;
        /// Poles and their like near the unit circle do not survive rounding: of a fit or realization that was stored
        /// in double these are its values, where T is narrower; else empty. They are what `values` are rounded from.
        Buffer<double> exact;
        Matrix<T> matrix() { return {values.data(), shape.at(0), shape.size() > 1 ? values.size() / shape[0] : 1}; }
        Matrix<const T> matrix() const
        {
            return {values.data(), shape.at(0), shape.size() > 1 ? values.size() / shape[0] : 1};
        }
    };

    /// A new entry of zeros; throws Error{internal} when the name exists.
    Entry& add(std::string name, Shape shape);
    Entry* find(std::string_view name);               // null when absent
    const Entry* find(std::string_view name) const;
    Entry& at(std::string_view name);                 // Error{bad_data} naming it when absent
    const Entry& at(std::string_view name) const;
    /// at(), and the shape must be as given: Error{bad_data} with name, found and expected.
    const Entry& at(std::string_view name, const Shape& expected) const;
    void erase(std::string_view name);

    Index size() const { return static_cast<Index>(entries_.size()); }
    auto begin() { return entries_.begin(); }
    auto end() { return entries_.end(); }
    auto begin() const { return entries_.begin(); }
    auto end() const { return entries_.end(); }
    Index elements() const;                           // sum of the sizes

    Parameters zeros_like() const;                    // same names and shapes
    Parameters clone() const;
    void fill_zero();

private:
    std::list<Entry> entries_;                        // addresses stay, also on erase and move
    std::unordered_map<std::string, Entry*> by_name_;
};

}  // namespace stillhouse::models
