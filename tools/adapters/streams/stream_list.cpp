// SPDX-License-Identifier: Apache-2.0
// What is in a stream: its tensors, and of a model its size, mixers and state.
#include "tools/adapters/streams/stream_list.hpp"

#include "formats/glob.hpp"
#include "formats/history.hpp"
#include "formats/json.hpp"
#include "formats/stream/shard.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <vector>

namespace stillhouse::adapters {

namespace {

using formats::List;
using formats::Map;
using formats::StreamReader;
using formats::TensorHeader;
using formats::Value;
using Frame = StreamReader::Frame;

std::string grouped(std::int64_t n)
{
    std::string digits = std::to_string(n);
    for (std::size_t at = digits.size(); at > (n < 0 ? 4U : 3U);) {
        at -= 3;
        digits.insert(at, " ");
    }
    return digits;
}

// What the numbers of a model are made of, gathered while its tensors go by.
class ModelSummary {
public:
    void see(StreamReader& reader)
    {
        const TensorHeader& header = reader.header();
        const std::string& name = header.name;
        if (name == "config.json") {
            config_.resize(static_cast<std::size_t>(header.bytes()));
            reader.read_into(reinterpret_cast<std::byte*>(config_.data()));
            return;
        }
        elements_[name] = header.elements();
        const std::string mixer = "layers.*.mixer.";
        for (const char* form : {"ssm", "filter"}) {
            const std::string base = mixer + form;
            if (formats::glob_matches(base + ".order", name)) {
                const formats::Tensor order = reader.read();
                std::vector<std::int64_t> values(static_cast<std::size_t>(order.header.elements()));
                convert_from(order.header.dtype, order.data.data(), order.header.elements(), values.data());
                states_[layer_of(name)][form] = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
                return;
            }
            if (formats::glob_matches(base + ".fir", name) && header.shape.size() == 2) {
                fir_[layer_of(name)][form] = header.shape[1];
            }
        }
        if (formats::glob_matches(mixer + "filter_modes.fir", name) && header.shape.size() == 2) {
            fir_[layer_of(name)]["filter_modes"] = header.shape[1];
        }
    }

    bool has_config() const { return !config_.empty(); }

    void tell(const TellResult& tell_result) const
    {
        const models::NetworkConfig config =
            with_context("config.json", [&] { return network_config(std::string_view(config_)); });
        const Index parameters = count_parameters();
        std::map<std::string, Index> kinds;
        List layers;
        std::optional<Index> total = 0;
        for (Index layer = 0; layer < config.layers; ++layer) {
            const models::MixerConfig& mixer = config.mixers[static_cast<std::size_t>(layer)];
            const std::optional<Index> numbers = state_numbers(config, mixer, layer);
            ++kinds[mixer_name(mixer)];
            layers.push_back(
                Map{{"mixer", mixer_name(mixer)}, {"state_bytes", numbers ? Value(4 * *numbers) : Value()}});
            total = total && numbers ? std::optional(*total + 4 * *numbers) : std::nullopt;
        }
        std::string text =
            "model: " + grouped(parameters) + " parameters, " + std::to_string(config.layers) + " layers (";
        for (auto kind = kinds.begin(); kind != kinds.end(); ++kind) {
            text += (kind == kinds.begin() ? "" : ", ") + std::to_string(kind->second) + " " + kind->first;
        }
        const Index cache = 4 * 2 * config.kv_heads * config.head_dim * config.max_positions * config.layers;
        text += "), state of a sequence " +
                (total ? grouped(*total) + " bytes (its numbers in f32)"
                       : std::string("not constant: filters "
                                     "without modes")) +
                ", key-value cache of the teacher at " + std::to_string(config.max_positions) + " tokens " +
                grouped(cache) + " bytes";
        tell_result(Map{{"model", Map{{"parameters", parameters}, {"layers", std::move(layers)},
                                      {"state_bytes", total ? Value(*total) : Value()}, {"cache_bytes", cache},
                                      {"context", config.max_positions}}}},
                    text);
    }

private:
    static Index layer_of(const std::string& name) { return std::stoll(name.substr(std::string("layers.").size())); }

    static std::string mixer_name(const models::MixerConfig& mixer)
    {
        switch (mixer.kind) {
        case models::MixerKind::hyena: return "hyena";
        case models::MixerKind::multihyena: return "multihyena";
        case models::MixerKind::linear: return "linear";
        case models::MixerKind::attention: break;
        }
        return "attention";
    }

    bool has(const std::string& name) const { return elements_.count(name) != 0; }

    Index count_parameters() const
    {
        Index sum = 0;
        for (const auto& [name, elements] : elements_) {
            const bool known = formats::glob_matches("{embed,final_norm,head}.{weight,bias}", name) ||
                               formats::glob_matches("layers.*.{norm1,norm2,mlp,attention,mixer}.*", name);
            const bool derived = formats::glob_matches("*.mixer.{ssm,filter}.*", name);
            // A materialised filter is a weight only where nothing else describes it.
            const bool materialised = formats::glob_matches("*.mixer.filter", name) &&
                                      (has(name + "_modes.cascade") || has(name + "_mlp.weight.0"));
            sum += known && !derived && !materialised ? elements : 0;
        }
        return sum;
    }

