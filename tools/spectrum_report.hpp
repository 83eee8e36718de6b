// SPDX-License-Identifier: Apache-2.0
// What hankel-spectrum prints: a line a filter, what is proven of it, which were refused.
#pragma once

#include "tools/adapters/filters/spectrum_curves.hpp"
#include "tools/filter_options.hpp"

namespace stillhouse {

struct SpectrumRow {
    systems::Spectrum spectrum;
    std::vector<double> bound;           // of each order
    std::optional<Index> possible;       // smallest order not proven insufficient
    std::string refusal;                 // not empty: nothing else holds
};

class SpectrumReport {
public:
    SpectrumReport(cli::Context& context, std::string op, std::optional<double> tolerance, Index most)
        : context_(context), op_(std::move(op)), tolerance_(tolerance), most_(most)
    {
    }

    void add(const adapters::FilterBank& bank, Index i, const SpectrumRow& row, const std::vector<Index>& orders)
    {
        const systems::Spectrum& spectrum = row.spectrum;
        ++n_filters_;
        formats::Map line{{"tensor", bank.name}, {"filter", bank.first + i},
                          {"sigma", formats::List(spectrum.sigma.begin(), spectrum.sigma.end())}};
        std::string text;
        if (bank.begins() && i == 0) {
            text = heading(bank) + ", operator " + op_ + ": rank, effective rank, orders of 99 and 99.9 % of the "
                   "energy, sigma_1, bound of the relative error by order\n";
        }
        text += columns({{std::to_string(bank.first + i), 6}});
        if (!row.refusal.empty()) {
            line.emplace_back("rank", formats::Value());
            line.emplace_back("refused", row.refusal);
            context_.result(std::move(line), text + " refused");
            if (n_refused_++ < shown) {
                context_.warn(row.refusal + "; this filter is left out");
            }
            return;
        }
        const double largest = spectrum.sigma.empty() ? 0.0 : spectrum.sigma[0];
        const Index k = static_cast<Index>(spectrum.sigma.size());
        auto order_text = [&](const std::optional<Index>& d) {
            return d ? std::to_string(*d) : ">" + std::to_string(k);
        };
        auto order_value = [](const std::optional<Index>& d) { return d ? formats::Value(*d) : formats::Value(); };
        text += columns({{(spectrum.rank_is_least ? ">=" : "") + std::to_string(spectrum.rank), 6},
                         {short_text(spectrum.effective_rank), 6}, {order_text(spectrum.order_99), 5},
                         {order_text(spectrum.order_999), 5}, {short_text(largest), 11}});
        formats::Map bounds;
        for (std::size_t d = 0; d < orders.size(); ++d) {
            bounds.emplace_back(std::to_string(orders[d]), row.bound[d]);
            text += columns({{std::to_string(orders[d]) + ":", 6}, {short_text(row.bound[d]), 9}});
        }
        line.emplace_back("rank", spectrum.rank);
        line.emplace_back("rank_is_least", spectrum.rank_is_least);
        line.emplace_back("floor", spectrum.floor);
        line.emplace_back("effective_rank", spectrum.effective_rank);
        line.emplace_back("order_99", order_value(spectrum.order_99));
        line.emplace_back("order_99.9", order_value(spectrum.order_999));
        line.emplace_back("orders", std::move(bounds));
        if (tolerance_) {
            line.emplace_back("sufficient", order_value(row.possible));
            const std::string sentence = "no system of order <= " + std::to_string(most(bank)) + " reaches " +
                                         short_text(*tolerance_) + ": proven";
            text += row.possible ? "  order " + std::to_string(*row.possible) + " is not proven insufficient for " +
                                       short_text(*tolerance_)
                                 : "  " + sentence;
            line.emplace_back("proven", row.possible ? formats::Value() : formats::Value(sentence));
        }
        context_.result(std::move(line), text);
        curves_.add(bank.name + " " + std::to_string(bank.first + i), spectrum, orders, row.bound);
    }

    /// Largest order that --tolerance looks at.
    Index most(const adapters::FilterBank& bank) const { return std::min(most_, (bank.length - bank.delay) / 2); }

    adapters::Plot plot() const { return curves_.plot(op_, n_filters_ - n_refused_); }

    /// Says what was refused; a check of the run failed then.
    cli::Exit finish()
    {
        if (n_refused_ > shown) {
            context_.warn(std::to_string(n_refused_ - shown) + " more filters are refused");
        }
        if (!context_.dry_run()) {
            context_.note(std::to_string(n_filters_ - n_refused_) + " filters" +
                          (n_refused_ > 0 ? ", " + std::to_string(n_refused_) + " refused" : ""));
        }
        return n_refused_ > 0 ? cli::Exit::check_failed : cli::Exit::ok;
    }

private:
    static constexpr Index shown = 10;                   // refused filters that are named

    cli::Context& context_;
    std::string op_;
    std::optional<double> tolerance_;
    Index most_, n_filters_ = 0, n_refused_ = 0;
    adapters::SpectrumCurves curves_;
};

}  // namespace stillhouse
