// SPDX-License-Identifier: Apache-2.0
// The loop over filters, and their results as tensors.
#include "tools/adapters/filters/filters.hpp"

#include "formats/glob.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/filters/filter_names.hpp"
#include "tools/adapters/model/model_modes.hpp"

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

/// Cuts the payload of a filter tensor, as it comes, into banks.
class BankCutter {
public:
    BankCutter(const formats::TensorHeader& header, const formats::Share& share, Index group, const FilterRun& run,
               std::vector<systems::ModalSystem> trained)
        : trained_(std::move(trained))
    {
        const auto [total, length] = extents(header);
        bank_.name = header.name;
        bank_.total = total;
        bank_.length = length;
        bank_.delay = delay_of(header, length);
        bank_.dtype = header.dtype;
        bank_.from = share.first;
        bank_.to = share.first + share.count;
        bank_.group = group;
        row_bytes_ = static_cast<std::uint64_t>(length) * size_of(header.dtype);
        const Index most = std::max({run.block_lags / length, run.block_rows, Index{1}});
        rows_ = std::min((most + group - 1) / group * group, std::max<Index>(share.count, 1));
        begin_ = static_cast<std::uint64_t>(bank_.from) * row_bytes_;
        end_ = static_cast<std::uint64_t>(bank_.to) * row_bytes_;
        bank_.first = bank_.from;
    }

    /// The next n bytes of the tensor; `work` gets each bank when its last byte is there.
    void add(const std::byte* bytes, std::size_t n, const std::function<void(const FilterBank&)>& work)
    {
        const std::uint64_t from = std::max(at_, begin_);
        const std::uint64_t to = std::min(at_ + n, end_);
        if (raw_.size() == 0) {
            raw_ = Buffer<std::byte>(static_cast<Index>(static_cast<std::uint64_t>(rows_) * row_bytes_));
        }
        for (std::uint64_t next = from; next < to;) {
            const std::uint64_t left = std::min<std::uint64_t>(static_cast<std::uint64_t>(raw_.size()),
                                                               static_cast<std::uint64_t>(bank_.to - bank_.first) *
                                                                   row_bytes_);
            const std::uint64_t take = std::min(to - next, left - have_);
            std::copy_n(bytes + (next - at_), take, raw_.data() + have_);
            next += take;
            have_ += take;
            if (have_ == left) {
                give(static_cast<Index>(left / row_bytes_), work);
            }
        }
        at_ += n;
    }

    /// At the end of the tensor: a share without a row gets an empty bank.
    void finish(const std::function<void(const FilterBank&)>& work)
    {
        if (bank_.from == bank_.to) {
            give(0, work);
        }
    }

private:
    void give(Index rows, const std::function<void(const FilterBank&)>& work)
    {
        bank_.rows = rows;
        bank_.values.resize(static_cast<std::size_t>(rows * bank_.length));
        convert_from(bank_.dtype, raw_.data(), rows * bank_.length, bank_.values.data());
        for (Index i = 0; i < rows; ++i) {
            for (Index t = 0; t < bank_.delay; ++t) {
                if (bank_.values[static_cast<std::size_t>(i * bank_.length + t)] != 0.0) {
                    throw_error(ErrorCode::bad_data, "filter " + std::to_string(bank_.first + i) +
                                " is not zero at lag " + std::to_string(t) + ", below its delay of " +
                                std::to_string(bank_.delay));
                }
            }
        }
        if (static_cast<Index>(trained_.size()) == bank_.total) {
            bank_.trained.assign(trained_.begin() + bank_.first, trained_.begin() + bank_.first + rows);
        }
        work(bank_);
        bank_.first += rows;
        have_ = 0;
    }

    std::vector<systems::ModalSystem> trained_;
    FilterBank bank_;
    Index rows_ = 1;                                     // of a bank
    std::uint64_t row_bytes_ = 0, begin_ = 0, end_ = 0, at_ = 0, have_ = 0;
    Buffer<std::byte> raw_;
};

