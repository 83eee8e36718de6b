// SPDX-License-Identifier: Apache-2.0
// Reading and writing the mixers of a student.
#include "tools/adapters/model/model_config_mixers.hpp"

#include "libcore/base/error.hpp"

#include <array>
#include <string>
#include <utility>

namespace stillhouse::adapters {

namespace {

using formats::List;
using formats::Map;
using formats::Value;
using models::FilterForm;
using models::ImplicitFilter;
using models::MixerConfig;
using models::MixerKind;

constexpr std::array<std::pair<MixerKind, const char*>, 4> kinds{{{MixerKind::attention, "attention"},
                                                                  {MixerKind::hyena, "hyena"},
                                                                  {MixerKind::multihyena, "multihyena"},
                                                                  {MixerKind::linear, "linear"}}};
constexpr std::array<std::pair<FilterForm, const char*>, 3> forms{{{FilterForm::modal, "modal"},
                                                                   {FilterForm::implicit_mlp, "implicit"},
                                                                   {FilterForm::free_taps, "free"}}};

template <class Table>
auto named(const Table& table, const std::string& name)
{
    std::string known;
    for (const auto& [value, each] : table) {
        if (name == each) {
            return value;
        }
        known += (known.empty() ? "" : ", ") + std::string(each);
    }
    throw_error(ErrorCode::unsupported, "'" + name + "' is not supported; supported are " + known);
}

template <class Table, class Key>
const char* name_in(const Table& table, Key key)
{
    for (const auto& [value, name] : table) {
        if (value == key) {
            return name;
        }
    }
    throw_error(ErrorCode::internal, "a mixer without a name");
}

void read_implicit(const Value& value, ImplicitFilter& implicit)
{
    for (const auto& [key, each] : value.map()) {
        with_context("key " + key, [&, &key = key, &each = each] {
            if (key == "features") {
                implicit.features = each.integer();
            } else if (key == "width") {
                implicit.width = each.integer();
            } else if (key == "inner_layers") {
                implicit.inner_layers = each.integer();
            } else if (key == "frequency") {
                implicit.frequency = each.number();
            } else if (key == "modulate") {
                implicit.modulate = each.boolean();
            } else if (key == "shift") {
                implicit.shift = each.number();
            } else if (key == "normalize") {
                implicit.normalize = each.boolean();
            } else {
                throw_error(ErrorCode::unsupported, "unknown; this version knows features, width, inner_layers, "
                                                    "frequency, modulate, shift, normalize");
            }
        });
    }
}

void read_key(const std::string& key, const Value& value, MixerConfig& mixer)
{
    const std::array<std::pair<const char*, Index*>, 9> counts{{{"channels", &mixer.channels},
                                                                {"head_width", &mixer.head_width},
                                                                {"filters", &mixer.filters},
                                                                {"order", &mixer.order},
                                                                {"filter_length", &mixer.filter_length},
                                                                {"filter_order", &mixer.filter_order},
                                                                {"delay", &mixer.delay},
                                                                {"short_taps", &mixer.short_taps},
                                                                {"window", &mixer.window}}};
    for (const auto& [name, target] : counts) {
        if (key == name) {
            *target = value.integer();
            if (*target < 0 || *target > (Index{1} << 40)) {
                throw_error(ErrorCode::bad_data, "found " + std::to_string(*target) + ", expected a count");
            }
            return;
        }
    }
    if (key == "taps") {
        mixer.taps = value.integer();
    } else if (key == "mixer") {
        mixer.kind = named(kinds, value.text());
    } else if (key == "filter") {
        mixer.form = named(forms, value.text());
    } else if (key == "kept_heads") {
        for (const Value& head : value.list()) {
            mixer.kept_heads.push_back(head.integer());
        }
    } else if (key == "implicit") {
        read_implicit(value, mixer.implicit);
    } else {
        throw_error(ErrorCode::unsupported, "unknown to this version, and it may change results");
    }
}

MixerConfig read_mixer(const Value& layer)
{
    MixerConfig mixer;
    if (layer.find("mixer") == nullptr) {
        throw_error(ErrorCode::bad_data, "key mixer: missing, expected attention, hyena, multihyena or linear");
    }
    bool has_filter = false;
    for (const auto& [key, value] : layer.map()) {
        with_context("key " + key, [&, &key = key, &value = value] { read_key(key, value, mixer); });
        has_filter = has_filter || key == "filter";
    }
    if (mixer.kind == MixerKind::attention) {
        return MixerConfig{};
    }
    if (mixer.kind == MixerKind::linear) {
        mixer.form = FilterForm::none;
    } else if (!has_filter) {
        throw_error(ErrorCode::bad_data, "key filter: missing, expected modal, implicit or free");
    }
    return mixer;
}

Value write_mixer(const MixerConfig& mixer)
{
    Map map;
    map.emplace_back("mixer", name_in(kinds, mixer.kind));
    if (mixer.kind == MixerKind::attention) {
        return map;
    }
    map.emplace_back("channels", mixer.channels);
    map.emplace_back("head_width", mixer.head_width);
    if (mixer.form != FilterForm::none) {
        map.emplace_back("filters", mixer.filters);
        map.emplace_back("order", mixer.order);
        map.emplace_back("filter", name_in(forms, mixer.form));
        map.emplace_back("filter_length", mixer.filter_length);
        if (mixer.form == FilterForm::modal) {
            map.emplace_back("filter_order", mixer.filter_order);
        }
        map.emplace_back("delay", mixer.delay);
    }
    map.emplace_back("short_taps", mixer.short_taps);
    map.emplace_back("window", mixer.window);
    map.emplace_back("taps", mixer.taps);
    if (!mixer.kept_heads.empty()) {
        List heads;
        for (const Index head : mixer.kept_heads) {
            heads.emplace_back(head);
        }
        map.emplace_back("kept_heads", std::move(heads));
    }
    if (mixer.form == FilterForm::implicit_mlp) {
        const ImplicitFilter& implicit = mixer.implicit;
        map.emplace_back("implicit", Map{{"features", implicit.features},
                                         {"width", implicit.width},
                                         {"inner_layers", implicit.inner_layers},
                                         {"frequency", implicit.frequency},
                                         {"modulate", implicit.modulate},
                                         {"shift", implicit.shift},
                                         {"normalize", implicit.normalize}});
    }
    return map;
}

}  // namespace

void read_mixers(const Value& stillhouse, models::NetworkConfig& network)
{
    const Value* version = stillhouse.find("version");
    const Value* layers = stillhouse.find("layers");
    if (version == nullptr || layers == nullptr) {
        throw_error(ErrorCode::bad_data, "expected an object with version and layers");
    }
    if (version->integer() != 1) {
        throw_error(ErrorCode::unsupported,
                    "version " + std::to_string(version->integer()) + " is not supported; supported is 1");
    }
    const List& list = layers->list();
    if (list.size() != network.mixers.size()) {
        throw_error(ErrorCode::bad_data, "layers has " + std::to_string(list.size()) +
                                             " entries, but num_hidden_layers is " + std::to_string(network.layers));
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        network.mixers[i] = with_context("layer " + std::to_string(i), [&] { return read_mixer(list[i]); });
    }
}

Value write_mixers(const models::NetworkConfig& network)
{
    List layers;
    for (const MixerConfig& mixer : network.mixers) {
        layers.push_back(write_mixer(mixer));
    }
    return Map{{"version", 1}, {"layers", std::move(layers)}};
}

}  // namespace stillhouse::adapters
