// SPDX-License-Identifier: Apache-2.0
// modal-fit: the best small modal system for each filter.

#include "libcore/base/parallel.hpp"
#include "libcore/systems/hankel.hpp"
#include "tools/fit_report.hpp"

#include <chrono>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    std::string select = "*";
    std::optional<Index> order, max_order, fir_taps;
    std::string orders;
    std::optional<double> tolerance, max_radius, min_separation;
    std::optional<std::string> weights, plot;
    bool no_bound = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"modal-fit", "the best small modal system for each filter"};
    tool.about("Fits poles and residues to each filter: least squares over its lags, the residues eliminated, the "
               "poles moved from two starts (Kung's method; modes picked greedily). A certified lower bound says how "
               "much any other method could gain. Filters that were trained as modes start there.");
    tool.argument(s.input, "FILTERS", "a stream, or .npy and .safetensors with [filters, L]; default standard input",
                  0, -1);
    tool.shared({.shard = true, .json = true});
    tool.option(&s.order, "--order", "D", "real states, a complex pair counts two; default 16, of a trained filter its "
                "own, and at most half the lags").range(1, 4096).excludes("--orders").excludes("--tolerance");
    tool.option(&s.orders, "--orders", "LIST", "several orders; the stream holds the fits of the largest")
        .excludes("--tolerance");
    tool.option(&s.tolerance, "--tolerance", "X", "the smallest even order with a relative error <= X").range(0.0, 1.0);
    tool.option(&s.max_order, "--max-order", "D", "largest order for --tolerance; default 64").range(2, 4096)
        .needs("--tolerance");
    tool.option(&s.fir_taps, "--fir-taps", "K", "explicit first taps, exact; default 1, or the filter's delay and one")
        .range(1, 1 << 20);
    tool.option(&s.max_radius, "--max-radius", "R", "largest modulus of a pole; default exp(-1e-7 / lags)")
        .range(1e-6, 1.0 - 1e-15);
    tool.option(&s.min_separation, "--min-separation", "X", "least distance of two poles").range(0.0, 1.0);
    tool.option(&s.weights, "--weights", "FILE", "weight of each lag's squared error: .npy [L] or [filters, L]")
        .completes("file").outside_history();
    tool.option(&s.no_bound, "--no-bound", "", "leave the certified lower bound out");
    tool.option(&s.plot, "--plot", "FILE", "draw error and bound as SVG (needs gnuplot)").completes("output")
        .outside_history();
    tool.option(&s.select, "--select", "GLOB", "only filters whose tensor's name matches");
    tool.check([&s] {
        if (s.orders == "none") {
            throw_error(ErrorCode::bad_argument, "--orders none: at least one order is needed to fit");
        }
        filter_orders(s.orders);
    });
    tool.example("modal-fit --order 8 --json filters.npy", "Errors and bounds of order 8, one line a filter.");
    tool.example("hankel-spectrum student.mts | modal-fit --tolerance 0.01 | realize-ssm -o ssm.mts",
                 "The smallest orders with a relative error of 1 %.");
    tool.see_also({"hankel-spectrum(1)", "realize-ssm(1)", "stillhouse-model(5)"});
    return tool;
}

struct Result {
    std::optional<systems::Fit> fit;     // nothing: refused
    Index asked = 0;
    double bound = 0.0, seconds = 0.0;
    std::string refusal;
};

/// Orders to fit; 0: by tolerance.
std::vector<Index> orders_of(const Settings& s, const adapters::FilterBank& bank, Index taps)
{
    if (s.tolerance) {
        return {0};
    }
    if (!s.orders.empty()) {
        return filter_orders(s.orders);
    }
    Index order = 0;
    for (const systems::ModalSystem& system : bank.trained) {
        order = std::max(order, system.order());
    }
    const Index most = std::max<Index>((bank.length - taps) / 2, 1);
    return {s.order.value_or(order > 0 ? order : std::min<Index>(16, most))};
}

Result fit_one(const Settings& s, const adapters::FilterBank& bank, Index i, Index order, Index taps,
               std::span<const double> weights, const Control& control)
{
    const auto begin = std::chrono::steady_clock::now();
    const std::span<const double> h{bank.values.data() + i * bank.length, static_cast<std::size_t>(bank.length)};
    systems::FitOptions options;
    options.order = order;
    options.fir_taps = taps;
    options.max_radius = s.max_radius.value_or(0.0);
    options.min_separation = s.min_separation.value_or(0.0);
    options.weights.assign(weights.begin(), weights.end());
    if (!bank.trained.empty()) {
        options.start = bank.trained[static_cast<std::size_t>(i)];
    }
    Result result;
    result.asked = order;
    try {
        result.fit = order > 0 ? systems::fit_modal(h, options, control)
                               : systems::fit_to_tolerance(h, *s.tolerance, s.max_order.value_or(64), options, control);
        if (!s.no_bound) {
            const std::vector<Index> orders{order > 0 ? order : result.fit->system.order()};
            result.bound = systems::l2_lower_bounds(h.subspan(static_cast<std::size_t>(taps - 1)), orders, control)[0];
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_data && error.code() != ErrorCode::unsupported) {
            throw;
        }
        result.refusal = label(bank, i) + ": " + error.what();
    }
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    const LagWeights weights(context, s.weights);
    FilterTool tool(context, s.input,
                    {s.select, {"poles", "residues", "fir", "order", "error", "sections", "cascade"}, true}, s.plot);
    ThreadPool pool(context.threads());
    FitReport report(context, !s.no_bound);

    tool.each_filter([&](const adapters::FilterBank& bank) {
        const Index taps = std::max(s.fir_taps.value_or(1), bank.delay + 1);
        const std::vector<Index> orders = orders_of(s, bank, taps);
        const Index n = static_cast<Index>(orders.size());
        std::vector<Result> results(static_cast<std::size_t>(n * bank.rows));
        pool.for_each(n * bank.rows, [&](Index task) {
            results[static_cast<std::size_t>(task)] =
                fit_one(s, bank, task / n, orders[static_cast<std::size_t>(task % n)], taps,
                        weights.of(bank, bank.first + task / n), context.control());
        });
        std::vector<systems::Fit> fits;
        for (Index task = 0; task < n * bank.rows; ++task) {
            const Result& r = results[static_cast<std::size_t>(task)];
            report.add(bank, task / n, r.fit, r.bound, r.seconds, r.refusal);
            if (task % n == n - 1) {
                fits.push_back(r.fit.value_or(systems::Fit{}));
            }
        }
        return adapters::fit_tensors(fits, taps);
    });
    report.refuse();
    tool.finish(report.plot());
    report.note();
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
