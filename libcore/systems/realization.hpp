// SPDX-License-Identifier: Apache-2.0
// A modal system as a recurrence: which numbers are stored and how a step uses them.
#pragma once

#include "libcore/systems/modal.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace stillhouse::systems {

enum class Form { modal, cascade, companion, balanced, dense };
std::string_view name_of(Form form);
std::optional<Form> form_named(std::string_view name);

/// One filter in one form; `order` real states. `coefficients` is what the tensor `ssm.<form>` holds for this filter,
/// row-major in the layout that stillhouse-model(5) gives for the form; rows padded with zeros (a bank of filters of
/// different orders) are allowed. K taps of fir precede (fir[0] is D): the states see the input K - 1 steps late, read
/// before update: y[t] = sum_{k<K} fir[k] u[t-k] + C x[t], x[t+1] = A x[t] + B u[t-K+1].
struct Realization {
    Form form = Form::modal;
    Index order = 0;
    std::vector<double> fir;
    std::vector<double> coefficients;
    std::vector<double> readout;      // what `ssm.readout` holds: cascade alone, one number a state
};

/// Numbers a row of `ssm.<form>` for one filter of a bank with at most `order` states and `sections` rows:
/// modal {sections, 5}, cascade {sections, 6}, companion {2, order}, balanced and dense {order, 2 + order}.
Shape coefficient_shape(Form form, Index order, Index sections);

/// Modal where its single-precision recurrence stays within 1e-5 of the modes or as near as the cascade's, else
/// cascade. `state_precision` as in `deviation`; a narrower state (bf16) asks for 3e-2.
Form default_form(const ModalSystem& system, std::string_view state_precision = "f32");

/// Error{unsupported} when the companion form, its coefficients rounded to f32, is not stable or does not reproduce the
/// response, or when modal residues cancel beyond double; the message says why and what to take
/// instead.
Realization realize(const ModalSystem& system, Form form);

/// Largest deviation of the realization from the modes over `length` steps, relative l2, of the response of the states
/// (the first taps aside) to an impulse and to white noise, with arithmetic and state in the given precision: "f64",
/// "f32" (as it is run: in double where f32 would lose it, recurrence_bank.hpp), or "bf16" (state rounded to bf16 after
/// every step, arithmetic f32). Infinite when it diverges.
double deviation(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                 Index length);

}  // namespace stillhouse::systems
