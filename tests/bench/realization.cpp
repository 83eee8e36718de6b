// SPDX-License-Identifier: Apache-2.0
// How far each form of a recurrence is from its modes, in each precision, on fits of .npy filters: JSON lines, one for
// each filter, order and form, then one with the quantiles. The reference is the cascade in extended precision.
// bench_realization STEPS ORDERS FILTERS.npy ...      (ORDERS as 4,8,16; fits at effort fast; 100000 steps: minutes)
#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"
#include "libcore/base/random.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/recurrence_bank.hpp"
#include "tests/bench/filter_rows.hpp"
#include "tests/unit/systems/extended.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace stillhouse;
using systems::Form;
using systems::test::Extended;

namespace {

constexpr double near_circle = 1e-6;     // slower poles are listed apart

/// In arithmetic T; the states named in `rounded` are rounded to bf16 after each step.
template <class T, class Bank>
std::vector<double> answer_of(const Bank& bank, const std::vector<double>& input,
                              const std::vector<bool>& rounded = {})
{
    std::vector<T> state(static_cast<std::size_t>(bank.state_size()), T(0));
    std::vector<double> answer;
    answer.reserve(input.size());
    const Index only = 0;
    for (const double u : input) {
        const T in = static_cast<T>(u);
        T out = T(0);
        bank.step(&in, &only, 1, state.data(), &out);
        for (std::size_t i = 0; i < rounded.size(); ++i) {
            state[i] = rounded[i] ? static_cast<T>(from_bf16(to_bf16(static_cast<float>(state[i])))) : state[i];
        }
        answer.push_back(static_cast<double>(out));
    }
    return answer;
}

/// As generation runs it, sixteen side by side.
std::vector<double> answer_as_run(const systems::RecurrenceBank<float>& bank, const std::vector<double>& input)
{
    const std::vector<Index> only{0};
    const systems::LaneRecurrence<float> lanes = bank.lanes(only);
    std::vector<float> state(static_cast<std::size_t>(lanes.state_size()), 0.0F);
    std::vector<double> answer;
    for (const double u : input) {
        alignas(64) float row[systems::lane_count] = {static_cast<float>(u)};
        lanes.scan(0, row, 1, state.data(), row);
        answer.push_back(static_cast<double>(row[0]));
    }
    return answer;
}

std::string json(double x)
{
    char text[40];
    std::snprintf(text, sizeof text, "%.6g", x);
    return std::isfinite(x) ? text : "\"inf\"";
}

double quantile(const std::vector<double>& sorted, double p)
{
    return sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1) + 0.5)];
}

struct Study {
    std::vector<double> impulse, noise;
    std::map<std::string, std::vector<double>> usual, slow;      // by "form precision"
    std::map<std::string, int> refused;

    void add(const std::string& what, bool is_slow, double off) { (is_slow ? slow : usual)[what].push_back(off); }

