// SPDX-License-Identifier: Apache-2.0
// Modes into the numbers of a recurrence, and the proof that both agree.
#include "libcore/systems/realization.hpp"

#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"
#include "libcore/systems/cascade.hpp"
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
    const Index d = system.order();
    StateSpace ss{MatrixXd::Zero(d, d), VectorXd::Zero(d), VectorXd::Zero(d)};
    std::vector<AllPass> chain;
    for (const Section& s : system.sections) {
        if (s.states > 0) {
            chain.push_back(all_pass(s));
        }
    }
    // Column j of A (and B, for j = d) is one step of the cascade from the j-th unit state (unit input).
    std::vector<double> x(static_cast<std::size_t>(d));
    for (Index j = 0; j <= d; ++j) {
        std::fill(x.begin(), x.end(), 0.0);
        double w = j == d ? 1.0 : 0.0;
        if (j < d) {
            x[static_cast<std::size_t>(j)] = 1.0;
        }
        double* at = x.data();
        for (const AllPass& s : chain) {
            w = s.states == 2 ? step_pair(s.sign, s.a, s.k2, s.s1, s.s2, at, w)
                              : step_single(s.sign, s.a, s.s1, at, w);
            at += s.states;
        }
        const Eigen::Map<const VectorXd> column(x.data(), d);
        if (j < d) {
            ss.A.col(j) = column;
        } else {
            ss.B = column;
        }
    }
    ss.C = Eigen::Map<const VectorXd>(system.readout.data(), d);
    return ss;
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

