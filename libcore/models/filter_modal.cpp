// SPDX-License-Identifier: Apache-2.0
// The modal filter: trained decays, angles and readouts, and their way from and to modal systems.
#include "libcore/base/error.hpp"
#include "libcore/models/filter_forms.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

namespace stillhouse::models {

namespace {

using Complex = std::complex<double>;
using compute::Operations;
using systems::ModalSystem;

constexpr Index block = 64;            // lags between exact evaluations of the powers
constexpr double slowest = 1e-12;      // decay per lag below which a pole counts as this slow
constexpr double fastest = 500.0;

/// One row in double: h[tau] = Re(r pole^tau), or r1 p1^tau + r2 p2^tau with two real poles.
struct Row {
    enum class Kind { complex_pair, real_pair, single } kind = Kind::complex_pair;
    double m = 0.0;                    // log modulus, of a real pair the slower one's
    double angle = 0.0;                // complex_pair; 0 or pi otherwise
    double gap = 0.0;                  // real_pair: half the distance of the log moduli
    double r0 = 0.0, r1 = 0.0;         // as stored

    double sign() const { return angle > 1.0 ? -1.0 : 1.0; }
    double first() const { return 0.5 * (r0 + r1); }    // real_pair: the readout of the slower pole, and of the other
    double second() const { return 0.5 * (r0 - r1); }
};

template <class T>
Row make_row(T log_decay, T angle, T r0, T r1, bool single)
{
    Row row;
    row.m = -std::clamp(std::exp(static_cast<double>(log_decay)), slowest, fastest);
    row.r0 = static_cast<double>(r0);
    row.r1 = static_cast<double>(r1);
    const double pi = std::numbers::pi;
    // pi itself is not a T: its rounded value means it
    const double a = angle == static_cast<T>(pi) ? pi : static_cast<double>(angle);
    if (single) {
        row.kind = Row::Kind::single;
        row.angle = a <= 0.5 * pi ? 0.0 : pi;
    } else if (a < 0.0 || a > pi) {
        row.kind = Row::Kind::real_pair;
        row.angle = a < 0.0 ? 0.0 : pi;
        row.gap = a < 0.0 ? -a : a - pi;
    } else {
        row.angle = a;
    }
    return row;
}

/// pole^t; a real pair's slower one. Exact signs on the real axis.
Complex power(const Row& row, double t)
{
    const double size = std::exp(row.m * t);
    if (row.angle == 0.0) {
        return size;
    }
    if (row.angle == std::numbers::pi) {
        return std::fmod(t, 2.0) == 0.0 ? size : -size;
    }
    return std::polar(size, row.angle * t);
}

double second_power(const Row& row, double t)
{
    return power(row, t).real() * std::exp(-2.0 * row.gap * t);
}

/// x[j] + i y[j] = pole^j for j < block; of a real pair x the slower pole's powers, y minus those of the other.
struct Powers {
    double x[block];
    double y[block];

