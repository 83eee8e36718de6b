// SPDX-License-Identifier: Apache-2.0
// From a teacher's configuration and a user's wishes to a student.
#include "tools/adapters/training/student.hpp"

#include <algorithm>
#include <charconv>

namespace stillhouse::adapters {

namespace {

using models::FilterForm;
using models::MixerConfig;
using models::MixerKind;
using models::NetworkConfig;

[[noreturn]] void bad_keep(const std::string& item, const std::string& why)
{
    throw_error(ErrorCode::bad_argument, "--keep " + item + ": " + why + "; layers are 2 or 0-3, heads 3:0");
}

Index number(const std::string& item, std::string_view text)
{
    Index value = -1;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0) {
        bad_keep(item, "'" + std::string(text) + "' is no number");
    }
    return value;
}

struct Kept {
    std::vector<bool> layers;
    std::vector<std::vector<Index>> heads;
};

Kept parse_keep(const NetworkConfig& teacher, const std::vector<std::string>& items)
{
    const auto layers = static_cast<std::size_t>(teacher.layers);
    Kept kept{std::vector<bool>(layers, false), std::vector<std::vector<Index>>(layers)};
    const auto layer_of = [&](const std::string& item, std::string_view text) {
        const Index layer = number(item, text);
        if (layer >= teacher.layers) {
            bad_keep(item, "the teacher has layers 0 to " + std::to_string(teacher.layers - 1));
        }
        return layer;
    };
    for (const std::string& item : items) {
        if (const auto colon = item.find(':'); colon != std::string::npos) {
            const Index layer = layer_of(item, std::string_view(item).substr(0, colon));
            const Index head = number(item, std::string_view(item).substr(colon + 1));
            if (head >= teacher.heads) {
                bad_keep(item, "the teacher has heads 0 to " + std::to_string(teacher.heads - 1));
            }
            auto& heads = kept.heads[static_cast<std::size_t>(layer)];
            if (std::find(heads.begin(), heads.end(), head) == heads.end()) {
                heads.insert(std::upper_bound(heads.begin(), heads.end(), head), head);
            }
            continue;
        }
        const auto dash = item.find('-');
        const Index first = layer_of(item, std::string_view(item).substr(0, dash));
        const Index last = dash == std::string::npos ? first : layer_of(item, std::string_view(item).substr(dash + 1));
        if (last < first) {
            bad_keep(item, "the range ends before it begins");
        }
        for (Index layer = first; layer <= last; ++layer) {
            kept.layers[static_cast<std::size_t>(layer)] = true;
        }
    }
    for (std::size_t i = 0; i < layers; ++i) {
        if (static_cast<Index>(kept.heads[i].size()) == teacher.heads) {
            kept.layers[i] = true;
        }
    }
    return kept;
}

MixerConfig mixer_config(const NetworkConfig& teacher, const StudentOptions& options, Index context,
                         const std::vector<Index>& kept_heads)
{
    const Index channels = teacher.attention_width();
    const auto n_kept = static_cast<Index>(kept_heads.size());
    const Index mixed = channels - n_kept * teacher.head_dim;
    MixerConfig mixer;
    mixer.channels = channels;
    mixer.kept_heads = kept_heads;
    mixer.window = options.window;
    mixer.taps = options.taps;
    if (options.mixer == "linear") {
        mixer.kind = MixerKind::linear;
        mixer.head_width = teacher.head_dim;
        mixer.form = FilterForm::none;
        return mixer;
    }
    mixer.delay = options.window;
    mixer.filter_length = options.length.value_or(context);
    if (mixer.filter_length <= mixer.delay) {
        throw_error(ErrorCode::bad_argument, "--window " + std::to_string(options.window) + " leaves no lag of " +
                                                 std::to_string(mixer.filter_length) + " to the filter");
    }
    if (mixer.taps > mixer.filter_length) {
        throw_error(ErrorCode::bad_argument, "--taps " + std::to_string(mixer.taps) + ": expected at most the " +
                                                 std::to_string(mixer.filter_length) + " lags of the filter");
    }
    mixer.form = options.filter == "modal"      ? FilterForm::modal
                 : options.filter == "implicit" ? FilterForm::implicit_mlp
                                                : FilterForm::free_taps;
    const Index lags = mixer.filter_length - mixer.delay - 1;
    if (mixer.form == FilterForm::modal && lags < 2) {
        const std::string few = std::string("its modes need two lags behind the first") +
                                (mixer.delay > 0 ? " and behind --window; " : "; ");
        if (options.length) {
            throw_error(ErrorCode::bad_argument, "--length " + std::to_string(*options.length) + ": " + few +
                                                     "give more, or --filter free");
        }
        throw_error(ErrorCode::bad_data, "rows of " + std::to_string(context) + (context == 1 ? " token" : " tokens") +
                                             " cannot teach a convolution: " + few + "run teacher-dump with a longer "
                                             "--context, or on a longer text");
    }
    mixer.filter_order = options.order.value_or(std::clamp<Index>(lags / 2, 1, 16));
    mixer.implicit.width = options.filter_width;
    mixer.implicit.features = options.filter_features;
    mixer.implicit.frequency = options.filter_frequency;
    if (mixer.form == FilterForm::implicit_mlp && options.filter_features % 2 == 0) {
        throw_error(ErrorCode::bad_argument, "--filter-features " + std::to_string(options.filter_features) +
                                                 ": an odd number is expected, a position and pairs of waves");
    }
    const Index heads = options.heads.value_or(teacher.heads);
    if (options.mixer == "multihyena") {
        mixer.kind = MixerKind::multihyena;
        if (heads < 1 || channels % heads != 0) {
            throw_error(ErrorCode::bad_argument, "--heads " + std::to_string(heads) + " does not divide the " +
                                                     std::to_string(channels) + " channels of the teacher");
        }
        mixer.head_width = channels / heads;
        mixer.filters = mixed / mixer.head_width;
    } else {
        mixer.kind = MixerKind::hyena;
        mixer.filters = options.heads ? heads : teacher.heads - n_kept;
        if (mixer.filters < 1 || mixer.filters > mixed) {
            throw_error(ErrorCode::bad_argument, "--heads " + std::to_string(heads) + ": expected 1 to " +
                                                     std::to_string(mixed) + " filters, one a channel at most");
        }
    }
    return mixer;
}

}  // namespace