    void one(const std::string& label, const systems::ModalSystem& fitted)
    {
        systems::ModalSystem system = fitted;
        system.fir = {0.0};
        const double radius = systems::spectral_radius(system);
        const bool is_slow = radius > 1.0 - near_circle;
        const std::vector<Extended> exact_impulse = systems::test::extended_answer(system, impulse);
        const std::vector<Extended> exact_noise = systems::test::extended_answer(system, noise);
        for (const Form form : {Form::modal, Form::cascade, Form::companion, Form::balanced, Form::dense}) {
            for (const char* const precision : {"f64", "f32", "bf16"}) {
                const std::string what = std::string(systems::name_of(form)) + " " + precision;
                std::string line = label + ", \"form\": \"" + std::string(systems::name_of(form)) +
                                   "\", \"state\": \"" + precision + "\", \"gap\": " + json(1.0 - radius);
                try {
                    const systems::Realization r = systems::realize(system, form, precision);
                    const std::string_view state = precision;
                    // Noise and impulse apart: a state that only decays is rounded to the same side at each step.
                    auto distance = [&](const std::string& suffix, auto run) {
                        const double on_noise = systems::test::extended_distance(run(noise), exact_noise);
                        const double on_impulse = systems::test::extended_distance(run(impulse), exact_impulse);
                        add(what + suffix + ", noise", is_slow, on_noise);
                        add(what + suffix + ", impulse", is_slow, on_impulse);
                        line += ", \"noise" + suffix + "\": " + json(on_noise) + ", \"impulse" + suffix +
                                "\": " + json(on_impulse);
                    };
                    if (state == "f64") {
                        const systems::Recurrence<double> bank({r}, 0);
                        distance("", [&](auto& u) { return answer_of<double>(bank, u); });
                    } else {
                        const systems::Recurrence<float> bank({r}, 0);
                        const auto rounded = state == "bf16" ? systems::bf16_states(r) : std::vector<bool>();
                        distance("", [&](auto& u) { return answer_of<float>(bank, u, rounded); });
                    }
                    if (state == "f32") {
                        const systems::RecurrenceBank<float> bank({r}, 0);
                        distance(" as run", [&](auto& u) { return answer_as_run(bank, u); });
                        line += std::string(", \"in_double\": ") + (bank.in_double() ? "true" : "false");
                    }
                } catch (const Error& error) {
                    ++refused[what];
                    line += ", \"refused\": \"" + std::string(error.what()) + "\"";
                }
                std::printf("{%s}\n", line.c_str());
            }
        }
        std::fflush(stdout);
    }

    void all(const bench::FilterRows& filters, const std::vector<Index>& orders)
    {
        systems::FitOptions options;
        options.effort = systems::Effort::fast;
        for (std::size_t row = 0; row < filters.rows.size(); ++row) {
            for (const Index order : orders) {
                options.order = order;
                const std::string label = "\"file\": \"" + filters.name + "\", \"channel\": " + std::to_string(row) +
                                          ", \"order\": " + std::to_string(order);
                try {
                    one(label, systems::fit_modal(filters.rows[row], options).system);
                } catch (const Error& error) {
                    std::fprintf(stderr, "%s: %s\n", label.c_str(), error.what());
                }
            }
        }
    }

    void close() const
    {
        for (const auto* set : {&usual, &slow}) {
            for (const auto& [what, offs] : *set) {
                std::vector<double> sorted = offs;
                std::sort(sorted.begin(), sorted.end());
                const auto found = refused.find(what.substr(0, what.find(", ")));
                std::printf("{\"summary\": \"%s\", \"near_circle\": %s, \"count\": %zu, \"refused\": %d, "
                            "\"median\": %s, \"p90\": %s, \"worst\": %s}\n",
                            what.c_str(), set == &slow ? "true" : "false", sorted.size(),
                            found == refused.end() ? 0 : found->second, json(quantile(sorted, 0.5)).c_str(),
                            json(quantile(sorted, 0.9)).c_str(), json(sorted.back()).c_str());
            }
        }
    }
};

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "bench_realization STEPS ORDERS FILTERS.npy ...\n");
        return 2;
    }
    const auto steps = static_cast<std::size_t>(std::max(1L, std::strtol(argv[1], nullptr, 10)));
    Study study;
    study.impulse.assign(std::min<std::size_t>(steps, 4096), 0.0);       // beyond, fast modes are denormal and slow
    study.impulse[0] = 1.0;
    Random random(0, 0x72656c);
    for (std::size_t t = 0; t < steps; ++t) {
        study.noise.push_back(static_cast<float>(random.normal()));      // exact in every precision
    }
    try {
        const std::vector<Index> orders = bench::orders_of(argv[2]);
        for (int i = 3; i < argc; ++i) {
            study.all(bench::read_filter_rows(argv[i]), orders);
        }
    } catch (const Error& error) {
        std::fprintf(stderr, "bench_realization: %s\n", error.what());
        return 2;
    }
    study.close();
    return 0;
}
