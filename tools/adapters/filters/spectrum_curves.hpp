// SPDX-License-Identifier: Apache-2.0
// Spectra and bounds of many filters in one picture: few one by one, many as a median with a band.
#pragma once

#include "libcore/systems/hankel.hpp"
#include "tools/adapters/plot.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace stillhouse::adapters {

class SpectrumCurves {
public:
    void add(std::string title, const systems::Spectrum& spectrum, const std::vector<Index>& orders,
             const std::vector<double>& bound)
    {
        const std::vector<double>& sigma = spectrum.sigma;
        Curve curve{std::move(title), {}, {}};
        for (std::size_t k = 0; k < sigma.size() && sigma[0] > 0.0; ++k) {
            const Index x = static_cast<Index>(k) + 1;
            values_[x].push_back(static_cast<float>(sigma[k] / sigma[0]));
            floors_[x].push_back(static_cast<float>(spectrum.floor / sigma[0]));
            curve.x.push_back(static_cast<double>(x));
            curve.y.push_back(sigma[k] / sigma[0]);
        }
        for (std::size_t d = 0; d < orders.size() && !curve.x.empty(); ++d) {
            bounds_[orders[d] + 1].push_back(static_cast<float>(bound[d]));
        }
        if (first_.size() < few) {
            first_.push_back(std::move(curve));
        }
    }

    Plot plot(const std::string& op, Index filters) const
    {
        Plot plot{"Hankel singular values (" + op + ") and certified bounds", "i, or order + 1",
                  "sigma_i / sigma_1; relative l2 error", Axis::linear, Axis::logarithmic, {}};
        if (static_cast<Index>(first_.size()) == filters) {
            plot.curves = first_;
        } else {
            quantiles(plot, values_, "", {0.1, 0.5, 0.9});
        }
        quantiles(plot, bounds_, "bound, ", {0.1, 0.5, 0.9});
        quantiles(plot, floors_, "numerical floor, ", {0.5});
        return plot;
    }

private:
    static constexpr std::size_t few = 12;               // filters that have curves of their own
    using Columns = std::map<Index, std::vector<float>>; // over the filters, at each abscissa

    static void quantiles(Plot& plot, const Columns& columns, const std::string& what, const std::vector<double>& of)
    {
        const bool several = std::any_of(columns.begin(), columns.end(),
                                         [](const auto& column) { return column.second.size() > 1; });
        for (const double q : of) {
            Curve curve{what + (q == 0.5 ? "median" : q < 0.5 ? "10 %" : "90 %"), {}, {}};
            for (const auto& [x, all] : columns) {
                std::vector<float> sorted(all);
                std::sort(sorted.begin(), sorted.end());
                curve.x.push_back(static_cast<double>(x));
                curve.y.push_back(sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)]);
            }
            if (!curve.x.empty() && (several || q == 0.5)) {
                plot.curves.push_back(std::move(curve));
            }
        }
    }

    std::vector<Curve> first_;
    Columns values_, bounds_, floors_;
};

}  // namespace stillhouse::adapters
