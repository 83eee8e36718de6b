// SPDX-License-Identifier: Apache-2.0
// Prompts, results and states.
#include "tools/adapters/generation_io.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/samples.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>

namespace stillhouse::adapters {

namespace {

constexpr std::array<std::pair<models::Execution, const char*>, 3> executions{
    {{models::Execution::recurrent, "recurrent"},
     {models::Execution::exact_original, "exact"},
     {models::Execution::exact_modes, "exact, filters of the modes"}}};

std::string text_attribute(const formats::StreamInfo& info, std::string_view key)
{
    for (const auto& [name, value] : info.attributes) {
        if (name == key) {
            return value.text();
        }
    }
    throw_error(ErrorCode::bad_data, "no attribute " + std::string(key) + ": expected a state that generate saved");
}

void check_prompt(const Prompt& prompt, const models::NetworkConfig& config)
{
    for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
        if (prompt.ids[i] < 0 || prompt.ids[i] >= config.vocabulary) {
            throw_error(ErrorCode::bad_data, "prompt " + std::to_string(prompt.number) + ": id " +
                                                 std::to_string(prompt.ids[i]) + " at " + std::to_string(i) +
                                                 " is outside the vocabulary of " + std::to_string(config.vocabulary));
        }
    }
    const Index limit = context_limit(config);
    if (limit >= 0 && static_cast<Index>(prompt.ids.size()) > limit) {
        throw_error(ErrorCode::bad_data, "prompt " + std::to_string(prompt.number) + ": " +
                                             std::to_string(prompt.ids.size()) +
                                             " tokens, but attention has positions for " + std::to_string(limit) +
                                             "; shorten the prompt");
    }
}

/// The lines of a text, without their ends; the last may lack its own.
std::vector<std::string> lines_of(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        lines.emplace_back(line);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

/// Bytes a second that all threads together read from memory, best of three passes over more than any cache holds.
double read_limit(ThreadPool& pool)
{
    constexpr Index n_words = Index{1} << 25;            // 256 MiB
    constexpr Index piece = Index{1} << 16;
    Buffer<std::uint64_t> words(n_words);
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(n_words / piece));
    double best = 0.0;
    for (int pass = 0; pass < 3; ++pass) {
        const auto start = std::chrono::steady_clock::now();
        pool.for_each(n_words / piece, [&](Index i) {
            std::uint64_t sum = 0;
            for (Index j = 0; j < piece; ++j) {
                sum += words[i * piece + j];
            }
            sums[static_cast<std::size_t>(i)] += sum;    // keeps the loop from being removed
        });
        const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = std::max(best, static_cast<double>(n_words) * 8.0 / s);
    }
    return sums.front() == 0 ? best : 0.0;
}

}  // namespace

std::vector<Index> parse_ids(std::string_view list)
{
    std::vector<Index> ids;
    std::size_t i = 0;
    const auto skip_blanks = [&] {
        while (i < list.size() && (list[i] == ' ' || list[i] == '\n')) {
            ++i;
        }
    };
    for (skip_blanks(); i < list.size(); skip_blanks()) {
        Index id = 0;
        const auto [end, error] = std::from_chars(list.data() + i, list.data() + list.size(), id);
        i = static_cast<std::size_t>(end - list.data());
        skip_blanks();
        if (error != std::errc() || (i < list.size() && list[i] != ',') || id < 0) {
            throw_error(ErrorCode::bad_argument, "'" + std::string(list.substr(0, 80)) +
                                                     "': expected ids separated by commas, as 1,2,3");
        }
        ids.push_back(id);
        i += i < list.size() ? 1 : 0;
    }
    return ids;
}

std::string read_all(formats::Fd input)
{
    std::string text;
    std::vector<std::byte> block(std::size_t{1} << 16);
    while (const std::size_t n = input.read_full(block.data(), block.size())) {
        text.append(reinterpret_cast<const char*>(block.data()), n);
    }
    return text;
}

std::string join_ids(const std::vector<Token>& ids)
{
    std::string text;
    for (const Token id : ids) {
        text.append(text.empty() ? "" : ",").append(std::to_string(id));
    }
    return text;
}

