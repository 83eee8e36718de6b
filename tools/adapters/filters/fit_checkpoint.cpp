// SPDX-License-Identifier: Apache-2.0
// The folder of fits that are done.
#include "tools/adapters/filters/fit_checkpoint.hpp"

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>

namespace stillhouse::adapters {

namespace {

constexpr auto pause = std::chrono::seconds(5);      // between two files

/// A row: its number, the two halves of its key, how many results; of each its figures, sections and readout. All of
/// it in doubles, which hold integers below 2^53.
void append(std::vector<double>& to, Index row, std::uint64_t key, const std::vector<FitResult>& results)
{
    to.insert(to.end(), {static_cast<double>(row), static_cast<double>(key >> 32U),
                         static_cast<double>(key & 0xffffffffU), static_cast<double>(results.size())});
    for (const FitResult& r : results) {
        const systems::ModalSystem& system = r.fit->system;
        to.insert(to.end(), {static_cast<double>(r.asked), r.bound, r.seconds, r.bound_seconds, r.fit->error,
                             r.fit->objective, static_cast<double>(r.fit->iterations),
                             static_cast<double>(system.sections.size()), static_cast<double>(system.readout.size()),
                             r.h2, r.hankel, r.nearest});
        for (const systems::Section& s : system.sections) {
            to.insert(to.end(), {static_cast<double>(s.states), s.sign, s.m, s.v});
        }
        to.insert(to.end(), system.readout.begin(), system.readout.end());
    }
}

constexpr std::size_t row_head = 4;
constexpr std::size_t result_head = 12;

/// How many numbers the row at `from` takes. Error{bad_data} when it does not fit.
std::size_t extent(std::span<const double> from)
{
    const auto count = [&](std::size_t at) {
        if (at >= from.size() || !(from[at] >= 0.0) || from[at] > 1e9) {
            throw_error(ErrorCode::bad_data, "a record that is none");
        }
        return static_cast<std::size_t>(from[at]);
    };
    std::size_t at = row_head;
    for (std::size_t left = count(3); left > 0; --left) {
        at += result_head + 4 * count(at + 7) + count(at + 8);
    }
    if (at > from.size()) {
        throw_error(ErrorCode::bad_data, "a record that is cut");
    }
    return at;
}

std::vector<FitResult> results_of(std::span<const double> row)
{
    std::vector<FitResult> results(static_cast<std::size_t>(row[3]));
    const double* at = row.data() + row_head;
    for (FitResult& r : results) {
        r.asked = static_cast<Index>(at[0]);
        r.bound = at[1];
        r.seconds = at[2];
        r.bound_seconds = at[3];
        systems::Fit& fit = r.fit.emplace();
        fit.error = at[4];
        fit.objective = at[5];
        fit.iterations = static_cast<Index>(at[6]);
        const std::size_t sections = static_cast<std::size_t>(at[7]);
        const std::size_t states = static_cast<std::size_t>(at[8]);
        r.h2 = at[9];
        r.hankel = at[10];
        r.nearest = at[11];
        at += result_head;
        for (std::size_t k = 0; k < sections; ++k, at += 4) {
            fit.system.sections.push_back({static_cast<int>(at[0]), at[1], at[2], at[3]});
        }
        fit.system.readout.assign(at, at + states);
        at += states;
    }
    return results;
}

}  // namespace

FitCheckpoint::FitCheckpoint(std::string folder, std::string settings, bool resume, formats::Overwrite overwrite,
                             const Say& warn)
    : folder_(std::move(folder), "fits-", "fits",
              resume ? CheckpointFolder::Begin::resume : CheckpointFolder::Begin::anew, overwrite),
      settings_(std::move(settings))
{
    for (const Index number : folder_.numbers()) {
        try {
            load(folder_.path(number));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data) {
                throw;
            }
            warn(std::string(error.what()) + "; its fits are made again");
        }
    }
}

void FitCheckpoint::load(const std::string& path)
{
    formats::StreamReader reader(formats::Fd::open_input(path));
    for (const auto& [key, value] : reader.info().attributes) {
        if (key == "settings" && value.text() != settings_) {
            throw_error(ErrorCode::bad_argument, folder_.name() + ": its fits were made with " + value.text() +
                        ", this run has " + settings_ + "; give the same options, or another folder");
        }
    }
    std::map<std::pair<std::string, Index>, Numbers> rows;
    while (reader.next() != formats::StreamReader::Frame::end) {
        const formats::Tensor tensor = reader.read();
        with_context(path, [&] {
            if (tensor.header.dtype != DType::f64) {
                throw_error(ErrorCode::bad_data, "tensor " + tensor.name() + " holds no fits");
            }
            std::span<const double> left{tensor.as<double>(), static_cast<std::size_t>(tensor.header.elements())};
            while (!left.empty()) {
                const std::size_t n = extent(left);
                rows[{tensor.name(), static_cast<Index>(left[0])}].assign(
                    left.begin(), left.begin() + static_cast<std::ptrdiff_t>(n));
                left = left.subspan(n);
            }
        });
    }
    for (auto& [key, numbers] : rows) {              // of a file that is whole
        rows_.insert_or_assign(key, std::move(numbers));
    }
}

std::optional<std::vector<FitResult>> FitCheckpoint::find(const std::string& tensor, Index row, std::uint64_t key)
{
    const auto found = rows_.find({tensor, row});
    if (found == rows_.end() || found->second[1] != static_cast<double>(key >> 32U) ||
        found->second[2] != static_cast<double>(key & 0xffffffffU)) {
        return std::nullopt;
    }
    const std::lock_guard lock(mutex_);
    given_.emplace(tensor, row);
    return results_of(found->second);
}

void FitCheckpoint::add(const std::string& tensor, Index row, std::uint64_t key, const std::vector<FitResult>& results)
{
    if (std::any_of(results.begin(), results.end(), [](const FitResult& r) { return !r.fit; })) {
        return;
    }
    const std::lock_guard lock(mutex_);
    append(pending_[tensor], row, key, results);
    if (std::chrono::steady_clock::now() - last_ >= pause) {
        flush_locked();
    }
}

void FitCheckpoint::flush()
{
    const std::lock_guard lock(mutex_);
    flush_locked();
}

void FitCheckpoint::flush_locked()
{
    if (!pending_.empty()) {
        const Index number = folder_.numbers().empty() ? 1 : folder_.numbers().back() + 1;
        formats::StreamInfo info;
        info.attributes.emplace_back("settings", settings_);
        formats::StreamWriter writer(formats::AtomicFile(folder_.path(number), formats::Overwrite::replace), info);
        for (const auto& [tensor, numbers] : pending_) {
            formats::TensorHeader header;
            header.name = tensor;
            header.dtype = DType::f64;
            header.shape = {static_cast<Index>(numbers.size())};
            writer.write(header, reinterpret_cast<const std::byte*>(numbers.data()));
        }
        writer.finish();
        folder_.added(number);
        pending_.clear();
    }
    last_ = std::chrono::steady_clock::now();
}

bool FitCheckpoint::clear()
{
    if (given_.size() < rows_.size()) {
        flush();
        return false;
    }
    folder_.clear();
    pending_.clear();
    return true;
}

}  // namespace stillhouse::adapters
