// SPDX-License-Identifier: Apache-2.0
// hankel-spectrum: how many states does each filter need?

#include "libcore/base/parallel.hpp"
#include "libcore/systems/hankel.hpp"
#include "tools/adapters/plot.hpp"
#include "tools/filter_options.hpp"

#include <algorithm>
#include <cmath>

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    std::string select = "*";
    Index top = 64;
    std::string op = "zero";
    std::string orders;
    std::optional<double> tolerance;
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

struct Row {
    systems::Spectrum spectrum;
    std::vector<double> bound;
    std::optional<Index> enough;         // smallest order not proven insufficient
};

/// The smallest order whose bound does not exceed the tolerance; nothing when all that were looked at do.
std::optional<Index> smallest_order(std::span<const double> h, double tolerance, const Control& control)
{
    std::vector<Index> orders(static_cast<std::size_t>(std::min<Index>(static_cast<Index>(h.size()) / 2, 128) + 1));
    for (std::size_t d = 0; d < orders.size(); ++d) {
        orders[d] = static_cast<Index>(d);
    }
    const std::vector<double> bound = systems::l2_lower_bounds(h, orders, control);
    const auto found = std::find_if(bound.begin(), bound.end(), [&](double x) { return x <= tolerance; });
    return found == bound.end() ? std::nullopt : std::optional<Index>(found - bound.begin());
}

void print(const Settings& s, cli::Context& context, const adapters::FilterBank& bank, Index i, const Row& row,
           const std::vector<Index>& orders)
{
    formats::List sigma(row.spectrum.sigma.begin(), row.spectrum.sigma.end());
    formats::Map bounds;
    const double largest = row.spectrum.sigma.empty() ? 0.0 : row.spectrum.sigma[0];
    std::string text;
    if (i == 0) {
        text = heading(bank) + ", operator " + s.op + ": rank, sigma_1, bound of the relative error by order\n";
    }
    text += columns({{std::to_string(bank.first + i), 6}, {std::to_string(row.spectrum.rank), 6},
                     {short_text(largest), 11}});
    for (std::size_t k = 0; k < orders.size(); ++k) {
        bounds.emplace_back(std::to_string(orders[k]), row.bound[k]);
        text += columns({{std::to_string(orders[k]) + ":", 6}, {short_text(row.bound[k]), 9}});
    }
    formats::Map line{{"tensor", bank.name}, {"filter", bank.first + i}, {"sigma", std::move(sigma)},
                      {"rank", row.spectrum.rank}, {"orders", std::move(bounds)}};
    if (s.tolerance) {
        line.emplace_back("sufficient", row.enough ? formats::Value(*row.enough) : formats::Value());
        text += row.enough ? "  order " + std::to_string(*row.enough) + " is not proven insufficient for "
                           : "  all orders looked at are proven insufficient for ";
        text += short_text(*s.tolerance);
    }
    context.result(std::move(line), text);
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    FilterTool tool(context, s.input, {s.select, {"sigma", "rank", "bound"}, false}, s.plot);
    ThreadPool pool(context.threads());
    adapters::Plot plot{"Hankel singular values (" + s.op + ")", "i", "sigma_i / sigma_1", adapters::Axis::linear,
                        adapters::Axis::logarithmic, {}};
    Index n_filters = 0;

    tool.each_filter([&](const adapters::FilterBank& bank) {
        const std::vector<Index> orders = filter_orders(s.orders, (bank.length - bank.delay) / 2);
        std::vector<Row> rows(static_cast<std::size_t>(bank.rows));
        pool.for_each(bank.rows, [&](Index i) {
            with_context("filter " + std::to_string(bank.first + i), [&] {
                Row& row = rows[static_cast<std::size_t>(i)];
                const auto op = s.op == "zero" ? systems::HankelOperator::zero : systems::HankelOperator::window;
                row.spectrum = systems::hankel_spectrum(bank.row(i), {s.top, op, bank.dtype}, context.control());
                row.bound = systems::l2_lower_bounds(bank.row(i), orders, context.control());
                row.enough = s.tolerance ? smallest_order(bank.row(i), *s.tolerance, context.control()) : std::nullopt;
            });
        });
        std::vector<std::vector<double>> sigma;
        std::vector<std::vector<double>> bound;
        std::vector<Index> rank;
        for (Index i = 0; i < bank.rows; ++i) {
            const Row& row = rows[static_cast<std::size_t>(i)];
            print(s, context, bank, i, row, orders);
            sigma.push_back(row.spectrum.sigma);
            bound.push_back(row.bound);
            rank.push_back(row.spectrum.rank);
            adapters::Curve curve{n_filters++ < 12 ? bank.name + " " + std::to_string(bank.first + i) : "", {}, {}};
            for (std::size_t k = 0; k < row.spectrum.sigma.size(); ++k) {
                curve.x.push_back(static_cast<double>(k + 1));
                curve.y.push_back(row.spectrum.sigma[k] / row.spectrum.sigma[0]);
            }
            plot.curves.push_back(std::move(curve));
        }
        const Index lags = bank.length - bank.delay - 1;                 // K as hankel_spectrum cuts it
        const Index size = s.op == "zero" ? lags : std::min((lags + 1) / 2, lags - (lags + 1) / 2 + 1);
        std::vector<formats::Tensor> results;
        results.push_back(adapters::table("sigma", sigma, std::min(s.top, std::max<Index>(size, 0))));
        results.back().header.set_attribute("operator", s.op);
        results.push_back(adapters::column("rank", rank));
        if (!orders.empty()) {
            results.push_back(adapters::table("bound", bound, static_cast<Index>(orders.size())));
            results.back().header.set_attribute("orders", formats::List(orders.begin(), orders.end()));
        }
        return results;
    });
    tool.finish(plot);
    if (!context.dry_run()) {
        context.note(std::to_string(n_filters) + " filters");
    }
    return cli::Exit::ok;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
