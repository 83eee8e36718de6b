// SPDX-License-Identifier: Apache-2.0
// A folder of numbered files for one run at a time.
#include "tools/adapters/checkpoint_folder.hpp"

#include "formats/lock.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr std::string_view suffix = ".mts";
constexpr std::size_t digits_of_a_number = 12;

/// The folder, locked.
formats::Fd locked(const std::string& folder, const std::string& what)
{
    formats::Fd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), folder, true);
    if (lock.get() >= 0 && !formats::lock(lock)) {
        throw_error(ErrorCode::io, folder + ": another run keeps its " + what + " there; take another folder");
    }
    return lock;
}

}  // namespace

CheckpointFolder::CheckpointFolder(std::string folder, std::string stem, const std::string& what, Begin begin,
                                   formats::Overwrite overwrite)
    : folder_(std::move(folder)), stem_(std::move(stem))
{
    std::error_code failed;
    std::filesystem::create_directories(folder_, failed);
    if (failed) {
        throw_error(ErrorCode::io, folder_ + ": cannot make the folder of the " + what + ": " + failed.message());
    }
    if (::access(folder_.c_str(), W_OK | X_OK) != 0) {
        throw_error(ErrorCode::io, folder_ + ": cannot write " + what + " into it: " + std::strerror(errno));
    }
    lock_ = locked(folder_, what);
    std::vector<std::filesystem::path> parts;
    std::filesystem::directory_iterator entry(folder_, failed);
    for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
        const std::string name = entry->path().filename().string();
        if (const Index number = number_of(name); number >= 0) {
            numbers_.push_back(number);
        } else if (name.starts_with("." + stem_) && name.ends_with(".part")) {
            parts.push_back(entry->path());     // of a run that was killed while it wrote
        }
    }
    if (failed) {
        throw_error(ErrorCode::io, folder_ + ": cannot read what " + what + " it holds: " + failed.message());
    }
    std::sort(numbers_.begin(), numbers_.end());
    if (begin == Begin::anew && !numbers_.empty()) {
        if (overwrite == formats::Overwrite::refuse) {
            throw_error(ErrorCode::io, folder_ + ": holds the " + what + " of a run; give --resume to go on with it, "
                                                 "-f to begin anew, or another folder");
        }
        clear();
    }
    for (const auto& part : parts) {
        std::filesystem::remove(part, failed);
    }
}

Index CheckpointFolder::number_of(std::string_view file) const
{
    if (!file.starts_with(stem_) || !file.ends_with(suffix)) {
        return -1;
    }
    const std::string_view digits = file.substr(stem_.size(), file.size() - stem_.size() - suffix.size());
    Index number = -1;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && stop == digits.data() + digits.size() ? number : -1;
}

std::string CheckpointFolder::path(Index number) const
{
    std::string digits = std::to_string(number);
    digits.insert(0, digits_of_a_number - std::min(digits_of_a_number, digits.size()), '0');
    return (std::filesystem::path(folder_) / (stem_ + digits + std::string(suffix))).string();
}

void CheckpointFolder::remove(Index number)
{
    std::error_code failed;
    std::filesystem::remove(path(number), failed);
    numbers_.erase(std::remove(numbers_.begin(), numbers_.end(), number), numbers_.end());
}

void CheckpointFolder::clear()
{
    while (!numbers_.empty()) {
        remove(numbers_.back());
    }
}

}  // namespace stillhouse::adapters