/// Results of the banks of one tensor, one below the other.
class JoinedResults {
public:
    void add(std::vector<formats::Tensor> results)
    {
        STILLHOUSE_CHECK(parts_.empty() || parts_.front().size() == results.size());
        parts_.push_back(std::move(results));
    }
    void write(const std::string& owner, const ShardPlan& shards, const formats::Share& share, Index total,
               formats::StreamWriter& writer)
    {
        for (std::size_t k = 0; !parts_.empty() && k < parts_.front().size(); ++k) {
            formats::TensorHeader header = parts_.front()[k].header;
            header.shape[0] = 0;
            for (const std::vector<formats::Tensor>& part : parts_) {
                const Shape& shape = part[k].header.shape;
                STILLHOUSE_CHECK(shape.size() == header.shape.size() && part[k].header.dtype == header.dtype);
                header.shape[0] += shape[0];
                for (std::size_t i = 1; i < shape.size(); ++i) {
                    STILLHOUSE_CHECK(i == 1 || shape[i] == header.shape[i]);
                    header.shape[i] = std::max(header.shape[i], shape[i]);
                }
            }
            header.name = owner + "." + header.name;
            shards.mark(header, share, total);
            const std::size_t row = row_bytes(header);
            const std::vector<std::byte> zeros(row);
            writer.begin(header);
            for (std::vector<formats::Tensor>& part : parts_) {
                const std::size_t own = row_bytes(part[k].header);
                for (Index i = 0; i < part[k].header.shape[0]; ++i) {
                    writer.append(part[k].data.data() + static_cast<std::size_t>(i) * own, own);
                    writer.append(zeros.data(), row - own);
                }
                part[k].data = {};
            }
            writer.end();
        }
    }

private:
    static std::size_t row_bytes(const formats::TensorHeader& header)
    {
        std::size_t n = size_of(header.dtype);
        for (std::size_t i = 1; i < header.shape.size(); ++i) {
            n *= static_cast<std::size_t>(header.shape[i]);
        }
        return n;
    }
    std::vector<std::vector<formats::Tensor>> parts_;
};

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
    const ShardPlan shards = plan_shards(input, plan, run, is_filter, [](const formats::TensorHeader& header) {
        return extents(header).first;
    });
    TrainedModes trained;
    std::string config;
    std::optional<formats::Tensor> alone;        // the first tensor, until a second one shows that it is not the only
    Index seen = 0;                              // tensors of the input
    Index items = 0;                             // filter tensors met
    Index worked = 0;

    using Pieces = std::function<void(const std::function<void(const std::byte*, std::size_t)>&)>;
    auto process = [&](const formats::TensorHeader& header, const Pieces& pieces) {
        with_context("tensor " + header.name, [&] {
            const Index rows = extents(header).first;
            const Index group = run.group ? run.group(config, header.name, rows) : 1;
            const std::optional<formats::Share> share = shards.share(items++, rows, group);
            std::optional<BankCutter> cutter;
            if (share) {
                cutter.emplace(header, *share, group, run, trained.of(header.name));
                ++worked;
            }
            JoinedResults results;
            const auto use = [&](const FilterBank& bank) { results.add(work(bank)); };
            if (writer != nullptr) {
                writer->begin(header);
            }
            pieces([&](const std::byte* bytes, std::size_t n) {
                if (writer != nullptr) {
                    writer->append(bytes, n);
                }
                if (cutter) {
                    cutter->add(bytes, n, use);
                }
            });
            if (writer != nullptr) {
                writer->end();
            }
            if (cutter) {
                cutter->finish(use);
                if (writer != nullptr) {
                    results.write(header.name, shards, *share, rows, *writer);
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
            const formats::TensorHeader header = input.header();
            process(header, [&](const auto& use) { input.read_pieces(use); });
        } else if (is_result(run, name, is_filter)) {
            // Replaced.
        } else if (trained.takes(name) || (run.group && name == "config.json")) {
            formats::Tensor tensor = input.read();
            if (writer != nullptr) {
                writer->write(tensor);
            }
            if (trained.takes(name)) {
                trained.add(std::move(tensor));
            } else {
                config.assign(tensor.as<char>(), static_cast<std::size_t>(tensor.header.bytes()));
            }
        } else if (seen == 1 && last_part(name) != "filter" && input.header().shape.size() <= 2 &&
                   is_floating(input.header().dtype) && formats::glob_matches(run.select, name)) {
            alone = input.read();
        } else {
            input.copy_to(writer);
        }
    }
    if (alone && seen == 1) {
        process(alone->header, [&](const auto& use) {
            use(alone->data.data(), static_cast<std::size_t>(alone->header.bytes()));
        });
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
