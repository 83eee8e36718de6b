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

/// `state_precision` as in `deviation`. Error{unsupported} when a form other than the cascade is off by more than 1e-10
/// in double (residues that cancel, poles too near the circle), or when the companion form, its coefficients and state
/// in that precision, is not stable or off by more than 1e-4 (f64: 1e-10, bf16: 3e-2) in any lag or in thousands of
/// steps; the message says why and what to take instead.
Realization realize(const ModalSystem& system, Form form, std::string_view state_precision = "f32");

/// The states that a recurrence with a bf16 state rounds to it after each step, [order]. Of a cascade those of sections
/// whose poles are 2.5e-3 and more inside the circle (s1^2, s2^2 >= 1e-2): a slower one would forget at the pace of its
/// rounding instead of its own, and stays f32. In the other forms slow and fast states mix: all.
std::vector<bool> bf16_states(const Realization& realization);

/// Largest deviation of the realization from the modes (in extended precision) over `length` steps, relative l2, of the
/// response of the states (the first taps aside) to an impulse and to white noise, with arithmetic and state in the
/// given precision: "f64", "f32" (as it is run: in double where f32 would lose it, recurrence_bank.hpp), or "bf16"
/// (bf16_states rounded after every step, arithmetic f32). Infinite when it diverges.
double deviation(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                 Index length);

/// The same over several lengths in one run.
std::vector<double> deviations(const ModalSystem& system, const Realization& realization,
                               std::string_view state_precision, const std::vector<Index>& lengths);

/// What rounding the coefficients alone does, over all lags to infinity: the l2 norm of the difference of the two
/// responses relative to that of the modes, by a Stein equation (exactness.hpp). "f64": the coefficients as they are
/// stored; "f32" (as it is run, see deviation),
/// "bf16": rounded as a recurrence in single precision holds them. Infinite when it does not decay.
double rounding_error(const ModalSystem& system, const Realization& realization, std::string_view state_precision);

/// The modes of a recurrence in any form: sections from its coefficients (of companion, balanced and dense from the
/// eigenvalues of A), the readout nearest to its response in l2 over all lags. Error{bad_data}: a row that is no
/// section, a pole on or outside the unit circle; Error{unsupported}: modes further from the recurrence than 1e-9 (of
/// slow poles, 1e-15 over their distance to the circle).
ModalSystem modes_of(const Realization& realization);

}  // namespace stillhouse::systems
