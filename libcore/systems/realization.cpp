// SPDX-License-Identifier: Apache-2.0
// Modes into the numbers of a recurrence, and the proof that both agree.
#include "libcore/systems/realization.hpp"

#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"
#include "libcore/systems/cascade.hpp"
#include "libcore/systems/exactness.hpp"
#include "libcore/systems/recurrence_bank.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <type_traits>

namespace stillhouse::systems {

namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::array<std::string_view, 5> form_names = {"modal", "cascade", "companion", "balanced", "dense"};

std::string short_number(double x)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.2g", x);
    return text;
}

/// The dense state space of the cascade: A is lower block triangular, the states orthonormal.
struct StateSpace {
    MatrixXd A;
    VectorXd B;
    VectorXd C;
};

StateSpace state_space(const ModalSystem& system)
{
    const ExtendedStateSpace exact = extended_state_space(system);
    return {exact.A.cast<double>(), exact.B.cast<double>(), exact.C.cast<double>().transpose()};
}

std::vector<double> rows_of(const StateSpace& ss)
{
    std::vector<double> rows;
    for (Index i = 0; i < ss.A.rows(); ++i) {
        rows.push_back(ss.B(i));
        rows.push_back(ss.C(i));
        for (Index j = 0; j < ss.A.cols(); ++j) {
            rows.push_back(ss.A(i, j));
        }
    }
    return rows;
}

