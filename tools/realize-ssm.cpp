// SPDX-License-Identifier: Apache-2.0
// realize-ssm: turns modes into a recurrence, and proves that it agrees.

#include "libcore/base/parallel.hpp"
#include "tools/filter_options.hpp"
#include "tools/realization_check.hpp"

namespace {

using namespace stillhouse;

struct Settings {
    std::vector<std::string> input;
    std::string select = "*";
    std::optional<std::string> form;
    std::string state_precision = "f32";
    bool check = false;
    std::optional<double> check_limit;
    bool drop_exact = false;
};

cli::Tool describe(Settings& s)
{
    cli::Tool tool{"realize-ssm", "turns modes into a recurrence, and proves that it agrees"};
    tool.about(
        "Writes the numbers of a state-space recurrence for each fit. A filter tensor gets one form: modal where all "
        "of its filters keep their accuracy in it, else cascade, the orthogonal all-pass form, which survives "
        "repeated and slow poles. Companion is refused where its coefficients cannot hold the poles.");
    tool.argument(s.input, "MODES",
                  "a stream of modal-fit or of realize-ssm (to change its form), or "
                  ".npy and .safetensors named ....poles, ....residues, ....fir; "
                  "default standard input",
                  0, -1);
    tool.shared({.shard = true, .json = true});
    tool.option(&s.form, "--form", "NAME", "default modal where well separated, else cascade")
        .choices({"modal", "cascade", "companion", "balanced", "dense"});
    tool.option(&s.state_precision, "--state-precision", "NAME",
                "in which the state will be kept: decides the default form "
                "and what --check runs")
        .choices({"f64", "f32", "bf16"});
    tool.option(&s.check, "--check", "",
                "run each recurrence against its modes over the filter's length and ten times as far, and "
                "compute what its rounded coefficients do over all lags; exit 1 above --check-limit");
    tool.option(&s.check_limit, "--check-limit", "X",
                "largest relative l2 deviation; default 1e-9 in f64, 1e-4 in f32, "
                "5e-2 with a bf16 state")
        .range(0.0, 1e9)
        .needs("--check");
    tool.option(&s.drop_exact, "--drop-exact", "", "leave the filters themselves out");
    tool.option(&s.select, "--select", "GLOB", "only modes of filters whose name matches");
    tool.example("modal-fit student.mts | realize-ssm --check -o ssm.mts", "A checked recurrence.");
    tool.example_not_run("realize-ssm --form cascade a.poles.npy a.residues.npy a.fir.npy -o a.mts",
                         "From the poles of another program.");
    tool.see_also({"modal-fit(1)", "generate(1)", "stillhouse-model(5)"});
    return tool;
}

/// One form for the tensor: what was asked for, else modal unless one of its filters needs the cascade.
systems::Form form_of(const Settings& s, const adapters::ModeBank& bank, ThreadPool& pool)
{
    if (s.form) {
        return *systems::form_named(*s.form);
    }
    std::vector<systems::Form> forms(bank.systems.size());
    pool.for_each(bank.rows, [&](Index i) {
        const std::size_t at = static_cast<std::size_t>(i);
        forms[at] = systems::default_form(bank.systems[at], s.state_precision);
    });
    const bool modal =
        std::all_of(forms.begin(), forms.end(), [](systems::Form f) { return f == systems::Form::modal; });
    return modal ? systems::Form::modal : systems::Form::cascade;
}

cli::Exit run(const Settings& s, cli::Context& context)
{
    FilterTool tool(context, s.input, {s.select, {}, true}, std::nullopt);
    ThreadPool pool(context.threads());
    const double limit = s.check_limit.value_or(s.state_precision == "f64"   ? 1e-9
                                                : s.state_precision == "f32" ? 1e-4
                                                                             : 5e-2);
    Index n_filters = 0;
    Index n_poor = 0;
    double worst = 0.0;

    tool.each_modes(s.drop_exact, [&](const adapters::ModeBank& bank) {
        const systems::Form form = form_of(s, bank, pool);
        std::vector<systems::Realization> realizations(bank.systems.size());
        std::vector<Check> checks(bank.systems.size());
        const Index length = bank.length > 0 ? bank.length : unknown_length;
        pool.for_each(bank.rows, [&](Index i) {
            with_context("filter " + std::to_string(bank.first + i), [&] {
                context.control().throw_if_stopped();
                const std::size_t at = static_cast<std::size_t>(i);
                realizations[at] = systems::realize(bank.systems[at], form, s.state_precision);
                if (s.check) {
                    checks[at] = check_of(bank.systems[at], realizations[at], s.state_precision, length);
                }
            });
        });
        const Index taps = stored_taps(realizations);
        for (Index i = 0; i < bank.rows; ++i) {
            const std::size_t at = static_cast<std::size_t>(i);
            const Index state = realizations[at].order + taps - 1;
            formats::Map line{{"tensor", bank.base}, {"filter", bank.first + i}, {"form", systems::name_of(form)},
                              {"order", realizations[at].order}, {"state", state}};
            std::string text = i == 0 ? bank.base + ", " + std::to_string(bank.total) + " filters, " +
                               std::string(systems::name_of(form)) + ": order, numbers of state" +
                               (s.check ? ", deviation in " + s.state_precision +
                                          " over " + std::to_string(length) +
                                           " and " + std::to_string(10 * length) +
                                           " steps, of its coefficients over all lags"
                                         : "") + "\n" : std::string();
            text += columns({{std::to_string(bank.first + i), 6}, {std::to_string(realizations[at].order), 6},
                             {std::to_string(state), 6}});
            if (s.check) {
                const Check& check = checks[at];
                const double off = check.worst();
                line.emplace_back("length", length);
                line.emplace_back("deviation", check.within);
                line.emplace_back("deviation_beyond", check.beyond);
                line.emplace_back("rounding", check.rounding);
                text += columns({{short_text(check.within), 11}, {short_text(check.beyond), 11},
                                 {short_text(check.rounding), 11}}) +
                        (off <= limit ? "" : "  above " + short_text(limit));
                worst = std::max(worst, off);
                n_poor += off <= limit ? 0 : 1;
            }
            context.result(std::move(line), text);
        }
        n_filters += bank.rows;
        return realizations;
    });
    tool.finish({});
    if (!context.dry_run()) {
        context.note(std::to_string(n_filters) + " filters" +
                     (s.check ? ", largest deviation " + short_text(worst) : ""));
    }
    if (n_poor > 0) {
        context.warn(std::to_string(n_poor) + " of " + std::to_string(n_filters) +
                     " recurrences deviate by more than " + short_text(limit) + " in " + s.state_precision +
                     "; take another --form, or a wider state");
    }
    return n_poor == 0 ? cli::Exit::ok : cli::Exit::check_failed;
}

}  // namespace

int main(int argc, char** argv)
{
    return stillhouse::cli::run_main<Settings>(argc, argv, describe, run);
}
