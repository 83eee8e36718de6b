// SPDX-License-Identifier: Apache-2.0
// hankel-spectrum: how many states does each filter need?

#include "libcore/base/parallel.hpp"
#include "tools/spectrum_report.hpp"

#include <limits>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    std::string select = "*";
    Index top = 64;
    std::string op = "zero";
    std::string orders;
    std::optional<double> tolerance;
    Index max_order = 128;
    bool plain_bounds = false;
    std::optional<std::string> plot;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"hankel-spectrum", "Hankel singular values of filters: how many states each needs"};
    tool.about("For each filter the leading singular values of its Hankel operator, its numerical rank, and for a list "
               "of orders a certified lower bound of the relative l2 error: no recurrence with that many real states "
               "can be better, however it was found.");
    tool.argument(s.input, "FILTERS", "a stream, or .npy and .safetensors with [filters, L]; default standard input",
                  0, -1);
    tool.shared({.shard = true, .json = true});
    tool.option(&s.top, "-k,--top", "K", "singular values to keep").range(1, 1 << 20);
    tool.option(&s.op, "--operator", "NAME", "zero: the filter, then silence; window: known samples only")
        .choices({"zero", "window"});
    tool.option(&s.orders, "--orders", "LIST", "orders of the certified table, or none; default 2,4,8,16,32,64 where "
                "the length allows (the bound always uses the window)");
    tool.option(&s.tolerance, "--tolerance", "X", "also the smallest order not proven insufficient for this error")
        .range(0.0, 1.0);
    tool.option(&s.max_order, "--max-order", "D", "largest order that --tolerance looks at; default 128")
        .range(1, 4096).needs("--tolerance");
    tool.option(&s.plain_bounds, "--plain-bounds", "", "bounds from weighted spectra alone: faster, and lower");
    tool.option(&s.plot, "--plot", "FILE", "draw the spectra as SVG (needs gnuplot)").completes("output")
        .outside_history();
    tool.option(&s.select, "--select", "GLOB", "only filters whose tensor's name matches");
    tool.check([&s] { filter_orders(s.orders); });
    tool.example("hankel-spectrum --json filters.npy", "Spectra of an array of filters, one line each.");
    tool.example("layer-distill dump.mts | hankel-spectrum --plot spectra.svg -o student.mts",
                 "Spectra beside the filters of a student, and their picture.");
    tool.see_also({"layer-distill(1)", "modal-fit(1)", "realize-ssm(1)", "stillhouse-model(5)"});
    return tool;
}

SpectrumRow look_at(const Settings& s, const adapters::FilterBank& bank, Index i, const std::vector<Index>& orders,
                    Index most, const Control& control)
{
    SpectrumRow row;
    try {
        const std::span<const double> h = bank.row(i);
        const auto op = s.op == "zero" ? systems::HankelOperator::zero : systems::HankelOperator::window;
        const systems::BoundOptions effort{.steps = s.plain_bounds ? 0 : systems::BoundOptions().steps};
        row.spectrum = systems::hankel_spectrum(h, {s.top, op, bank.dtype}, control);
        row.bound = systems::l2_lower_bounds(h, orders, control, effort);
        if (s.tolerance) {
            row.possible = systems::smallest_possible_order(h, *s.tolerance, most, control, effort);
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_data) {
            throw;
        }
        row = {};
        row.refusal = label(bank, i) + ": " + error.what();
    }
    return row;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    FilterTool tool(context, s.input,
                    {.select = s.select, .results = {"sigma", "rank", "bound"}, .block_rows = 4 * context.threads()},
                    s.plot);
    ThreadPool pool(context.threads());
    SpectrumReport report(context, s.op, s.tolerance, s.max_order);

    tool.each_filter([&](const adapters::FilterBank& bank) {
        const std::vector<Index> orders = filter_orders(s.orders, (bank.length - bank.delay) / 2);
        std::vector<SpectrumRow> rows(static_cast<std::size_t>(bank.rows));
        pool.for_each(bank.rows, [&](Index i) {
            rows[static_cast<std::size_t>(i)] = look_at(s, bank, i, orders, report.most(bank), context.control());
        });
        const Index lags = bank.length - bank.delay - 1;                 // K as hankel_spectrum cuts it
        const Index size = s.op == "zero" ? lags : std::min((lags + 1) / 2, lags - (lags + 1) / 2 + 1);
        const Index top = std::min(s.top, std::max<Index>(size, 0));
        std::vector<std::vector<double>> sigma;
        std::vector<std::vector<double>> bound;
        std::vector<Index> rank;
        for (Index i = 0; i < bank.rows; ++i) {
            SpectrumRow& row = rows[static_cast<std::size_t>(i)];
            report.add(bank, i, row, orders);
            if (!row.refusal.empty()) {
                row.spectrum.sigma.assign(static_cast<std::size_t>(top), std::numeric_limits<double>::quiet_NaN());
            }
            sigma.push_back(std::move(row.spectrum.sigma));
            bound.push_back(std::move(row.bound));
            rank.push_back(row.spectrum.rank);
        }
        std::vector<formats::Tensor> results;
        results.push_back(adapters::table("sigma", sigma, top));
        results.back().header.set_attribute("operator", s.op);
        results.push_back(adapters::column("rank", rank));
        if (!orders.empty()) {
            results.push_back(adapters::table("bound", bound, static_cast<Index>(orders.size())));
            results.back().header.set_attribute("orders", formats::List(orders.begin(), orders.end()));
        }
        return results;
    });
    const cli::Exit exit = report.finish();
    tool.finish(report.plot());
    return exit;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
