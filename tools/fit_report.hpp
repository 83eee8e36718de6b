// SPDX-License-Identifier: Apache-2.0
// What modal-fit prints: a line a fit, what is proven of those that miss a tolerance, which filters were refused.
#pragma once

#include "tools/adapters/filters/filter_fits.hpp"
#include "tools/filter_options.hpp"

#include <cmath>

namespace stillhouse {

/// Lines, the picture and the closing figures of modal-fit.
class FitReport {
public:
    FitReport(cli::Context& context, const adapters::FitPlan& plan)
        : context_(context), bounds_(plan.bounds), norms_(plan.norms), tolerance_(plan.tolerance)
    {
    }

    /// Result of row i of the bank.
    void add(const adapters::FilterBank& bank, Index i, const adapters::FitResult& result)
    {
        const std::optional<systems::Fit>& fit = result.fit;
        const Index order = fit ? fit->system.order() : 0;
        const double radius = fit ? systems::spectral_radius(fit->system) : 0.0;
        const double gap = fit && result.bound > 0.0 ? fit->error / result.bound : 0.0;
        formats::Map line{{"tensor", bank.name}, {"filter", bank.first + i}, {"order", order},
                          {"error", fit ? formats::Value(fit->error) : formats::Value()}};
        if (bounds_) {
            line.emplace_back("bound", fit ? formats::Value(result.bound) : formats::Value());
            line.emplace_back("gap", gap > 0.0 ? formats::Value(gap) : formats::Value());
        }
        line.emplace_back("seconds", result.seconds);
        std::string text = tensor_ == bank.name ? "" : heading(bank) + ": order, relative error" +
                           (bounds_ ? ", bound, error / bound" : "") + ", largest modulus of a pole, milliseconds" +
                           (norms_ ? ", error in h2, in Hankel norm, least in that\n" : "\n");
        tensor_ = bank.name;
        text += columns({{std::to_string(bank.first + i), 6}, {std::to_string(order), 6},
                         {fit ? short_text(fit->error) : "refused", 11}});
        if (bounds_) {
            text += columns({{fit ? short_text(result.bound) : "-", 11}, {gap > 0.0 ? short_text(gap) : "-", 7}});
        }
        text += columns({{radius_text(radius), 12}, {short_text(1e3 * result.seconds), 9}});
        if (norms_) {
            text += columns({{short_text(result.h2), 11}, {short_text(result.hankel), 11},
                             {short_text(result.nearest), 11}});
        }
        if (fit) {
            if (bounds_) {
                line.emplace_back("bound_seconds", result.bound_seconds);
            }
            if (norms_) {
                line.emplace_back("h2", result.h2);
                line.emplace_back("hankel", result.hankel);
                line.emplace_back("nearest", result.nearest);
            }
            line.emplace_back("objective", fit->objective);
            line.emplace_back("iterations", fit->iterations);
            line.emplace_back("radius", radius);
            if (tolerance_ && fit->error > *tolerance_) {
                missed(bank, i, result, line, text);
            }
            worst_ = std::max(worst_, fit->error);
            error_.x.push_back(static_cast<double>(order));
            error_.y.push_back(fit->error);
            bound_.x.push_back(static_cast<double>(order));
            bound_.y.push_back(result.bound);
        } else {
            line.emplace_back("refused", result.refusal);
            refuse(result.refusal);
        }
        context_.result(std::move(line), text);
        ++n_fits_;
    }

    /// Says what was refused or missed; a check of the run failed where a filter was refused.
    cli::Exit finish()
    {
        if (n_refused_ > shown) {
            context_.warn(std::to_string(n_refused_ - shown) + " more filters are refused");
        }
        if (n_missed_ > 0) {
            context_.warn(std::to_string(n_missed_) + " of " + std::to_string(n_fits_) + " filters miss " +
                          short_text(*tolerance_) + "; " + (n_proven_ > 0 ? first_proof_ : "nothing is proven of them; "
                          "a larger --max-order may reach it"));
        }
        if (!context_.dry_run()) {
            context_.note(std::to_string(n_fits_ - n_refused_) + " fits, worst error " +
                          (n_fits_ > n_refused_ ? short_text(worst_) : "-") +
                          (n_refused_ > 0 ? ", " + std::to_string(n_refused_) + " refused" : ""));
        }
        return n_refused_ > 0 ? cli::Exit::check_failed : cli::Exit::ok;
    }
    /// Errors and bounds over the order, filter after filter.
    adapters::Plot plot() const
    {
        adapters::Plot plot{"Fits", "order (real states)", "relative l2 error", adapters::Axis::linear,
                            adapters::Axis::logarithmic, {error_}};
        if (bounds_) {
            plot.curves.push_back(bound_);
        }
        return plot;
    }

private:
    static constexpr Index shown = 10;                   // refused filters that are named

    static std::string radius_text(double radius)
    {
        return radius > 0.999 ? "1-" + short_text(1.0 - radius) : short_text(radius);
    }
    void refuse(const std::string& refusal)
    {
        if (n_refused_++ < shown) {
            context_.warn(refusal + "; this filter is left out");
        }
    }
    /// The sentence that a gradient fit can never say.
    void missed(const adapters::FilterBank& bank, Index i, const adapters::FitResult& result, formats::Map& line,
                std::string& text)
    {
        ++n_missed_;
        const Index order = result.fit->system.order();
        const bool proven = bounds_ && result.bound > *tolerance_;
        const std::string sentence = proven ? "no recurrence of up to " + std::to_string(order) +
                                                  " real states has a relative error below " + short_text(result.bound)
                                            : "";
        line.emplace_back("proven", proven ? formats::Value(sentence) : formats::Value());
        text += proven ? "  proven: " + sentence : "  misses " + short_text(*tolerance_);
        if (proven && n_proven_++ == 0) {
            first_proof_ = "it is proven that of " + label(bank, i) + ", " + sentence;
        }
    }

    cli::Context& context_;
    bool bounds_, norms_;
    std::optional<double> tolerance_;
    std::string tensor_, first_proof_;
    double worst_ = 0.0;
    Index n_fits_ = 0, n_refused_ = 0, n_missed_ = 0, n_proven_ = 0;
    adapters::Curve error_{"error", {}, {}}, bound_{"lower bound", {}, {}};
};

}  // namespace stillhouse