    explicit Powers(const Row& row)
    {
        for (Index j = 0; j < block; ++j) {
            const auto t = static_cast<double>(j);
            const Complex p = power(row, t);
            x[j] = p.real();
            y[j] = row.kind == Row::Kind::real_pair ? -second_power(row, t) : p.imag();
        }
    }
};

/// h[tau] += the row's response
void add_response(const Row& row, Index length, double* h)
{
    if (row.r0 == 0.0 && (row.r1 == 0.0 || row.kind == Row::Kind::single)) {
        return;
    }
    const Powers powers(row);
    for (Index t0 = 0; t0 < length; t0 += block) {
        const auto t = static_cast<double>(t0);
        double a = 0.0;
        double b = 0.0;
        if (row.kind == Row::Kind::real_pair) {
            a = row.first() * power(row, t).real();
            b = row.second() * second_power(row, t);
        } else {
            const Complex p = Complex(row.r0, row.kind == Row::Kind::single ? 0.0 : row.r1) * power(row, t);
            a = p.real();
            b = p.imag();
        }
        const Index n = std::min(block, length - t0);
        for (Index j = 0; j < n; ++j) {
            h[t0 + j] += a * powers.x[j] - b * powers.y[j];
        }
    }
}

/// d sum g h / d (m, angle, r0, r1)
struct RowGradient {
    double m = 0.0, angle = 0.0, r0 = 0.0, r1 = 0.0;
};

RowGradient gradient_of(const Row& row, const double* g, Index length)
{
    const Powers powers(row);
    const bool reals = row.kind == Row::Kind::real_pair;
    Complex sum = 0.0;                 // sum g pole^tau; of a real pair: those of both poles as parts
    Complex weighted = 0.0;            // the same with tau
    for (Index t0 = 0; t0 < length; t0 += block) {
        const Index n = std::min(block, length - t0);
        double x = 0.0, y = 0.0, jx = 0.0, jy = 0.0;
        for (Index j = 0; j < n; ++j) {
            const double gx = g[t0 + j] * powers.x[j];
            const double gy = g[t0 + j] * powers.y[j];
            x += gx;
            y += gy;
            jx += static_cast<double>(j) * gx;
            jy += static_cast<double>(j) * gy;
        }
        const auto t = static_cast<double>(t0);
        if (reals) {
            const double a = power(row, t).real();
            const double b = -second_power(row, t);
            sum += Complex(a * x, b * y);
            weighted += Complex(a * (t * x + jx), b * (t * y + jy));
        } else {
            const Complex p = power(row, t);
            sum += p * Complex(x, y);
            weighted += p * (t * Complex(x, y) + Complex(jx, jy));
        }
    }
    RowGradient d;
    if (reals) {
        d.r0 = 0.5 * (sum.real() + sum.imag());
        d.r1 = 0.5 * (sum.real() - sum.imag());
        d.m = row.first() * weighted.real() + row.second() * weighted.imag();
        d.angle = (row.sign() > 0.0 ? 2.0 : -2.0) * row.second() * weighted.imag();
    } else if (row.kind == Row::Kind::single) {
        d.r0 = sum.real();
        d.m = row.r0 * weighted.real();
    } else {
        const Complex product = Complex(row.r0, row.r1) * weighted;
        d.r0 = sum.real();
        d.r1 = -sum.imag();
        d.m = product.real();
        d.angle = -product.imag();
    }
    return d;
}

Index sections_of(const MixerConfig& config)
{
    return (config.filter_order + 1) / 2;
}

/// The four entries of a layer, and single rows out of them.
template <class T>
struct Modes {
    const typename Parameters<T>::Entry* log_decay = nullptr;
    const typename Parameters<T>::Entry* angle = nullptr;
    const typename Parameters<T>::Entry* readout = nullptr;
    const typename Parameters<T>::Entry* fir = nullptr;
    Index filters, sections, taps;
    bool odd;

    Modes(const MixerConfig& config, Index layer, const Parameters<T>& weights)
        : filters(filter_rows_of(config)), sections(sections_of(config)), odd(config.filter_order % 2 == 1)
    {
        log_decay = &weights.at(filter_name(layer, "filter_modes.log_decay"), {filters, sections});
        angle = &weights.at(filter_name(layer, "filter_modes.angle"), {filters, sections});
        readout = &weights.at(filter_name(layer, "filter_modes.readout"), {filters, sections, 2});
        fir = &weights.at(filter_name(layer, "filter_modes.fir"));
        taps = fir->shape.size() == 2 ? fir->shape[1] : 0;
        if (taps <= config.delay || fir->shape[0] != filters) {
            throw_error(ErrorCode::bad_data, fir->name + ": found shape " + to_string(fir->shape) + ", expected [" +
                                                 std::to_string(filters) + ", more than " +
                                                 std::to_string(config.delay) + "]");
        }
    }

    Row row(Index f, Index s) const
    {
        const Index i = f * sections + s;
        return make_row(log_decay->values[i], angle->values[i], readout->values[2 * i], readout->values[2 * i + 1],
                        odd && s + 1 == sections);
    }

    void response(Index f, Index length, Index delay, double* h) const
    {
        std::fill_n(h, length, 0.0);
        for (Index t = delay; t < std::min(taps, length); ++t) {
            h[t] = static_cast<double>(fir->values[f * taps + t]);
        }
        for (Index s = 0; s < sections && length > taps; ++s) {
            add_response(row(f, s), length - taps, h + taps);
        }
    }
};

template <class T>
class ModalForm final : public Filter<T> {
public:
    ModalForm(const MixerConfig& config, Index layer, const Parameters<T>& weights)
        : modes_(config, layer, weights), length_(config.filter_length), delay_(config.delay)
    {
    }

    void materialize(Operations<T>& ops, Matrix<T> h) const override
    {
        STILLHOUSE_CHECK(h.rows == modes_.filters && h.cols == length_);
        ops.pool().for_each(modes_.filters, [&](Index f) {
            std::vector<double> response(static_cast<std::size_t>(length_));
            modes_.response(f, length_, delay_, response.data());
            std::transform(response.begin(), response.end(), h.row(f), [](double x) { return static_cast<T>(x); });
        });
    }

