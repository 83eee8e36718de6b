// SPDX-License-Identifier: Apache-2.0
// Between modes that begin at lag 1 and the arrays of StripedHyena and S4D, which begin at lag 0.
#include "tools/adapters/filters/layouts.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/filters/filter_names.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace stillhouse::adapters {

namespace {

using Complex = std::complex<double>;
using formats::Tensor;
using Parts = std::map<std::string, Tensor>;

constexpr double tell_above = 1e-4, refuse_above = 1e-2;
constexpr Index most_lags = Index{1} << 16, unknown_length = 1024;

const std::set<std::string>& parts_of(Layout layout)
{
    static const std::set<std::string> striped{"poles", "residues", "D"};
    static const std::set<std::string> s4d{"log_dt", "inv_A_real", "A_imag", "B", "C", "D"};
    return layout == Layout::stripedhyena ? striped : s4d;
}

bool complete(const Parts& parts, Layout layout)
{
    const std::array<const char*, 4> s4d{"log_dt", "inv_A_real", "A_imag", "C"};
    const std::array<const char*, 2> striped{"poles", "residues"};
    const auto has = [&](const char* part) { return parts.count(part) != 0; };
    return layout == Layout::s4d ? std::all_of(s4d.begin(), s4d.end(), has)
                                 : std::all_of(striped.begin(), striped.end(), has);
}

/// 1 - |p|^2, without the cancellation of the squares.
double decay_of(Complex p)
{
    const double re = std::fabs(p.real());
    return (1.0 - re) * (1.0 + re) - p.imag() * p.imag();
}

template <class T>
Tensor array(const std::string& name, Shape shape, DType dtype, const std::vector<T>& values)
{
    Tensor tensor;
    tensor.header.name = name;
    tensor.header.dtype = dtype;
    tensor.header.shape = std::move(shape);
    tensor.data = Buffer<std::byte>(static_cast<Index>(values.size() * sizeof(T)));
    std::memcpy(tensor.data.data(), values.data(), values.size() * sizeof(T));
    return tensor;
}

std::vector<float> pairs(const std::vector<Complex>& values)
{
    std::vector<float> numbers;
    for (const Complex z : values) {
        numbers.push_back(static_cast<float>(z.real()));
        numbers.push_back(static_cast<float>(z.imag()));
    }
    return numbers;
}

/// The numbers of an array, [D, S] of them times `each`; extents of 1 aside. rows 0: as many as there are.
std::vector<double> numbers_of(const Parts& parts, const std::string& part, Shape expected)
{
    const Tensor& tensor = parts.at(part);
    Shape shape = tensor.header.shape;
    std::erase(shape, Index{1});
    std::erase(expected, Index{1});
    if (shape != expected) {
        throw_error(ErrorCode::bad_data, "tensor " + tensor.name() + ": found " + to_string(tensor.header.shape) +
                                             ", expected " + to_string(expected) + ", extents of 1 aside");
    }
    std::vector<double> values(static_cast<std::size_t>(tensor.header.elements()));
    with_context("tensor " + tensor.name(), [&] {
        convert_from(tensor.header.dtype, tensor.data.data(), tensor.header.elements(), values.data());
    });
    return values;
}

std::vector<Complex> complex_of(const std::vector<double>& numbers)
{
    std::vector<Complex> values;
    for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
        values.emplace_back(numbers[i], numbers[i + 1]);
    }
    return values;
}

/// As the programs evaluate it: h_t = Re sum_s r_s p_s^t, and the direct term at lag 0.
std::vector<double> response_of(const LaidOutModes& modes, Index filter, Index length)
{
    std::vector<double> h(static_cast<std::size_t>(length), 0.0);
    for (Index s = 0; s < modes.modes; ++s) {
        const std::size_t at = static_cast<std::size_t>(filter * modes.modes + s);
        Complex power = modes.residues[at];
        for (double& x : h) {
            x += power.real();
            power *= modes.poles[at];
        }
    }
    if (!h.empty()) {
        h[0] += modes.direct[static_cast<std::size_t>(filter)];
    }
    return h;
}