std::vector<Prompt> make_prompts(const PromptInput& input, const models::Tokenizer* tokenizer,
                                 const SpecialTokens& special, const models::NetworkConfig& config, Index* replaced)
{
    const auto encode = [&](std::string_view text) -> std::vector<Index> {
        if (tokenizer == nullptr) {
            if (text.empty()) {
                return {};
            }
            throw_error(ErrorCode::bad_data, "the model has no tokenizer.json: give --prompt-ids LIST and --ids");
        }
        using Special = models::Tokenizer::Special;
        const std::vector<Token> ids =
            tokenizer->encode(text, input.continues ? Special::plain : Special::add, replaced);
        return {ids.begin(), ids.end()};
    };
    std::vector<Prompt> prompts;
    if (input.kind == PromptInput::Kind::lines) {
        for (const std::string& line : lines_of(input.content)) {
            prompts.push_back({static_cast<Index>(prompts.size()), encode(line)});
        }
    } else {
        prompts.push_back({0, input.kind == PromptInput::Kind::ids ? parse_ids(input.content) : encode(input.content)});
    }
    for (Prompt& prompt : prompts) {
        if (prompt.ids.empty() && !input.continues) {
            if (special.first < 0) {
                throw_error(ErrorCode::bad_data,
                            "the prompt is empty and config.json has no bos_token_id to begin with");
            }
            prompt.ids.push_back(special.first);
        }
        check_prompt(prompt, config);
    }
    return prompts;
}

template <class T>
Continuation print_continuation(Generator<T>& generator, const Prompt& prompt, bool ids, bool logprobs, bool with_text,
                                const SavedState* from, SavedState* to, formats::Fd& output, const Control& control)
{
    const auto write = [&](const std::string& piece) {
        output.write_full(piece);
    };
    if (!ids && !logprobs) {
        // A reader that looks on, a person above all, gets every piece at once.
        const auto sink = [&](const std::string& piece, Token) { write(piece); };
        Continuation done = generator.run_one(prompt, sink, from, to, control);
        if (output.is_terminal()) {
            write("\n");
        }
        return done;
    }
    Continuation done = generator.run_one(prompt, {}, from, to, control);
    write((logprobs ? formats::to_json(to_json(done, with_text, true)) : join_ids(done.ids)) + "\n");
    return done;
}
template Continuation print_continuation(Generator<float>&, const Prompt&, bool, bool, bool, const SavedState*,
                                         SavedState*, formats::Fd&, const Control&);
template Continuation print_continuation(Generator<double>&, const Prompt&, bool, bool, bool, const SavedState*,
                                         SavedState*, formats::Fd&, const Control&);

const char* name_of(models::Execution execution)
{
    for (const auto& [value, name] : executions) {
        if (value == execution) {
            return name;
        }
    }
    return "";
}

template <class T>
models::Execution choose_execution(std::string_view mode, std::string_view filters, const models::NetworkConfig& config,
                                   const models::Parameters<T>& weights)
{
    const auto student = std::find_if(config.mixers.begin(), config.mixers.end(), [](const auto& mixer) {
        return mixer.kind != models::MixerKind::attention;
    });
    if (mode == "attention" && student != config.mixers.end()) {
        throw_error(ErrorCode::bad_argument, "--mode attention: layer " +
                                                 std::to_string(student - config.mixers.begin()) +
                                                 " is no attention; choose recurrent or exact");
    }
    if (mode == "recurrent" || mode == "exact") {
        if (student == config.mixers.end()) {
            throw_error(ErrorCode::bad_argument, "--mode " + std::string(mode) +
                                                     ": every layer is attention; choose attention or auto");
        }
    }
    if (filters == "modes" && mode != "exact") {
        throw_error(ErrorCode::bad_argument, "--filters modes: only --mode exact convolves with them");
    }
    if (mode == "exact") {
        return filters == "modes" ? models::Execution::exact_modes : models::Execution::exact_original;
    }
    return mode == "recurrent" ? models::Execution::recurrent : natural_execution(config, weights);
}
template models::Execution choose_execution(std::string_view, std::string_view, const models::NetworkConfig&,
                                            const models::Parameters<float>&);
template models::Execution choose_execution(std::string_view, std::string_view, const models::NetworkConfig&,
                                            const models::Parameters<double>&);

formats::Value to_json(const Continuation& continuation, bool with_text, bool with_logprobs)
{
    formats::Map map;
    map.emplace_back("prompt", continuation.number);
    if (with_text) {
        map.emplace_back("text", continuation.text);
    }
    formats::List ids;
    for (const Token id : continuation.ids) {
        ids.emplace_back(static_cast<std::int64_t>(id));
    }
    map.emplace_back("ids", std::move(ids));
    if (with_logprobs) {
        formats::List values;
        for (const double x : continuation.logprobs) {
            values.emplace_back(x);
        }
        map.emplace_back("logprobs", std::move(values));
    }
    map.emplace_back("end", name_of(continuation.end));
    return map;
}

