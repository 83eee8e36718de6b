// SPDX-License-Identifier: Apache-2.0
// The loop over filters, and their results as tensors.
#include "tools/adapters/filters.hpp"

#include "formats/glob.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/filter_names.hpp"
#include "tools/adapters/model_modes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace stillhouse::adapters {

namespace {

using Frame = formats::StreamReader::Frame;

/// Trained modes come before the filter that they make: kept, small as they are, until it is there.
class TrainedModes {
public:
    bool takes(const std::string& name) const
    {
        const std::string owner = parent(name);
        return last_part(owner) == "filter_modes" &&
               (last_part(name) == "sections" || last_part(name) == "cascade" || last_part(name) == "fir");
    }
    void add(formats::Tensor tensor)
    {
        const std::string name = tensor.name();
        kept_[parent(name)].insert_or_assign(last_part(name), std::move(tensor));
    }
    /// Of the filter of that name, if all three are there; forgotten afterwards.
    std::vector<systems::ModalSystem> of(const std::string& filter)
    {
        const auto found = kept_.find(filter + "_modes");
        std::vector<systems::ModalSystem> modes;
        if (found != kept_.end() && found->second.size() == 3) {
            auto& parts = found->second;
            modes = modes_from(parts.at("sections"), parts.at("cascade"), parts.at("fir"));
        }
        kept_.erase(filter + "_modes");
        return modes;
    }

private:
    std::map<std::string, std::map<std::string, formats::Tensor>> kept_;
};

/// Rows and lags of a filter tensor: [filters, L] or [L].
std::pair<Index, Index> extents(const formats::TensorHeader& header)
{
    if (header.shape.empty() || header.shape.size() > 2 || is_complex(header.dtype) || header.dtype == DType::boolean) {
        throw_error(ErrorCode::bad_data, "found " + std::string(name_of(header.dtype)) + " " + to_string(header.shape) +
                    ", expected real impulse responses [filters, L], lag 0 first");
    }
    const Index length = header.shape.back();
    if (length < 1) {
        throw_error(ErrorCode::bad_data, "found " + to_string(header.shape) + ": no lag at all");
    }
    return {header.shape.size() == 2 ? header.shape[0] : 1, length};
}

Index delay_of(const formats::TensorHeader& header, Index length)
{
    const formats::Value* delay = header.attribute("delay");
    const Index lags = delay != nullptr ? delay->integer() : 0;
    if (lags < 0 || lags >= length) {
        throw_error(ErrorCode::bad_data, "its delay of " + std::to_string(lags) + " leaves none of its " +
                    std::to_string(length) + " lags");
    }
    return lags;
}

FilterBank bank_of(const formats::Tensor& tensor, const formats::Share& share,
                   std::vector<systems::ModalSystem> trained)
{
    const auto [total, length] = extents(tensor.header);
    FilterBank bank;
    bank.name = tensor.name();
    bank.total = total;
    bank.length = length;
    bank.delay = delay_of(tensor.header, length);
    bank.first = share.first;
    bank.rows = share.count;
    bank.dtype = tensor.header.dtype;
    bank.values.resize(static_cast<std::size_t>(bank.rows * length));
    convert_from(bank.dtype, tensor.data.data() + static_cast<std::size_t>(bank.first * length) * size_of(bank.dtype),
                 bank.rows * length, bank.values.data());
    for (Index i = 0; i < bank.rows; ++i) {
        for (Index t = 0; t < length; ++t) {
            const double x = bank.values[static_cast<std::size_t>(i * length + t)];
            if (t < bank.delay && x != 0.0) {
                throw_error(ErrorCode::bad_data, "filter " + std::to_string(bank.first + i) + " is not zero at lag " +
                            std::to_string(t) + ", below its delay of " + std::to_string(bank.delay));
            }
        }
    }
    if (static_cast<Index>(trained.size()) == total) {
        bank.trained.assign(trained.begin() + bank.first, trained.begin() + bank.first + bank.rows);
    }
    return bank;
}

}  // namespace

std::string label(const FilterBank& bank, Index i)
{
    return "tensor " + bank.name + ", filter " + std::to_string(bank.first + i);
}

