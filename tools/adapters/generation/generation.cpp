// SPDX-License-Identifier: Apache-2.0
// The loop that continues prompts.
#include "tools/adapters/generation/generation.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/text/samples.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace stillhouse::adapters {

namespace {

using models::NetworkState;

// Samples of rows (samples.cpp) and continuations of prompts take different numbers of one seed.
constexpr std::uint64_t prompt_streams = std::uint64_t{1} << 41;

// Tokens of each sequence that prefill computes at a time, and of all sequences together: they bound its memory,
// whatever the prompts. The first decides about rounding, so it is no setting.
constexpr Index prefill_piece = 2048;
constexpr Index prefill_tokens = 16384;

// States are written in the order of their prompts: so many for each place of the batch may wait for a slower one.
constexpr Index states_ahead = 4;

const auto program_start = std::chrono::steady_clock::now();

class Clock {
public:
    double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void select(NetworkState& state, const std::vector<Index>& rows)
{
    if (static_cast<Index>(rows.size()) == state.batch) {
        return;
    }
    for (auto& layer : state.layers) {
        layer->select(rows);
    }
    state.batch = static_cast<Index>(rows.size());
}

void take(NetworkState& state, Index to, const NetworkState& other, Index from)
{
    for (std::size_t i = 0; i < state.layers.size(); ++i) {
        state.layers[i]->take(to, *other.layers[i], from);
    }
    state.batch = std::max(state.batch, to + 1);
}

}  // namespace

double seconds_since_start()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - program_start).count();
}

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

void SavedState::add(const Token* ids, Index n)
{
    for (Index i = 0; i < n; ++i) {
        auto word = static_cast<std::uint32_t>(ids[i]);
        for (int byte = 0; byte < 4; ++byte, word >>= 8) {
            prefix = (prefix ^ (word & 0xFFU)) * 0x100000001b3U;
        }
    }
    count += n;
    const Index kept = std::min<Index>(n, tail_tokens);
    tail.insert(tail.end(), ids + (n - kept), ids + n);
    tail.erase(tail.begin(), tail.end() - static_cast<std::ptrdiff_t>(std::min(tail.size(), tail_tokens)));
}

/// One sequence under way.
template <class T>
struct Generator<T>::Row {
    const Prompt* prompt = nullptr;
    Continuation result;
    Random random;
    std::unique_ptr<models::Tokenizer::Printer> printer = nullptr;
    std::size_t shown = 0;                       // bytes of result.text that the receiver has seen
    Index limit = 0;                             // tokens that may be drawn
    Index seen = 0;                              // tokens that the state has seen
    Token next = 0;                              // the token just drawn
    double logprob = 0.0;
    double margin = 0.0;
    bool closing = false;                        // at its end, but its last token has to be in the state to be kept
};

template <class T>
struct Generator<T>::Run {
    const Receiver& receiver;
    const Control& control;
    std::vector<Row> rows;                       // those under way, in the order of the state
    std::vector<Index> free;                     // places of the state whose sequence is at its end
    std::optional<NetworkState> state;
    Buffer<T> logits;                            // [batch, vocabulary], where all of them are wanted
    std::vector<Index> tokens;
    std::optional<models::BestLogits<T>> best;   // else the largest, of so many rows
    Index best_rows = 0;
};

template <class T>
Generator<T>::Generator(const models::Network<T>& network, const models::Tokenizer* tokenizer, SpecialTokens special,
                        GenerationOptions options)
    : network_(network), tokenizer_(tokenizer), special_(std::move(special)), options_(std::move(options)),
      allowed_(drawable(tokenizer, network.config().vocabulary))
{
    for (const std::string& stop : options_.stops) {
        STILLHOUSE_CHECK(!stop.empty());
        longest_stop_ = std::max(longest_stop_, stop.size());
    }
}

template <class T>
typename Generator<T>::Row Generator<T>::begin_row(const Prompt& prompt, bool saves) const
{
    const SavedState* from = prompt.from;
    const Index number = from != nullptr ? from->number : prompt.number;
    Row row{&prompt, {}, Random(options_.seed, prompt_streams + static_cast<std::uint64_t>(number))};
    row.result.number = prompt.number;
    row.seen = (from != nullptr ? from->count : 0) + static_cast<Index>(prompt.ids.size());
    // The last token needs no position, for it is never fed back, unless the state behind it is kept.
    const Index positions = context_limit(network_.config());
    row.limit = positions < 0 ? options_.tokens : std::min(options_.tokens, positions - row.seen + (saves ? 0 : 1));
    if (from != nullptr) {
        row.random.seek(from->drawn);
    }
    if (tokenizer_ != nullptr) {
        // The prompt goes through the printer too, so that spaces between it and the continuation are right.
        row.printer = std::make_unique<models::Tokenizer::Printer>(*tokenizer_, true);
        for (const Token id : from != nullptr ? from->tail : std::vector<Token>()) {
            row.printer->put(id);
        }
        for (const Token id : prompt.ids) {
            row.printer->put(id);
        }
    }
    return row;
}

