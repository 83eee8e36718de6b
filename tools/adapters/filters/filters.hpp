// SPDX-License-Identifier: Apache-2.0
// Filters, modes and their results in tensors: what hankel-spectrum, modal-fit and realize-ssm read and write.
#pragma once

#include "formats/npy.hpp"
#include "formats/safetensors.hpp"
#include "formats/stream/reader.hpp"
#include "formats/stream/shard.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/systems/fit.hpp"
#include "libcore/systems/realization.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace stillhouse::adapters {

/// The frames of one stream, or the arrays of .npy and .safetensors files, one after the other. A bare .npy is called
/// `filter`, several by their stems, with `.filter` behind where the stem does not say what it is.
class ArrayInput {
public:
    struct Openers {
        std::function<formats::StreamReader(const std::string&)> stream;
        std::function<formats::Fd(const std::string&)> file;
    };
    /// No path: standard input. Error{bad_argument}: a stream beside other files.
    ArrayInput(const std::vector<std::string>& paths, Openers openers);
    ~ArrayInput();
    ArrayInput(const ArrayInput&) = delete;
    ArrayInput& operator=(const ArrayInput&) = delete;

    const std::string& name() const { return name_; }
    const formats::StreamInfo& info() const;
    bool is_stream() const { return stream_.has_value(); }
    /// Can be read a second time: named regular files, not pipes.
    bool rereadable() const;

    /// Arrays in all, where that is known before they are read: of .npy and .safetensors.
    std::optional<Index> arrays() const;

    formats::StreamReader::Frame next();
    const formats::TensorHeader& header() const;
    const formats::Note& note() const { return stream_->note(); }
    /// The payload of the current tensor, once: whole, in pieces and constant memory (of a column-major .npy whole), or
    /// on to a stream (null: nowhere).
    formats::Tensor read();
    void read_pieces(const std::function<void(const std::byte*, std::size_t)>& use);
    void copy_to(formats::StreamWriter* writer);

private:
    struct Array {
        std::string path;
        std::size_t file = 0;                            // of files_, for one of a .safetensors
        std::size_t tensor = 0;
        std::string name;                                // of a .npy
    };
    void open_array();                                   // the current one, at the first look
    const formats::StoredTensor* stored() const;         // null: the current one is a .npy

    std::vector<std::string> paths_;
    Openers openers_;
    std::string name_;
    std::optional<formats::StreamReader> stream_;
    std::vector<std::unique_ptr<formats::SafetensorsFile>> files_;
    std::vector<Array> arrays_;
    std::size_t at_ = 0;                                 // arrays begun so far
    std::optional<formats::Fd> npy_;                     // the current one, behind its header
    formats::NpyHeader npy_header_;
    formats::TensorHeader header_;
    formats::StreamInfo info_;
};

/// What a tool takes and replaces.
struct FilterRun {
    std::string select = "*";            // pattern for names of filters
    std::set<std::string> results;       // last parts of its own results: "sigma", "rank" ...
    bool drops_realizations = false;     // `ssm.*` of a filter derives from what the tool changes
    Index part = 1, parts = 1;           // --shard
    Index block_lags = Index{1} << 21;   // what one bank holds at most, in numbers, but at least ...
    Index block_rows = 1;                // ... this many filters
    /// Consecutive filters of the tensor that must come in one bank (config: text of config.json, or empty); null: 1.
    std::function<Index(const std::string& config, const std::string& name, Index rows)> group{};
};

/// Consecutive filters of one tensor, in double: rows first .. first + rows - 1 of `total`. A large tensor comes as
/// several banks, one after the other; those from `from` to `to` - 1 are this run's.
struct FilterBank {
    std::string name;
    Index total = 0, first = 0, rows = 0, length = 0, delay = 0;
    Index from = 0, to = 0;
    Index group = 1;                                     // FilterRun::group
    bool begins() const { return first == from; }
    DType dtype = DType::f32;
    std::vector<double> values;                          // [rows, length]
    std::vector<systems::ModalSystem> trained;           // [rows] or empty
    /// Row i as spectrum, bound and fit take it: from the delay on.
    std::span<const double> row(Index i) const
    {
        return {values.data() + i * length + delay, static_cast<std::size_t>(length - delay)};
    }
};

/// "tensor layers.0.mixer.filter, filter 3": for messages about row i of a bank.
std::string label(const FilterBank& bank, Index i);

/// Results of a bank: names are last parts ("sigma"), each has one row per row of the bank. Those of the banks of one
/// tensor are joined, the shorter rows padded with zeros.
using FilterWork = std::function<std::vector<formats::Tensor>(const FilterBank&)>;

/// Passes every frame on in order (writer null: nowhere), calls `work` for the banks of each filter tensor that is
/// selected (and in this shard) while it passes, and writes what that returns right behind it; earlier results of the
/// same tool on selected filters are left out. Memory: a bank and the results. Filters are the tensors whose last part
/// is `filter`, or the only tensor there is.
/// `plan` is a second view of the same input, needed with parts > 1 to number the work of a stream. Returns tensors
/// worked on.
/// Error{bad_data}: shape, type, no filter at all.
Index each_filter(ArrayInput& input, ArrayInput* plan, const FilterRun& run, formats::StreamWriter* writer,
                  const FilterWork& work);

/// [rows, width] F64 (or I64) called `name`, zeros where a row is shorter.
formats::Tensor table(const std::string& name, const std::vector<std::vector<double>>& rows, Index width);
formats::Tensor column(const std::string& name, const std::vector<Index>& values);

/// poles, residues, fir, order, error, sections, cascade of fits (stillhouse-model(5)), one a filter.
std::vector<formats::Tensor> fit_tensors(const std::vector<systems::Fit>& fits, Index taps);

/// The fits of one filter tensor as systems; `base` is its name ("layers.0.mixer.filter").
struct ModeBank {
    std::string base;
    Index total = 0, first = 0, rows = 0;
    Index length = 0;                                    // lags of the filters, 0 where they did not come along
    std::vector<systems::ModalSystem> systems;           // all with the same number of first taps
};
using ModeWork = std::function<std::vector<systems::Realization>(const ModeBank&)>;

/// As each_filter, for `....poles`, `.residues`, `.fir`, `.order`, `.sections`, `.cascade`, wherever they come from:
/// writes `....ssm.*` after the last of them. Of a stream that holds `....ssm.*` alone, their modes.
/// drop_filters: leaves out the filters that are realized.
Index each_modes(ArrayInput& input, ArrayInput* plan, const FilterRun& run, formats::StreamWriter* writer,
                 bool drop_filters, const ModeWork& work);

}  // namespace stillhouse::adapters