/// Relative l2 over the filter's lags between the modes and what the arrays hold.
double distance(const systems::ModalSystem& system, const LaidOutModes& modes, Index filter, Index length)
{
    const std::vector<double> should = systems::impulse_response(system, length);
    const std::vector<double> is = response_of(modes, filter, length);
    double error = 0.0;
    double norm = 0.0;
    for (std::size_t t = 0; t < should.size(); ++t) {
        error += (is[t] - should[t]) * (is[t] - should[t]);
        norm += should[t] * should[t];
    }
    if (error == 0.0) {
        return 0.0;
    }
    const double ratio = std::sqrt(error / norm);
    return std::isfinite(ratio) ? ratio : HUGE_VAL;
}

std::string short_number(double x)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.2g", x);
    return text;
}

}  // namespace

LaidOutModes laid_out(const ModeBank& bank)
{
    LaidOutModes result;
    result.filters = bank.rows;
    std::vector<std::vector<std::pair<Complex, Complex>>> rows;
    for (Index i = 0; i < bank.rows; ++i) {
        const systems::ModalSystem& system = bank.systems[static_cast<std::size_t>(i)];
        if (system.fir.size() != 1) {
            throw_error(ErrorCode::unsupported, "its fits have " +
                                                    std::to_string(system.fir.size()) +
                                                    " first taps, the layout holds one; fit with --fir-taps 1");
        }
        const systems::PolesResidues modes = systems::poles_and_residues(system);
        double sum = 0.0;
        std::vector<std::pair<Complex, Complex>>& row = rows.emplace_back();
        for (std::size_t n = 0; n < modes.poles.size(); ++n) {
            if (modes.poles[n].imag() < 0.0) {
                continue;                        // the real part of its conjugate counts for both
            }
            const double both = modes.poles[n].imag() > 0.0 ? 2.0 : 1.0;
            row.emplace_back(modes.poles[n], both * modes.residues[n] / modes.poles[n]);
            sum += row.back().second.real();
        }
        result.direct.push_back(system.fir[0] - sum);
        result.modes = std::max(result.modes, static_cast<Index>(row.size()));
    }
    result.modes = std::max(result.modes, Index{1});
    for (auto& row : rows) {
        row.resize(static_cast<std::size_t>(result.modes));
        for (const auto& [pole, residue] : row) {
            result.poles.push_back(pole);
            result.residues.push_back(residue);
        }
    }
    return result;
}

std::vector<Tensor> layout_tensors(const std::string& base, const LaidOutModes& modes, Layout layout)
{
    const Index d = modes.filters;
    const Index s = modes.modes;
    std::vector<Tensor> tensors;
    if (layout == Layout::stripedhyena) {
        tensors.push_back(array(base + ".poles", {d, s, 1, 2}, DType::f32, pairs(modes.poles)));
        tensors.push_back(array(base + ".residues", {d, s, 1, 2}, DType::f32, pairs(modes.residues)));
    } else {
        std::vector<float> real, imag;
        std::vector<Complex> c;
        for (std::size_t i = 0; i < modes.poles.size(); ++i) {
            // a = 2 (p - 1) / (p + 1), its real part from 1 - |p|^2; 1 - a/2 = 2 / (p + 1)
            const Complex p = modes.poles[i];
            const double square = std::norm(p + 1.0);
            real.push_back(static_cast<float>(std::log(2.0 * decay_of(p) / square)));
            imag.push_back(static_cast<float>(4.0 * p.imag() / square));
            c.push_back(modes.residues[i] / (p + 1.0));
        }
        tensors.push_back(array(base + ".log_dt", {d}, DType::f32, std::vector<float>(static_cast<std::size_t>(d))));
        tensors.push_back(array(base + ".inv_A_real", {d, s}, DType::f32, real));
        tensors.push_back(array(base + ".A_imag", {d, s}, DType::f32, imag));
        tensors.push_back(array(base + ".B", {d, s, 2}, DType::f32,
                                pairs(std::vector<Complex>(static_cast<std::size_t>(d * s), 1.0))));
        tensors.push_back(array(base + ".C", {1, d, s, 2}, DType::f32, pairs(c)));
    }
    std::vector<float> direct(modes.direct.begin(), modes.direct.end());
    tensors.push_back(array(base + ".D", {d}, DType::f32, direct));
    return tensors;
}

