// SPDX-License-Identifier: Apache-2.0
// Fits that are done, kept in a folder so that a run that was killed goes on behind them.
#pragma once

#include "tools/adapters/checkpoint_folder.hpp"
#include "tools/adapters/filters/filter_fits.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <set>

namespace stillhouse::adapters {

/// DIR/fits-000000000001.mts ...: small tensor streams, each written beside the others and whole when it has its name,
/// with the fits that were finished since the one before. One run at a time: the folder is locked.
class FitCheckpoint {
public:
    using Say = std::function<void(const std::string&)>;

    /// `settings`: text of what the fits depend on beside the filters. Without `resume`, files of an earlier run are
    /// refused, or with Overwrite::replace removed. Error{io}; Error{bad_argument}: resumed under other settings.
    /// A damaged file is warned of and its fits made again.
    FitCheckpoint(std::string folder, std::string settings, bool resume, formats::Overwrite overwrite, const Say& warn);

    /// The fits of a row, if they were made of these numbers (`key` is their hash); first taps are for the caller.
    std::optional<std::vector<FitResult>> find(const std::string& tensor, Index row, std::uint64_t key);
    /// Keeps them, now and then on disk. May be called from several threads. Refused filters are not kept.
    void add(const std::string& tensor, Index row, std::uint64_t key, const std::vector<FitResult>& results);
    void flush();
    /// Rows that `find` gave.
    Index found() const { return static_cast<Index>(given_.size()); }
    /// When the result is safe: removes the files, unless they hold fits of filters that this run did not have.
    /// True: removed.
    bool clear();

private:
    using Numbers = std::vector<double>;
    void load(const std::string& path);
    void flush_locked();

    CheckpointFolder folder_;
    std::string settings_;
    std::map<std::pair<std::string, Index>, Numbers> rows_;      // resumed
    std::set<std::pair<std::string, Index>> given_;
    std::mutex mutex_;
    std::map<std::string, Numbers> pending_;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace stillhouse::adapters
