// SPDX-License-Identifier: Apache-2.0
// Choice among the filter forms, the free form, and the random start of all of them.
#include "libcore/models/filter.hpp"

#include "libcore/base/random.hpp"
#include "libcore/models/filter_forms.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace stillhouse::models {

namespace {

using compute::Operations;

template <class T>
class FreeFilter final : public Filter<T> {
public:
    FreeFilter(const MixerConfig& config, Index layer, const Parameters<T>& weights)
        : taps_(weights.at(filter_name(layer, "filter"), {filter_rows_of(config), config.filter_length})),
          delay_(config.delay)
    {
    }

    void materialize(Operations<T>&, Matrix<T> h) const override
    {
        const auto taps = taps_.matrix();
        STILLHOUSE_CHECK(h.rows == taps.rows && h.cols == taps.cols);
        for (Index f = 0; f < h.rows; ++f) {
            std::fill_n(h.row(f), std::min(delay_, h.cols), T(0));
            for (Index t = delay_; t < h.cols; ++t) {
                h(f, t) = taps(f, t);
            }
        }
    }

    void backward(Operations<T>&, Matrix<const T> dh, Parameters<T>& gradient) const override
    {
        auto* entry = gradient.find(taps_.name);
        if (entry == nullptr) {
            return;
        }
        auto out = entry->matrix();
        STILLHOUSE_CHECK(dh.rows == out.rows && dh.cols <= out.cols);
        for (Index f = 0; f < dh.rows; ++f) {
            for (Index t = delay_; t < dh.cols; ++t) {
                out(f, t) += dh(f, t);
            }
        }
    }

private:
    const typename Parameters<T>::Entry& taps_;
    Index delay_;
};

/// One stream of random numbers an entry: they depend on seed, layer and name alone.
Random random_for(std::uint64_t seed, const std::string& name)
{
    std::uint64_t hash = 1469598103934665603ull;   // FNV-1a
    for (const char c : name) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    }
    return {seed, hash};
}

template <class T>
void fill_free(Random& random, Index length, Matrix<T> taps)
{
    for (Index f = 0; f < taps.rows; ++f) {
        const double place = taps.rows > 1 ? static_cast<double>(f) / static_cast<double>(taps.rows - 1) : 0.5;
        const double decay = std::pow(static_cast<double>(length), -place);   // 1 / time constant, 1 .. L
        const double energy = 1.0 / -std::expm1(-2.0 * decay);
        for (Index t = 0; t < taps.cols; ++t) {
            taps(f, t) = static_cast<T>(random.normal() * std::exp(-decay * static_cast<double>(t)) /
                                        std::sqrt(energy));
        }
    }
}

/// linear from `first` to `last` over n places (the first alone when n is 1)
double between(double first, double last, Index i, Index n)
{
    return n > 1 ? first + (last - first) * static_cast<double>(i) / static_cast<double>(n - 1) : first;
}

template <class T>
void fill_uniform(Random& random, double limit, Buffer<T>& values)
{
    for (T& value : values) {
        value = static_cast<T>(limit * (2.0 * random.uniform() - 1.0));
    }
}

template <class T>
void fill_implicit(const MixerConfig& config, const std::string& part, Random& random, Buffer<T>& values)
{
    const ImplicitFilter& implicit = config.implicit;
    const Index rows = filter_rows_of(config);
    if (part == "filter_mlp.frequency") {
        std::fill(values.begin(), values.end(), static_cast<T>(implicit.frequency));
    } else if (part == "filter_mlp.positions") {
        const Buffer<double> positions = filter_positions(config.filter_length, implicit.features);
        std::transform(positions.begin(), positions.end(), values.begin(), [](double x) { return static_cast<T>(x); });
    } else if (part == "filter_mlp.decay") {
        for (Index f = 0; f < rows; ++f) {
            values[f] = static_cast<T>(between(std::log(0.01) / 1.5, std::log(0.01) / 0.3, f, rows));
        }
    } else {
        const bool first = part.ends_with(".0");
        const Index fan_in = first ? implicit.features : implicit.width;
        fill_uniform(random, 1.0 / std::sqrt(static_cast<double>(fan_in)), values);
    }
}