Index each_filter(ArrayInput& input, ArrayInput* plan, const FilterRun& run, formats::StreamWriter* writer,
                  const FilterWork& work)
{
    auto is_filter = [&](const std::string& name) {
        return last_part(name) == "filter" && formats::glob_matches(run.select, name);
    };
    const ShardPlan shards = plan_shards(plan, run, is_filter, [](const formats::TensorHeader& header) {
        return extents(header).first;
    });
    TrainedModes trained;
    std::optional<formats::Tensor> alone;        // the first tensor, until a second one shows that it is not the only
    Index seen = 0;                              // tensors of the input
    Index items = 0;                             // filter tensors met
    Index worked = 0;

    auto process = [&](const formats::Tensor& tensor) {
        with_context("tensor " + tensor.name(), [&] {
            const Index rows = extents(tensor.header).first;
            std::vector<systems::ModalSystem> modes = trained.of(tensor.name());
            const std::optional<formats::Share> share = shards.share(items++, rows);
            if (writer != nullptr) {
                writer->write(tensor);
            }
            if (!share) {
                return;
            }
            const FilterBank bank = bank_of(tensor, *share, std::move(modes));
            ++worked;
            for (formats::Tensor& result : work(bank)) {
                result.header.name = tensor.name() + "." + result.header.name;
                shards.mark(result.header, *share, rows);
                if (writer != nullptr) {
                    writer->write(result);
                }
            }
        });
    };
    auto flush = [&] {
        if (alone && writer != nullptr) {
            writer->write(*alone);
        }
        alone.reset();
    };

    for (Frame frame = input.next(); frame != Frame::end; frame = input.next()) {
        if (frame == Frame::note) {
            flush();
            input.copy_to(writer);
            continue;
        }
        const std::string name = input.header().name;
        ++seen;
        flush();
        if (is_filter(name)) {
            process(input.read());
        } else if (is_result(run, name, is_filter)) {
            // Replaced.
        } else if (trained.takes(name)) {
            formats::Tensor tensor = input.read();
            if (writer != nullptr) {
                writer->write(tensor);
            }
            trained.add(std::move(tensor));
        } else if (seen == 1 && last_part(name) != "filter" && input.header().shape.size() <= 2 &&
                   is_floating(input.header().dtype) && formats::glob_matches(run.select, name)) {
            alone = input.read();
        } else {
            input.copy_to(writer);
        }
    }
    if (alone && seen == 1) {
        process(*alone);
    } else if (items == 0) {
        throw_error(ErrorCode::bad_data, input.name() + ": no filters: no tensor" +
                    (run.select == "*" ? std::string() : " that matches " + run.select) +
                    " is called filter or ....filter; expected impulse responses [filters, L]");
    }
    return worked;
}

formats::Tensor table(const std::string& name, const std::vector<std::vector<double>>& rows, Index width)
{
    formats::Tensor tensor;
    tensor.header.name = name;
    tensor.header.dtype = DType::f64;
    tensor.header.shape = {static_cast<Index>(rows.size()), width};
    tensor.data = Buffer<std::byte>(static_cast<Index>(tensor.header.bytes()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::copy(rows[i].begin(), rows[i].end(), tensor.as<double>() + static_cast<Index>(i) * width);
    }
    return tensor;
}

formats::Tensor column(const std::string& name, const std::vector<Index>& values)
{
    formats::Tensor tensor;
    tensor.header.name = name;
    tensor.header.dtype = DType::i64;
    tensor.header.shape = {static_cast<Index>(values.size())};
    tensor.data = Buffer<std::byte>(static_cast<Index>(tensor.header.bytes()));
    std::copy(values.begin(), values.end(), tensor.as<std::int64_t>());
    return tensor;
}

std::vector<formats::Tensor> fit_tensors(const std::vector<systems::Fit>& fits, Index taps)
{
    std::vector<systems::ModalSystem> systems;
    std::vector<std::vector<double>> poles;
    std::vector<std::vector<double>> residues;
    std::vector<Index> orders;
    std::vector<double> errors;
    Index width = 1;
    for (const systems::Fit& fit : fits) {
        const systems::PolesResidues modes = systems::poles_and_residues(fit.system);
        auto flat = [](const std::vector<std::complex<double>>& values) {
            std::vector<double> numbers;
            for (const std::complex<double> x : values) {
                numbers.push_back(x.real());
                numbers.push_back(x.imag());
            }
            return numbers;
        };
        poles.push_back(flat(modes.poles));
        residues.push_back(flat(modes.residues));
        orders.push_back(fit.system.order());
        errors.push_back(fit.error);
        width = std::max(width, fit.system.order());
        systems.push_back(fit.system);
        if (systems.back().sections.empty()) {           // an extent of zero helps nobody
            systems.back().sections.push_back({});
        }
    }
    std::vector<formats::Tensor> tensors;
    for (const auto& [name, rows] : {std::pair{"poles", &poles}, std::pair{"residues", &residues}}) {
        tensors.push_back(table(name, *rows, 2 * width));
        tensors.back().header.dtype = DType::c128;
        tensors.back().header.shape = {static_cast<Index>(fits.size()), width};
    }
    std::vector<std::vector<double>> fir;
    std::vector<std::vector<double>> sections;
    std::vector<std::vector<double>> cascade;
    std::size_t most = 1;
    for (const systems::ModalSystem& system : systems) {
        fir.push_back(system.fir);
        cascade.push_back(system.readout);
        sections.emplace_back();
        most = std::max(most, system.sections.size());
        for (const systems::Section& s : system.sections) {
            sections.back().insert(sections.back().end(), {static_cast<double>(s.states), s.sign, s.m, s.v});
        }
    }
    tensors.push_back(table("fir", fir, taps));
    tensors.push_back(column("order", orders));
    tensors.push_back(table("error", {errors}, static_cast<Index>(errors.size())));
    tensors.back().header.shape = {static_cast<Index>(errors.size())};
    tensors.push_back(table("sections", sections, static_cast<Index>(4 * most)));
    tensors.back().header.shape = {static_cast<Index>(fits.size()), static_cast<Index>(most), 4};
    tensors.push_back(table("cascade", cascade, width));
    return tensors;
}

}  // namespace stillhouse::adapters
