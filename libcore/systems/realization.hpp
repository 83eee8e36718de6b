// SPDX-License-Identifier: Apache-2.0
// A modal system as a recurrence: which numbers are stored and how a step uses them.
#pragma once

#include "libcore/systems/modal.hpp"

#include <string>

namespace stillhouse::systems {

enum class Form { modal, cascade, companion, balanced, dense };
std::string_view name_of(Form form);

/// One filter in one form; `order` real states. `coefficients` is what the tensor `ssm.<form>` holds for this filter,
/// in the layout that stillhouse-model(5) gives for the form. K taps of fir precede (fir[0] is D): the states see
/// the input K - 1 steps late, read before update: y[t] = sum_{k<K} fir[k] u[t-k] + C x[t], x[t+1] = A x[t] + B u[t-K+1].
struct Realization {
    Form form = Form::modal;
    Index order = 0;
    std::vector<double> fir;
    std::vector<double> coefficients;
};

/// Modal where poles are well separated (residues stay below a bound), else cascade.
Form default_form(const ModalSystem& system);

/// Error{unsupported} when the companion form, its coefficients rounded to f32, is not stable or does not reproduce the
/// response (numerics.md 6); the message says why and what to take instead.
Realization realize(const ModalSystem& system, Form form);

/// Largest deviation of the realization's response from the modes over `length` lags, relative l2, with
/// arithmetic and state in the given precision ("f64", "f32", "bf16" state with f32 arithmetic).
double deviation(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                 Index length);

}  // namespace stillhouse::systems