    void backward(Operations<T>& ops, Matrix<const T> dh, Parameters<T>& gradient) const override
    {
        STILLHOUSE_CHECK(dh.rows == modes_.filters && dh.cols <= length_);
        auto* log_decay = gradient.find(modes_.log_decay->name);
        auto* angle = gradient.find(modes_.angle->name);
        auto* readout = gradient.find(modes_.readout->name);
        auto* fir = gradient.find(modes_.fir->name);
        ops.pool().for_each(modes_.filters, [&](Index f) {
            for (Index t = delay_; fir != nullptr && t < std::min(modes_.taps, dh.cols); ++t) {
                fir->values[f * modes_.taps + t] += dh(f, t);
            }
            const Index length = dh.cols - modes_.taps;
            if (length <= 0) {
                return;
            }
            std::vector<double> g(dh.row(f) + modes_.taps, dh.row(f) + dh.cols);
            for (Index s = 0; s < modes_.sections; ++s) {
                const Row row = modes_.row(f, s);
                const RowGradient d = gradient_of(row, g.data(), length);
                const Index i = f * modes_.sections + s;
                if (log_decay != nullptr) {
                    log_decay->values[i] += static_cast<T>(d.m * row.m);
                }
                if (angle != nullptr) {
                    angle->values[i] += static_cast<T>(d.angle);
                }
                if (readout != nullptr) {
                    readout->values[2 * i] += static_cast<T>(d.r0);
                    readout->values[2 * i + 1] += static_cast<T>(d.r1);
                }
            }
        });
    }

private:
    Modes<T> modes_;
    Index length_, delay_;
};

/// Rows of one system, its response moved to begin `shift` lags later (its first lags then belong to fir).
class RowBuilder {
public:
    RowBuilder(const ModalSystem& system, Index shift)
    {
        const systems::PolesResidues modes = systems::poles_and_residues(system);
        std::size_t at = 0;
        for (const systems::Section& section : system.sections) {
            if (section.states == 0) {
                continue;
            }
            const double pi = std::numbers::pi;
            const bool negative = section.sign < 0.0;
            if (section.states == 2 && section.v < 0.0) {
                const double angle = std::sqrt(-section.v);
                Row row{Row::Kind::complex_pair, section.m, negative ? pi - angle : angle, 0.0, 0.0, 0.0};
                const Complex r = 2.0 * modes.residues[at] * power(row, static_cast<double>(shift));
                row.r0 = r.real();
                row.r1 = r.imag();
                rows.push_back(row);
            } else if (section.states == 2) {
                const double root = std::sqrt(section.v);
                add_real(section.m + root, negative, modes.residues[at].real(), shift);
                add_real(section.m - root, negative, modes.residues[at + 1].real(), shift);
            } else {
                add_real(section.m, negative, modes.residues[at].real(), shift);
            }
            at += static_cast<std::size_t>(section.states);
        }
        pair_up();
    }

    std::vector<Row> rows;
    std::vector<Row> singles;          // at most one of each sign

private:
    void add_real(double m, bool negative, double residue, Index shift)
    {
        Row row{Row::Kind::single, m, negative ? std::numbers::pi : 0.0, 0.0, residue, 0.0};
        row.r0 *= power(row, static_cast<double>(shift)).real();
        reals_.push_back(row);
    }

    void pair_up()
    {
        for (const double angle : {0.0, std::numbers::pi}) {
            const Row* waiting = nullptr;
            for (const Row& row : reals_) {
                if (row.angle != angle) {
                    continue;
                }
                if (waiting == nullptr) {
                    waiting = &row;
                    continue;
                }
                const Row& slow = row.m > waiting->m ? row : *waiting;
                const Row& fast = row.m > waiting->m ? *waiting : row;
                rows.push_back({Row::Kind::real_pair, slow.m, angle, 0.5 * (slow.m - fast.m), slow.r0 + fast.r0,
                                slow.r0 - fast.r0});
                waiting = nullptr;
            }
            if (waiting != nullptr) {
                singles.push_back(*waiting);
            }
        }
    }

