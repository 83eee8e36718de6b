// SPDX-License-Identifier: Apache-2.0
// A student into a stream.
#include "tools/adapters/training/student_stream.hpp"

#include "libcore/models/filter.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <type_traits>

namespace stillhouse::adapters {

namespace {

std::string mixer_prefix(Index layer) { return "layers." + std::to_string(layer) + ".mixer."; }

bool has_filter(const models::MixerConfig& mixer) { return mixer.form != models::FilterForm::none &&
                                                           mixer.kind != models::MixerKind::attention; }

}  // namespace

template <class T>
void write_student(formats::StreamWriter& writer, const Texts& texts, models::Network<T>& network,
                   const Inventory& inventory, const std::function<bool(std::string_view)>& changed)
{
    const models::NetworkConfig& config = network.config();
    std::vector<bool> filter_changed(static_cast<std::size_t>(config.layers), false);
    for (Index layer = 0; layer < config.layers; ++layer) {
        const auto& mixer = config.mixers[static_cast<std::size_t>(layer)];
        if (has_filter(mixer)) {
            for (const auto& weight : models::filter_weights(mixer, layer)) {
                filter_changed[static_cast<std::size_t>(layer)] =
                    filter_changed[static_cast<std::size_t>(layer)] || changed(weight.name);
            }
        }
    }
    const auto stale = [&](std::string_view name) {
        for (Index layer = 0; layer < config.layers; ++layer) {
            const std::string prefix = mixer_prefix(layer);
            if (filter_changed[static_cast<std::size_t>(layer)] && name.starts_with(prefix)) {
                const auto form = config.mixers[static_cast<std::size_t>(layer)].form;
                return derived_from_filter(name) ||
                       (name == prefix + "filter" && form != models::FilterForm::free_taps);
            }
        }
        return false;
    };
    std::vector<std::string> erased;
    for (const auto& entry : network.weights()) {
        if (stale(entry.name)) {
            erased.push_back(entry.name);
        }
    }
    for (const auto& name : erased) {
        network.weights().erase(name);
    }

    Texts own = texts;
    own.config = with_mixers(texts.config, config);
    write_texts(writer, own);
    const DType dtype = std::is_same_v<T, double> ? DType::f64 : DType::f32;
    write_weights(writer, config, network.weights(), inventory, {changed, stale, dtype});
    for (Index layer = 0; layer < config.layers; ++layer) {
        const auto& mixer = config.mixers[static_cast<std::size_t>(layer)];
        if (!filter_changed[static_cast<std::size_t>(layer)] || mixer.form == models::FilterForm::free_taps) {
            continue;
        }
        const Buffer<T> taps = models::materialize_filters(network.ops(), mixer, layer, network.weights());
        formats::TensorHeader header;
        header.name = mixer_prefix(layer) + "filter";
        header.dtype = dtype;
        header.shape = {(mixer.order - 1) * mixer.filters, mixer.filter_length};
        if (mixer.delay > 0) {
            header.set_attribute("delay", mixer.delay);
        }
        writer.write(header, reinterpret_cast<const std::byte*>(taps.data()));
    }
}

template void write_student<float>(formats::StreamWriter&, const Texts&, models::Network<float>&, const Inventory&,
                                   const std::function<bool(std::string_view)>&);
template void write_student<double>(formats::StreamWriter&, const Texts&, models::Network<double>&, const Inventory&,
                                    const std::function<bool(std::string_view)>&);

}  // namespace stillhouse::adapters
