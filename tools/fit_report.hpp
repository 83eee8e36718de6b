// SPDX-License-Identifier: Apache-2.0
// What modal-fit reads and prints beside its fits: weights of lags, and the table of errors and bounds.
#pragma once

#include "formats/npy.hpp"
#include "tools/filter_options.hpp"

#include <cmath>

namespace stillhouse {

/// Weights of lags for all filters, or one row for each: .npy [L] or [filters, L].
class LagWeights {
public:
    LagWeights(cli::Context& context, const std::optional<std::string>& path)
    {
        if (!path) {
            return;
        }
        path_ = *path;
        formats::Fd file = context.open_input(path_);
        const formats::Tensor tensor = formats::read_npy(file, "weights");
        const Shape& shape = tensor.header.shape;
        if (shape.empty() || shape.size() > 2 || is_complex(tensor.header.dtype)) {
            throw_error(ErrorCode::bad_data, path_ + ": found " + to_string(shape) +
                        ", expected weights [L] or [filters, L]");
        }
        rows_ = shape.size() == 2 ? shape[0] : 1;
        each_ = shape.size() == 2;
        length_ = shape.back();
        values_.resize(static_cast<std::size_t>(rows_ * length_));
        convert_from(tensor.header.dtype, tensor.data.data(), rows_ * length_, values_.data());
    }

    /// Of filter `row` of the whole tensor; empty: none given.
    std::span<const double> of(const adapters::FilterBank& bank, Index row) const
    {
        if (path_.empty()) {
            return {};
        }
        if (length_ != bank.length || (each_ && rows_ != bank.total)) {
            throw_error(ErrorCode::bad_data, path_ + ": found weights " +
                        to_string(each_ ? Shape{rows_, length_} : Shape{length_}) + " for the filters " +
                        to_string({bank.total, bank.length}) + " of tensor " + bank.name);
        }
        return {values_.data() + (each_ ? row * length_ : 0), static_cast<std::size_t>(length_)};
    }

private:
    std::string path_;
    bool each_ = false;
    Index rows_ = 0, length_ = 0;
    std::vector<double> values_;
};

/// Lines, the picture and the closing figures of modal-fit.
class FitReport {
public:
    FitReport(cli::Context& context, bool bounds) : context_(context), bounds_(bounds) {}

    void add(const adapters::FilterBank& bank, Index i, const std::optional<systems::Fit>& fit, double bound,
             double seconds, const std::string& refusal)
    {
        const Index order = fit ? fit->system.order() : 0;
        formats::Map line{{"tensor", bank.name}, {"filter", bank.first + i}, {"order", order},
                          {"error", fit ? formats::Value(fit->error) : formats::Value()}};
        if (bounds_) {
            line.emplace_back("bound", bound);
        }
        line.emplace_back("seconds", seconds);
        if (fit) {
            line.emplace_back("iterations", fit->iterations);
            line.emplace_back("radius", systems::spectral_radius(fit->system));
        } else {
            line.emplace_back("refused", refusal);
            if (refusal_.empty()) {
                refusal_ = refusal;
            }
        }
        std::string text = tensor_ == bank.name ? "" : heading(bank) + ": order, relative error" +
                           (bounds_ ? ", bound" : "") + ", milliseconds\n";
        tensor_ = bank.name;
        text += columns({{std::to_string(bank.first + i), 6}, {std::to_string(order), 6},
                         {fit ? short_text(fit->error) : "refused", 11}});
        text += bounds_ ? columns({{short_text(bound), 11}}) : std::string();
        context_.result(std::move(line), text + columns({{short_text(1e3 * seconds), 9}}));
        if (fit) {
            worst_ = std::max(worst_, fit->error);
            error_.x.push_back(static_cast<double>(order));
            error_.y.push_back(fit->error);
            bound_.x.push_back(static_cast<double>(order));
            bound_.y.push_back(bound);
        }
        ++n_fits_;
    }

    /// Throws when a filter was refused: its line is printed, no stream is written.
    void refuse() const
    {
        if (!refusal_.empty()) {
            context_.print_results();
            throw_error(ErrorCode::bad_data, refusal_);
        }
    }
    void note() const
    {
        if (!context_.dry_run()) {
            context_.note(std::to_string(n_fits_) + " fits, worst error " + short_text(worst_));
        }
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
    cli::Context& context_;
    bool bounds_;
    std::string tensor_, refusal_;
    double worst_ = 0.0;
    Index n_fits_ = 0;
    adapters::Curve error_{"error", {}, {}}, bound_{"lower bound", {}, {}};
};

}  // namespace stillhouse
