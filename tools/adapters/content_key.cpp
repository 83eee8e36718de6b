// SPDX-License-Identifier: Apache-2.0
// Keys of files and of weights.
#include "tools/adapters/content_key.hpp"

#include "formats/fd.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr std::uint64_t end_bytes = std::uint64_t{1} << 20;

void add(ContentHash& hash, formats::Fd& file, std::uint64_t bytes)
{
    std::vector<std::byte> some(static_cast<std::size_t>(bytes));
    hash.add(some.data(), file.read_full(some.data(), some.size()));
}

}  // namespace

std::string ContentHash::text() const
{
    std::string text;
    for (const char byte : digest()) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
        text += digits;
    }
    return text;
}

std::string content_key(const std::string& path)
{
    if (path.empty() || path == "-" || formats::read_only_once(path)) {
        return "";
    }
    formats::Fd file = formats::Fd::open_input(path);
    const auto size = file.bytes_left();
    if (!size) {
        return "";
    }
    ContentHash hash;
    if (*size <= 2 * end_bytes) {
        add(hash, file, *size);
    } else {
        add(hash, file, end_bytes);
        if (::lseek(file.get(), -static_cast<off_t>(end_bytes), SEEK_END) < 0) {
            throw_error(ErrorCode::io, path + ": cannot read its end: " + std::strerror(errno));
        }
        add(hash, file, end_bytes);
    }
    return std::to_string(*size) + ":" + hash.text();
}

std::string content_keys(const std::vector<std::string>& paths)
{
    std::string keys;
    for (const std::string& path : paths) {
        keys += (keys.empty() ? "" : " ") + content_key(path);
    }
    return keys;
}

template <class T>
std::string fingerprint(const models::Parameters<T>& weights, ThreadPool& pool, std::string_view config_json)
{
    constexpr Index piece = Index{1} << 18;
    struct Part {
        const T* values;
        Index count;
    };
    std::vector<Part> parts;
    ContentHash all;
    all.add(config_json.data(), config_json.size());
    for (const auto& entry : weights) {
        all.add(entry.name.data(), entry.name.size() + 1);           // with the zero that ends it
        all.add(entry.shape);
        for (Index i = 0; i < entry.values.size(); i += piece) {
            parts.push_back({entry.values.data() + i, std::min(piece, entry.values.size() - i)});
        }
    }
    std::vector<std::array<char, 8>> digests(parts.size());
    pool.for_each(static_cast<Index>(parts.size()), [&](Index i) {
        const auto at = static_cast<std::size_t>(i);
        ContentHash hash;
        hash.add(parts[at].values, static_cast<std::size_t>(parts[at].count) * sizeof(T));
        digests[at] = hash.digest();
    });
    all.add(digests);
    return all.text();
}

template std::string fingerprint<float>(const models::Parameters<float>&, ThreadPool&, std::string_view);
template std::string fingerprint<double>(const models::Parameters<double>&, ThreadPool&, std::string_view);

}  // namespace stillhouse::adapters