LaidOutModes modes_from_layout(const Parts& parts, Layout layout)
{
    LaidOutModes modes;
    const Tensor& first = parts.at(layout == Layout::s4d ? "A_imag" : "poles");
    const Shape& shape = first.header.shape;
    if (shape.size() != (layout == Layout::s4d ? 2U : 4U)) {
        throw_error(ErrorCode::bad_data, "tensor " + first.name() + ": found " + to_string(shape) + ", expected " +
                                             (layout == Layout::s4d ? "[D, S]" : "[D, S, 1, 2]"));
    }
    const Index d = shape[0];
    const Index s = shape[1];
    modes.filters = d;
    modes.modes = s;
    if (layout == Layout::stripedhyena) {
        modes.poles = complex_of(numbers_of(parts, "poles", {d, s, 1, 2}));
        modes.residues = complex_of(numbers_of(parts, "residues", {d, s, 1, 2}));
    } else {
        const std::vector<double> log_dt = numbers_of(parts, "log_dt", {d});
        const std::vector<double> real = numbers_of(parts, "inv_A_real", {d, s});
        const std::vector<double> imag = numbers_of(parts, "A_imag", {d, s});
        const std::vector<Complex> c = complex_of(numbers_of(parts, "C", {d, s, 2}));
        const std::vector<Complex> b = parts.count("B") != 0 ? complex_of(numbers_of(parts, "B", {d, s, 2}))
                                                             : std::vector<Complex>(c.size(), 1.0);
        for (std::size_t i = 0; i < c.size(); ++i) {
            const double dt = std::exp(log_dt[i / static_cast<std::size_t>(s)]);
            const Complex half = 0.5 * dt * Complex(-std::exp(real[i]), imag[i]);
            modes.poles.push_back((1.0 + half) / (1.0 - half));
            modes.residues.push_back(2.0 * b[i] * c[i] * dt / (1.0 - half));
        }
    }
    modes.direct = parts.count("D") != 0 ? numbers_of(parts, "D", {d})
                                         : std::vector<double>(static_cast<std::size_t>(d), 0.0);
    return modes;
}

Index export_layout(ArrayInput& input, const std::string& path, formats::Overwrite overwrite, Layout layout,
                    const TellNotice& notice)
{
    if (!has_suffix(path, ".safetensors")) {
        throw_error(ErrorCode::bad_argument, path + ": a layout is written to one file, whose name ends in "
                                                    ".safetensors");
    }
    formats::AtomicFile output(path, overwrite);
    std::vector<Tensor> tensors;
    const Index found = each_modes(input, nullptr, {}, nullptr, false, [&](const ModeBank& bank) {
        Parts parts;
        for (Tensor& tensor : layout_tensors(bank.base, laid_out(bank), layout)) {
            parts.insert_or_assign(last_part(tensor.name()), std::move(tensor));
        }
        const LaidOutModes back = modes_from_layout(parts, layout);
        const Index length = std::min(bank.length > 0 ? bank.length : unknown_length, most_lags);
        double worst = 0.0;
        for (Index i = 0; i < bank.rows; ++i) {
            const double off = distance(bank.systems[static_cast<std::size_t>(i)], back, i, length);
            worst = std::max(worst, off);
            const auto row = back.poles.begin() + i * back.modes;
            if (std::any_of(row, row + back.modes, [](const Complex& pole) { return std::norm(pole) >= 1.0; })) {
                throw_error(ErrorCode::unsupported, "filter " + std::to_string(i) +
                            ": in the layout, in F32, one of its poles rounds to the unit circle, where nothing "
                            "decays; fit again with --max-radius");
            }
            if (!(off <= refuse_above)) {
                throw_error(ErrorCode::unsupported, "filter " + std::to_string(i) +
                            ": in the layout, in F32, its response is off by " + short_number(off) +
                            " (relative l2), since residues of nearly equal poles cancel or a pole is too near the "
                            "unit circle; fit again with --min-separation or --max-radius, or a lower order");
            }
        }
        if (worst > tell_above) {
            notice("tensor " + bank.base + ": in the layout, in F32, responses are off by up to " +
                   short_number(worst) + " (relative l2)");
        }
        for (auto& [name, tensor] : parts) {
            tensors.push_back(std::move(tensor));
        }
        return std::vector<systems::Realization>();
    });
    std::vector<formats::TensorHeader> headers;
    for (const Tensor& tensor : tensors) {
        headers.push_back(tensor.header);
    }
    formats::SafetensorsWriter writer(std::move(output), headers, {});
    for (const std::size_t i : writer.order()) {
        writer.append(tensors[i].data.data(), static_cast<std::size_t>(tensors[i].header.bytes()));
    }
    writer.finish();
    return found;
}