/// a_1 ... a_d and b_1 ... b_d of sum_t g_t z^-(t+1) = (b_1 z^-1 + ...) / (1 + a_1 z^-1 + ...), both rounded to f32.
std::vector<double> companion_coefficients(const ModalSystem& system)
{
    std::vector<double> a{1.0};
    for (const Section& s : system.sections) {
        const SectionPoles poles = poles_of(s);
        std::vector<double> factor{1.0};
        if (poles.count == 1) {
            factor.push_back(-poles.pole[0].real());
        } else if (poles.count == 2) {
            factor.push_back(-(poles.pole[0] + poles.pole[1]).real());
            factor.push_back((poles.pole[0] * poles.pole[1]).real());
        }
        std::vector<double> product(a.size() + factor.size() - 1, 0.0);
        for (std::size_t i = 0; i < a.size(); ++i) {
            for (std::size_t j = 0; j < factor.size(); ++j) {
                product[i + j] += a[i] * factor[j];
            }
        }
        a = std::move(product);
    }
    const std::size_t d = a.size() - 1;
    ModalSystem strict = system;
    strict.fir = {0.0};
    const std::vector<double> h = impulse_response(strict, static_cast<Index>(d) + 1);
    std::vector<double> result(2 * d, 0.0);
    for (std::size_t i = 1; i <= d; ++i) {
        result[i - 1] = static_cast<float>(a[i]);
        double b = 0.0;
        for (std::size_t j = 0; j < i; ++j) {
            b += a[j] * h[i - j];
        }
        result[d + i - 1] = static_cast<float>(b);
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

double relative(const std::vector<double>& is, const std::vector<double>& should)
{
    double error = 0.0;
    double norm = 0.0;
    for (std::size_t t = 0; t < is.size(); ++t) {
        const double difference = is[t] - should[t];
        error += difference * difference;
        norm += should[t] * should[t];
    }
    if (error == 0.0) {
        return 0.0;
    }
    const double ratio = std::sqrt(error / norm);
    return std::isfinite(ratio) ? ratio : std::numeric_limits<double>::infinity();
}

/// The realization's answer to `input`, in arithmetic T, the state rounded to bf16 after each step if asked.
template <class T>
std::vector<double> simulate(const Realization& realization, const std::vector<double>& input, bool bf16_state)
{
    Realization stored = realization;                // single precision holds the coefficients too
    if constexpr (std::is_same_v<T, float>) {
        for (std::vector<double>* numbers : {&stored.coefficients, &stored.readout}) {
            for (double& x : *numbers) {
                x = static_cast<float>(x);
            }
        }
    }
    const Recurrence<T> recurrence({stored}, 0);
    std::vector<T> state(static_cast<std::size_t>(recurrence.state_size()), T(0));
    std::vector<double> output;
    output.reserve(input.size());
    const Index filter = 0;
    for (const double u : input) {
        const T in = static_cast<T>(u);
        T out = T(0);
        recurrence.step(&in, &filter, 1, state.data(), &out);
        if (bf16_state) {
            for (T& x : state) {
                x = static_cast<T>(from_bf16(to_bf16(static_cast<float>(x))));
            }
        }
        output.push_back(static_cast<double>(out));
    }
    return output;
}

/// A bank that f32 would lose is run in double (recurrence_bank.hpp): measured so, or in f32 all the same.
enum class Widening { as_run, never };

double deviation_of(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                    Index length, Widening widening)
{
    ModalSystem states = system;
    states.fir = {0.0};
    Realization run = realization;
    run.fir = {0.0};
    Realization reference;
    reference.form = Form::cascade;
    reference.order = states.order();
    reference.fir = {0.0};
    for (const Section& section : states.sections) {
        if (section.states > 0) {
            const AllPass s = all_pass(section);
            reference.coefficients.insert(reference.coefficients.end(),
                                          {static_cast<double>(s.states), s.a, s.k2, s.s1, s.s2, s.sign});
        }
    }
    reference.readout = states.readout;

    std::vector<double> impulse(static_cast<std::size_t>(length), 0.0);
    std::vector<double> noise(static_cast<std::size_t>(length));
    Random random(0, 0x6465766961746573u);
    for (double& u : noise) {
        u = static_cast<float>(random.normal());         // exact in every precision
    }
    if (!impulse.empty()) {
        impulse[0] = 1.0;
    }
    double worst = 0.0;
    for (const std::vector<double>* input : {&impulse, &noise}) {
        const std::vector<double> should = simulate<double>(reference, *input, false);
        std::vector<double> is;
        const bool wide = state_precision == "f32" && widening == Widening::as_run &&
                          RecurrenceBank<float>({run}, 0).in_double();
        if (state_precision == "f64" || wide) {
            is = simulate<double>(run, *input, false);
        } else if (state_precision == "f32" || state_precision == "bf16") {
            is = simulate<float>(run, *input, state_precision == "bf16");
        } else {
            throw_error(ErrorCode::bad_argument, "state precision '" + std::string(state_precision) +
                        "' is none of f64, f32, bf16");
        }
        worst = std::max(worst, relative(is, should));
    }
    return worst;
}

/// Error{unsupported} when even double precision loses the response of the modes in this form.
void require_exact(const ModalSystem& system, const Realization& realization, const char* why)
{
    const double off = deviation_of(system, realization, "f64", 1024, Widening::never);
    if (!(off <= 1e-10)) {
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

Realization realize(const ModalSystem& system, Form form)
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
        c = companion_coefficients(system);
        const double radius = companion_radius(c);
        if (!(radius < 1.0)) {
            throw_error(ErrorCode::unsupported, "the companion form of order " + std::to_string(result.order) +
                        " is unstable, its coefficients rounded to f32 put a pole at radius " + std::to_string(radius) +
                        "; take modal or cascade");
        }
        const double off = deviation_of(system, result, "f32", 4096, Widening::never);
        if (!(off <= 1e-4)) {
            throw_error(ErrorCode::unsupported, "the companion form of order " + std::to_string(result.order) +
                                                    " is off by " + short_number(off) +
                                                    " (relative l2) in single precision; take modal or cascade");
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

double deviation(const ModalSystem& system, const Realization& realization, std::string_view state_precision,
                 Index length)
{
    return deviation_of(system, realization, state_precision, length, Widening::as_run);
}

}  // namespace stillhouse::systems
