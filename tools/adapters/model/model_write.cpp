// SPDX-License-Identifier: Apache-2.0
// Models into streams.
#include "libcore/base/error.hpp"
#include "libcore/models/filter.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/model/model_modes.hpp"
#include "tools/adapters/model/model_values.hpp"

#include <algorithm>
#include <unordered_set>

namespace stillhouse::adapters {

namespace {

void write_text(formats::StreamWriter& writer, const char* name, const std::string& text)
{
    if (!text.empty()) {
        formats::TensorHeader header;
        header.name = name;
        header.dtype = DType::u8;
        header.shape = {static_cast<Index>(text.size())};
        writer.write(header, reinterpret_cast<const std::byte*>(text.data()));
    }
}

template <class T>
void write_values(formats::StreamWriter& writer, const formats::TensorHeader& header, const Buffer<T>& values)
{
    const DType type = real_type(header.dtype);
    constexpr Index block = 1 << 18;
    Buffer<std::byte> bytes(std::min(block, values.size()) * static_cast<Index>(size_of(type)));
    writer.begin(header);
    for (Index i = 0; i < values.size(); i += block) {
        const Index n = std::min(block, values.size() - i);
        convert_to(type, values.data() + i, n, bytes.data());
        writer.append(bytes.data(), static_cast<std::size_t>(n) * size_of(type));
    }
    writer.end();
}

/// "layers.3.mixer.filter_modes." of a name that begins so, else empty.
std::string modes_prefix(std::string_view name)
{
    const std::string_view infix = ".mixer.filter_modes.";
    const std::size_t at = name.find(infix);
    return at == std::string_view::npos ? std::string() : std::string(name.substr(0, at + infix.size()));
}

/// What the network trains of a modal filter; the stream has sections, cascade and fir instead.
template <class T>
bool trained_modes(const models::Parameters<T>& weights, const std::string& prefix)
{
    return !prefix.empty() && weights.find(prefix + "log_decay") != nullptr;
}

/// The lags that are zero by construction, where `name` is the filter tensor of a layer; else 0.
Index filter_delay(const models::NetworkConfig& config, std::string_view name)
{
    for (std::size_t layer = 0; layer < config.mixers.size(); ++layer) {
        if (name == "layers." + std::to_string(layer) + ".mixer.filter") {
            return config.mixers[layer].delay;
        }
    }
    return 0;
}

}  // namespace

void write_texts(formats::StreamWriter& writer, const Texts& texts)
{
    write_text(writer, "config.json", texts.config);
    write_text(writer, "tokenizer.json", texts.tokenizer);
    write_text(writer, "generation_config.json", texts.generation_config);
}

template <class T>
void write_weights(formats::StreamWriter& writer, const models::NetworkConfig& config,
                   const models::Parameters<T>& weights, const Inventory& inventory, const WriteOptions& options)
{
    const auto changed = [&](std::string_view name) { return options.changed && options.changed(name); };
    std::unordered_set<std::string> written;             // names, and prefixes of modes
    const auto write_modes = [&](const std::string& prefix) {
        if (!written.insert(prefix).second) {
            return;
        }
        const Index layer = std::stoll(prefix.substr(std::string_view("layers.").size()));
        const models::MixerConfig& mixer = config.mixers.at(static_cast<std::size_t>(layer));
        for (const formats::Tensor& tensor :
             mode_tensors(prefix.substr(0, prefix.size() - 1), models::modes_of(mixer, layer, weights))) {
            writer.write(tensor);
        }
    };
    const auto modes_changed = [&](const std::string& prefix) {
        return changed(prefix + "log_decay") || changed(prefix + "angle") || changed(prefix + "readout") ||
               changed(prefix + "fir");
    };
    for (const Inventory::Item& item : inventory.items) {
        const formats::TensorHeader& header = item.header;
        if (header.name.empty()) {
            writer.write(item.note);
            continue;
        }
        const std::string prefix = modes_prefix(header.name);
        if (trained_modes(weights, prefix)) {
            if (modes_changed(prefix)) {
                write_modes(prefix);
                continue;
            }
            written.insert(prefix);
        }
        if (!item.weight) {
            if (!options.dropped || !options.dropped(header.name)) {
                writer.write(header, item.bytes.data());
            }
            continue;
        }
        const auto* entry = weights.find(header.name);
        if (entry == nullptr) {
            continue;
        }
        written.insert(header.name);
        // Kept heads leave fewer rows under the same name.
        const bool cut = entry->values.size() != header.elements() * (is_complex(header.dtype) ? 2 : 1);
        if (changed(header.name) || cut) {
            formats::TensorHeader fresh = header;
            fresh.dtype = changed(header.name) ? options.dtype : header.dtype;
            fresh.shape = entry->shape;
            write_values(writer, fresh, entry->values);
        } else if (!item.bytes.empty()) {
            writer.write(header, item.bytes.data());
        } else {
            write_values(writer, header, entry->values);
        }
    }
    for (const auto& entry : weights) {
        const std::string prefix = modes_prefix(entry.name);
        if (trained_modes(weights, prefix)) {
            write_modes(prefix);
        } else if (written.count(entry.name) == 0) {
            formats::TensorHeader header;
            header.name = entry.name;
            header.dtype = options.dtype;
            header.shape = entry.shape;
            if (const Index delay = filter_delay(config, entry.name); delay > 0) {
                header.set_attribute("delay", delay);
            }
            write_values(writer, header, entry.values);
        }
    }
}
template void write_weights(formats::StreamWriter&, const models::NetworkConfig&, const models::Parameters<float>&,
                            const Inventory&, const WriteOptions&);
template void write_weights(formats::StreamWriter&, const models::NetworkConfig&, const models::Parameters<double>&,
                            const Inventory&, const WriteOptions&);

}  // namespace stillhouse::adapters
