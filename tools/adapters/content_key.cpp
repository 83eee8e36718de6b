// SPDX-License-Identifier: Apache-2.0
// Keys of files and of weights.
#include "tools/adapters/content_key.hpp"

#include "formats/fd.hpp"
#include "formats/stream/frame.hpp"
#include "libcore/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr std::uint64_t end_bytes = std::uint64_t{1} << 20;

std::string hexadecimal(const formats::frame::Hash& hash)
{
    std::string text;
    for (const char byte : hash.digest()) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
        text += digits;
    }
    return text;
}

void add(formats::frame::Hash& hash, formats::Fd& file, std::uint64_t bytes)
{
    std::vector<std::byte> some(static_cast<std::size_t>(bytes));
    hash.update(some.data(), file.read_full(some.data(), some.size()));
}

}  // namespace

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
    formats::frame::Hash hash;
    if (*size <= 2 * end_bytes) {
        add(hash, file, *size);
    } else {
        add(hash, file, end_bytes);
        if (::lseek(file.get(), -static_cast<off_t>(end_bytes), SEEK_END) < 0) {
            throw_error(ErrorCode::io, path + ": cannot read its end: " + std::strerror(errno));
        }
        add(hash, file, end_bytes);
    }
    return std::to_string(*size) + ":" + hexadecimal(hash);
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
std::string fingerprint(const models::Parameters<T>& weights)
{
    formats::frame::Hash hash;
    for (const auto& entry : weights) {
        hash.update(entry.name.data(), entry.name.size() + 1);       // with the zero that ends it
        hash.update(entry.shape.data(), entry.shape.size() * sizeof(Index));
        hash.update(entry.values.data(), static_cast<std::size_t>(entry.values.size()) * sizeof(T));
    }
    return hexadecimal(hash);
}

template std::string fingerprint<float>(const models::Parameters<float>&);
template std::string fingerprint<double>(const models::Parameters<double>&);

}  // namespace stillhouse::adapters