template <class T>
formats::Map to_json(const GenerationStats& stats, const models::Network<T>& network, models::Execution execution)
{
    const auto rate = [](Index tokens, double s) { return s > 0.0 ? static_cast<double>(tokens) / s : 0.0; };
    const double decode_rate = rate(stats.decode_tokens, stats.decode_s);
    // A token reads every weight once, but of an embedding that is not the head as well only one row.
    Index bytes = 0;
    for (const auto& entry : network.weights()) {
        const bool row = entry.name == "embed.weight" && !network.config().tied;
        bytes += (row ? network.config().width : entry.values.size()) * static_cast<Index>(sizeof(T));
    }
    const double limit = read_limit(network.ops().pool());
    return {{"mode", network.config().attends_only() ? "attention" : name_of(execution)},
            {"prefill", formats::Map{{"tokens", stats.prefill_tokens},
                                     {"tokens_per_s", rate(stats.prefill_tokens, stats.prefill_s)}}},
            {"decode", formats::Map{{"tokens", stats.decode_tokens}, {"tokens_per_s", decode_rate}}},
            {"state_bytes", stats.state_bytes},
            {"weight_bytes_per_token", bytes},
            {"share_of_read_limit", limit > 0.0 ? static_cast<double>(bytes) * decode_rate / limit : 0.0}};
}
template formats::Map to_json(const GenerationStats&, const models::Network<float>&, models::Execution);
template formats::Map to_json(const GenerationStats&, const models::Network<double>&, models::Execution);

template <class T>
std::string fingerprint(std::string_view config_json, const models::Parameters<T>& weights)
{
    std::uint64_t hash = 0xcbf29ce484222325U;
    const auto add = [&](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3U; };
    for (const char c : config_json) {
        add(static_cast<unsigned char>(c));
    }
    for (const auto& entry : weights) {
        for (const T value : entry.values) {
            std::uint64_t word = 0;
            std::memcpy(&word, &value, sizeof value);
            add(word);
        }
    }
    std::array<char, 16> digits{};
    std::to_chars(digits.data(), digits.data() + digits.size(), hash, 16);
    return std::string(digits.data(), std::find(digits.begin(), digits.end(), '\0'));
}
template std::string fingerprint(std::string_view, const models::Parameters<float>&);
template std::string fingerprint(std::string_view, const models::Parameters<double>&);

formats::StreamInfo state_info(const SavedState& state, std::string_view model, std::string_view precision)
{
    formats::StreamInfo info;
    info.attributes = {{"content", "state of a sequence"},
                       {"model", model},
                       {"precision", precision},
                       {"execution", name_of(state.execution)},
                       {"drawn", static_cast<std::int64_t>(state.drawn)}};
    return info;
}

void write_state(formats::StreamWriter& writer, const SavedState& state)
{
    const auto write = [&](const std::string& name, DType dtype, std::size_t n, const void* data) {
        formats::TensorHeader header;
        header.name = name;
        header.dtype = dtype;
        header.shape = {static_cast<Index>(n)};
        writer.write(header, static_cast<const std::byte*>(data));
    };
    write("state.tokens", DType::i64, state.tokens.size(), state.tokens.data());
    write("state.logits", DType::f64, state.logits.size(), state.logits.data());
    for (std::size_t i = 0; i < state.layers.size(); ++i) {
        write("state.layers." + std::to_string(i), DType::u8, state.layers[i].size(), state.layers[i].data());
    }
}

SavedState read_state(formats::StreamReader& reader, std::string_view model, std::string_view precision,
                      models::Execution execution)
{
    return with_context(reader.name(), [&] {
        const formats::StreamInfo& info = reader.info();
        const auto agree = [&](const char* key, std::string_view expected) {
            const std::string found = text_attribute(info, key);
            if (found != expected) {
                throw_error(ErrorCode::bad_data, "the state is of " + std::string(key) + " '" + found + "', not '" +
                                                     std::string(expected) + "'; generate it anew");
            }
        };
        agree("content", "state of a sequence");
        agree("precision", precision);
        agree("model", model);               // of the weights as this precision has them
        agree("execution", name_of(execution));
        SavedState state;
        state.execution = execution;
        for (const auto& [name, value] : info.attributes) {
            if (name == "drawn") {
                state.drawn = static_cast<std::uint64_t>(value.integer());
            }
        }
        while (reader.next() != formats::StreamReader::Frame::end) {
            const std::string name = reader.header().name;
            const formats::Tensor tensor = reader.read();
            const Index n = tensor.header.elements();
            if (name == "state.tokens") {
                state.tokens.resize(static_cast<std::size_t>(n));
                convert_from(tensor.header.dtype, tensor.data.data(), n, state.tokens.data());
            } else if (name == "state.logits") {
                state.logits.resize(static_cast<std::size_t>(n));
                convert_from(tensor.header.dtype, tensor.data.data(), n, state.logits.data());
            } else if (name == "state.layers." + std::to_string(state.layers.size())) {
                state.layers.emplace_back(tensor.data.begin(), tensor.data.end());
            }
        }
        return state;
    });
}

}  // namespace stillhouse::adapters
