// SPDX-License-Identifier: Apache-2.0
// modal-fit: the best small modal system for each filter.

#include "tools/adapters/filters/fit_checkpoint.hpp"
#include "tools/fit_options.hpp"
#include "tools/fit_report.hpp"

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    std::string select = "*";
    FitSettings fit;
    std::optional<std::string> plot, checkpoint;
    bool resume = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"modal-fit", "the best small modal system for each filter"};
    tool.about("Fits poles and residues to each filter: least squares over its lags, the residues eliminated, the "
               "poles moved from several starts. A certified lower bound says how much any other method could gain, "
               "and where an error is out of reach, that it is proven. Filters that were trained as modes start "
               "there.");
    tool.argument(s.input, "FILTERS", "a stream, or .npy and .safetensors with [filters, L]; default standard input",
                  0, -1);
    tool.shared({.shard = true, .json = true});
    describe_fit(tool, s.fit);
    tool.group("Output");
    tool.option(&s.plot, "--plot", "FILE", "draw error and bound as SVG (needs gnuplot)").completes("output")
        .outside_history();
    tool.option(&s.checkpoint, "--checkpoint", "DIR", "keep the fits that are done in this folder")
        .completes("folder").outside_history()
        .detail("Small files, one every few seconds; removed when the result is safe.");
    tool.option(&s.resume, "--resume", "", "take from it the fits of an earlier run, made with the same options")
        .needs("--checkpoint").outside_history();
    tool.option(&s.select, "--select", "GLOB", "only filters whose tensor's name matches");
    tool.check([&s] { check_fit(s.fit); });
    tool.example("modal-fit --order 8 --json filters.npy", "Errors and bounds of order 8, one line a filter.");
    tool.example("hankel-spectrum student.mts | modal-fit --tolerance 0.01 | realize-ssm -o ssm.mts",
                 "The smallest orders with a relative error of 1 %.");
    tool.example("modal-fit --objective hankel --order 8 filters.npy -o hankel.mts",
                 "The optimum of Adamyan, Arov and Krein.");
    tool.see_also({"hankel-spectrum(1)", "realize-ssm(1)", "stillhouse-model(5)"});
    return tool;
}

std::unique_ptr<adapters::FitCheckpoint> open_checkpoint(const Settings& s, cli::Context& context,
                                                         const adapters::FitPlan& plan)
{
    if (!s.checkpoint || context.dry_run()) {
        return nullptr;
    }
    return std::make_unique<adapters::FitCheckpoint>(
        *s.checkpoint, checkpoint_settings(context, plan), s.resume, context.overwrite(),
        [&context](const std::string& text) { context.warn(text); });
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    const adapters::FitPlan plan = fit_plan(s.fit, context);
    FilterTool tool(context, s.input,
                    {.select = s.select,
                     .results = {"poles", "residues", "fir", "order", "error", "sections", "cascade"},
                     .drops_realizations = true,
                     .block_rows = 4 * context.threads(),
                     .group = [&plan](const std::string& config, const std::string& name, Index rows) {
                         return adapters::rows_sharing(plan.sharing, config, name, rows);
                     }},
                    s.plot);
    const auto checkpoint = open_checkpoint(s, context, plan);
    ThreadPool pool(context.threads());
    FitReport report(context, plan);
    std::atomic<Index> done = 0;

    try {
        tool.each_filter([&](const adapters::FilterBank& bank) {
            const std::vector<adapters::FitResult> results =
                adapters::fit_bank(plan, bank, pool, checkpoint.get(), done, context.control());
            const Index n = bank.rows > 0 ? static_cast<Index>(results.size()) / bank.rows : 1;
            std::vector<systems::Fit> fits;
            for (Index k = 0; k < static_cast<Index>(results.size()); ++k) {
                const adapters::FitResult& result = results[static_cast<std::size_t>(k)];
                report.add(bank, k / n, result);
                if (k % n == n - 1) {
                    fits.push_back(result.fit.value_or(adapters::refused_fit(plan.taps(bank))));
                }
            }
            return adapters::fit_tensors(fits, plan.taps(bank));
        });
    } catch (const Error& error) {
        if (checkpoint) {
            checkpoint->flush();
            if (error.code() == ErrorCode::stopped) {
                context.kept_for_resume();
            }
        }
        throw;
    }
    const cli::Exit exit = report.finish();
    tool.finish(report.plot());
    if (checkpoint) {
        if (checkpoint->found() > 0) {
            context.note(std::to_string(checkpoint->found()) + " filters from " + *s.checkpoint);
        }
        if (!checkpoint->clear()) {
            context.warn(*s.checkpoint + ": also holds fits of filters that are not in this input, and stays");
        }
    }
    return exit;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
