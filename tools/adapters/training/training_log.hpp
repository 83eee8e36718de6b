// SPDX-License-Identifier: Apache-2.0
// What a training says as it goes: a file of JSON lines, one a step, and a picture of the losses.
#pragma once

#include "formats/fd.hpp"
#include "formats/value.hpp"
#include "libcore/base/shape.hpp"
#include "tools/adapters/plot.hpp"

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace stillhouse::adapters {

/// Lines appear as they are written, under the final name: a log may be followed.
class TrainingLog {
public:
    /// `resumed` < 0: a new file (an existing one is emptied: the caller has asked). Else the lines of steps up to
    /// `resumed` stay and those behind it go; of that step the look at a validation text only if the run that goes on
    /// has it (`looked`). Error{io}; Error{bad_data} when what is there is no such log.
    TrainingLog(const std::string& path, Index resumed, bool looked);

    void write(const formats::Map& line);

private:
    formats::Fd fd_;
};

/// Losses over steps: losses[steps, titles], where 0 stands for none; `valid` are (step, perplexity), drawn as their
/// logarithm. Each curve has at most a few hundred points, means over equal stretches of steps.
Plot loss_plot(const std::string& title, const std::string& label, const std::vector<std::string>& titles,
               std::span<const double> losses, const std::vector<std::pair<Index, double>>& valid);

}  // namespace stillhouse::adapters