template <class T>
void fill_modal(const MixerConfig& config, const std::string& part, Random& random, Buffer<T>& values)
{
    const Index sections = (config.filter_order + 1) / 2;
    const double longest = static_cast<double>(std::max<Index>(config.filter_length, 2));
    const auto time_constant = [&](Index s) { return 0.7 * std::pow(longest / 0.7, between(0.0, 1.0, s, sections)); };
    if (part == "filter_modes.log_decay") {
        for (Index i = 0; i < values.size(); ++i) {
            values[i] = static_cast<T>(-std::log(time_constant(i % sections)));
        }
    } else if (part == "filter_modes.angle") {
        for (Index i = 0; i < values.size(); ++i) {
            values[i] = static_cast<T>(between(0.3, 0.01, i % sections, sections));   // slow modes turn slowly
        }
    } else if (part == "filter_modes.readout") {
        for (Index i = 0; i < values.size(); ++i) {
            const double spread = 1.0 / std::sqrt(static_cast<double>(sections) * time_constant(i / 2 % sections));
            values[i] = static_cast<T>(spread * random.normal());
        }
    } else {
        const Index taps = values.size() / filter_rows_of(config);
        for (Index i = taps - 1; i < values.size(); i += taps) {
            values[i] = static_cast<T>(random.normal() / std::sqrt(static_cast<double>(sections)));
        }
    }
}

}  // namespace

std::string filter_name(Index layer, const std::string& part)
{
    return "layers." + std::to_string(layer) + ".mixer." + part;
}

Index filter_rows_of(const MixerConfig& config)
{
    return (config.order - 1) * config.filters;
}

template <class T>
std::unique_ptr<Filter<T>> make_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights)
{
    switch (config.form) {
    case FilterForm::free_taps:
        return std::make_unique<FreeFilter<T>>(config, layer, weights);
    case FilterForm::implicit_mlp:
        return make_implicit_filter(config, layer, weights);
    case FilterForm::modal:
        return make_modal_filter(config, layer, weights);
    case FilterForm::none:
        break;
    }
    throw_error(ErrorCode::internal, "a mixer without filters was asked for its filters");
}

std::vector<WeightShape> filter_weights(const MixerConfig& config, Index layer)
{
    switch (config.form) {
    case FilterForm::free_taps:
        return {{filter_name(layer, "filter"), {filter_rows_of(config), config.filter_length}}};
    case FilterForm::implicit_mlp:
        return implicit_filter_weights(config, layer);
    case FilterForm::modal:
        return modal_filter_weights(config, layer);
    case FilterForm::none:
        break;
    }
    return {};
}

template <class T>
void initialize_filter(const MixerConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights)
{
    const std::string prefix = filter_name(layer, "");
    for (const WeightShape& wanted : filter_weights(config, layer)) {
        if (weights.find(wanted.name) != nullptr) {
            weights.at(wanted.name, wanted.shape);
            continue;
        }
        auto& entry = weights.add(wanted.name, wanted.shape);
        Random random = random_for(seed, wanted.name);
        const std::string part = wanted.name.substr(prefix.size());
        if (config.form == FilterForm::free_taps) {
            fill_free(random, config.filter_length, entry.matrix());
        } else if (config.form == FilterForm::implicit_mlp) {
            fill_implicit(config, part, random, entry.values);
        } else {
            fill_modal(config, part, random, entry.values);
        }
    }
}

template <class T>
Buffer<T> materialize_filters(Operations<T>& ops, const MixerConfig& config, Index layer,
                              const Parameters<T>& weights)
{
    Buffer<T> h(filter_rows_of(config) * config.filter_length);
    make_filter(config, layer, weights)
        ->materialize(ops, Matrix<T>(h.data(), filter_rows_of(config), config.filter_length));
    return h;
}

std::vector<Index> filter_rows(FilterRows layout, Index filters, Index order)
{
    std::vector<Index> rows(static_cast<std::size_t>(filters * (order - 1)));
    for (Index r = 0; r < static_cast<Index>(rows.size()); ++r) {
        rows[static_cast<std::size_t>(r)] =
            layout == FilterRows::order_slowest ? r : r % (order - 1) * filters + r / (order - 1);
    }
    return rows;
}

Buffer<double> filter_positions(Index length, Index features)
{
    const Index bands = (features - 1) / 2;
    Buffer<double> positions(length * features);
    for (Index n = 0; n < length; ++n) {
        double* const row = positions.data() + n * features;
        row[0] = length > 1 ? static_cast<double>(n) / static_cast<double>(length - 1) : 0.0;
        const double turn = 2.0 * std::numbers::pi * static_cast<double>(n) / static_cast<double>(length);
        for (Index i = 0; i < bands; ++i) {
            const double frequency = between(1e-4, static_cast<double>(bands - 1), i, bands);
            row[1 + i] = std::cos(frequency * turn);
            row[1 + bands + i] = -std::sin(frequency * turn);
        }
    }
    return positions;
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                     \
    template std::unique_ptr<Filter<T>> make_filter<T>(const MixerConfig&, Index, const Parameters<T>&);              \
    template void initialize_filter<T>(const MixerConfig&, Index, std::uint64_t, Parameters<T>&);                     \
    template Buffer<T> materialize_filters<T>(Operations<T>&, const MixerConfig&, Index, const Parameters<T>&);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::models