NetworkConfig student_config(const NetworkConfig& teacher, const StudentOptions& options, Index context)
{
    const Kept kept = parse_keep(teacher, options.keep);
    NetworkConfig student = teacher;
    Index replaced = 0;
    for (std::size_t i = 0; i < student.mixers.size(); ++i) {
        if (teacher.mixers[i].kind != MixerKind::attention) {
            throw_error(ErrorCode::bad_data, "layer " + std::to_string(i) +
                                                 " is no attention: layer-distill replaces the attention of a teacher; "
                                                 "fine-tune trains a student further");
        }
        if (!kept.layers[i]) {
            student.mixers[i] = mixer_config(teacher, options, context, kept.heads[i]);
            ++replaced;
        }
    }
    if (replaced == 0) {
        throw_error(ErrorCode::bad_argument, "--keep names every layer: nothing is left to distil");
    }
    models::check(student);
    return student;
}

template <class T>
models::Parameters<T> take_attention(const NetworkConfig& teacher, const NetworkConfig& student,
                                     models::Parameters<T>& weights)
{
    models::Parameters<T> attention;
    for (Index layer = 0; layer < student.layers; ++layer) {
        const MixerConfig& mixer = student.mixers[static_cast<std::size_t>(layer)];
        if (mixer.kind == MixerKind::attention) {
            continue;
        }
        const std::string prefix = "layers." + std::to_string(layer) + ".attention.";
        for (const char* part : {"q", "k", "v", "out"}) {
            for (const char* kind : {".weight", ".bias"}) {
                const std::string name = prefix + part + kind;
                auto* entry = weights.find(name);
                if (entry == nullptr) {
                    continue;
                }
                auto& taken = attention.add(name, entry->shape);
                taken.values = std::move(entry->values);
                weights.erase(name);
                if (mixer.kept_heads.empty() || part == std::string_view("out")) {
                    continue;
                }
                // the rows of each kept head, its own copy of k and v where heads share them
                const bool shared = part != std::string_view("q");
                const Index columns = taken.values.size() / taken.shape[0];
                Shape shape = taken.shape;
                shape[0] = static_cast<Index>(mixer.kept_heads.size()) * teacher.head_dim;
                auto& rows = weights.add(name, shape);
                for (std::size_t h = 0; h < mixer.kept_heads.size(); ++h) {
                    const Index head = shared ? mixer.kept_heads[h] / (teacher.heads / teacher.kv_heads)
                                              : mixer.kept_heads[h];
                    std::copy_n(taken.values.data() + head * teacher.head_dim * columns, teacher.head_dim * columns,
                                rows.values.data() + static_cast<Index>(h) * teacher.head_dim * columns);
                }
            }
        }
    }
    return attention;
}

template models::Parameters<float> take_attention<float>(const NetworkConfig&, const NetworkConfig&,
                                                         models::Parameters<float>&);
template models::Parameters<double> take_attention<double>(const NetworkConfig&, const NetworkConfig&,
                                                           models::Parameters<double>&);

}  // namespace stillhouse::adapters
