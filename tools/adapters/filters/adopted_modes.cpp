// SPDX-License-Identifier: Apache-2.0
// Fits become parameters.
#include "tools/adapters/filters/adopted_modes.hpp"

#include "libcore/base/error.hpp"
#include "libcore/models/filter.hpp"
#include "libcore/training/regression.hpp"

#include <algorithm>
#include <atomic>

namespace stillhouse::adapters {

namespace {

using models::MixerConfig;
using systems::ModalSystem;

/// What the filters of this layer are, one row each: the tensor `filter` of the stream where it is there.
template <class T>
std::vector<double> response_of(const Model<T>& model, const std::string& name, Index row, Index length,
                                const ModalSystem& fitted)
{
    const auto* entry = model.weights.find(name);
    if (entry == nullptr || entry->shape.size() != 2 || entry->shape[1] != length) {
        return systems::impulse_response(fitted, length);
    }
    const T* from = entry->values.data() + row * length;
    return {from, from + length};
}

/// What `filter` was made of: itself (the responses are made anew) and filter_mlp.*, filter_modes.*.
template <class T>
void erase_parameters(models::Parameters<T>& weights, const std::string& filter)
{
    std::vector<std::string> names;
    for (const auto& entry : weights) {
        if (entry.name == filter || entry.name.starts_with(filter + "_")) {
            names.push_back(entry.name);
        }
    }
    for (const std::string& name : names) {
        weights.erase(name);
    }
}

}  // namespace

template <class T>
Adopted adopt_modes(Model<T>& model, ThreadPool& pool, const Control& control)
{
    Adopted adopted;
    for (Index layer = 0; layer < model.config.layers; ++layer) {
        MixerConfig& mixer = model.config.mixers[static_cast<std::size_t>(layer)];
        if (mixer.kind == models::MixerKind::attention || mixer.form == models::FilterForm::none) {
            continue;
        }
        const std::string filter = "layers." + std::to_string(layer) + ".mixer.filter";
        std::vector<ModalSystem> modes = models::fitted_modes(mixer, layer, model.weights);
        if (modes.empty()) {
            if (mixer.form == models::FilterForm::modal) {
                continue;
            }
            throw_error(ErrorCode::bad_data, filter + ": has no fit, expected the results of modal-fit beside it");
        }
        mixer.form = models::FilterForm::modal;
        mixer.filter_order = 1;
        for (const ModalSystem& system : modes) {
            mixer.filter_order = std::max(mixer.filter_order, system.order());
        }
        std::atomic<Index> moved = 0;
        pool.for_each(static_cast<Index>(modes.size()), [&](Index f) {
            control.throw_if_stopped();
            ModalSystem& system = modes[static_cast<std::size_t>(f)];
            const std::vector<double> h = response_of(model, filter, f, mixer.filter_length, system);
            ModalSystem trainable = training::trainable_modes(mixer, layer, system, h, control);
            moved += trainable.readout == system.readout ? 0 : 1;
            system = std::move(trainable);
        });
        erase_parameters(model.weights, filter);
        models::set_modes(mixer, layer, modes, model.weights);
        for (const models::WeightShape& weight : models::filter_weights(mixer, layer)) {
            adopted.weights.push_back(weight.name);
        }
        adopted.filters += static_cast<Index>(modes.size());
        adopted.moved += moved;
    }
    if (adopted.filters == 0) {
        throw_error(ErrorCode::bad_argument, "--filters modes: no layer has a fit; run modal-fit first");
    }
    return adopted;
}

template Adopted adopt_modes<float>(Model<float>&, ThreadPool&, const Control&);
template Adopted adopt_modes<double>(Model<double>&, ThreadPool&, const Control&);

}  // namespace stillhouse::adapters
