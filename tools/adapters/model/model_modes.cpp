// SPDX-License-Identifier: Apache-2.0
// Modal systems in tensors.
#include "tools/adapters/model/model_modes.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::adapters {

namespace {

formats::Tensor zeros(std::string name, Shape shape)
{
    formats::Tensor tensor;
    tensor.header.name = std::move(name);
    tensor.header.dtype = DType::f64;
    tensor.header.shape = std::move(shape);
    tensor.data = Buffer<std::byte>(static_cast<Index>(tensor.header.bytes()));
    return tensor;
}

std::vector<double> numbers(const formats::Tensor& tensor, std::size_t rank)
{
    const formats::TensorHeader& header = tensor.header;
    if (header.shape.size() != rank) {
        throw_error(ErrorCode::bad_data, "tensor " + header.name + ": found " + to_string(header.shape) +
                                             ", expected " + std::to_string(rank) + " extents");
    }
    std::vector<double> values(static_cast<std::size_t>(header.elements()));
    with_context("tensor " + header.name, [&] {
        convert_from(header.dtype, tensor.data.data(), header.elements(), values.data());
        if (!std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); })) {
            throw_error(ErrorCode::bad_data, "holds NaN or infinite values");
        }
    });
    return values;
}

}  // namespace

std::vector<formats::Tensor> mode_tensors(const std::string& prefix, const std::vector<systems::ModalSystem>& modes)
{
    Index sections = 0;
    Index order = 0;
    Index taps = 1;
    for (const systems::ModalSystem& system : modes) {
        sections = std::max(sections, static_cast<Index>(system.sections.size()));
        order = std::max(order, static_cast<Index>(system.readout.size()));
        taps = std::max(taps, static_cast<Index>(system.fir.size()));
    }
    const Index f = static_cast<Index>(modes.size());
    std::vector<formats::Tensor> tensors;
    tensors.push_back(zeros(prefix + ".sections", {f, sections, 4}));
    tensors.push_back(zeros(prefix + ".cascade", {f, order}));
    tensors.push_back(zeros(prefix + ".fir", {f, taps}));
    for (Index i = 0; i < f; ++i) {
        const systems::ModalSystem& system = modes[static_cast<std::size_t>(i)];
        double* row = tensors[0].as<double>() + i * sections * 4;
        for (const systems::Section& section : system.sections) {
            *row++ = section.states;
            *row++ = section.sign;
            *row++ = section.m;
            *row++ = section.v;
        }
        std::copy(system.readout.begin(), system.readout.end(), tensors[1].as<double>() + i * order);
        std::copy(system.fir.begin(), system.fir.end(), tensors[2].as<double>() + i * taps);
    }
    return tensors;
}

std::vector<systems::ModalSystem> modes_from(const formats::Tensor& sections, const formats::Tensor& cascade,
                                             const formats::Tensor& fir)
{
    const std::vector<double> rows = numbers(sections, 3);
    const std::vector<double> readouts = numbers(cascade, 2);
    const std::vector<double> taps = numbers(fir, 2);
    const Shape& shape = sections.header.shape;
    if (shape[2] != 4 || cascade.header.shape[0] != shape[0] || fir.header.shape[0] != shape[0]) {
        throw_error(ErrorCode::bad_data, "tensors " + sections.name() + " " + to_string(shape) + ", " + cascade.name() +
                                             " " + to_string(cascade.header.shape) + ", " + fir.name() + " " +
                                             to_string(fir.header.shape) +
                                             ": expected [f, S, 4], [f, d], [f, K] of the same f");
    }
    const Index order = cascade.header.shape[1];
    const Index n_taps = fir.header.shape[1];
    std::vector<systems::ModalSystem> modes(static_cast<std::size_t>(shape[0]));
    for (Index i = 0; i < shape[0]; ++i) {
        systems::ModalSystem& system = modes[static_cast<std::size_t>(i)];
        Index states = 0;
        for (Index s = 0; s < shape[1]; ++s) {
            const double* row = rows.data() + (i * shape[1] + s) * 4;
            if (row[0] == 0.0) {
                continue;                        // unused rows pad filters of a lower order
            }
            if ((row[0] != 1.0 && row[0] != 2.0) || (row[1] != 1.0 && row[1] != -1.0)) {
                throw_error(ErrorCode::bad_data, "tensor " + sections.name() + ": filter " + std::to_string(i) +
                                                     " section " + std::to_string(s) +
                                                     ": expected 0, 1 or 2 states and a sign of 1 or -1");
            }
            system.sections.push_back({static_cast<int>(row[0]), row[1], row[2], row[3]});
            states += static_cast<Index>(row[0]);
        }
        if (states > order) {
            throw_error(ErrorCode::bad_data, "tensor " + cascade.name() + ": filter " + std::to_string(i) + " has " +
                                                 std::to_string(states) + " states but " + std::to_string(order) +
                                                 " readouts");
        }
        const auto readout = readouts.begin() + i * order;
        system.readout.assign(readout, readout + states);
        const auto tap = taps.begin() + i * n_taps;
        system.fir.assign(tap, tap + n_taps);
    }
    return modes;
}

}  // namespace stillhouse::adapters
