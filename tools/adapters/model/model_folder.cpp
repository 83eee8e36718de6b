// SPDX-License-Identifier: Apache-2.0
// Models from folders: names translated, interleaved projections separated, nothing overlooked.
#include "formats/model_folder.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/model/model_config.hpp"
#include "tools/adapters/model/model_names.hpp"
#include "tools/adapters/model/model_source.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace stillhouse::adapters {

namespace {

using formats::StoredTensor;

/// Rows of one of query, key, value out of [heads, 3, head_dim, ...].
formats::Tensor separate(const StoredTensor& stored, const models::NetworkConfig& config, const Shape& expected,
                         int part)
{
    Shape whole = expected;
    whole.at(0) *= 3;
    if (stored.header.shape != whole) {
        throw_error(ErrorCode::bad_data, "tensor " + stored.header.name + ": found " + to_string(stored.header.shape) +
                                             ", but config.json makes it " + to_string(whole));
    }
    formats::Tensor tensor;
    tensor.header = stored.header;
    tensor.header.shape = expected;
    tensor.data = Buffer<std::byte>(static_cast<Index>(tensor.header.bytes()));
    const std::byte* data = formats::checked_data(stored);
    const std::size_t head_bytes = tensor.header.bytes() / static_cast<std::size_t>(config.heads);
    for (std::size_t head = 0; head < static_cast<std::size_t>(config.heads); ++head) {
        std::memcpy(tensor.data.data() + head * head_bytes,
                    data + (head * 3 + static_cast<std::size_t>(part)) * head_bytes, head_bytes);
    }
    return tensor;
}

bool same_values(const StoredTensor& a, const StoredTensor& b)
{
    return a.header.dtype == b.header.dtype && a.header.shape == b.header.shape &&
           std::memcmp(formats::checked_data(a), formats::checked_data(b), a.header.bytes()) == 0;
}

/// The folder's tensors that no weight asked for: legacy buffers and the copy of a tied head are left out, what a
/// student has beside its weights is taken, anything else is refused.
template <class T>
void take_rest(const formats::ModelFolder& folder, const FolderNames& names, const std::set<std::string>& used,
               const ModelSource::State& state, ModelLoader<T>& loader)
{
    Index legacy = 0;
    for (const StoredTensor& stored : folder.tensors()) {
        const std::string& name = stored.header.name;
        if (used.count(name) > 0) {
            continue;
        }
        if (is_legacy_buffer(name)) {
            ++legacy;
        } else if (name == names.head() && state.config.tied) {
            const StoredTensor* embedding = folder.find(names.of("embed.weight").name);
            if (embedding == nullptr || !same_values(*embedding, stored)) {
                throw_error(ErrorCode::bad_data, "tensor " + name +
                                                     ": differs from the embedding, but config.json says "
                                                     "tie_word_embeddings; set it to false or remove the tensor");
            }
        } else if (names.ours() || loader.wanted(name)) {
            loader.take(stored.header, formats::checked_data(stored), name);
            folder.forget(stored);
        } else {
            throw_error(ErrorCode::bad_data, "tensor " + name + " " + to_string(stored.header.shape) +
                                                 ": unknown; config.json (" + state.config.family + ", " +
                                                 std::to_string(state.config.layers) +
                                                 " layers) has no place for it");
        }
    }
    if (legacy > 0 && state.notice) {
        state.notice(state.name + ": " + std::to_string(legacy) +
                     " legacy buffers (attention.bias, attention.masked_bias, rotary_emb.inv_freq) left out: they are "
                     "computed");
    }
}

}  // namespace

ModelSource ModelSource::folder(const std::string& path, const Notice& notice, Weights weights)
{
    auto state = std::make_unique<State>();
    state->notice = notice;
    state->folder = std::make_shared<formats::ModelFolder>(
        path, weights == Weights::required ? formats::ModelFolder::Weights::required
                                           : formats::ModelFolder::Weights::none);
    state->name = state->folder->name();
    state->texts = {state->folder->config(), state->folder->tokenizer(), state->folder->generation_config()};
    state->info.kind = "model";
    with_context(state->name, [&] { state->config = network_config(std::string_view(state->texts.config)); });
    return ModelSource(std::move(state));
}

template <class T>
void load_folder(ModelSource::State& state, ModelLoader<T>& loader)
{
    const formats::ModelFolder& folder = *state.folder;
    const FolderNames names(state.config, [&](const std::string& name) { return folder.find(name) != nullptr; });
    std::set<std::string> used;
    for (const models::WeightShape& weight : loader.expected().all()) {
        const StoredName source = names.of(weight.name);
        const StoredTensor* stored = folder.find(source.name);
        if (stored == nullptr) {
            continue;                            // the loader names it, unless modes stand for it
        }
        used.insert(source.name);
        if (source.part >= 0) {
            formats::Tensor part = separate(*stored, state.config, weight.shape, source.part);
            part.header.name = weight.name;
            loader.take(part.header, part.data.data(), source.name);
        } else {
            formats::TensorHeader header = stored->header;
            header.name = weight.name;
            loader.take(header, formats::checked_data(*stored), source.name);
        }
        if (source.part < 0 || source.part == 2) {
            folder.forget(*stored);
        }
    }
    take_rest(folder, names, used, state, loader);
    loader.finish([&](std::string_view weight) { return names.of(weight).name; });
}
template void load_folder(ModelSource::State&, ModelLoader<float>&);
template void load_folder(ModelSource::State&, ModelLoader<double>&);

}  // namespace stillhouse::adapters
