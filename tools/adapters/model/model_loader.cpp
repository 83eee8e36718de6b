// SPDX-License-Identifier: Apache-2.0
// Tensors to weights, one after another.
#include "tools/adapters/model/model_loader.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/filter.hpp"
#include "tools/adapters/model/model_modes.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace stillhouse::adapters {

namespace {

constexpr std::string_view modes_infix = ".mixer.filter_modes.";

/// The layer of "layers.i. ...", or -1.
Index layer_of(std::string_view name)
{
    if (name.substr(0, 7) != "layers.") {
        return -1;
    }
    Index layer = 0;
    std::size_t i = 7;
    for (; i < name.size() && i < 16 && name[i] >= '0' && name[i] <= '9'; ++i) {
        layer = layer * 10 + (name[i] - '0');
    }
    return i > 7 && i < name.size() && name[i] == '.' ? layer : -1;
}

formats::Tensor copy(const formats::TensorHeader& header, const std::byte* data)
{
    formats::Tensor tensor;
    tensor.header = header;
    tensor.data = Buffer<std::byte>(static_cast<Index>(header.bytes()));
    std::copy_n(data, header.bytes(), tensor.data.data());
    return tensor;
}

template <class T>
void check_finite(const T* values, Index n)
{
    const T* bad = std::find_if(values, values + n, [](T x) { return !std::isfinite(x); });
    if (bad != values + n) {
        throw_error(ErrorCode::bad_data, std::string(std::isnan(*bad) ? "NaN" : "an infinite value") + " at element " +
                                             std::to_string(bad - values) + " of " + std::to_string(n) +
                                             ", expected finite weights");
    }
}

}  // namespace

template <class T>
ModelLoader<T>::ModelLoader(const models::NetworkConfig& config, ModelSource::Others others, Model<T>& model,
                            ThreadPool* pool)
    : expected_(config), others_(others), model_(model), pool_(pool)
{
    model_.config = config;
}

template <class T>
bool ModelLoader<T>::made_of_modes(std::string_view name) const
{
    const Index layer = layer_of(name);
    return layer >= 0 && layer < model_.config.layers && name.find(modes_infix) != std::string_view::npos &&
           model_.config.mixers[static_cast<std::size_t>(layer)].form == models::FilterForm::modal;
}

template <class T>
bool ModelLoader<T>::modes_part(std::string_view name) const
{
    const std::string_view last = name.substr(name.rfind('.') + 1);
    return made_of_modes(name) && (last == "sections" || last == "cascade" || last == "fir");
}

template <class T>
T* ModelLoader<T>::add(const formats::TensorHeader& header, const std::string& label)
{
    const Shape shape = real_shape(header.dtype, header.shape);
    expected_.check_shape(header.name, label, shape);
    if (model_.weights.find(header.name) != nullptr) {
        throw_error(ErrorCode::bad_data, "tensor " + label + ": occurs twice");
    }
    Inventory::Item item;
    item.header = header;
    item.weight = true;
    model_.inventory.items.push_back(std::move(item));
    return model_.weights.add(header.name, shape).values.data();
}

template <class T>
void ModelLoader<T>::keep(const formats::TensorHeader& header, const std::byte* data)
{
    if (others_ == ModelSource::Others::keep) {
        Inventory::Item item;
        formats::Tensor tensor = copy(header, data);
        item.header = std::move(tensor.header);
        item.bytes = std::move(tensor.data);
        model_.inventory.items.push_back(std::move(item));
    }
}

template <class T>
void ModelLoader<T>::take(const formats::TensorHeader& header, const std::byte* data, const std::string& label)
{
    if (modes_part(header.name)) {
        modes_.emplace(header.name, copy(header, data));
        keep(header, data);
        return;
    }
    if (!expected_.wanted(header.name)) {
        keep(header, data);
        return;
    }
    T* values = add(header, label);
    with_context("tensor " + label, [&] {
        read_weight(header.dtype, data, header.elements(), values, pool_);
        if (derived_from_filter(header.name) && !holds<T>(header.dtype)) {
            auto& entry = model_.weights.at(header.name);
            entry.exact = Buffer<double>(entry.values.size());
            read_weight(header.dtype, data, header.elements(), entry.exact.data());
        }
    });
    if (others_ == ModelSource::Others::keep && !holds<T>(header.dtype)) {
        model_.inventory.items.back().bytes = copy(header, data).data;
    }
}

