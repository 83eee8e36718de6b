// SPDX-License-Identifier: Apache-2.0
// A folder that one run keeps numbered files in, to go on from where it was stopped.
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/fd.hpp"
#include "libcore/base/shape.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// DIR/STEM000000000120.mts and others of the same stem. The folder is made where it is absent and locked for the life
/// of the object; what a run that was killed had half written is removed.
class CheckpointFolder {
public:
    enum class Begin { anew, resume };

    /// `what`: "checkpoints", "fits" in messages. Error{io}: the folder cannot be made or written, another run uses it,
    /// or it holds such files and neither Begin::resume nor Overwrite::replace was said; with Overwrite::replace and
    /// Begin::anew they are removed.
    CheckpointFolder(std::string folder, std::string stem, const std::string& what, Begin begin,
                     formats::Overwrite overwrite);
    CheckpointFolder(const CheckpointFolder&) = delete;
    CheckpointFolder& operator=(const CheckpointFolder&) = delete;

    const std::string& name() const { return folder_; }
    const std::vector<Index>& numbers() const { return numbers_; }      // of the files that are there, ascending
    std::string path(Index number) const;
    /// A file of this number, the highest of all, was written.
    void added(Index number) { numbers_.push_back(number); }
    void remove(Index number);
    void clear();

private:
    Index number_of(std::string_view file) const;

    std::string folder_, stem_;
    std::vector<Index> numbers_;
    formats::Fd lock_;
};

}  // namespace stillhouse::adapters