/// Equal Gramians. Directions whose singular value is below 1e-8 of the largest are scaled as if it were that:
/// scaling them fully would multiply rounding by sqrt(sigma_1 / sigma_i).
StateSpace balanced(StateSpace ss)
{
    const Index d = ss.A.rows();
    MatrixXd Q = ss.C * ss.C.transpose();
    MatrixXd power = ss.A;
    for (int k = 0; k < 60 && power.norm() > 1e-300; ++k) {
        const MatrixXd more = power.transpose() * Q * power;
        Q += more;
        if (more.norm() <= 1e-17 * Q.norm()) {
            break;
        }
        power = power * power;
    }
    if (!(Q.norm() > 0.0)) {
        return ss;
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen((Q + Q.transpose()) / 2.0);
    const MatrixXd V = eigen.eigenvectors().rowwise().reverse();
    VectorXd scale(d);
    const double largest = std::sqrt(eigen.eigenvalues()(d - 1));
    for (Index i = 0; i < d; ++i) {
        const double sigma = std::sqrt(std::max(eigen.eigenvalues()(d - 1 - i), 0.0));
        scale(i) = std::sqrt(std::max(sigma, 1e-8 * largest));
    }
    StateSpace result;
    result.A = scale.asDiagonal() * (V.transpose() * ss.A * V) * scale.cwiseInverse().asDiagonal();
    result.B = scale.asDiagonal() * (V.transpose() * ss.B);
    result.C = scale.cwiseInverse().asDiagonal() * (V.transpose() * ss.C);
    return result;
}

/// a_1 ... a_d and b_1 ... b_d of sum_t g_t z^-(t+1) = (b_1 z^-1 + ...) / (1 + a_1 z^-1 + ...); single: rounded to f32.
std::vector<double> companion_coefficients(const ModalSystem& system, bool single)
{
    std::vector<Extended> a{1.0L};
    for (const Section& s : system.sections) {
        const SectionPoles poles = poles_of(s);
        std::vector<Extended> factor{1.0L};
        if (poles.count == 1) {
            factor.push_back(-poles.pole[0].real());
        } else if (poles.count == 2) {
            const SectionNumbers<Extended> c = exact_numbers<Extended>(s);
            factor.push_back(-c.sign * (1.0L - c.a) * (2.0L - c.b));         // k1 (1 + q) = the sum of the poles
            factor.push_back(1.0L - c.b);
        }
        std::vector<Extended> product(a.size() + factor.size() - 1, 0.0L);
        for (std::size_t i = 0; i < a.size(); ++i) {
            for (std::size_t j = 0; j < factor.size(); ++j) {
                product[i + j] += a[i] * factor[j];
            }
        }
        a = std::move(product);
    }
    const std::size_t d = a.size() - 1;
    std::vector<double> impulse(d + 1, 0.0);
    impulse[0] = 1.0;
    const std::vector<Extended> h = extended_answer(system, impulse);
    std::vector<double> result(2 * d, 0.0);
    for (std::size_t i = 1; i <= d; ++i) {
        Extended b = 0.0L;
        for (std::size_t j = 0; j < i; ++j) {
            b += a[j] * h[i - j];
        }
        result[i - 1] = static_cast<double>(a[i]);
        result[d + i - 1] = static_cast<double>(b);
    }
    if (single) {
        for (double& x : result) {
            x = static_cast<float>(x);
        }
    }
    return result;
}

double companion_radius(const std::vector<double>& coefficients)
{
    const Index d = static_cast<Index>(coefficients.size() / 2);
    if (d == 0) {
        return 0.0;
    }
    MatrixXd A = MatrixXd::Zero(d, d);
    for (Index i = 0; i < d; ++i) {
        A(0, i) = -coefficients[static_cast<std::size_t>(i)];
        if (i > 0) {
            A(i, i - 1) = 1.0;
        }
    }
    return A.allFinite() ? A.eigenvalues().cwiseAbs().maxCoeff() : std::numeric_limits<double>::infinity();
}

/// Over the first `length` steps.
double relative(const std::vector<double>& is, const std::vector<Extended>& should, Index length)
{
    Extended error = 0.0L;
    Extended norm = 0.0L;
    for (std::size_t t = 0; t < static_cast<std::size_t>(length); ++t) {
        const Extended difference = is[t] - should[t];
        error += difference * difference;
        norm += should[t] * should[t];
    }
    if (error == 0.0L) {
        return 0.0;
    }
    const double ratio = static_cast<double>(std::sqrt(error / norm));
    return std::isfinite(ratio) ? ratio : std::numeric_limits<double>::infinity();
}

/// The realization's answer to `input`, in arithmetic T, the states named in `rounded` rounded to bf16 after each step.
template <class T>
std::vector<double> simulate(const Realization& realization, const std::vector<double>& input,
                             const std::vector<bool>& rounded)
{
    const Recurrence<T> recurrence({realization}, 0);
    std::vector<T> state(static_cast<std::size_t>(recurrence.state_size()), T(0));
    std::vector<double> output;
    output.reserve(input.size());
    const Index filter = 0;
    for (const double u : input) {
        const T in = static_cast<T>(u);
        T out = T(0);
        recurrence.step(&in, &filter, 1, state.data(), &out);
        for (std::size_t i = 0; i < rounded.size(); ++i) {
            state[i] = rounded[i] ? static_cast<T>(from_bf16(to_bf16(static_cast<float>(state[i])))) : state[i];
        }
        output.push_back(static_cast<double>(out));
    }
    return output;
}

/// A bank that f32 would lose is run in double (recurrence_bank.hpp): measured so, or in f32 all the same.
enum class Widening { as_run, never };

bool runs_in_double(const Realization& realization, std::string_view state_precision, Widening widening)
{
    return state_precision == "f64" || (state_precision == "f32" && widening == Widening::as_run &&
                                        RecurrenceBank<float>({realization}, 0).in_double());
}

double rounding_of(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                   Widening widening)
{
    Realization states = realization;
    states.fir = {0.0};
    const bool wide = runs_in_double(states, state_precision, widening);
    const ExtendedStateSpace exact = extended_state_space(system);
    const double norm = static_cast<double>(exact.C.norm());     // of the response: the states are orthonormal
    const double error = all_lags_error(exact, extended_state_space(states, wide ? "f64" : "f32"));
    return error == 0.0 ? 0.0 : std::isfinite(error / norm) ? error / norm : std::numeric_limits<double>::infinity();
}

std::vector<double> deviations_of(const ModalSystem& system, const Realization& realization,
                                  std::string_view state_precision, const std::vector<Index>& lengths,
                                  Widening widening)
{
    if (state_precision != "f64" && state_precision != "f32" && state_precision != "bf16") {
        throw_error(ErrorCode::bad_argument, "state precision '" + std::string(state_precision) +
                    "' is none of f64, f32, bf16");
    }
    Realization run = realization;
    run.fir = {0.0};
    const bool wide = runs_in_double(run, state_precision, widening);
    const Index longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    std::vector<double> impulse(static_cast<std::size_t>(longest), 0.0);
    std::vector<double> noise(static_cast<std::size_t>(longest));
    Random random(0, 0x6465766961746573u);
    for (double& u : noise) {
        u = static_cast<float>(random.normal());         // exact in every precision
    }
    if (!impulse.empty()) {
        impulse[0] = 1.0;
    }
    const std::vector<bool> rounded = state_precision == "bf16" ? bf16_states(run) : std::vector<bool>();
    std::vector<double> worst(lengths.size(), 0.0);
    for (const std::vector<double>* input : {&impulse, &noise}) {
        const std::vector<Extended> should = extended_answer(system, *input);
        const std::vector<double> is = wide ? simulate<double>(run, *input, {})
                                            : simulate<float>(run, *input, rounded);
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            worst[i] = std::max(worst[i], relative(is, should, lengths[i]));
        }
    }
    return worst;
}