    std::optional<Index> state_numbers(const models::NetworkConfig& config, const models::MixerConfig& mixer,
                                       Index layer) const
    {
        const Index cache = 2 * config.head_dim;
        if (mixer.kind == models::MixerKind::attention) {
            return config.kv_heads * cache * config.max_positions;
        }
        const auto kept = static_cast<Index>(mixer.kept_heads.size());
        const Index n = mixer.channels - kept * config.head_dim;
        Index numbers = kept * cache * config.max_positions + std::max<Index>(mixer.taps - 1, 0) * config.width +
                        (mixer.order + 1) * n * std::max<Index>(mixer.short_taps - 1, 0);
        if (mixer.window > 0) {
            numbers += (config.heads - kept) * cache * mixer.window;
        }
        if (mixer.kind == models::MixerKind::linear) {
            return numbers + n * mixer.head_width;
        }
        const std::optional<Index> states = states_of(mixer, layer);
        if (!states) {
            return std::nullopt;
        }
        const Index late = mixer.delay * n * (mixer.head_width > 1 ? 2 : 1);
        return numbers + (mixer.order - 1) * (n * mixer.head_width * *states + late);
    }

    // States and past inputs of a signal.
    std::optional<Index> states_of(const models::MixerConfig& mixer, Index layer) const
    {
        const auto taps = [&](const char* form) {
            const auto of_layer = fir_.find(layer);
            const auto found =
                of_layer == fir_.end() ? std::map<std::string, Index>::const_iterator() : of_layer->second.find(form);
            return of_layer == fir_.end() || found == of_layer->second.end() ? Index{1}
                                                                             : std::max<Index>(found->second, 1);
        };
        if (const auto of_layer = states_.find(layer); of_layer != states_.end()) {
            for (const char* form : {"ssm", "filter"}) {
                if (const auto order = of_layer->second.find(form); order != of_layer->second.end()) {
                    return order->second + std::max<Index>(taps(form) - mixer.delay, 1) - 1;
                }
            }
        }
        if (mixer.form == models::FilterForm::modal) {
            return mixer.filter_order + std::max<Index>(taps("filter_modes") - mixer.delay, 1) - 1;
        }
        return std::nullopt;
    }

    std::string config_;
    std::map<std::string, Index> elements_;
    std::map<Index, std::map<std::string, Index>> states_, fir_;     // by layer, then form
};

std::string padded(std::string text, std::size_t width)
{
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

void tell_stream(const formats::StreamInfo& info, const TellResult& tell)
{
    const auto shard = formats::shard_of(info);
    std::string text =
        "kind " + info.kind + ", format " + std::to_string(info.major) + "." + std::to_string(info.minor);
    if (shard) {
        text += ", shard " + std::to_string(shard->part) + " of " + std::to_string(shard->parts);
    }
    if (!info.history.empty()) {
        text += ", made by " + formats::history_text(info.history);
    }
    tell(Map{{"stream", Map{{"kind", info.kind},
                            {"format", List{info.major, info.minor}},
                            {"history", info.history},
                            {"attributes", info.attributes}}}},
         text);
}

}  // namespace

Index list_stream(StreamReader& reader, const TellResult& tell, const Control& control)
{
    with_context(reader.name(), [&] { tell_stream(reader.info(), tell); });
    ModelSummary summary;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame == Frame::note) {
            const std::string json = formats::to_json(reader.note().map);
            tell(Map{{"note", reader.note().map}}, "note " + json);
            continue;
        }
        const TensorHeader header = reader.header();
        List shape(header.shape.begin(), header.shape.end());
        std::string text = padded(header.name, 44) + " " + padded(std::string(name_of(header.dtype)), 4) + " " +
                           padded(to_string(header.shape), 18);
        text += header.attributes.empty() ? "" : " " + formats::to_json(header.attributes);
        text.erase(text.find_last_not_of(' ') + 1);
        tell(Map{{"tensor", header.name}, {"dtype", name_of(header.dtype)}, {"shape", std::move(shape)},
                 {"bytes", header.bytes()}, {"attributes", header.attributes}},
             text);
        summary.see(reader);
    }
    if (reader.info().kind == "model" && summary.has_config()) {
        with_context(reader.name(), [&] { summary.tell(tell); });
    }
    return reader.tensors_read();
}

Index check_stream(StreamReader& reader, const Control& control)
{
    std::unordered_set<std::string> names;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame == Frame::tensor && !names.insert(reader.header().name).second) {
            throw_error(ErrorCode::bad_data, reader.name() + ": tensor " + reader.header().name + " occurs twice");
        }
    }
    return reader.tensors_read();
}

}  // namespace stillhouse::adapters