template <class T>
void Generator<T>::draw(std::vector<Row>& rows, Matrix<const T> logits) const
{
    std::vector<double> totals(rows.size());
    if (options_.logprobs) {
        network_.ops().log_sum_exp(logits, totals.data());
    }
    network_.ops().pool().for_each(static_cast<Index>(rows.size()), [&](Index i) {
        Row& row = rows[static_cast<std::size_t>(i)];
        if (row.closing || row.limit <= 0) {
            return;
        }
        const T* values = logits.row(i);
        row.next = models::sample(values, logits.cols, allowed_, options_.sampling, row.random);
        if (options_.logprobs) {
            row.logprob = static_cast<double>(values[row.next]) - totals[static_cast<std::size_t>(i)];
            row.margin = models::margin(values, logits.cols, allowed_);
        }
    });
}

/// Where the first stop text begins in a text of which `before` bytes have been looked at, or npos.
template <class T>
std::size_t Generator<T>::stop_in(const std::string& text, std::size_t before) const
{
    // Only the new text can complete a stop text, together with what is long enough to be its beginning.
    const std::size_t from = before > longest_stop_ ? before - longest_stop_ : 0;
    std::size_t cut = std::string::npos;
    for (const std::string& stop : options_.stops) {
        cut = std::min(cut, text.find(stop, from));
    }
    return cut;
}

/// How much of a text cannot turn out to be the beginning of a stop text.
template <class T>
std::size_t Generator<T>::certain(const std::string& text) const
{
    std::size_t certain = text.size();
    for (const std::string& stop : options_.stops) {
        for (std::size_t n = std::min(stop.size() - 1, text.size()); n > 0; --n) {
            if (text.compare(text.size() - n, n, stop, 0, n) == 0) {
                certain = std::min(certain, text.size() - n);
                break;
            }
        }
    }
    return certain;
}

/// Takes the token that was drawn; false when the row is at its end.
template <class T>
bool Generator<T>::accept(Row& row, const Receiver& receiver) const
{
    Continuation& result = row.result;
    if (special_.ends(row.next) && !options_.ignore_end) {
        result.end = End::end_of_text;
        return false;
    }
    result.ids.push_back(row.next);
    if (options_.logprobs) {
        result.logprobs.push_back(row.logprob);
        result.margins.push_back(row.margin);
    }
    if (row.printer) {
        const std::size_t before = result.text.size();
        result.text += row.printer->put(row.next);
        if (const std::size_t cut = stop_in(result.text, before); cut != std::string::npos) {
            result.text.resize(cut);
            result.end = End::stop;
            return false;
        }
        if (const std::size_t end = receiver.piece ? certain(result.text) : 0; end > row.shown) {
            receiver.piece(result.text.substr(row.shown, end - row.shown));
            row.shown = end;
        }
    }
    return static_cast<Index>(result.ids.size()) < row.limit;
}

template <class T>
SavedState Generator<T>::keep(const Row& row, const NetworkState& state, Index place, const T* logits) const
{
    SavedState kept;
    if (row.prompt->from != nullptr) {
        const SavedState& from = *row.prompt->from;
        kept.count = from.count;
        kept.prefix = from.prefix;
        kept.tail = from.tail;
        kept.number = from.number;
    } else {
        kept.number = row.prompt->number;
    }
    kept.execution = options_.execution;
    kept.drawn = row.random.position();
    kept.add(row.prompt->ids.data(), static_cast<Index>(row.prompt->ids.size()));
    // Up to where the state has come: a stop text or an end that was drawn is not in it.
    kept.add(row.result.ids.data(), row.seen - kept.count);
    // In a state of its own nothing is left of who was beside or before it.
    NetworkState alone = network_.start(1, options_.execution);
    take(alone, 0, state, place);
    for (const auto& layer : alone.layers) {
        kept.layers.push_back(layer->save());
    }
    kept.logits.assign(logits, logits + network_.config().vocabulary);
    return kept;
}

template <class T>
void Generator<T>::finish(Run& run, Row& row, const NetworkState& state, Index place, const T* logits)
{
    Continuation& result = row.result;
    if (row.printer && result.end != End::stop) {
        result.text += row.printer->finish();
    }
    if (run.receiver.piece && result.text.size() > row.shown) {
        run.receiver.piece(result.text.substr(row.shown));
    }
    result.context_full = result.end == End::length && row.limit < options_.tokens;
    stats_.decode_tokens += static_cast<Index>(result.ids.size());
    if (run.receiver.save) {
        run.receiver.save(result.number, keep(row, state, place, logits));
    }
    if (run.receiver.each) {
        run.receiver.each(result);
    }
}