double deviation_of(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                    Index length, Widening widening)
{
    return deviations_of(system, realization, state_precision, {length}, widening)[0];
}

constexpr double exact_limit = 1e-10;

/// Steps after which the slowest pole has decayed, within what a check may cost.
Index settling_steps(const ModalSystem& system)
{
    const double gap = 1.0 - spectral_radius(system);
    return static_cast<Index>(std::clamp(4.0 / std::max(gap, 1e-9), 1024.0, 4096.0));
}

/// Error{unsupported} when even double precision loses the response of the modes in this form.
void require_exact(const ModalSystem& system, const Realization& realization, const char* why)
{
    const double off = std::max(rounding_of(system, realization, "f64", Widening::never),
                                deviation_of(system, realization, "f64", settling_steps(system), Widening::never));
    if (!(off <= exact_limit)) {
        throw_error(ErrorCode::unsupported, "the " + std::string(name_of(realization.form)) + " form is off by " +
                                                short_number(off) + " even in double precision, since " + why +
                                                "; take cascade");
    }
}

}  // namespace

std::string_view name_of(Form form) { return form_names[static_cast<std::size_t>(form)]; }

std::optional<Form> form_named(std::string_view name)
{
    for (std::size_t i = 0; i < form_names.size(); ++i) {
        if (form_names[i] == name) {
            return static_cast<Form>(i);
        }
    }
    return std::nullopt;
}

Shape coefficient_shape(Form form, Index order, Index sections)
{
    switch (form) {
    case Form::modal: return {sections, 5};
    case Form::cascade: return {sections, 6};
    case Form::companion: return {2, order};
    case Form::balanced:
    case Form::dense: return {order, order + 2};
    }
    return {};
}