template <class T>
void ModelLoader<T>::take(formats::StreamReader& reader)
{
    const formats::TensorHeader& header = reader.header();
    constexpr DType same = std::is_same_v<T, float> ? DType::f32 : DType::f64;
    if (header.dtype == same && !modes_part(header.name) && expected_.wanted(header.name)) {
        const std::string name = header.name;
        const Index n = header.elements();
        T* values = add(header, name);
        reader.read_into(reinterpret_cast<std::byte*>(values));
        with_context("tensor " + name, [&] { check_finite(values, n); });
        return;
    }
    if (others_ == ModelSource::Others::drop && !wanted(header.name)) {
        return;                                  // the reader skips, and still verifies, what is not read
    }
    if (expected_.shape(header.name) != nullptr && !modes_part(header.name)) {
        // One place for all weights: memory that is new each time has to be cleared by the system first.
        const formats::TensorHeader own = header;
        expected_.check_shape(own.name, own.name, real_shape(own.dtype, own.shape));
        if (staging_.size() < static_cast<Index>(own.bytes())) {
            staging_ = Buffer<std::byte>(static_cast<Index>(own.bytes()));
        }
        reader.read_into(staging_.data());
        take(own, staging_.data(), own.name);
        return;
    }
    const formats::Tensor tensor = reader.read();
    take(tensor.header, tensor.data.data(), tensor.name());
}

template <class T>
void ModelLoader<T>::take(formats::Note note)
{
    if (others_ == ModelSource::Others::keep) {
        Inventory::Item item;
        item.note = std::move(note);
        model_.inventory.items.push_back(std::move(item));
    }
}

template <class T>
void ModelLoader<T>::restore_filters()
{
    for (Index i = 0; i < model_.config.layers; ++i) {
        const models::MixerConfig& mixer = model_.config.mixers[static_cast<std::size_t>(i)];
        const std::string name = "layers." + std::to_string(i) + ".mixer.filter";
        const Shape* shape = expected_.shape(name);
        if (shape == nullptr || model_.weights.find(name) != nullptr) {
            continue;
        }
        const auto modes = with_context("layer " + std::to_string(i),
                                        [&] { return models::fitted_modes(mixer, i, model_.weights); });
        if (modes.empty()) {
            continue;                                // missing, which `finish` says
        }
        T* to = model_.weights.add(name, *shape).values.data();
        for (const systems::ModalSystem& system : modes) {
            const std::vector<double> h = systems::impulse_response(system, mixer.filter_length);
            to = std::transform(h.begin(), h.end(), to, [](double x) { return static_cast<T>(x); });
        }
    }
}

template <class T>
void ModelLoader<T>::finish(const std::function<std::string(std::string_view)>& label)
{
    for (Index i = 0; i < model_.config.layers; ++i) {
        const models::MixerConfig& mixer = model_.config.mixers[static_cast<std::size_t>(i)];
        if (mixer.kind == models::MixerKind::attention || mixer.form != models::FilterForm::modal) {
            continue;
        }
        const std::string prefix = "layers." + std::to_string(i) + std::string(modes_infix);
        const auto part = [&](const char* last) -> const formats::Tensor& {
            const auto found = modes_.find(prefix + last);
            if (found == modes_.end()) {
                throw_error(ErrorCode::bad_data, "tensor " + prefix + last +
                                                     ": missing, but config.json makes the filters of layer " +
                                                     std::to_string(i) + " modal");
            }
            return found->second;
        };
        with_context("layer " + std::to_string(i), [&] {
            models::set_modes(mixer, i, modes_from(part("sections"), part("cascade"), part("fir")), model_.weights);
        });
    }
    restore_filters();
    for (const models::WeightShape& weight : expected_.all()) {
        if (model_.weights.find(weight.name) == nullptr) {
            expected_.missing(weight.name, label(weight.name));
        }
    }
}

template class ModelLoader<float>;
template class ModelLoader<double>;

}  // namespace stillhouse::adapters