/// What follows when a row has drawn: true when it is at its end and has been told of.
template <class T>
bool Generator<T>::finish_drawn(Run& run, Row& row, const NetworkState& state, Index place, const T* logits)
{
    const bool goes_on = !row.closing && row.limit > 0 && accept(row, run.receiver);
    const bool drew_all = !row.closing && row.limit > 0 && !goes_on && row.result.end == End::length;
    if (goes_on || (drew_all && run.receiver.save)) {
        row.closing = !goes_on;
        return false;
    }
    finish(run, row, state, place, logits);
    return true;
}

template <class T>
void Generator<T>::prefill(const std::vector<const Prompt*>& prompts, NetworkState& state, Matrix<T> logits,
                           const Control& control)
{
    const Clock clock;
    const auto length = static_cast<Index>(prompts.front()->ids.size());
    const auto batch = static_cast<Index>(prompts.size());
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

/// Prompts of one length from their beginning, or a lone one behind its saved state: up to their first token.
template <class T>
void Generator<T>::begin_together(Run& run, const std::vector<const Prompt*>& prompts)
{
    const Index vocabulary = network_.config().vocabulary;
    const auto n = static_cast<Index>(prompts.size());
    std::vector<Row> rows;
    for (const Prompt* prompt : prompts) {
        rows.push_back(begin_row(*prompt, static_cast<bool>(run.receiver.save)));
    }
    const bool by_filters = options_.exact_prefill && options_.execution == models::Execution::recurrent;
    NetworkState state = network_.start(n, by_filters ? models::Execution::exact_original : options_.execution);
    Buffer<T> logits(n * vocabulary);
    if (const SavedState* from = prompts.front()->from) {
        STILLHOUSE_CHECK(n == 1 && !by_filters && from->layers.size() == state.layers.size() &&
                         static_cast<Index>(from->logits.size()) == vocabulary);
        for (std::size_t i = 0; i < state.layers.size(); ++i) {
            with_context("layer " + std::to_string(i), [&] {
                state.layers[i]->load(from->layers[i]);
                if (const Index seen = state.layers[i]->position(0); seen != from->count) {
                    throw_error(ErrorCode::bad_data, "the saved state has seen " + std::to_string(seen) +
                                                         " tokens, but its text has " + std::to_string(from->count) +
                                                         "; generate it anew");
                }
            });
        }
        state.position = from->count;
        std::transform(from->logits.begin(), from->logits.end(), logits.begin(),
                       [](double x) { return static_cast<T>(x); });
    }
    if (!prompts.front()->ids.empty()) {
        prefill(prompts, state, {logits.data(), n, vocabulary}, run.control);
    }
    if (by_filters) {
        const Clock clock;
        state = network_.hand_over(state);
        stats_.prefill_s += clock.seconds();
    }
    stats_.state_bytes = std::max(stats_.state_bytes, state.bytes_per_sequence());
    draw(rows, Matrix<const T>(logits.data(), n, vocabulary));
    if (stats_.first_token_s == 0.0) {
        stats_.first_token_s = seconds_since_start();
    }
    std::vector<Index> going;
    std::vector<Row> left;
    for (Index i = 0; i < n; ++i) {
        Row& row = rows[static_cast<std::size_t>(i)];
        if (!finish_drawn(run, row, state, i, logits.data() + i * vocabulary)) {
            going.push_back(i);
            left.push_back(std::move(row));
        }
    }
    if (!left.empty()) {
        select(state, going);
        join(run, std::move(state), std::move(left));
    }
}

/// Rows that have begun, into the places that are free and behind the last.
template <class T>
void Generator<T>::join(Run& run, NetworkState state, std::vector<Row> rows)
{
    if (run.rows.size() == run.free.size()) {            // nobody else is under way
        run.state = std::move(state);
        run.rows = std::move(rows);
        run.free.clear();
        return;
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        Index place = static_cast<Index>(run.rows.size());
        if (run.free.empty()) {
            run.rows.push_back(std::move(rows[i]));
        } else {
            place = run.free.back();
            run.free.pop_back();
            run.rows[static_cast<std::size_t>(place)] = std::move(rows[i]);
        }
        take(*run.state, place, state, static_cast<Index>(i));
    }
}

/// As many of the waiting prompts as there is room for, those of one length together.
template <class T>
void Generator<T>::begin(Run& run, Waiting& waiting)
{
    const auto under_way = [&] { return static_cast<Index>(run.rows.size() - run.free.size()); };
    while (!waiting.empty() && under_way() < options_.batch) {
        run.control.throw_if_stopped();
        const Prompt* first = waiting.front();
        if (run.receiver.save) {
            const Prompt* oldest = first;
            for (std::size_t i = 0; i < run.rows.size(); ++i) {
                const bool is_free = std::find(run.free.begin(), run.free.end(), static_cast<Index>(i)) !=
                                     run.free.end();
                oldest = is_free ? oldest : std::min(oldest, run.rows[i].prompt);
            }
            if (first - oldest >= states_ahead * options_.batch) {
                return;
            }
        }
        const Index length = std::max<Index>(1, static_cast<Index>(first->ids.size()));
        Index in_sight = options_.batch - under_way();
        Index room = std::min(in_sight, std::max<Index>(1, prefill_tokens / std::min(length, prefill_piece)));
        room = first->from != nullptr ? 1 : room;
        std::vector<const Prompt*> together;
        for (auto next = waiting.begin();
             next != waiting.end() && in_sight > 0 && static_cast<Index>(together.size()) < room; --in_sight) {
            const bool fits = (*next)->ids.size() == first->ids.size() && ((*next)->from == nullptr || *next == first);
            if (fits) {
                together.push_back(*next);
                next = waiting.erase(next);
            } else {
                ++next;
            }
        }
        begin_together(run, together);
    }
}

/// Do the largest logits of a step decide, and does nobody want the others?
template <class T>
bool Generator<T>::few_suffice(const Run& run) const
{
    constexpr Index few = 128;                           // beyond which keeping them in order costs more than it saves
    const models::Sampling& how = options_.sampling;
    Index ids = 0;                                       // where top-k keeps them all, `sample` draws in their order
    allowed_.for_each_run(network_.config().vocabulary, [&](auto one) { ids += one.end - one.begin; });
    return !options_.logprobs && !run.receiver.save &&
           (how.certain() || (how.top_k > 0 && how.top_k <= few && how.top_k < ids));
}

/// The next token of every row under way.
template <class T>
void Generator<T>::step(Run& run)
{
    const Clock clock;
    const Index vocabulary = network_.config().vocabulary;
    const auto n = static_cast<Index>(run.rows.size());
    run.tokens.clear();
    run.state->position = 0;
    for (const Row& row : run.rows) {
        run.tokens.push_back(row.next);
        run.state->position = std::max(run.state->position, row.seen);
    }
    for (Row& row : run.rows) {
        ++row.seen;
    }
    if (few_suffice(run)) {
        if (!run.best || run.best_rows != n) {
            run.best.emplace(n, vocabulary, options_.sampling.certain() ? 1 : options_.sampling.top_k,
                             allowed_.flags(vocabulary));
            run.best_rows = n;
        }
        network_.step(run.tokens.data(), *run.state, *run.best);
        for (Index i = 0; i < n; ++i) {
            Row& row = run.rows[static_cast<std::size_t>(i)];
            row.next = models::sample_among<T>(run.best->best(i), options_.sampling, row.random);
        }
    } else {
        if (run.logits.size() < n * vocabulary) {
            run.logits = Buffer<T>(n * vocabulary);
        }
        const Matrix<T> all(run.logits.data(), n, vocabulary);
        network_.step(run.tokens.data(), *run.state, all);
        draw(run.rows, all);
    }
    ++stats_.steps;
    stats_.stepped_tokens += n;
    stats_.state_bytes = std::max(stats_.state_bytes, run.state->bytes_per_sequence());
    for (Index i = 0; i < n; ++i) {
        const T* const logits = run.logits.size() > 0 ? run.logits.data() + i * vocabulary : nullptr;
        if (finish_drawn(run, run.rows[static_cast<std::size_t>(i)], *run.state, i, logits)) {
            run.free.push_back(i);
        }
    }
    stats_.decode_s += clock.seconds();
}

template <class T>
void Generator<T>::run(const std::vector<Prompt>& prompts, const Receiver& receiver, const Control& control)
{
    Waiting waiting;
    for (const Prompt& prompt : prompts) {
        waiting.push_back(&prompt);
    }
    Run run{receiver, control, {}, {}, {}, {}, {}, {}, 0};
    for (;;) {
        control.throw_if_stopped();
        begin(run, waiting);
        if (run.free.size() == run.rows.size()) {
            if (waiting.empty()) {
                return;
            }
            continue;
        }
        if (!run.free.empty()) {                         // nobody waits for these places
            std::vector<Index> going;
            std::vector<Row> left;
            for (Index i = 0; i < static_cast<Index>(run.rows.size()); ++i) {
                if (std::find(run.free.begin(), run.free.end(), i) == run.free.end()) {
                    going.push_back(i);
                    left.push_back(std::move(run.rows[static_cast<std::size_t>(i)]));
                }
            }
            select(*run.state, going);
            run.rows = std::move(left);
            run.free.clear();
        }
        step(run);
    }
}

template class Generator<float>;
template class Generator<double>;

}  // namespace stillhouse::adapters
