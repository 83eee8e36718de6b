// SPDX-License-Identifier: Apache-2.0
// How much memory a training is going to need, for its user and its report.
#pragma once

#include "formats/value.hpp"
#include "libcore/training/memory.hpp"

#include <cstdio>
#include <string>

namespace stillhouse::adapters {

/// "memory: about 312 MiB (program 24, weights 20, gradients and moments 15, activations 226, logits 16, data 11)"
inline std::string memory_text(const training::MemoryPlan& plan)
{
    char text[200];
    constexpr double unit = 1024.0 * 1024.0;
    std::snprintf(text, sizeof text,
                  "memory: about %.0f MiB (program %.0f, weights %.0f, gradients and moments %.0f, activations %.0f, "
                  "logits %.0f, data %.0f)",
                  plan.total() / unit, plan.program / unit, plan.weights / unit, plan.moments / unit,
                  plan.activations / unit, plan.logits / unit, plan.data / unit);
    return text;
}

/// For --report.
inline formats::Value memory_record(const training::MemoryPlan& plan)
{
    return formats::Map{{"program", plan.program},         {"weights", plan.weights},
                        {"moments", plan.moments},         {"activations", plan.activations},
                        {"logits", plan.logits},           {"data", plan.data},
                        {"total", plan.total()}};
}

}  // namespace stillhouse::adapters
