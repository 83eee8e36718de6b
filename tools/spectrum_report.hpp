// SPDX-License-Identifier: Apache-2.0
// What hankel-spectrum prints and draws: a line a filter, quantiles over many filters, which were refused.
#pragma once

#include "libcore/systems/hankel.hpp"
#include "tools/filter_options.hpp"

#include <cmath>

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
        draw(bank, i, row, orders);
    }

    /// Largest order that --tolerance looks at.
    Index most(const adapters::FilterBank& bank) const { return std::min(most_, (bank.length - bank.delay) / 2); }

    adapters::Plot plot() const
    {
        adapters::Plot plot{"Hankel singular values (" + op_ + ") and certified bounds", "i, or order + 1",
                            "sigma_i / sigma_1; relative l2 error", adapters::Axis::linear,
                            adapters::Axis::logarithmic, {}};
        if (first_.size() == static_cast<std::size_t>(n_filters_ - n_refused_)) {
            plot.curves = first_;
        } else {
            quantiles(plot, values_, "");
        }
        quantiles(plot, bounds_, "bound, ");
        quantiles(plot, floors_, "numerical floor, ");
        return plot;
    }

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
    static constexpr std::size_t few = 12;               // filters that have curves of their own
    using Columns = std::map<Index, std::vector<float>>; // over the filters, at each abscissa

    void draw(const adapters::FilterBank& bank, Index i, const SpectrumRow& row, const std::vector<Index>& orders)
    {
        const std::vector<double>& sigma = row.spectrum.sigma;
        if (sigma.empty() || sigma[0] == 0.0) {
            first_.resize(first_.size() + (first_.size() < few ? 1 : 0));
            return;
        }
        adapters::Curve curve{bank.name + " " + std::to_string(bank.first + i), {}, {}};
        for (std::size_t k = 0; k < sigma.size(); ++k) {
            const Index x = static_cast<Index>(k) + 1;
            values_[x].push_back(static_cast<float>(sigma[k] / sigma[0]));
            floors_[x].push_back(static_cast<float>(row.spectrum.floor / sigma[0]));
            curve.x.push_back(static_cast<double>(x));
            curve.y.push_back(sigma[k] / sigma[0]);
        }
        for (std::size_t d = 0; d < orders.size(); ++d) {
            bounds_[orders[d] + 1].push_back(static_cast<float>(row.bound[d]));
        }
        if (first_.size() < few) {
            first_.push_back(std::move(curve));
        }
    }

    /// Median and the band of 10 to 90 %; of one filter its own values.
    static void quantiles(adapters::Plot& plot, const Columns& columns, const std::string& what)
    {
        const bool floor = what.starts_with("numerical");
        for (const double q : {0.1, 0.5, 0.9}) {
            adapters::Curve curve{what + (q == 0.5 ? "median" : short_text(100.0 * q) + " %"), {}, {}};
            bool several = false;
            for (const auto& [x, all] : columns) {
                std::vector<float> sorted(all);
                std::sort(sorted.begin(), sorted.end());
                several = several || sorted.size() > 1;
                curve.x.push_back(static_cast<double>(x));
                curve.y.push_back(sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)]);
            }
            if (!curve.x.empty() && (q == 0.5 || (several && !floor))) {
                plot.curves.push_back(std::move(curve));
            }
        }
    }

    cli::Context& context_;
    std::string op_;
    std::optional<double> tolerance_;
    Index most_, n_filters_ = 0, n_refused_ = 0;
    std::vector<adapters::Curve> first_;
    Columns values_, bounds_, floors_;
};

}  // namespace stillhouse