Index import_layout(const ArrayFiles& arrays, Layout layout, formats::StreamWriter& writer, const TellNotice& notice)
{
    std::map<std::string, Parts> groups;
    std::vector<std::string> order;
    arrays.each([&](const formats::TensorHeader& header, const std::byte* data) {
        if (parts_of(layout).count(last_part(header.name)) == 0) {
            writer.write(header, data);
            return;
        }
        const std::string base = parent(header.name);
        if (groups.count(base) == 0) {
            order.push_back(base);
        }
        Tensor tensor;
        tensor.header = header;
        tensor.data = Buffer<std::byte>(static_cast<Index>(header.bytes()));
        std::memcpy(tensor.data.data(), data, static_cast<std::size_t>(header.bytes()));
        groups[base].insert_or_assign(last_part(header.name), std::move(tensor));
    });
    Index found = 0;
    for (const std::string& base : order) {
        const Parts& parts = groups.at(base);
        if (!complete(parts, layout)) {
            for (const auto& [name, tensor] : parts) {
                writer.write(tensor);
            }
            continue;
        }
        LaidOutModes modes = modes_from_layout(parts, layout);
        const std::string prefix = base.empty() ? std::string() : base + ".";
        if (parts.count("D") == 0) {
            notice("no " + prefix + "D: the direct term is taken as 0");
        }
        std::vector<double> fir = modes.direct;
        for (std::size_t i = 0; i < modes.poles.size(); ++i) {
            const std::size_t filter = i / static_cast<std::size_t>(modes.modes);
            if (!(std::abs(modes.poles[i]) < 1.0)) {
                throw_error(ErrorCode::bad_data, "tensor " + prefix + "poles: filter " + std::to_string(filter) +
                                                     " has a pole of modulus " +
                                                     std::to_string(std::abs(modes.poles[i])) + ", not below 1");
            }
            fir[filter] += modes.residues[i].real();
            modes.residues[i] *= modes.poles[i];             // from lag 0 to lag 1
            if (modes.residues[i] == 0.0) {
                modes.poles[i] = 0.0;                        // a row filled up: no state
            }
        }
        const Shape shape{modes.filters, modes.modes};
        writer.write(array(prefix + "poles", shape, DType::c128, modes.poles));
        writer.write(array(prefix + "residues", shape, DType::c128, modes.residues));
        writer.write(array(prefix + "fir", {modes.filters, 1}, DType::f64, fir));
        ++found;
    }
    if (found == 0) {
        throw_error(ErrorCode::bad_data, std::string("no filters in this layout: expected arrays called ") +
                                             (layout == Layout::s4d ? "log_dt, inv_A_real, A_imag and C"
                                                                    : "poles and residues"));
    }
    return found;
}

}  // namespace stillhouse::adapters
