// SPDX-License-Identifier: Apache-2.0
// What the three tools on filters share: their input and output, lists of orders, the look of their tables.
#pragma once

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/compute/backend.hpp"
#include "tools/adapters/filters/filters.hpp"
#include "tools/adapters/plot.hpp"
#include "tools/cli/context.hpp"
#include "tools/cli/tool.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse {

/// "4,8,16" in ascending order without repetition. Empty: 2,4,8,16,32,64 up to `most`; "none": none.
inline std::vector<Index> filter_orders(const std::string& list, Index most = 64)
{
    std::vector<Index> orders;
    if (list.empty()) {
        for (const Index d : {2, 4, 8, 16, 32, 64}) {
            if (d <= most) {
                orders.push_back(d);
            }
        }
        return orders;
    }
    for (std::size_t at = 0; list != "none" && at <= list.size();) {
        const std::size_t comma = std::min(list.find(',', at), list.size());
        Index d = -1;
        const auto end = std::from_chars(list.data() + at, list.data() + comma, d);
        if (end.ec != std::errc() || end.ptr != list.data() + comma || d < 1 || d > 4096) {
            throw_error(ErrorCode::bad_argument, "--orders " + list +
                                                     ": a list of orders from 1 to 4096 is expected, such as "
                                                     "4,8,16, or none");
        }
        orders.push_back(d);
        at = comma + 1;
    }
    std::sort(orders.begin(), orders.end());
    orders.erase(std::unique(orders.begin(), orders.end()), orders.end());
    return orders;
}

inline std::string short_text(double x)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", x);
    return text;
}

struct Cell {
    std::string text;
    int width = 8;
};

/// Cells flush right, each at least as wide as asked.
inline std::string columns(const std::vector<Cell>& cells)
{
    std::string line;
    for (const Cell& cell : cells) {
        const std::size_t width = static_cast<std::size_t>(cell.width);
        line += (cell.text.size() < width ? std::string(width - cell.text.size(), ' ') : std::string(" ")) + cell.text;
    }
    return line;
}

inline std::string heading(const adapters::FilterBank& bank)
{
    return bank.name + ", " + std::to_string(bank.total) + (bank.total == 1 ? " filter" : " filters") + " of " +
           std::to_string(bank.length) + " lags" +
           (bank.delay > 0 ? ", the first " + std::to_string(bank.delay) + " zero" : std::string());
}

/// The input of a tool on filters, where its stream goes, and its picture.
class FilterTool {
public:
    FilterTool(cli::Context& context, const std::vector<std::string>& paths, adapters::FilterRun run,
               const std::optional<std::string>& plot)
        : context_(context), run_(std::move(run)), plot_(plot)
    {
        compute::choose_device(context.device());
        context.check_output();
        if (plot_) {
            adapters::require_gnuplot();
        }
        run_.part = context.shard().part;
        run_.parts = context.shard().parts;
        const adapters::ArrayInput::Openers openers{
            [&context](const std::string& path) { return context.open_stream(path); },
            [&context](const std::string& path) { return context.open_input(path); }};
        input_ = std::make_unique<adapters::ArrayInput>(paths, openers);
        if (run_.parts > 1 && input_->rereadable()) {
            plan_ = std::make_unique<adapters::ArrayInput>(paths, openers);
        }
        if (context.writes_stream() && !context.dry_run()) {
            formats::StreamInfo info = input_->info();
            if (run_.parts > 1) {
                formats::mark_shard(info, run_.part, run_.parts);
            }
            writer_.emplace(context.create_stream(std::move(info)));
        }
    }

    void each_filter(const adapters::FilterWork& work)
    {
        adapters::each_filter(*input_, plan_.get(), run_, writer(), [&](const adapters::FilterBank& bank) {
            return context_.dry_run() ? planned(bank.name, bank.rows) : work(bank);
        });
    }
    void each_modes(bool drop_filters, const adapters::ModeWork& work)
    {
        adapters::each_modes(*input_, plan_.get(), run_, writer(), drop_filters, [&](const adapters::ModeBank& bank) {
            if (context_.dry_run()) {
                planned(bank.base, bank.rows);
                return std::vector<systems::Realization>();
            }
            return work(bank);
        });
    }
    void finish(const adapters::Plot& plot)
    {
        if (context_.dry_run()) {
            return;
        }
        if (plot_) {
            const std::string svg = adapters::draw_svg(plot);
            formats::AtomicFile file = context_.create_file(*plot_);
            file.fd().write_full(svg);
            file.commit();
        }
        if (writer_) {
            writer_->finish();
        }
    }

private:
    formats::StreamWriter* writer() { return writer_ ? &*writer_ : nullptr; }
    std::vector<formats::Tensor> planned(const std::string& name, Index rows)
    {
        context_.note(name + ": " + std::to_string(rows) + (rows == 1 ? " filter" : " filters"));
        return {};
    }

    cli::Context& context_;
    adapters::FilterRun run_;
    std::optional<std::string> plot_;
    std::unique_ptr<adapters::ArrayInput> input_, plan_;
    std::optional<formats::StreamWriter> writer_;
};

}  // namespace stillhouse
