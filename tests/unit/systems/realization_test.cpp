// SPDX-License-Identifier: Apache-2.0
// Every form of a recurrence against the naive convolution.
#include "libcore/base/error.hpp"
#include "libcore/systems/recurrence.hpp"
#include "tests/unit/systems/extended.hpp"
#include "tests/unit/systems/systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <cstring>

using namespace stillhouse;
using namespace stillhouse::systems;
using namespace stillhouse::systems::test;

namespace {

const std::vector<Form> forms{Form::modal, Form::cascade, Form::companion, Form::balanced, Form::dense};

ModalSystem some_system(int seed, int pairs, int reals, std::size_t taps)
{
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    random_modes(static_cast<std::uint64_t>(seed), pairs, reals, poles, residues);
    return system_from(poles, residues, noise(3, taps));
}

std::vector<double> convolve(const std::vector<double>& h, const std::vector<double>& u)
{
    std::vector<double> y(u.size(), 0.0);
    for (std::size_t t = 0; t < u.size(); ++t) {
        for (std::size_t s = 0; s <= t; ++s) {
            y[t] += h[t - s] * u[s];
        }
    }
    return y;
}

template <class T>
std::vector<double> run(const Recurrence<T>& recurrence, Index filter, const std::vector<double>& u)
{
    std::vector<T> state(static_cast<std::size_t>(recurrence.state_size()), T(0));
    std::vector<double> y;
    for (const double x : u) {
        const T in = static_cast<T>(x);
        T out = T(0);
        recurrence.step(&in, &filter, 1, state.data(), &out);
        y.push_back(static_cast<double>(out));
    }
    return y;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(realization)

void check_every_form(int seed)
{
    const ModalSystem system = some_system(seed, seed % 4, 1 + seed % 3, static_cast<std::size_t>(1 + seed % 4));
    const std::vector<double> u = noise(5, 600);
    const std::vector<double> should = convolve(impulse_response(system, 600), u);
    for (const Form form : forms) {
        BOOST_TEST_CONTEXT(name_of(form) << ", seed " << seed)
        {
            const Realization r = realize(system, form);
            const double in_f64 = form == Form::companion ? 1e-4 : 1e-10;      // its coefficients are those of f32
            BOOST_TEST(relative_l2(run(Recurrence<double>({r}, 0), 0, u), should) < in_f64);
            BOOST_TEST(relative_l2(run(Recurrence<float>({r}, 0), 0, u), should) < 1e-4);
            BOOST_TEST(deviation(system, r, "f64", 2000) < in_f64 * 10);
            BOOST_TEST(deviation(system, r, "f32", 2000) < 1e-4);
        }
    }
}

BOOST_AUTO_TEST_CASE(every_form_convolves)
{
    for (int seed = 0; seed < 8; ++seed) {
        check_every_form(seed);
    }
}

BOOST_AUTO_TEST_CASE(step_and_scan_agree_bit_for_bit_over_a_mixed_bank)
{
    for (const Form form : forms) {
        BOOST_TEST_CONTEXT(name_of(form))
        {
            std::vector<Realization> bank;
            std::vector<ModalSystem> systems;
            for (int i = 0; i < 4; ++i) {
                systems.push_back(some_system(i, i, i == 0 ? 0 : 1, static_cast<std::size_t>(3 + i % 2)));
                systems.back().fir[0] = 0.0;
                systems.back().fir[1] = 0.0;
                bank.push_back(realize(systems.back(), form));
            }
            const Recurrence<float> recurrence(bank, 2);
            BOOST_TEST(recurrence.state_size() == 7 + 1);
            const std::vector<Index> filter_of{3, 0, 1, 2, 3};
            const Index signals = 5;
            const Index length = 300;
            std::vector<float> u;
            for (const double x : noise(8, static_cast<std::size_t>(signals * length))) {
                u.push_back(static_cast<float>(x));
            }
            std::vector<float> stepped(u.size());
            std::vector<float> scanned(u.size());
            std::vector<float> state_a(static_cast<std::size_t>(signals * recurrence.state_size()), 0.0f);
            std::vector<float> state_b = state_a;
            recurrence.scan({u.data(), signals, length}, filter_of.data(), state_a.data(),
                            {scanned.data(), signals, length});
            for (Index t = 0; t < length; ++t) {
                std::vector<float> in(5);
                for (Index i = 0; i < signals; ++i) {
                    in[static_cast<std::size_t>(i)] = u[static_cast<std::size_t>(i * length + t)];
                }
                recurrence.step(in.data(), filter_of.data(), signals, state_b.data(), in.data());
                for (Index i = 0; i < signals; ++i) {
                    stepped[static_cast<std::size_t>(i * length + t)] = in[static_cast<std::size_t>(i)];
                }
            }
            BOOST_TEST(std::memcmp(stepped.data(), scanned.data(), u.size() * sizeof(float)) == 0);
            BOOST_TEST(std::memcmp(state_a.data(), state_b.data(), state_a.size() * sizeof(float)) == 0);

            // With a delay of 2 the caller feeds late: signal i is h without its two leading zeros, convolved.
            for (Index i = 0; i < signals; ++i) {
                const ModalSystem& system = systems[static_cast<std::size_t>(filter_of[static_cast<std::size_t>(i)])];
                std::vector<double> h = impulse_response(system, length + 2);
                h.erase(h.begin(), h.begin() + 2);
                const std::vector<double> in(u.begin() + i * length, u.begin() + (i + 1) * length);
                const std::vector<double> out(stepped.begin() + i * length, stepped.begin() + (i + 1) * length);
                BOOST_TEST(relative_l2(out, convolve(h, in)) < 1e-4);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(padded_rows_mean_nothing)
{
    const ModalSystem system = some_system(2, 2, 1, 1);
    for (const Form form : forms) {
        BOOST_TEST_CONTEXT(name_of(form))
        {
            Realization r = realize(system, form);
            const Shape narrow = coefficient_shape(form, 5, form == Form::modal || form == Form::cascade ? 3 : 0);
            const Shape wide = coefficient_shape(form, 8, 6);
            BOOST_TEST(element_count(narrow) == static_cast<Index>(r.coefficients.size()));
            Realization padded = r;
            padded.coefficients.assign(static_cast<std::size_t>(element_count(wide)), 0.0);
            for (Index i = 0; i < narrow[0]; ++i) {
                for (Index j = 0; j < narrow[1]; ++j) {
                    padded.coefficients[static_cast<std::size_t>(i * wide[1] + j)] =
                        r.coefficients[static_cast<std::size_t>(i * narrow[1] + j)];
                }
            }
            if (form == Form::cascade) {
                padded.readout.resize(8, 0.0);
            }
            const std::vector<double> u = noise(4, 200);
            BOOST_TEST((run(Recurrence<double>({padded}, 0), 0, u) == run(Recurrence<double>({r}, 0), 0, u)));
        }
    }
}

BOOST_AUTO_TEST_CASE(the_cascade_survives_repeated_and_slow_poles)
{
    // An eight-fold pole: modes cancel to nothing, the cascade does not notice.
    ModalSystem repeated{{0.0}, std::vector<Section>(4, Section{2, 1.0, std::log(0.98), 0.0}), noise(6, 8)};
    BOOST_TEST((default_form(repeated) == Form::cascade));
    const Realization r = realize(repeated, Form::cascade);
    BOOST_TEST(deviation(repeated, r, "f32", 100000) < 1e-5);
    BOOST_TEST(deviation(repeated, r, "bf16", 20000) < 0.1);
    BOOST_CHECK_THROW(realize(repeated, Form::modal), Error);

    const ModalSystem usual = some_system(5, 6, 2, 1);
    BOOST_TEST(deviation(usual, realize(usual, Form::cascade), "bf16", 20000) < 3e-2);
    ModalSystem constant{{0.0}, {{1, 1.0, -1e-9, 0.0}}, {std::sqrt(0.5e9)}};
    BOOST_TEST(deviation(constant, realize(constant, Form::cascade), "f32", 20000) < 1e-3);
}

BOOST_AUTO_TEST_CASE(companion_is_refused_or_right)
{
    // Slow clustered poles: the polynomial's coefficients cannot hold them.
    std::vector<Complex> poles;
    std::vector<Complex> residues;
    for (int n = 0; n < 8; ++n) {
        poles.push_back(std::polar(0.995 - 0.001 * n, 0.02 + 0.01 * n));
        residues.push_back(1.0);
    }
    const ModalSystem smooth = system_from(poles, residues, std::vector<double>{0.0});
    try {
        realize(smooth, Form::companion);
        BOOST_ERROR("a companion form that cannot work was not refused");
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::unsupported));
    }
    const ModalSystem spread = some_system(1, 4, 0, 1);
    BOOST_TEST(deviation(spread, realize(spread, Form::companion), "f32", 10000) < 1e-4);
}

BOOST_AUTO_TEST_CASE(balanced_gramians_are_equal_and_diagonal)
{
    const ModalSystem system = some_system(3, 3, 1, 1);
    const Realization r = realize(system, Form::balanced);
    const std::size_t d = 7;
    // By their sums: controllability sum A^t B B' A'^t, observability sum A'^t C' C A^t.
    std::vector<double> P(d * d, 0.0);
    std::vector<double> Q(d * d, 0.0);
    auto at = [&](std::size_t i, std::size_t j) { return r.coefficients[i * (d + 2) + 2 + j]; };
    std::vector<double> b(d);
    std::vector<double> c(d);
    for (std::size_t i = 0; i < d; ++i) {
        b[i] = r.coefficients[i * (d + 2)];
        c[i] = r.coefficients[i * (d + 2) + 1];
    }
    for (int t = 0; t < 20000; ++t) {
        std::vector<double> b2(d, 0.0);
        std::vector<double> c2(d, 0.0);
        for (std::size_t i = 0; i < d; ++i) {
            for (std::size_t j = 0; j < d; ++j) {
                P[i * d + j] += b[i] * b[j];
                Q[i * d + j] += c[i] * c[j];
                b2[i] += at(i, j) * b[j];
                c2[j] += c[i] * at(i, j);
            }
        }
        b = b2;
        c = c2;
    }
    for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t j = 0; j < d; ++j) {
            BOOST_TEST(std::fabs(P[i * d + j] - Q[i * d + j]) < 1e-9 * P[0]);
            if (i != j) {
                BOOST_TEST(std::fabs(P[i * d + j]) < 1e-9 * P[0]);
            }
        }
    }
}

struct Hard {
    const char* name;
    ModalSystem system;
};

std::vector<double> ones(std::size_t n) { return std::vector<double>(n, 1.0 / std::sqrt(static_cast<double>(n))); }

/// A system of `count` equal pairs.
ModalSystem repeated(std::size_t count, double m, double v)
{
    return {{0.5}, std::vector<Section>(count, Section{2, 1.0, m, v}), ones(2 * count)};
}

std::vector<Hard> hard_cases()
{
    std::vector<Hard> cases{
        {"a pair three times", repeated(3, std::log(0.97), -0.04)},
        {"a double pole twice: x4", repeated(2, std::log(0.98), 0.0)},
        {"a double pole four times: x8", repeated(4, std::log(0.98), 0.0)},
        {"pairs at 1 - 1e-7", {{0.0}, {{2, 1.0, -1e-7, -0.01}, {2, -1.0, -1e-7, -1.0}}, ones(4)}},
        {"two real poles near 1 - 1e-7", {{0.0}, {{2, 1.0, -1e-7, 1e-15}}, ones(2)}},
        {"a constant", {{1.0}, {{1, 1.0, -1e-9, 0.0}}, {std::sqrt(0.5e9)}}},
        {"a delay: taps alone", {{0.0, 0.0, 0.0, 1.0}, {}, {}}},
        {"order 0", {{2.0}, {}, {}}},
        {"order 1", {{0.0}, {{1, -1.0, std::log(0.9), 0.0}}, {1.0}}},
        {"an odd order", {{0.1}, {{2, 1.0, -0.1, -0.5}, {1, 1.0, -0.02, 0.0}, {2, -1.0, -0.3, 0.01}}, ones(5)}},
        {"a zero filter with states", {{0.0}, {{2, 1.0, -0.1, -0.5}}, {0.0, 0.0}}},
    };
    return cases;
}

double off_by(const ModalSystem& system, const Realization& r, std::size_t length)
{
    std::vector<double> u = noise(11, length);
    ModalSystem states = system;
    Realization run_states = r;
    run_states.fir = {0.0};
    return extended_distance(run(Recurrence<double>({run_states}, 0), 0, u), extended_answer(states, u));
}

BOOST_AUTO_TEST_CASE(hard_cases_are_right_in_double_or_refused)
{
    for (const Hard& hard : hard_cases()) {
        for (const Form form : forms) {
            BOOST_TEST_CONTEXT(hard.name << ", " << name_of(form))
            {
                try {
                    const Realization r = realize(hard.system, form, "f64");
                    BOOST_TEST(r.order == hard.system.order());
                    BOOST_TEST(off_by(hard.system, r, 20000) < (form == Form::cascade ? 1e-9 : 1e-10));
                } catch (const Error& error) {
                    BOOST_TEST((error.code() == ErrorCode::unsupported));
                    BOOST_TEST((form != Form::cascade));
                    BOOST_TEST((hard.system.order() > 1 || spectral_radius(hard.system) > 1.0 - 1e-6));
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(the_plain_single_precision_cascade_holds_hard_poles)
{
    const std::vector<double> u = noise(12, 30000);
    for (const Hard& hard : hard_cases()) {
        BOOST_TEST_CONTEXT(hard.name)
        {
            Realization r = realize(hard.system, Form::cascade);
            r.fir = {0.0};
            std::vector<double> in;
            for (const double x : u) {
                in.push_back(static_cast<float>(x));
            }
            const bool near_circle = spectral_radius(hard.system) > 1.0 - 1e-6;
            const double off =
                extended_distance(run(Recurrence<float>({r}, 0), 0, in), extended_answer(hard.system, in));
            BOOST_TEST(off < (near_circle ? 2e-2 : 1e-5));
        }
    }
    // Damping 1e-4 at an angle where neither k1 nor k2 is near 1: rounding them to f32 would cost 1e-3.
    const ModalSystem swinging{{0.0}, {{2, 1.0, -1e-4, -1.1}, {2, -1.0, -2e-4, -1.3}}, ones(4)};
    const Realization r = realize(swinging, Form::cascade);
    BOOST_TEST(rounding_error(swinging, r, "bf16") < 1e-6);
}

BOOST_AUTO_TEST_CASE(the_error_over_all_lags_is_that_of_the_sum)
{
    for (int seed = 0; seed < 4; ++seed) {
        const ModalSystem system = some_system(seed, 1 + seed % 3, 1, 1);
        for (const Form form : forms) {
            BOOST_TEST_CONTEXT(name_of(form) << ", seed " << seed)
            {
                Realization r = realize(system, form);
                for (double& c : form == Form::cascade ? r.readout : r.coefficients) {
                    c = c == 1.0 || c == 2.0 ? c : c * (1.0 + 1e-4);
                }
                std::vector<double> impulse(60000, 0.0);
                impulse[0] = 1.0;
                Realization states = r;
                states.fir = {0.0};
                const double summed = extended_distance(run(Recurrence<double>({states}, 0), 0, impulse),
                                                        extended_answer(system, impulse));
                BOOST_TEST(rounding_error(system, r, "f64") == summed, boost::test_tools::tolerance(1e-6));
                BOOST_TEST(rounding_error(system, realize(system, form, "f64"), "f64") < 1e-10);
            }
        }
    }
    const ModalSystem system = some_system(2, 2, 1, 1);
    Realization unstable = realize(system, Form::dense);
    for (std::size_t i = 0; i < 5; ++i) {
        unstable.coefficients[i * 7 + 2 + i] += 1.0;
    }
    BOOST_TEST(std::isinf(rounding_error(system, unstable, "f64")));
}

BOOST_AUTO_TEST_CASE(every_form_becomes_every_other)
{
    for (int seed = 0; seed < 6; ++seed) {
        const ModalSystem system = some_system(seed, seed % 3, 1 + seed % 2, 2);
        for (const Form from : forms) {
            const ModalSystem back = modes_of(realize(system, from, "f64"));
            BOOST_TEST(back.order() == system.order());
            for (const Form to : forms) {
                BOOST_TEST_CONTEXT(name_of(from) << " to " << name_of(to) << ", seed " << seed)
                {
                    BOOST_TEST((back.fir == system.fir));
                    BOOST_TEST(off_by(system, realize(back, to, "f64"), 3000) < 1e-8);
                }
            }
        }
    }
    for (const Hard& hard : hard_cases()) {
        BOOST_TEST_CONTEXT(hard.name)
        {
            const ModalSystem back = modes_of(realize(hard.system, Form::cascade));
            BOOST_TEST(off_by(hard.system, realize(back, Form::cascade), 3000) < 1e-7);
        }
    }
    Realization unstable = realize(some_system(1, 1, 1, 1), Form::modal);
    unstable.coefficients[1] = 1.5;
    BOOST_CHECK_THROW(modes_of(unstable), Error);
}

BOOST_AUTO_TEST_CASE(banks_that_contradict_are_refused)
{
    const ModalSystem system = some_system(1, 1, 1, 2);
    const Realization modal = realize(system, Form::modal);
    const Realization cascade = realize(system, Form::cascade);
    BOOST_CHECK_THROW(Recurrence<double>({modal, cascade}, 0), Error);
    BOOST_CHECK_THROW(Recurrence<double>({modal}, 1), Error);        // fir[0] is not zero
    BOOST_CHECK_THROW(Recurrence<double>({modal}, 2), Error);        // no tap beyond
    BOOST_CHECK_THROW(Recurrence<double>({}, 0), Error);
    Realization wrong = modal;
    wrong.order = 9;
    BOOST_CHECK_THROW(Recurrence<double>({wrong}, 0), Error);
}

BOOST_AUTO_TEST_SUITE_END()
