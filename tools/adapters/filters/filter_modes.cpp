// SPDX-License-Identifier: Apache-2.0
// The loop over fits: gathers poles, residues and what belongs to them, writes realizations.
#include "formats/glob.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/filters/filter_names.hpp"
#include "tools/adapters/model/model_modes.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace stillhouse::adapters {

namespace {

using Complex = std::complex<double>;
using Frame = formats::StreamReader::Frame;
using Parts = std::map<std::string, formats::Tensor>;

const std::set<std::string> members{"poles", "residues", "fir", "order", "error", "sections", "cascade"};

bool complete(const Parts& parts)
{
    auto has = [&](const char* part) { return parts.count(part) != 0; };
    return has("fir") && ((has("sections") && has("cascade")) || (has("poles") && has("residues")));
}

/// [rows][values] of a tensor whose first extent counts filters; of rank 1, one filter.
template <class T>
struct Rows {
    Index rows = 1, width = 1;
    std::vector<T> values;
    std::span<const T> row(Index i) const { return {values.data() + i * width, static_cast<std::size_t>(width)}; }
};

Rows<Complex> complex_rows(const formats::Tensor& tensor)
{
    const formats::TensorHeader& header = tensor.header;
    Shape shape = header.shape;
    // Complex numbers travel as such, or as pairs in a last extent of 2 where there are three.
    const bool pairs = !is_complex(header.dtype) && shape.size() == 3 && shape.back() == 2;
    if (pairs) {
        shape.pop_back();
    }
    if (shape.empty() || shape.size() > 2) {
        throw_error(ErrorCode::bad_data, "tensor " + header.name + ": found " + std::string(name_of(header.dtype)) +
                                             " " + to_string(header.shape) + ", expected [filters, d] complex numbers");
    }
    Rows<Complex> result;
    result.rows = shape.size() == 2 ? shape[0] : 1;
    result.width = shape.back();
    const Index n = result.rows * result.width;
    const bool twofold = pairs || is_complex(header.dtype);
    const DType part = header.dtype == DType::c128  ? DType::f64
                       : header.dtype == DType::c64 ? DType::f32
                                                    : header.dtype;
    std::vector<double> numbers(static_cast<std::size_t>(twofold ? 2 * n : n));
    with_context("tensor " + header.name, [&] {
        convert_from(part, tensor.data.data(), static_cast<Index>(numbers.size()), numbers.data());
    });
    for (Index i = 0; i < n; ++i) {
        const std::size_t at = static_cast<std::size_t>(twofold ? 2 * i : i);
        result.values.emplace_back(numbers[at], twofold ? numbers[at + 1] : 0.0);
    }
    return result;
}

Rows<double> real_rows(const formats::Tensor& tensor, Index filters)
{
    const Shape& shape = tensor.header.shape;
    const bool one_each = shape.size() == 1 && (filters != 1 || shape[0] == 1);
    Rows<double> result;
    result.rows = shape.size() == 2 || one_each ? shape[0] : 1;
    result.width = one_each ? 1 : shape.empty() ? 1 : shape.back();
    if (shape.size() > 2 || result.rows != filters) {
        throw_error(ErrorCode::bad_data, "tensor " + tensor.name() + ": found " + to_string(shape) +
                                             ", expected one row "
                                             "for each of " +
                                             std::to_string(filters) + " filters");
    }
    result.values.resize(static_cast<std::size_t>(tensor.header.elements()));
    with_context("tensor " + tensor.name(), [&] {
        convert_from(tensor.header.dtype, tensor.data.data(), tensor.header.elements(), result.values.data());
    });
    return result;
}

std::vector<systems::ModalSystem> systems_of(const Parts& parts)
{
    std::vector<systems::ModalSystem> systems;
    if (parts.count("sections") != 0 && parts.count("cascade") != 0) {
        systems = modes_from(parts.at("sections"), parts.at("cascade"), parts.at("fir"));
    } else {
        const Rows<Complex> poles = complex_rows(parts.at("poles"));
        const Rows<Complex> residues = complex_rows(parts.at("residues"));
        if (poles.rows != residues.rows || poles.width != residues.width) {
            throw_error(ErrorCode::bad_data, "tensor " + parts.at("residues").name() + ": found " +
                        to_string(parts.at("residues").header.shape) + ", but the poles are " +
                        to_string(parts.at("poles").header.shape));
        }
        const Rows<double> fir = real_rows(parts.at("fir"), poles.rows);
        std::optional<Rows<double>> orders;
        if (parts.count("order") != 0) {
            orders = real_rows(parts.at("order"), poles.rows);
        }
        for (Index i = 0; i < poles.rows; ++i) {
            with_context("filter " + std::to_string(i), [&] {
                const double order = orders ? orders->row(i)[0] : static_cast<double>(poles.width);
                if (!(order >= 0.0) || order > static_cast<double>(poles.width) || order != std::floor(order)) {
                    throw_error(ErrorCode::bad_data, "order " + std::to_string(order) + " of at most " +
                                std::to_string(poles.width) + " poles");
                }
                const std::size_t n = static_cast<std::size_t>(order);
                systems.push_back(systems::system_from(poles.row(i).first(n), residues.row(i).first(n), fir.row(i)));
            });
        }
    }
    std::size_t taps = 1;
    for (const systems::ModalSystem& system : systems) {
        taps = std::max(taps, system.fir.size());
    }
    for (systems::ModalSystem& system : systems) {
        system = systems::with_taps(system, static_cast<Index>(taps));
    }
    return systems;
}

const std::array<systems::Form, 5> forms{systems::Form::modal, systems::Form::cascade, systems::Form::companion,
                                         systems::Form::balanced, systems::Form::dense};

/// The form whose tensors are all there.
std::optional<systems::Form> whole_realization(const Parts& parts)
{
    for (const systems::Form form : forms) {
        if (parts.count("fir") != 0 && parts.count("order") != 0 &&
            parts.count(std::string(systems::name_of(form))) != 0 &&
            (form != systems::Form::cascade || parts.count("readout") != 0)) {
            return form;
        }
    }
    return std::nullopt;
}

/// The modes of realizations, where a stream brings no others.
std::vector<systems::ModalSystem> systems_of_realizations(Parts& parts, systems::Form form)
{
    formats::Tensor& numbers = parts.at(std::string(systems::name_of(form)));
    const Shape shape = numbers.header.shape;
    if (shape.size() != 3) {
        throw_error(ErrorCode::bad_data, "tensor " + numbers.name() + ": found " + to_string(shape) +
                                             ", expected three extents (stillhouse-model(5))");
    }
    const Index filters = shape[0];
    numbers.header.shape = {filters, shape[1] * shape[2]};          // a filter's numbers as one row
    const Rows<double> coefficients = real_rows(numbers, filters);
    const Rows<double> fir = real_rows(parts.at("fir"), filters);
    const Rows<double> orders = real_rows(parts.at("order"), filters);
    std::vector<systems::ModalSystem> systems;
    for (Index i = 0; i < filters; ++i) {
        with_context("filter " + std::to_string(i), [&] {
            const double order = orders.row(i)[0];
            if (!(order >= 0.0) || order != std::floor(order) || order > 1e6) {
                throw_error(ErrorCode::bad_data, "order " + std::to_string(order) + " is no number of states");
            }
            systems::Realization r;
            r.form = form;
            r.order = static_cast<Index>(order);
            r.fir.assign(fir.row(i).begin(), fir.row(i).end());
            r.coefficients.assign(coefficients.row(i).begin(), coefficients.row(i).end());
            if (form == systems::Form::cascade) {
                const Rows<double> readout = real_rows(parts.at("readout"), filters);
                r.readout.assign(readout.row(i).begin(), readout.row(i).end());
            }
            systems.push_back(systems::modes_of(r));
        });
    }
    return systems;
}

/// ssm.fir, .order, .<form> and, for the cascade, .readout.
std::vector<formats::Tensor> realization_tensors(const std::vector<systems::Realization>& bank, Index taps)
{
    const systems::Form form = bank.empty() ? systems::Form::modal : bank.front().form;
    Index order = 1;
    Index sections = 1;
    const std::size_t row = form == systems::Form::modal ? 5 : 6;
    for (const systems::Realization& r : bank) {
        order = std::max(order, r.order);
        sections = std::max(sections, static_cast<Index>(r.coefficients.size() / row));
    }
    std::vector<std::vector<double>> fir;
    std::vector<std::vector<double>> coefficients;
    std::vector<std::vector<double>> readouts;
    std::vector<Index> orders;
    const Shape shape = systems::coefficient_shape(form, order, sections);
    for (const systems::Realization& r : bank) {
        fir.push_back(r.fir);
        orders.push_back(r.order);
        readouts.push_back(r.readout);
        // Rows of a filter of lower order stand in the upper left corner.
        const Index own_sections = static_cast<Index>(r.coefficients.size() / row);
        const Shape own = systems::coefficient_shape(form, r.order, own_sections);
        std::vector<double> padded(static_cast<std::size_t>(element_count(shape)), 0.0);
        for (Index i = 0; i < own[0]; ++i) {
            std::copy_n(r.coefficients.begin() + i * own[1], own[1], padded.begin() + i * shape[1]);
        }
        coefficients.push_back(std::move(padded));
    }
    std::vector<formats::Tensor> tensors;
    tensors.push_back(table("fir", fir, taps));
    tensors.push_back(column("order", orders));
    tensors.push_back(table(std::string(systems::name_of(form)), coefficients, element_count(shape)));
    tensors.back().header.shape = {static_cast<Index>(bank.size()), shape[0], shape[1]};
    if (form == systems::Form::cascade) {
        tensors.push_back(table("readout", readouts, order));
    }
    return tensors;
}

}  // namespace

