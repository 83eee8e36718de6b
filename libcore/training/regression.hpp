// SPDX-License-Identifier: Apache-2.0
// Giving a mixer's filters wanted impulse responses, whatever form the filters have.
#pragma once

#include "libcore/base/control.hpp"
#include "libcore/models/config.hpp"
#include "libcore/models/parameters.hpp"
#include "libcore/systems/modal.hpp"

#include <span>

namespace stillhouse::training {

/// Sets the filter weights of a layer so that its filters come as close as their form allows, relative l2, to the taps
/// [(order - 1) * filters, L]: free: equal; modal: systems::fit_modal at the layer's filter_order; implicit: the MLP is
/// regressed by AdamW from where it stands (full batch, fixed number of steps, deterministic).
/// Returns the relative l2 error of all filters together.
template <class T>
double regress_filter(const models::NetworkConfig& config, Index layer, Matrix<const double> taps,
                      compute::Operations<T>& ops, models::Parameters<T>& weights, const Control& control);

/// Modes near `fitted`, a fit of the response h [L], that a modal filter of this mixer can hold and an optimiser can
/// move: `fitted` itself where its poles are separate and no residue exceeds ten times the largest |h|; else the first
/// such fit of h with one state fewer, three quarters or half of them; else modes spread over all time scales.
systems::ModalSystem trainable_modes(const models::MixerConfig& mixer, Index layer,
                                     const systems::ModalSystem& fitted, std::span<const double> h,
                                     const Control& control);

}  // namespace stillhouse::training