    std::vector<Row> reals_;
};

double stored_angle(const Row& row)
{
    if (row.kind != Row::Kind::real_pair) {
        return row.angle;
    }
    return row.angle == 0.0 ? -row.gap : row.angle + row.gap;
}

/// The rows of a filter in their places: pairs, then with an odd order the single one.
std::vector<Row> place_rows(const MixerConfig& config, const RowBuilder& built)
{
    const auto sections = static_cast<std::size_t>(sections_of(config));
    const std::size_t pairs = static_cast<std::size_t>(config.filter_order / 2);
    std::vector<Row> rows = built.rows;
    std::vector<Row> singles = built.singles;
    Row last{Row::Kind::single, -1.0 / std::sqrt(static_cast<double>(config.filter_length)), 0.0, 0.0, 0.0, 0.0};
    if (pairs < sections && !singles.empty()) {
        last = singles.back();
        singles.pop_back();
    }
    rows.insert(rows.end(), singles.begin(), singles.end());   // a pair of angle 0 or pi without r1 is one real pole
    if (rows.size() > pairs) {
        throw_error(singles.size() > 1 ? ErrorCode::unsupported : ErrorCode::bad_data,
                    "its poles need " + std::to_string(rows.size()) + " pairs, but order " +
                        std::to_string(config.filter_order) + " has " + std::to_string(pairs) +
                        (singles.size() > 1 ? ": real poles of both signs cannot share one" : ""));
    }
    while (rows.size() < pairs) {                               // unused: no readout, a decay of its own
        const double x = static_cast<double>(rows.size() + 1) / static_cast<double>(pairs + 1);
        const double constant = std::pow(static_cast<double>(std::max<Index>(config.filter_length, 2)), x);
        rows.push_back({Row::Kind::complex_pair, -1.0 / constant, 0.1, 0.0, 0.0, 0.0});
    }
    if (pairs < sections) {
        rows.push_back(last);
    }
    return rows;
}

/// Error{unsupported} when the rows do not give the response back.
void check_rows(const std::vector<Row>& rows, const std::vector<double>& wanted, Index taps)
{
    const Index length = static_cast<Index>(wanted.size()) - taps;
    std::vector<double> found(static_cast<std::size_t>(std::max<Index>(length, 0)), 0.0);
    for (const Row& row : rows) {
        add_response(row, length, found.data());
    }
    double error = 0.0;
    double size = 0.0;
    for (Index t = 0; t < length; ++t) {
        const double w = wanted[static_cast<std::size_t>(taps + t)];
        error += (found[static_cast<std::size_t>(t)] - w) * (found[static_cast<std::size_t>(t)] - w);
        size += w * w;
    }
    if (!(error <= 1e-12 * size)) {
        throw_error(ErrorCode::unsupported,
                    "its poles (nearly) coincide, so that separate residues lose the response (relative l2 deviation " +
                        std::to_string(std::sqrt(error / size)) +
                        "); it can be run but not trained: fit it anew with separated poles");
    }
}

template <class T>
typename Parameters<T>::Entry& entry_for(Parameters<T>& weights, const std::string& name, const Shape& shape)
{
    if (weights.find(name) == nullptr) {
        return weights.add(name, shape);
    }
    weights.at(name, shape);
    return weights.at(name);
}

}  // namespace

std::vector<WeightShape> modal_filter_weights(const MixerConfig& config, Index layer)
{
    const Index filters = filter_rows_of(config);
    const Index sections = sections_of(config);
    return {{filter_name(layer, "filter_modes.log_decay"), {filters, sections}},
            {filter_name(layer, "filter_modes.angle"), {filters, sections}},
            {filter_name(layer, "filter_modes.readout"), {filters, sections, 2}},
            {filter_name(layer, "filter_modes.fir"), {filters, config.delay + 1}}};
}

template <class T>
std::unique_ptr<Filter<T>> make_modal_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights)
{
    return std::make_unique<ModalForm<T>>(config, layer, weights);
}

