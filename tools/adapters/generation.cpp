// SPDX-License-Identifier: Apache-2.0
// The loop that continues prompts.
#include "tools/adapters/generation.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/samples.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>

namespace stillhouse::adapters {

namespace {

// Samples of rows (samples.cpp) and continuations of prompts take different numbers of one seed.
constexpr std::uint64_t prompt_streams = std::uint64_t{1} << 41;

// Tokens of each sequence that prefill computes at a time: bounds its memory, whatever the prompt.
constexpr Index prefill_piece = 2048;

class Clock {
public:
    double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

const char* name_of(End end)
{
    return end == End::length ? "length" : end == End::stop ? "stop" : "end_of_text";
}

Index context_limit(const models::NetworkConfig& config)
{
    for (const models::MixerConfig& mixer : config.mixers) {
        if (mixer.kind == models::MixerKind::attention || !mixer.kept_heads.empty()) {
            return config.max_positions;
        }
    }
    return -1;
}

/// One sequence under way.
template <class T>
struct Generator<T>::Row {
    Continuation result;
    Random random;
    std::unique_ptr<models::Tokenizer::Printer> printer;
    std::size_t shown = 0;                       // bytes of result.text that the sink has seen
    Index next = 0;                              // the token just drawn
    double logprob = 0.0;
    bool done = false;
};

template <class T>
Generator<T>::Generator(const models::Network<T>& network, const models::Tokenizer* tokenizer, SpecialTokens special,
                        GenerationOptions options)
    : network_(network), tokenizer_(tokenizer), special_(std::move(special)), options_(std::move(options)),
      allowed_(drawable(tokenizer, network.config().vocabulary))
{
}

template <class T>
void Generator<T>::choose(std::vector<Row>& rows, Matrix<const T> logits) const
{
    std::vector<double> totals(rows.size());
    if (options_.logprobs) {
        network_.ops().log_sum_exp(logits, totals.data());
    }
    network_.ops().pool().for_each(static_cast<Index>(rows.size()), [&](Index i) {
        Row& row = rows[static_cast<std::size_t>(i)];
        const T* values = logits.row(i);
        row.next = models::sample(values, logits.cols, allowed_, options_.sampling, row.random);
        if (options_.logprobs) {
            row.logprob = static_cast<double>(values[row.next]) - totals[static_cast<std::size_t>(i)];
        }
    });
}

/// Takes the token that was drawn; false when the row is at its end.
template <class T>
bool Generator<T>::accept(Row& row, const Sink& sink, Index limit) const
{
    Continuation& result = row.result;
    const Token id = static_cast<Token>(row.next);
    if (special_.ends(id) && !options_.ignore_end) {
        result.end = End::end_of_text;
        return false;
    }
    result.ids.push_back(id);
    if (options_.logprobs) {
        result.logprobs.push_back(row.logprob);
    }
    if (row.printer) {
        // Only the new text can complete a stop text, together with what is long enough to be its beginning.
        std::size_t longest = 0;
        for (const std::string& stop : options_.stops) {
            longest = std::max(longest, stop.size());
        }
        const std::size_t before = result.text.size();
        result.text += row.printer->put(id);
        const std::size_t from = before > longest ? before - longest : 0;
        std::size_t cut = std::string::npos;
        for (const std::string& stop : options_.stops) {
            cut = std::min(cut, result.text.find(stop, from));
        }
        if (cut != std::string::npos) {
            result.text.resize(cut);
            result.end = End::stop;
            return false;
        }
        if (sink) {
            // What may still turn out to be the beginning of a stop text waits.
            std::size_t certain = result.text.size();
            for (const std::string& stop : options_.stops) {
                for (std::size_t n = std::min(stop.size() - 1, result.text.size()); n > 0; --n) {
                    if (result.text.compare(result.text.size() - n, n, stop, 0, n) == 0) {
                        certain = std::min(certain, result.text.size() - n);
                        break;
                    }
                }
            }
            if (certain > row.shown) {
                sink(result.text.substr(row.shown, certain - row.shown), id);
                row.shown = certain;
            }
        }
    }
    return static_cast<Index>(result.ids.size()) < limit;
}

template <class T>
void Generator<T>::prefill(const std::vector<const Prompt*>& prompts, models::NetworkState& state, Matrix<T> logits,
                           const Control& control)
{
    const Clock clock;
    const Index length = static_cast<Index>(prompts.front()->ids.size());
    const Index batch = static_cast<Index>(prompts.size());
    std::vector<Index> tokens;
    for (Index begin = 0; begin < length; begin += prefill_piece) {
        control.throw_if_stopped();
        const Index n = std::min(prefill_piece, length - begin);
        tokens.clear();
        for (const Prompt* prompt : prompts) {
            tokens.insert(tokens.end(), prompt->ids.begin() + begin, prompt->ids.begin() + begin + n);
        }
        const bool last = begin + n == length;
        network_.prefill(tokens.data(), n, state, last ? logits : Matrix<T>());
    }
    stats_.prefill_tokens += batch * length;
    stats_.prefill_s += clock.seconds();
}

template <class T>
std::vector<Continuation> Generator<T>::run_batch(const std::vector<const Prompt*>& prompts, const Sink& sink,
                                                  const SavedState* from, SavedState* to, const Control& control)
{
    const Index vocabulary = network_.config().vocabulary;
    const Index before = from == nullptr ? 0 : static_cast<Index>(from->tokens.size());
    const Index length = before + static_cast<Index>(prompts.front()->ids.size());
    // The last token needs no position, for it is never fed back, unless the state behind it is kept.
    const Index positions = context_limit(network_.config());
    const Index limit = positions < 0 ? options_.tokens
                                      : std::min(options_.tokens, positions - length + (to != nullptr ? 0 : 1));

    std::vector<Row> rows;
    for (const Prompt* prompt : prompts) {
        rows.push_back({{},
                        Random(options_.seed, prompt_streams + static_cast<std::uint64_t>(prompt->number)),
                        {},
                        0,
                        0,
                        0.0,
                        false});
        Row& row = rows.back();
        row.result.number = prompt->number;
        if (tokenizer_ != nullptr) {
            // The prompt goes through the printer too, so that spaces between it and the continuation are right.
            row.printer = std::make_unique<models::Tokenizer::Printer>(*tokenizer_, true);
            if (from != nullptr) {
                for (const Index id : from->tokens) {
                    row.printer->put(static_cast<Token>(id));
                }
            }
            for (const Index id : prompt->ids) {
                row.printer->put(static_cast<Token>(id));
            }
        }
    }
    std::vector<Continuation> results(rows.size());
    std::vector<std::size_t> places(rows.size());        // of each row among the results
    for (std::size_t i = 0; i < rows.size(); ++i) {
        places[i] = i;
    }

    models::NetworkState state = network_.start(static_cast<Index>(rows.size()), options_.execution);
    Buffer<T> logits(static_cast<Index>(rows.size()) * vocabulary);
    if (from != nullptr) {
        rows.front().random.seek(from->drawn);
        for (std::size_t i = 0; i < state.layers.size(); ++i) {
            state.layers[i]->load(from->layers.at(i));
        }
        state.position = before;
        std::transform(from->logits.begin(), from->logits.end(), logits.begin(),
                       [](double x) { return static_cast<T>(x); });
    }
    if (!prompts.front()->ids.empty()) {
        prefill(prompts, state, {logits.data(), static_cast<Index>(rows.size()), vocabulary}, control);
    }

    const Clock clock;
    std::vector<Index> last_tokens;
    while (limit > 0 && !rows.empty()) {
        control.throw_if_stopped();
        choose(rows, {logits.data(), static_cast<Index>(rows.size()), vocabulary});
        std::vector<Index> going;
        std::vector<Row> remaining;
        std::vector<std::size_t> remaining_places;
        last_tokens.clear();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            Row& row = rows[i];
            row.done = !accept(row, sink, limit);
            if (row.done && row.printer && row.result.end != End::stop) {
                row.result.text += row.printer->finish();
            }
            // A state to be saved has seen every token of the text.
            const bool feed = !row.done || (to != nullptr && row.result.end == End::length);
            if (feed) {
                last_tokens.push_back(row.next);
            }
            if (row.done) {
                row.result.context_full = row.result.end == End::length && limit < options_.tokens;
                if (sink && row.result.text.size() > row.shown) {
                    sink(row.result.text.substr(row.shown), static_cast<Token>(row.next));
                }
                stats_.decode_tokens += static_cast<Index>(row.result.ids.size());
                results[places[i]] = std::move(row.result);
                if (to != nullptr) {
                    to->drawn = row.random.position();
                }
            } else {
                going.push_back(static_cast<Index>(i));
                remaining.push_back(std::move(row));
                remaining_places.push_back(places[i]);
            }
        }
        stats_.state_bytes = std::max(stats_.state_bytes, state.bytes_per_sequence());
        const bool shrunk = !going.empty() && going.size() < rows.size();
        if (shrunk) {
            for (auto& layer : state.layers) {
                layer->select(going);
            }
            state.batch = static_cast<Index>(going.size());
        }
        rows = std::move(remaining);
        places = std::move(remaining_places);
        if (!last_tokens.empty()) {
            network_.step(last_tokens.data(), state,
                          {logits.data(), static_cast<Index>(last_tokens.size()), vocabulary});
        }
    }
    stats_.decode_s += clock.seconds();
    stats_.state_bytes = std::max(stats_.state_bytes, state.bytes_per_sequence());
    if (limit <= 0) {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            rows[i].result.context_full = options_.tokens > 0;
            results[places[i]] = std::move(rows[i].result);
        }
        if (to != nullptr) {
            to->drawn = from != nullptr ? from->drawn : 0;
        }
    }
    if (to != nullptr) {
        to->execution = options_.execution;
        to->tokens = from == nullptr ? std::vector<Index>() : from->tokens;
        to->tokens.insert(to->tokens.end(), prompts.front()->ids.begin(), prompts.front()->ids.end());
        // Up to where the state has come: a stop text or an end that was drawn is not in it.
        const std::vector<Token>& ids = results.front().ids;
        to->tokens.insert(to->tokens.end(), ids.begin(),
                          ids.begin() + (state.position - static_cast<Index>(to->tokens.size())));
        to->layers.clear();
        for (const auto& layer : state.layers) {
            to->layers.push_back(layer->save());
        }
        to->logits.assign(logits.begin(), logits.end());
    }
    return results;
}

template <class T>
Continuation Generator<T>::run_one(const Prompt& prompt, const Sink& sink, const SavedState* from, SavedState* to,
                                   const Control& control)
{
    return std::move(run_batch({&prompt}, sink, from, to, control).front());
}

template <class T>
void Generator<T>::run(const std::vector<Prompt>& prompts, const std::function<void(const Continuation&)>& each,
                       const Control& control)
{
    // Prompts of one length run together: a window of several batches is sorted by length, its results put in order.
    const std::size_t window = static_cast<std::size_t>(options_.batch) * 8;
    for (std::size_t begin = 0; begin < prompts.size(); begin += window) {
        const std::size_t end = std::min(prompts.size(), begin + window);
        std::map<std::size_t, std::vector<const Prompt*>> by_length;
        for (std::size_t i = begin; i < end; ++i) {
            by_length[prompts[i].ids.size()].push_back(&prompts[i]);
        }
        std::vector<Continuation> results(end - begin);
        for (const auto& [length, group] : by_length) {
            for (std::size_t i = 0; i < group.size(); i += static_cast<std::size_t>(options_.batch)) {
                const std::size_t n = std::min(group.size() - i, static_cast<std::size_t>(options_.batch));
                const std::vector<const Prompt*> batch(group.begin() + static_cast<std::ptrdiff_t>(i),
                                                       group.begin() + static_cast<std::ptrdiff_t>(i + n));
                std::vector<Continuation> done = run_batch(batch, {}, nullptr, nullptr, control);
                for (std::size_t j = 0; j < n; ++j) {
                    results[static_cast<std::size_t>(batch[j] - prompts.data()) - begin] = std::move(done[j]);
                }
            }
        }
        for (const Continuation& result : results) {
            if (each) {
                each(result);
            }
        }
    }
}

template class Generator<float>;
template class Generator<double>;

}  // namespace stillhouse::adapters
