// SPDX-License-Identifier: Apache-2.0
// What modal-fit is asked for: its options, which of them contradict, and the plan they make.
#pragma once

#include "formats/json.hpp"
#include "tools/adapters/filters/filter_fits.hpp"
#include "tools/filter_options.hpp"

#include <charconv>

namespace stillhouse {

struct FitSettings {
    std::optional<Index> order, max_order, fir_taps;
    std::string orders;
    std::optional<double> tolerance, max_radius, min_separation;
    std::string effort = "normal", objective = "l2", horizon = "finite", share = "none";
    std::optional<std::string> weights, input_spectrum;
    bool no_bound = false, norms = false;
};

inline void describe_fit(cli::Tool& tool, FitSettings& s)
{
    tool.option(&s.order, "--order", "D", "real states, a complex pair counts two; default 16, of a trained filter its "
                "own, and at most half the lags").range(1, 4096).excludes("--orders").excludes("--tolerance");
    tool.option(&s.orders, "--orders", "LIST", "several orders, from common work; the stream holds the fits of the "
                "largest").excludes("--tolerance");
    tool.option(&s.tolerance, "--tolerance", "X", "the smallest even order with a relative error <= X").range(0.0, 1.0);
    tool.option(&s.max_order, "--max-order", "D", "largest order for --tolerance; default 64").range(2, 4096)
        .needs("--tolerance");
    tool.option(&s.effort, "--effort", "NAME", "fast: one start; normal: several, and swaps; thorough: whatever "
                "lowers the error").choices({"fast", "normal", "thorough"});
    tool.option(&s.objective, "--objective", "NAME", "what is least: l2 over the horizon; h2, l2 over all lags; "
                "hankel, the norm of the error's Hankel operator").choices({"l2", "h2", "hankel"})
        .detail("For h2 and hankel the filter is zero beyond its end. hankel is the optimum of Adamyan, Arov and "
                "Krein, in closed form; it may take fewer states where a singular value is repeated.");
    tool.option(&s.horizon, "--horizon", "NAME", "finite: the filter's lags; extended:F: F times as many, the filter "
                "zero beyond; weighted: by --weights")
        .detail("weighted without --weights counts the squared error of lag t as often as it stands in the Hankel "
                "operator, t - K + 1 times.");
    tool.option(&s.weights, "--weights", "FILE", "weight of each lag's squared error: .npy [L] or [filters, L]")
        .completes("file").outside_history();
    tool.option(&s.input_spectrum, "--input-spectrum", "FILE", "power of the input at frequencies from 0 to pi, .npy "
                "[F]: the error of the output is least, not that of the filter").completes("file").outside_history();
    tool.option(&s.fir_taps, "--fir-taps", "K", "explicit first taps, exact; default 1, or the filter's delay and one")
        .range(1, 1 << 20);
    tool.option(&s.max_radius, "--max-radius", "R", "largest modulus of a pole; default exp(-1e-7 / lags)")
        .range(1e-6, 1.0 - 1e-15);
    tool.option(&s.min_separation, "--min-separation", "X", "least distance of two poles").range(0.0, 1.0);
    tool.option(&s.share, "--share", "NAME", "filters of a head, or of a layer (all rows of a tensor), have one set of "
                "poles").choices({"none", "head", "layer"});
    tool.option(&s.no_bound, "--no-bound", "", "leave the certified lower bound out");
    tool.option(&s.norms, "--norms", "", "also the error in h2 and Hankel norm, and the least that the latter can be");
}

/// F of extended:F; nothing for the other horizons. Error{bad_argument}.
inline std::optional<double> extension_of(const std::string& horizon)
{
    constexpr std::string_view word = "extended:";
    double factor = 0.0;
    if (horizon == "finite" || horizon == "weighted") {
        return std::nullopt;
    }
    if (horizon.compare(0, word.size(), word) == 0) {
        const char* const end = horizon.data() + horizon.size();
        const auto read = std::from_chars(horizon.data() + word.size(), end, factor);
        factor = read.ec == std::errc() && read.ptr == end ? factor : 0.0;
    }
    if (!(factor >= 1.0 && factor <= 1024.0)) {
        throw_error(ErrorCode::bad_argument, "--horizon " + horizon + ": expected finite, weighted, or extended:F with "
                                                                      "F from 1 to 1024, such as extended:3");
    }
    return factor;
}

/// Error{bad_argument}: options that contradict.
inline void check_fit(const FitSettings& s)
{
    const auto contradict = [](const std::string& a, const std::string& b) {
        throw_error(ErrorCode::bad_argument, a + " and " + b + " contradict; give one of them");
    };
    if (s.orders == "none") {
        throw_error(ErrorCode::bad_argument, "--orders none: at least one order is needed to fit");
    }
    filter_orders(s.orders);
    const bool extended = extension_of(s.horizon).has_value();
    if (s.weights && extended) {
        contradict("--weights", "--horizon " + s.horizon);
    }
    const std::string metric = extended || s.horizon == "weighted" ? "--horizon " + s.horizon
                               : s.weights                         ? "--weights"
                                                                   : "";
    if (s.input_spectrum && !metric.empty()) {
        contradict("--input-spectrum", metric);
    }
    if (s.objective != "l2" && (s.input_spectrum || !metric.empty())) {
        contradict("--objective " + s.objective, s.input_spectrum ? "--input-spectrum" : metric);
    }
    if (s.objective == "hankel") {
        for (const auto& [given, name] : {std::pair{s.max_radius.has_value(), "--max-radius"},
                                          {s.min_separation.has_value(), "--min-separation"},
                                          {s.tolerance.has_value(), "--tolerance"},
                                          {s.share != "none", "--share"}, {s.effort != "normal", "--effort"}}) {
            if (given) {
                contradict("--objective hankel", name);
            }
        }
    }
}

inline adapters::FitPlan fit_plan(const FitSettings& s, cli::Context& context)
{
    adapters::FitPlan plan;
    plan.options.effort = s.effort == "fast"     ? systems::Effort::fast
                          : s.effort == "normal" ? systems::Effort::normal
                                                 : systems::Effort::thorough;
    plan.options.objective = s.objective == "l2"   ? systems::Objective::l2
                             : s.objective == "h2" ? systems::Objective::h2
                                                   : systems::Objective::hankel;
    plan.options.max_radius = s.max_radius.value_or(0.0);
    plan.options.min_separation = s.min_separation.value_or(0.0);
    plan.options.extension = extension_of(s.horizon).value_or(1.0);
    if (s.input_spectrum) {
        plan.options.input_spectrum = adapters::read_spectrum(context.open_input(*s.input_spectrum));
    }
    if (s.weights) {
        plan.weights = adapters::LagWeights(context.open_input(*s.weights));
    }
    plan.weighs_by_lag = s.horizon == "weighted" && !s.weights;
    if (s.order) {
        plan.orders = {*s.order};
    } else if (!s.orders.empty()) {
        plan.orders = filter_orders(s.orders);
    }
    plan.tolerance = s.tolerance;
    plan.max_order = s.max_order.value_or(64);
    plan.fir_taps = s.fir_taps.value_or(1);
    plan.sharing = s.share == "head"    ? adapters::Sharing::head
                   : s.share == "layer" ? adapters::Sharing::layer
                                        : adapters::Sharing::none;
    plan.bounds = !s.no_bound;
    plan.norms = s.norms;
    return plan;
}

/// What the fits depend on beside the filters: this run's settings and what the files say that they name.
inline std::string checkpoint_settings(cli::Context& context, const adapters::FitPlan& plan)
{
    formats::Map entry = context.history_entry();
    entry.emplace_back("files", adapters::fingerprint(plan));
    return formats::to_json(entry);
}

}  // namespace stillhouse
