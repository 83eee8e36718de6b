// SPDX-License-Identifier: Apache-2.0
// From the tensors of a fit or a realization to the filters that decoding runs.
#include "libcore/base/error.hpp"
#include "libcore/models/filter_forms.hpp"
#include "libcore/models/hyena_state.hpp"

#include <algorithm>
#include <array>
#include <complex>

namespace stillhouse::models {

namespace {

using systems::Form;
using systems::ModalSystem;
using systems::Realization;

constexpr std::array forms{Form::modal, Form::cascade, Form::companion, Form::balanced, Form::dense};

/// Row f of an entry whose first extent is the filters.
template <class T>
std::vector<double> row_of(const typename Parameters<T>::Entry& entry, Index f, Index filters)
{
    const Index each = entry.values.size() / filters;
    if (!entry.exact.empty()) {
        return {entry.exact.data() + f * each, entry.exact.data() + (f + 1) * each};
    }
    return {entry.values.data() + f * each, entry.values.data() + (f + 1) * each};
}

template <class T>
const typename Parameters<T>::Entry& bank_entry(const Parameters<T>& weights, const std::string& name, Index filters)
{
    const auto& entry = weights.at(name);
    if (entry.shape.empty() || entry.shape[0] != filters) {
        throw_error(ErrorCode::bad_data, name + ": found shape " + to_string(entry.shape) + ", expected [" +
                                             std::to_string(filters) + ", ...]");
    }
    return entry;
}

/// The realization of the stream, empty where there is none.
template <class T>
std::vector<Realization> stored_realizations(const MixerConfig& mixer, Index layer, const Parameters<T>& weights)
{
    const Index filters = filter_rows_of(mixer);
    std::vector<Realization> bank;
    for (const Form form : forms) {
        const std::string name = filter_name(layer, "ssm." + std::string(systems::name_of(form)));
        if (weights.find(name) == nullptr) {
            continue;
        }
        const auto& coefficients = bank_entry(weights, name, filters);
        const auto& fir = bank_entry(weights, filter_name(layer, "ssm.fir"), filters);
        const auto& order = bank_entry(weights, filter_name(layer, "ssm.order"), filters);
        const auto* readout =
            form == Form::cascade ? &bank_entry(weights, filter_name(layer, "ssm.readout"), filters) : nullptr;
        for (Index f = 0; f < filters; ++f) {
            Realization one;
            one.form = form;
            one.order = static_cast<Index>(order.values[f]);
            one.fir = row_of<T>(fir, f, filters);
            one.coefficients = row_of<T>(coefficients, f, filters);
            if (readout != nullptr) {
                one.readout = row_of<T>(*readout, f, filters);
            }
            bank.push_back(std::move(one));
        }
        break;
    }
    return bank;
}

}  // namespace

template <class T>
std::vector<ModalSystem> fitted_modes(const MixerConfig& mixer, Index layer, const Parameters<T>& weights)
{
    const Index filters = filter_rows_of(mixer);
    const std::string sections_name = filter_name(layer, "filter.sections");
    const std::string poles_name = filter_name(layer, "filter.poles");
    const bool has_sections = weights.find(sections_name) != nullptr;
    std::vector<ModalSystem> modes;
    if (!has_sections && weights.find(poles_name) == nullptr) {
        return modes;
    }
    const auto& fir = bank_entry(weights, filter_name(layer, "filter.fir"), filters);
    const auto& first = bank_entry(weights, has_sections ? sections_name : poles_name, filters);
    const auto& second = bank_entry(weights, filter_name(layer, has_sections ? "filter.cascade" : "filter.residues"),
                                    filters);
    const auto* orders = weights.find(filter_name(layer, "filter.order"));
    for (Index f = 0; f < filters; ++f) {
        const std::vector<double> taps = row_of<T>(fir, f, filters);
        const std::vector<double> a = row_of<T>(first, f, filters);
        const std::vector<double> b = row_of<T>(second, f, filters);
        if (has_sections) {
            ModalSystem system;
            system.fir = taps;
            for (std::size_t s = 0; s + 3 < a.size(); s += 4) {
                if (a[s] != 0.0) {
                    system.sections.push_back({static_cast<int>(a[s]), a[s + 1], a[s + 2], a[s + 3]});
                }
            }
            const auto order = static_cast<std::size_t>(system.order());
            if (order > b.size()) {
                throw_error(ErrorCode::bad_data, second.name + ": found " + std::to_string(b.size()) +
                                                     " numbers a filter, expected " + std::to_string(order));
            }
            system.readout.assign(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(order));
            modes.push_back(std::move(system));
            continue;
        }
        const std::size_t order = orders != nullptr ? static_cast<std::size_t>(orders->values[f]) : a.size() / 2;
        if (a.size() != b.size() || 2 * order > a.size()) {
            throw_error(ErrorCode::bad_data, second.name + ": does not fit the poles");
        }
        std::vector<std::complex<double>> poles;
        std::vector<std::complex<double>> residues;
        for (std::size_t i = 0; i < order; ++i) {
            poles.emplace_back(a[2 * i], a[2 * i + 1]);
            residues.emplace_back(b[2 * i], b[2 * i + 1]);
        }
        modes.push_back(systems::system_from(poles, residues, taps));
    }
    return modes;
}

template <class T>
HyenaFilters<T> recurrent_filters(const MixerConfig& mixer, Index layer, const Parameters<T>& weights)
{
    std::vector<Realization> bank = stored_realizations(mixer, layer, weights);
    if (bank.empty()) {
        if (mixer.form != FilterForm::modal) {
            throw_error(ErrorCode::bad_data, filter_name(layer, "ssm") +
                                                 ": missing, expected a realization of the filters; make one of their "
                                                 "fit, or run the exact convolution");
        }
        const std::vector<ModalSystem> modes = modes_of(mixer, layer, weights);
        // A bank has one form: the cascade where any of its filters needs it.
        Form form = Form::modal;
        for (const ModalSystem& system : modes) {
            if (form == Form::modal) {
                form = systems::default_form(system);
            }
        }
        for (const ModalSystem& system : modes) {
            bank.push_back(systems::realize(system, form));
        }
    }
    HyenaFilters<T> filters;
    for (Index g = 0; g < mixer.order - 1; ++g) {
        const auto first = bank.begin() + g * mixer.filters;
        filters.recurrences.emplace_back(std::vector<Realization>(first, first + mixer.filters), mixer.delay);
    }
    return filters;
}

template <class T>
HyenaFilters<T> modal_filters(const MixerConfig& mixer, Index layer, const Parameters<T>& weights)
{
    HyenaFilters<T> filters;
    filters.modes = fitted_modes(mixer, layer, weights);
    if (filters.modes.empty() && mixer.form == FilterForm::modal) {
        filters.modes = modes_of(mixer, layer, weights);
    }
    if (filters.modes.empty()) {
        filters.realizations = stored_realizations(mixer, layer, weights);
    }
    if (filters.modes.empty() && filters.realizations.empty()) {
        throw_error(ErrorCode::bad_data, filter_name(layer, "filter") +
                                             ": found no modes, expected a fit (sections, cascade, fir) or a "
                                             "realization; fit it, or use the original filter");
    }
    return filters;
}

template <class T>
void modal_responses(const HyenaFilters<T>& filters, ThreadPool& pool, Matrix<T> h)
{
    const bool modal = !filters.modes.empty();
    STILLHOUSE_CHECK(h.rows == static_cast<Index>(modal ? filters.modes.size() : filters.realizations.size()));
    pool.for_each(h.rows, [&](Index f) {
        std::vector<double> response;
        if (modal) {
            response = systems::impulse_response(filters.modes[static_cast<std::size_t>(f)], h.cols);
        } else {
            const systems::Recurrence<double> run({filters.realizations[static_cast<std::size_t>(f)]}, 0);
            std::vector<double> input(static_cast<std::size_t>(h.cols), 0.0);
            response.resize(input.size());
            input[0] = 1.0;
            std::vector<double> state(static_cast<std::size_t>(run.state_size()), 0.0);
            const Index only = 0;
            run.scan(Matrix<const double>(input.data(), 1, h.cols), &only, state.data(),
                     Matrix<double>(response.data(), 1, h.cols));
        }
        std::transform(response.begin(), response.end(), h.row(f), [](double x) { return static_cast<T>(x); });
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::vector<ModalSystem> fitted_modes<T>(const MixerConfig&, Index, const Parameters<T>&);               \
    template HyenaFilters<T> recurrent_filters<T>(const MixerConfig&, Index, const Parameters<T>&);                   \
    template HyenaFilters<T> modal_filters<T>(const MixerConfig&, Index, const Parameters<T>&);                       \
    template void modal_responses<T>(const HyenaFilters<T>&, ThreadPool&, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