template <class T>
std::vector<ModalSystem> modes_of(const MixerConfig& config, Index layer, const Parameters<T>& weights)
{
    const Modes<T> modes(config, layer, weights);
    std::vector<ModalSystem> systems;
    for (Index f = 0; f < modes.filters; ++f) {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        // Training may bring poles together. Two that T tells apart no more within the filter's length are one: as a
        // cascade they would be a double pole, whose residues nobody could read back.
        const auto alike = [&](Complex pole, Complex residue, std::size_t i) {
            const double moved = std::abs(pole - poles[i]) * static_cast<double>(config.filter_length);
            const double least = std::min(std::abs(residue), std::abs(residues[i]));
            const auto unseen = static_cast<double>(std::numeric_limits<T>::epsilon());
            return moved < 1e-3 && moved * least <= unseen * std::abs(residue + residues[i]);
        };
        const auto add = [&](Complex pole, Complex residue) {
            for (std::size_t i = 0; i < poles.size(); ++i) {
                if (alike(pole, residue, i)) {
                    poles[i] = std::abs(residue) > std::abs(residues[i]) ? pole : poles[i];
                    residues[i] += residue;
                    return;
                }
            }
            poles.push_back(pole);
            residues.push_back(residue);
        };
        for (Index s = 0; s < modes.sections; ++s) {
            const Row row = modes.row(f, s);
            if (row.kind == Row::Kind::real_pair) {
                add(power(row, 1.0), row.first());
                add(second_power(row, 1.0), row.second());
            } else {
                const Complex pole = power(row, 1.0);
                add(pole, {row.r0, pole.imag() == 0.0 ? 0.0 : row.r1});
            }
        }
        for (std::size_t i = poles.size(); i-- > 0;) {
            if (residues[i] == 0.0) {
                poles.erase(poles.begin() + static_cast<std::ptrdiff_t>(i));
                residues.erase(residues.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        std::vector<double> fir(static_cast<std::size_t>(modes.taps), 0.0);
        for (Index t = config.delay; t < modes.taps; ++t) {
            fir[static_cast<std::size_t>(t)] = static_cast<double>(modes.fir->values[f * modes.taps + t]);
        }
        systems.push_back(with_context("filter " + std::to_string(f),
                                       [&] { return systems::system_from(poles, residues, fir); }));
    }
    return systems;
}

template <class T>
void set_modes(const MixerConfig& config, Index layer, const std::vector<ModalSystem>& modes, Parameters<T>& weights)
{
    const Index filters = filter_rows_of(config);
    const Index sections = sections_of(config);
    if (static_cast<Index>(modes.size()) != filters) {
        throw_error(ErrorCode::bad_data, filter_name(layer, "filter_modes") + ": found " +
                                             std::to_string(modes.size()) + " filters, expected " +
                                             std::to_string(filters));
    }
    Index taps = config.delay + 1;
    for (const ModalSystem& system : modes) {
        taps = std::max(taps, static_cast<Index>(system.fir.size()));
    }
    const std::string fir_name = filter_name(layer, "filter_modes.fir");
    if (const auto* entry = weights.find(fir_name)) {
        taps = std::max(taps, entry->shape.size() == 2 ? entry->shape[1] : 0);
    }
    auto& log_decay = entry_for(weights, filter_name(layer, "filter_modes.log_decay"), {filters, sections});
    auto& angle = entry_for(weights, filter_name(layer, "filter_modes.angle"), {filters, sections});
    auto& readout = entry_for(weights, filter_name(layer, "filter_modes.readout"), {filters, sections, 2});
    auto& fir = entry_for(weights, fir_name, {filters, taps});
    for (Index f = 0; f < filters; ++f) {
        const ModalSystem& system = modes[static_cast<std::size_t>(f)];
        with_context(filter_name(layer, "filter_modes") + ": filter " + std::to_string(f), [&] {
            const std::vector<double> response =
                systems::impulse_response(system, std::max(config.filter_length, taps + 1));
            for (Index t = 0; t < config.delay; ++t) {
                if (response[static_cast<std::size_t>(t)] != 0.0) {
                    throw_error(ErrorCode::bad_data, "found a response at lag " + std::to_string(t) +
                                                         ", expected none below the delay of " +
                                                         std::to_string(config.delay));
                }
            }
            const RowBuilder built(system, taps - static_cast<Index>(system.fir.size()));
            const std::vector<Row> rows = place_rows(config, built);
            check_rows(rows, response, taps);
            for (Index s = 0; s < sections; ++s) {
                const Row& row = rows[static_cast<std::size_t>(s)];
                const Index i = f * sections + s;
                log_decay.values[i] = static_cast<T>(std::log(-row.m));
                angle.values[i] = static_cast<T>(stored_angle(row));
                readout.values[2 * i] = static_cast<T>(row.r0);
                readout.values[2 * i + 1] = static_cast<T>(row.r1);
            }
            for (Index t = 0; t < taps; ++t) {
                fir.values[f * taps + t] = static_cast<T>(response[static_cast<std::size_t>(t)]);
            }
        });
    }
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::unique_ptr<Filter<T>> make_modal_filter<T>(const MixerConfig&, Index, const Parameters<T>&);        \
    template std::vector<ModalSystem> modes_of<T>(const MixerConfig&, Index, const Parameters<T>&);                   \
    template void set_modes<T>(const MixerConfig&, Index, const std::vector<ModalSystem>&, Parameters<T>&);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
