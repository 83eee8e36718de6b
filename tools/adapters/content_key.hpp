// SPDX-License-Identifier: Apache-2.0
// What tells one input from another whatever it is called: for runs that go on where an earlier one was stopped.
#pragma once

#include "formats/stream/frame.hpp"
#include "libcore/base/parallel.hpp"
#include "libcore/models/parameters.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// XXH3-64 of what is added, in order.
class ContentHash {
public:
    void add(const void* bytes, std::size_t n) { hash_.update(bytes, n); }
    /// How many there are, and they.
    template <class T>
    void add(const std::vector<T>& values)
    {
        const auto n = static_cast<std::uint64_t>(values.size());
        add(&n, sizeof n);
        add(values.data(), values.size() * sizeof(T));
    }
    std::array<char, 8> digest() const { return hash_.digest(); }
    std::string text() const;                    // as hexadecimal digits

private:
    formats::frame::Hash hash_;
};

/// Size and XXH3-64 of a file, of its first and last MiB where it is larger than both; empty for what can be read only
/// once. Error{io}.
std::string content_key(const std::string& path);
/// Those of several, in order.
std::string content_keys(const std::vector<std::string>& paths);

/// What another model, or other weights of the same one, will not have: XXH3-64 over `config_json` (where it counts),
/// names, shapes and values as T, in pieces that the pool hashes side by side; as hexadecimal digits.
template <class T>
std::string fingerprint(const models::Parameters<T>& weights, ThreadPool& pool, std::string_view config_json = {});

}  // namespace stillhouse::adapters
