// SPDX-License-Identifier: Apache-2.0
// Modal systems as the tensors `sections`, `cascade`, `fir` of stillhouse-model(5), and back.
#pragma once

#include "formats/stream/tensor.hpp"
#include "libcore/systems/modal.hpp"

#include <string>
#include <vector>

namespace stillhouse::adapters {

/// <prefix>.sections [f, S, 4], <prefix>.cascade [f, d], <prefix>.fir [f, K], all F64, of f systems; S, d, K the
/// greatest of them, the rest zeros.
std::vector<formats::Tensor> mode_tensors(const std::string& prefix, const std::vector<systems::ModalSystem>& modes);

/// The way back. Error{bad_data} naming the tensor when shapes contradict or a section has no sense.
std::vector<systems::ModalSystem> modes_from(const formats::Tensor& sections, const formats::Tensor& cascade,
                                             const formats::Tensor& fir);

}  // namespace stillhouse::adapters
