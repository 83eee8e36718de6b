// SPDX-License-Identifier: Apache-2.0
// What a step of a fit must keep to.
#pragma once

#include "libcore/systems/varpro.hpp"

namespace stillhouse::systems {

/// Moves the poles of one section into the disc and its angle into [0, pi/2] (by its sign).
void constrain_one(const FitProblem& problem, Section& section);

/// Whether all poles keep the separation that the problem asks for.
bool poles_apart(const FitProblem& problem, std::span<const Section> sections);

}  // namespace stillhouse::systems