Index each_modes(ArrayInput& input, ArrayInput* plan, const FilterRun& run, formats::StreamWriter* writer,
                 bool drop_filters, const ModeWork& work)
{
    auto base_of = [](const std::string& name) { return parent(name).empty() ? std::string("filter") : parent(name); };
    auto is_member = [&](const std::string& name) {
        return members.count(last_part(name)) != 0 && last_part(parent(name)) != "filter_modes" &&
               last_part(parent(name)) != "ssm" && formats::glob_matches(run.select, base_of(name));
    };
    // Realizations whose modes do not come before them: read, and replaced.
    auto is_realization = [&](const std::string& name) {
        const std::string owner = parent(name);
        const std::string front = parent(owner);
        return last_part(owner) == "ssm" &&
               formats::glob_matches(run.select, front.empty() ? "filter" : front + ".filter");
    };
    std::set<std::string> with_modes;
    const ShardPlan shards = plan_shards(
        input, plan, run,
        [&](const std::string& name) {
            if (last_part(name) != "fir") {
                return false;
            }
            if (is_member(name)) {
                with_modes.insert(realization_base(base_of(name)));
                return true;
            }
            return is_realization(name) && with_modes.count(parent(name)) == 0;
        },
        [](const formats::TensorHeader& header) { return header.shape.empty() ? Index{1} : header.shape[0]; });
    std::map<std::string, Parts> groups;         // not yet realized
    std::vector<std::string> begun;              // their bases, in the order of appearance
    std::set<std::string> done;
    std::map<std::string, Parts> realized;       // `....ssm` that came without modes
    std::map<std::string, Index> lengths;        // of the filters that passed
    std::vector<formats::Tensor> held;           // a filter that may be dropped, and what follows with its name
    Index items = 0;
    Index worked = 0;

    auto write = [&](const formats::Tensor& tensor) {
        if (writer != nullptr) {
            writer->write(tensor);
        }
    };
    auto release = [&](std::size_t from) {
        for (; from < held.size(); ++from) {
            write(held[from]);
        }
        held.clear();
    };
    auto realize = [&](const std::string& base, std::vector<systems::ModalSystem> systems) {
        const Index rows = static_cast<Index>(systems.size());
        const Index taps = systems.empty() ? 1 : static_cast<Index>(systems.front().fir.size());
        const std::optional<formats::Share> share = shards.share(items++, rows);
        done.insert(base);
        if (!share) {
            return;
        }
        ModeBank bank{base, rows, share->first, share->count, lengths.count(base) != 0 ? lengths.at(base) : 0, {}};
        bank.systems.assign(systems.begin() + share->first, systems.begin() + share->first + share->count);
        ++worked;
        for (formats::Tensor& result : realization_tensors(work(bank), taps)) {
            result.header.name = realization_base(base) + "." + result.header.name;
            shards.mark(result.header, *share, rows);
            write(result);
        }
    };
    auto realize_complete = [&](const std::string& except) {
        for (const std::string& base : begun) {
            const auto found = groups.find(base);
            if (base != except && found != groups.end() && complete(found->second)) {
                with_context("tensor " + base, [&] { realize(base, systems_of(found->second)); });
                groups.erase(found);
            }
        }
    };

    for (Frame frame = input.next(); frame != Frame::end; frame = input.next()) {
        const std::string name = frame == Frame::tensor ? input.header().name : std::string();
        if (last_part(name) == "filter" && !input.header().shape.empty()) {
            lengths[name] = input.header().shape.back();
        }
        const bool member = !name.empty() && is_member(name);
        const std::string base = member ? base_of(name) : std::string();
        if (!held.empty() && (!member || base != held.front().name()) &&
            name.rfind(held.front().name() + ".", 0) != 0) {
            release(0);                          // a filter without modes stays
        }
        if (input.is_stream()) {
            realize_complete(base);              // arrays of files come in any order: those at the end
        }
        if (frame == Frame::note) {
            input.copy_to(writer);
        } else if (member) {
            if (done.count(base) != 0) {
                throw_error(ErrorCode::bad_data, "tensor " + name + ": comes after the other modes of " + base +
                            " were complete; they must follow each other");
            }
            if (!held.empty()) {
                release(1);
            }
            formats::Tensor tensor = input.read();
            write(tensor);
            if (groups.count(base) == 0) {
                begun.push_back(base);
            }
            groups[base].insert_or_assign(last_part(name), std::move(tensor));
        } else if (last_part(parent(name)) == "ssm" &&
                   std::any_of(done.begin(), done.end(),
                               [&](const std::string& of) { return realization_base(of) == parent(name); })) {
            // Replaced.
        } else if (!name.empty() && input.is_stream() && is_realization(name)) {
            const std::string owner = parent(name);
            Parts& parts = realized[owner];
            parts.insert_or_assign(last_part(name), input.read());
            if (const std::optional<systems::Form> form = whole_realization(parts)) {
                const std::string front = parent(owner);
                with_context("tensor " + owner, [&] {
                    realize(front.empty() ? "filter" : front + ".filter", systems_of_realizations(parts, *form));
                });
                realized.erase(owner);
            }
        } else if (drop_filters &&
                   ((held.empty() && last_part(name) == "filter" && formats::glob_matches(run.select, name)) ||
                    !held.empty())) {
            held.push_back(input.read());
        } else {
            input.copy_to(writer);
        }
    }
    release(0);
    realize_complete(std::string());
    for (const auto& [owner, parts] : realized) {
        throw_error(ErrorCode::bad_data, "tensor " + owner + ": a realization that is not whole, expected fir, order, "
                    "a form and, of a cascade, readout");
    }
    for (const auto& [base, parts] : groups) {
        if (parts.count("poles") + parts.count("residues") + parts.count("sections") + parts.count("cascade") > 0) {
            std::string found;
            for (const auto& [part, tensor] : parts) {
                found += (found.empty() ? "" : ", ") + part;
            }
            throw_error(ErrorCode::bad_data, "tensor " + base + ": found " + found +
                        " of a fit, expected poles, residues and fir (or sections, cascade and fir)");
        }
    }
    if (items == 0) {
        throw_error(ErrorCode::bad_data, input.name() + ": no modes: found no ....poles with ....residues and ....fir" +
                    (run.select == "*" ? std::string() : " that " + run.select + " matches") + "; run modal-fit first");
    }
    return worked;
}

}  // namespace stillhouse::adapters
