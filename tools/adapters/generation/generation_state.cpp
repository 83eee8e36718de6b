// SPDX-License-Identifier: Apache-2.0
// States of sequences in files.
#include "tools/adapters/generation/generation_state.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace stillhouse::adapters {

namespace {

constexpr const char* content = "states of sequences";

constexpr std::array<std::pair<models::Execution, const char*>, 3> executions{
    {{models::Execution::recurrent, "recurrent"},
     {models::Execution::exact_original, "exact"},
     {models::Execution::exact_modes, "exact, filters of the modes"}}};

std::string hexadecimal(std::uint64_t number)
{
    std::array<char, 16> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
    return std::string(digits.data(), end);
}

std::string text_attribute(const formats::StreamInfo& info, std::string_view key)
{
    for (const auto& [name, value] : info.attributes) {
        if (name == key) {
            return value.text();
        }
    }
    throw_error(ErrorCode::bad_data, "no attribute " + std::string(key) + ": expected states that generate saved");
}

formats::StreamInfo info_of(const StateOrigin& origin, Index sequences)
{
    formats::StreamInfo info;
    info.attributes = {{"content", content},
                       {"model", origin.model},
                       {"precision", origin.precision},
                       {"execution", name_of(origin.execution)},
                       {"sequences", sequences}};
    return info;
}

std::int64_t integer_attribute(const formats::TensorHeader& header, std::string_view key)
{
    const formats::Value* value = header.attribute(key);
    if (value == nullptr) {
        throw_error(ErrorCode::bad_data, "tensor " + header.name + ": no attribute " + std::string(key));
    }
    return value->integer();
}

}  // namespace

const char* name_of(models::Execution execution)
{
    for (const auto& [value, name] : executions) {
        if (value == execution) {
            return name;
        }
    }
    return "";
}

StateWriter::StateWriter(formats::AtomicFile output, const StateOrigin& origin, Index sequences)
    : writer_(std::move(output), info_of(origin, sequences)), sequences_(sequences)
{
}

void StateWriter::add(Index prompt, SavedState state)
{
    early_.emplace(prompt, std::move(state));
    for (auto first = early_.begin(); first != early_.end() && first->first == next_; first = early_.begin()) {
        write(next_++, first->second);
        early_.erase(first);
    }
}

void StateWriter::write(Index place, const SavedState& state)
{
    const std::string prefix = "states." + std::to_string(place) + ".";
    formats::TensorHeader header;
    const auto put = [&](const std::string& name, DType dtype, std::size_t n, const void* data) {
        header.name = prefix + name;
        header.dtype = dtype;
        header.shape = {static_cast<Index>(n)};
        writer_.write(header, static_cast<const std::byte*>(data));
        header.attributes.clear();
    };
    header.attributes = {{"count", state.count},
                         {"prefix", hexadecimal(state.prefix)},
                         {"number", state.number},
                         {"drawn", static_cast<std::int64_t>(state.drawn)}};
    put("tokens", DType::i32, state.tail.size(), state.tail.data());
    put("logits", DType::f64, state.logits.size(), state.logits.data());
    for (std::size_t i = 0; i < state.layers.size(); ++i) {
        put("layers." + std::to_string(i), DType::u8, state.layers[i].size(), state.layers[i].data());
    }
}

void StateWriter::finish()
{
    STILLHOUSE_CHECK(next_ == sequences_);
    writer_.finish();
}

namespace {

void check_origin(const formats::StreamInfo& info, const StateOrigin& origin)
{
    const auto agree = [&](const char* key, std::string_view expected) {
        const std::string found = text_attribute(info, key);
        if (found != expected) {
            throw_error(ErrorCode::bad_data, "the state is of " + std::string(key) + " '" + found + "', not '" +
                                                 std::string(expected) + "'; generate it anew");
        }
    };
    agree("content", content);
    agree("precision", origin.precision);
    agree("model", origin.model);                    // of the weights as this precision has them
    agree("execution", name_of(origin.execution));
}

void check_whole(const SavedState& state, const StateOrigin& origin)
{
    if (static_cast<Index>(state.layers.size()) != origin.layers) {
        throw_error(ErrorCode::bad_data, "a state of " + std::to_string(state.layers.size()) + " layers, expected " +
                                             std::to_string(origin.layers));
    }
    if (static_cast<Index>(state.logits.size()) != origin.vocabulary) {
        throw_error(ErrorCode::bad_data, "a state with " + std::to_string(state.logits.size()) + " logits, expected " +
                                             std::to_string(origin.vocabulary));
    }
}

SavedState begin_state(const formats::Tensor& tokens, const StateOrigin& origin)
{
    SavedState state;
    state.execution = origin.execution;
    state.count = integer_attribute(tokens.header, "count");
    state.number = integer_attribute(tokens.header, "number");
    state.drawn = static_cast<std::uint64_t>(integer_attribute(tokens.header, "drawn"));
    const formats::Value* prefix = tokens.header.attribute("prefix");
    const std::string digits = prefix == nullptr ? "" : prefix->text();
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), state.prefix, 16);
    const Index n = tokens.header.elements();
    std::vector<Index> ids(static_cast<std::size_t>(n));
    convert_from(tokens.header.dtype, tokens.data.data(), n, ids.data());
    if (digits.empty() || read.ptr != digits.data() + digits.size() || state.count < n ||
        std::any_of(ids.begin(), ids.end(), [&](Index id) { return id < 0 || id >= origin.vocabulary; })) {
        throw_error(ErrorCode::bad_data, "tensor " + tokens.header.name + ": is no text that generate saved");
    }
    state.tail.assign(ids.begin(), ids.end());
    return state;
}

}  // namespace

std::vector<SavedState> read_states(formats::StreamReader& reader, const StateOrigin& origin)
{
    with_context(reader.name(), [&] { check_origin(reader.info(), origin); });
    std::vector<SavedState> states;
    const auto place = [&](std::size_t n) { return "states." + std::to_string(n) + "."; };
    while (reader.next() != formats::StreamReader::Frame::end) {
        const formats::Tensor tensor = reader.read();
        const std::string& name = tensor.name();
        const Index n = tensor.header.elements();
        if (name == place(states.size()) + "tokens") {
            with_context(reader.name(), [&] {
                if (!states.empty()) {
                    check_whole(states.back(), origin);
                }
                states.push_back(begin_state(tensor, origin));
            });
        } else if (!states.empty() && name == place(states.size() - 1) + "logits") {
            states.back().logits.resize(static_cast<std::size_t>(n));
            convert_from(tensor.header.dtype, tensor.data.data(), n, states.back().logits.data());
        } else if (!states.empty() && name == place(states.size() - 1) + "layers." +
                                                  std::to_string(states.back().layers.size())) {
            states.back().layers.emplace_back(tensor.data.begin(), tensor.data.end());
        }                                            // else what other programs added
    }
    with_context(reader.name(), [&] {
        if (states.empty()) {
            throw_error(ErrorCode::bad_data, "holds no state");
        }
        check_whole(states.back(), origin);
    });
    return states;
}

}  // namespace stillhouse::adapters
