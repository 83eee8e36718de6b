// SPDX-License-Identifier: Apache-2.0
// Models from streams; what folders and streams have in common.
#include "tools/adapters/model/model.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/model/model_config.hpp"
#include "tools/adapters/model/model_source.hpp"

#include <algorithm>

namespace stillhouse::adapters {

namespace {

constexpr std::string_view activations_prefix = "batches.";

std::string* text_named(Texts& texts, std::string_view name)
{
    return name == "config.json"              ? &texts.config
           : name == "tokenizer.json"         ? &texts.tokenizer
           : name == "generation_config.json" ? &texts.generation_config
                                              : nullptr;
}

std::string read_text(formats::StreamReader& reader)
{
    const formats::TensorHeader& header = reader.header();
    if (header.dtype != DType::u8) {
        throw_error(ErrorCode::bad_data, "tensor " + header.name + ": found " + std::string(name_of(header.dtype)) +
                                             ", expected U8, the bytes of a file");
    }
    std::string text(header.bytes(), '\0');
    reader.read_into(reinterpret_cast<std::byte*>(text.data()));
    return text;
}

/// Reads up to the first tensor behind the configuration that is no text; what came before the configuration is kept.
void open_stream(ModelSource::State& state)
{
    formats::StreamReader& reader = *state.reader;
    for (;;) {
        const formats::StreamReader::Frame frame = reader.next();
        state.at_end = frame == formats::StreamReader::Frame::end;
        if (state.at_end) {
            break;
        }
        if (frame == formats::StreamReader::Frame::note) {
            state.early.emplace_back();
            state.early.back().note = reader.note();
            state.early.back().is_note = true;
            continue;
        }
        const std::string& name = reader.header().name;
        if (std::string* text = text_named(state.texts, name)) {
            *text = read_text(reader);
        } else if (!state.texts.config.empty()) {
            break;
        } else if (name.compare(0, activations_prefix.size(), activations_prefix) == 0) {
            break;
        } else {
            state.early.emplace_back();
            state.early.back().tensor = reader.read();
        }
    }
    if (state.texts.config.empty()) {
        throw_error(ErrorCode::bad_data, "no tensor config.json: expected a model, as teacher-dump and layer-distill "
                                         "write it, or a model folder");
    }
}

}  // namespace

ModelSource::ModelSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelSource::ModelSource(ModelSource&&) noexcept = default;
ModelSource::~ModelSource() = default;

ModelSource ModelSource::stream(formats::StreamReader reader, const Notice& notice)
{
    auto state = std::make_unique<State>();
    state->name = reader.name();
    state->notice = notice;
    state->info = reader.info();
    state->reader.emplace(std::move(reader));
    with_context(state->name, [&] {
        open_stream(*state);
        state->config = network_config(std::string_view(state->texts.config));
    });
    return ModelSource(std::move(state));
}

ModelSource ModelSource::open(const std::string& path, const Notice& notice,
                              const std::function<formats::StreamReader(const std::string&)>& open_stream,
                              Weights weights)
{
    if (path != "-" && !path.empty() && formats::is_folder(path)) {
        return folder(path, notice, weights);
    }
    return stream(open_stream(path), notice);
}

const std::string& ModelSource::name() const
{
    return state_->name;
}

const Texts& ModelSource::texts() const
{
    return state_->texts;
}

const models::NetworkConfig& ModelSource::config() const
{
    return state_->config;
}

const formats::StreamInfo& ModelSource::info() const
{
    return state_->info;
}

formats::StreamReader* ModelSource::activations()
{
    return state_->reader && state_->loaded && !state_->at_end ? &*state_->reader : nullptr;
}

namespace {

template <class T>
void load_stream(ModelSource::State& state, ModelLoader<T>& loader)
{
    for (ModelSource::State::Early& early : state.early) {
        if (early.is_note) {
            loader.take(std::move(early.note));
        } else {
            loader.take(early.tensor.header, early.tensor.data.data(), early.tensor.name());
        }
    }
    state.early.clear();
    formats::StreamReader& reader = *state.reader;
    formats::StreamReader::Frame frame = formats::StreamReader::Frame::tensor;
    for (; !state.at_end; frame = reader.next(), state.at_end = frame == formats::StreamReader::Frame::end) {
        if (frame == formats::StreamReader::Frame::note) {
            loader.take(reader.note());
            continue;
        }
        const std::string& name = reader.header().name;
        if (name.compare(0, activations_prefix.size(), activations_prefix) == 0) {
            break;
        }
        if (std::string* text = text_named(state.texts, name)) {
            *text = read_text(reader);
        } else {
            loader.take(reader);
        }
    }
    loader.finish([](std::string_view weight) { return std::string(weight); });
}

}  // namespace

void ModelSource::read_to_end()
{
    if (state_->reader) {
        while (!state_->at_end) {
            state_->at_end = state_->reader->next() == formats::StreamReader::Frame::end;
        }
    }
}

template <class T>
Model<T> ModelSource::load(Others others, Activations activations, ThreadPool* pool)
{
    STILLHOUSE_CHECK(!state_->loaded);
    state_->loaded = true;
    Model<T> model;
    model.name = state_->name;
    model.info = state_->info;
    ModelLoader<T> loader(state_->config, others, model, pool);
    with_context(state_->name, [&] {
        if (state_->reader) {
            load_stream(*state_, loader);
        } else {
            load_folder(*state_, loader);
        }
    });
    if (activations == Activations::skip) {
        read_to_end();
    }
    model.texts = state_->texts;
    return model;
}
template Model<float> ModelSource::load(Others, Activations, ThreadPool*);
template Model<double> ModelSource::load(Others, Activations, ThreadPool*);

const Inventory::Item* Inventory::find(std::string_view name) const
{
    const auto found = std::find_if(items.begin(), items.end(),
                                    [&](const Item& item) { return !name.empty() && item.header.name == name; });
    return found == items.end() ? nullptr : &*found;
}

}  // namespace stillhouse::adapters
