// SPDX-License-Identifier: Apache-2.0
// An output that bears its name only when it is whole.
#pragma once

#include "formats/fd.hpp"

namespace stillhouse::formats {

enum class Overwrite { refuse, replace };

/// Writes a hidden neighbour `.name.<random>.part`, opened exclusively and locked; `commit` syncs, closes, renames over
/// the target (keeping an existing target's mode) and syncs the folder. Destroyed before, it unlinks the neighbour.
/// Neighbours of the same name that nobody locks, left by killed writers, are removed first.
/// FIFOs, devices and "-" are written directly. Error{io}: exists (and `refuse`), cannot open, full.
class AtomicFile {
public:
    AtomicFile(const std::string& path, Overwrite overwrite);
    AtomicFile(AtomicFile&&) noexcept;
    ~AtomicFile();
    Fd& fd();
    void commit();

private:
    Fd fd_;
    std::string path_;
    std::string part_;       // empty: written directly, or committed
    bool refuse_ = false;
};

/// Unlinks all uncommitted neighbours of this process: for the second interrupt. Async-signal-safe.
void remove_uncommitted() noexcept;

}  // namespace stillhouse::formats