Realization realize(const ModalSystem& system, Form form, std::string_view state_precision)
{
    STILLHOUSE_CHECK(static_cast<Index>(system.readout.size()) == system.order());
    Realization result;
    result.form = form;
    result.order = system.order();
    result.fir = system.fir;
    std::vector<double>& c = result.coefficients;
    switch (form) {
    case Form::modal: {
        const PolesResidues modes = poles_and_residues(system);
        for (std::size_t n = 0; n < modes.poles.size(); ++n) {
            const std::complex<double> p = modes.poles[n];
            const std::complex<double> r = modes.residues[n];
            if (p.imag() > 0.0) {
                c.insert(c.end(), {2.0, p.real(), p.imag(), 2.0 * r.real(), -2.0 * r.imag()});
                ++n;
            } else {
                c.insert(c.end(), {1.0, p.real(), 0.0, r.real(), 0.0});
            }
        }
        require_exact(system, result, "residues of nearly equal poles cancel");
        break;
    }
    case Form::cascade:
        for (const Section& section : system.sections) {
            if (section.states > 0) {
                const AllPass s = all_pass(section);
                c.insert(c.end(), {static_cast<double>(s.states), s.a, s.k2, s.s1, s.s2, s.sign});
            }
        }
        result.readout = system.readout;
        break;
    case Form::companion: {
        const bool single = state_precision != "f64";
        const double limit = single ? state_precision == "f32" ? 1e-4 : 3e-2 : exact_limit;
        const std::string what = "the companion form of order " + std::to_string(result.order);
        const char* const in = single ? state_precision == "f32" ? "single precision" : "a bf16 state"
                                      : "double precision";
        c = companion_coefficients(system, single);
        const double radius = companion_radius(c);
        if (!(radius < 1.0)) {
            throw_error(ErrorCode::unsupported, what + " is unstable, its coefficients rounded to " +
                        (single ? "f32" : "f64") + " put a pole at radius " + std::to_string(radius) +
                        "; take modal or cascade");
        }
        const double off =
            std::max(rounding_of(system, result, state_precision, Widening::never),
                     deviation_of(system, result, state_precision, settling_steps(system), Widening::never));
        if (!(off <= limit)) {
            throw_error(ErrorCode::unsupported, what + " is off by " + short_number(off) + " (relative l2) in " + in +
                                                    "; take modal or cascade");
        }
        break;
    }
    case Form::balanced:
        c = rows_of(balanced(state_space(system)));
        require_exact(system, result, "its poles are too near the unit circle for its Gramians");
        break;
    case Form::dense:
        c = rows_of(state_space(system));
        require_exact(system, result, "its poles are too near the unit circle");
        break;
    }
    return result;
}

Form default_form(const ModalSystem& system, std::string_view state_precision)
{
    try {
        const double limit = state_precision == "bf16" ? 3e-2 : 1e-5;
        const double modal =
            deviation_of(system, realize(system, Form::modal), state_precision, 4096, Widening::never);
        const bool good = modal <= limit ||
                          modal <= deviation_of(system, realize(system, Form::cascade), state_precision, 4096,
                                                Widening::never);
        return good ? Form::modal : Form::cascade;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) {
            throw;
        }
        return Form::cascade;
    }
}

std::vector<bool> bf16_states(const Realization& realization)
{
    std::vector<bool> rounded(static_cast<std::size_t>(realization.order), true);
    std::size_t state = 0;
    for (std::size_t k = 0; realization.form == Form::cascade && k + 6 <= realization.coefficients.size(); k += 6) {
        const double* row = realization.coefficients.data() + k;      // states, a, k2, s1, s2, sign
        const double s = row[0] == 2.0 ? std::min(row[3], row[4]) : row[3];
        for (int i = 0; i < static_cast<int>(row[0]); ++i) {
            rounded.at(state++) = s * s >= 1e-2;
        }
    }
    return rounded;
}

double deviation(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                 Index length)
{
    return deviation_of(system, realization, state_precision, length, Widening::as_run);
}

std::vector<double> deviations(const ModalSystem& system, const Realization& realization,
                               std::string_view state_precision, const std::vector<Index>& lengths)
{
    return deviations_of(system, realization, state_precision, lengths, Widening::as_run);
}

double rounding_error(const ModalSystem& system, const Realization& realization, std::string_view state_precision)
{
    return rounding_of(system, realization, state_precision, Widening::as_run);
}

}  // namespace stillhouse::systems
