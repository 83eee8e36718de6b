// SPDX-License-Identifier: Apache-2.0
// Log-likelihoods of continuations given their contexts, shared beginnings computed once.
#include "libcore/evaluation/requests.hpp"

#include "libcore/evaluation/stream.hpp"

#include <algorithm>
#include <numeric>

namespace stillhouse::evaluation {

namespace {

// Tokens in flight and rows of logits at a time: bound memory, and results do not depend on them.
constexpr Index batch_tokens = 4096;
constexpr Index head_rows = 256;
// A beginning is worth sharing from this length on; cut at multiples of `cut_step`, so that groups can be batched.
constexpr Index shortest_shared = 8;
constexpr Index cut_step = 4;
// A transform's rounding hangs on its length, so inputs of convolutions are filled up to multiples of this.
constexpr Index exact_step = 64;

/// One request on its way: its input, what of it is scored, and where the result goes.
struct Job {
    const Request* request = nullptr;
    RequestScore* score = nullptr;
    std::vector<Index> input;
    Index length() const { return static_cast<Index>(input.size()); }
    Index first_scored() const { return length() - score->tokens; }   // row of the input that predicts the first token
};

/// The jobs of a group and how much their inputs have in common.
struct Group {
    std::vector<Job> jobs;
    Index shared = 0;
    Index longest = 0;                      // input
    Index rest() const { return longest - shared; }
};

Job make_job(const Request& request, RequestScore& score, Index max_length)
{
    check_length(request, max_length);
    Job job{&request, &score, request.context};
    job.input.insert(job.input.end(), request.continuation.begin(), request.continuation.end() - 1);
    score.tokens = static_cast<Index>(request.continuation.size());
    score.dropped = std::max<Index>(0, job.length() - max_length);
    job.input.erase(job.input.begin(), job.input.begin() + score.dropped);
    return job;
}

Index common_beginning(const std::vector<Job>& jobs)
{
    Index common = jobs.front().length();
    for (const Job& job : jobs) {
        const auto n = std::min(common, job.length());
        common = std::mismatch(job.input.begin(), job.input.begin() + n, jobs.front().input.begin()).first -
                 job.input.begin();
    }
    return common;
}

/// Scores the rows of a residual stream that predict something.
template <class T>
class RowScorer {
public:
    explicit RowScorer(const models::Network<T>& network) : network_(network) {}

    /// Row at `x` predicts `token` of the request that `score` belongs to. Rows of a request come in its order.
    void add(const T* x, Index token, RequestScore* score)
    {
        rows_.push_back(x);
        wanted_.push_back({token, score});
    }

    void finish()
    {
        const auto& config = network_.config();
        const Index n = std::min(head_rows, static_cast<Index>(rows_.size()));
        Buffer<T> x(n * config.width);
        Buffer<T> logits(n * config.vocabulary);
        std::vector<double> log_sum(static_cast<std::size_t>(n));
        std::vector<Index> best(static_cast<std::size_t>(n));
        for (Index first = 0; first < static_cast<Index>(rows_.size()); first += head_rows) {
            const Index count = std::min(head_rows, static_cast<Index>(rows_.size()) - first);
            for (Index i = 0; i < count; ++i) {
                std::copy_n(rows_[static_cast<std::size_t>(first + i)], config.width, x.data() + i * config.width);
            }
            const Matrix<T> l(logits.data(), count, config.vocabulary);
            network_.head({x.data(), count, config.width}, l);
            network_.ops().log_sum_exp(l, log_sum.data());
            network_.ops().pool().for_each(count, [&](Index i) {
                best[static_cast<std::size_t>(i)] = first_maximum(l.row(i), config.vocabulary);
            });
            for (Index i = 0; i < count; ++i) {
                const auto& [token, score] = wanted_[static_cast<std::size_t>(first + i)];
                const auto row = static_cast<std::size_t>(i);
                score->log_likelihood += static_cast<double>(l(i, token)) - log_sum[row];
                score->greedy = score->greedy && best[row] == token;
            }
        }
    }

private:
    struct Wanted {
        Index token = 0;
        RequestScore* score = nullptr;
    };
    const models::Network<T>& network_;
    std::vector<const T*> rows_;
    std::vector<Wanted> wanted_;
};

/// The scored rows of a job whose input begins `skipped` tokens before `x`; those before are at `shared`.
template <class T>
void add_rows(RowScorer<T>& rows, const Job& job, const T* shared, Index skipped, const T* x, Index width)
{
    for (Index i = 0; i < job.score->tokens; ++i) {
        const Index at = job.first_scored() + i;
        const T* const row = at < skipped ? shared + at * width : x + (at - skipped) * width;
        rows.add(row, job.request->continuation[static_cast<std::size_t>(i)], job.score);
    }
}

/// Tokens from `from` on of every job, filled up to `length` with the job's last one, which nothing scored can see.
std::vector<Index> filled(const std::vector<const Job*>& jobs, Index from, Index length)
{
    std::vector<Index> tokens;
    tokens.reserve(jobs.size() * static_cast<std::size_t>(length));
    for (const Job* job : jobs) {
        const auto begin = std::min(from, job->length());
        tokens.insert(tokens.end(), job->input.begin() + begin, job->input.end());
        tokens.insert(tokens.end(), static_cast<std::size_t>(length - (job->length() - begin)), job->input.back());
    }
    return tokens;
}

/// Jobs that share nothing, of about one length.
template <class T>
void score_apart(const models::Network<T>& network, Mode mode, const std::vector<const Job*>& jobs, Index length)
{
    const Index width = network.config().width;
    const Buffer<T> x =
        last_stream(network, mode, filled(jobs, 0, length), static_cast<Index>(jobs.size()), length);
    RowScorer<T> rows(network);
    for (std::size_t b = 0; b < jobs.size(); ++b) {
        add_rows<T>(rows, *jobs[b], nullptr, 0, x.data() + static_cast<Index>(b) * length * width, width);
    }
    rows.finish();
}

/// Groups that share beginnings of one length: the beginnings, then what follows from copies of their states.
template <class T>
void score_together(const models::Network<T>& network, const std::vector<const Group*>& groups)
{
    const Index width = network.config().width;
    const Index shared = groups.front()->shared;
    const auto count = static_cast<Index>(groups.size());
    std::vector<const Job*> firsts;
    std::vector<const Job*> jobs;
    std::vector<Index> group_of;
    Index rest = 0;
    for (const Group* group : groups) {
        for (const Job& job : group->jobs) {
            jobs.push_back(&job);
            group_of.push_back(static_cast<Index>(firsts.size()));
        }
        firsts.push_back(&group->jobs.front());
        rest = std::max(rest, group->rest());
    }
    std::vector<Index> tokens;
    for (const Job* job : firsts) {
        tokens.insert(tokens.end(), job->input.begin(), job->input.begin() + shared);
    }
    models::NetworkState state = network.start(count, models::Execution::recurrent);
    Buffer<T> begun(count * shared * width);
    network.prefill_stream(tokens.data(), state, {begun.data(), count, shared, width});

    const auto all = static_cast<Index>(jobs.size());
    Buffer<T> x(all * rest * width);
    if (rest > 0) {
        for (auto& layer : state.layers) {
            layer->select(group_of);
        }
        state.batch = all;
        network.prefill_stream(filled(jobs, shared, rest).data(), state, {x.data(), all, rest, width});
    }
    RowScorer<T> rows(network);
    for (Index j = 0; j < all; ++j) {
        const auto at = static_cast<std::size_t>(j);
        add_rows<T>(rows, *jobs[at], begun.data() + group_of[at] * shared * width, shared,
                    x.data() + j * rest * width, width);
    }
    rows.finish();
}

}  // namespace

void check_length(const Request& request, Index max_length)
{
    const auto n = static_cast<Index>(request.continuation.size());
    if (n > max_length) {
        throw_error(ErrorCode::bad_data, "the continuation has " + std::to_string(n) +
                                             " tokens, the context length is " + std::to_string(max_length) +
                                             "; shorten it, or raise the context length");
    }
    STILLHOUSE_CHECK(n > 0 && !request.context.empty());
}

template <class T>
std::vector<std::vector<RequestScore>> score_requests(const models::Network<T>& network, Mode mode,
                                                      const std::vector<RequestGroup>& requests, Index max_length,
                                                      const Control& control)
{
    const bool exact = mode == Mode::parallel && !network.config().attends_only();
    std::vector<std::vector<RequestScore>> scores;
    std::vector<Group> groups;
    std::vector<const Group*> together;
    std::vector<const Job*> apart;
    Index all = 0;
    for (const RequestGroup& group : requests) {
        scores.emplace_back(group.size(), RequestScore{0.0, true, 0, 0});
        all += static_cast<Index>(group.size());
    }
    groups.reserve(requests.size());
    for (std::size_t g = 0; g < requests.size(); ++g) {
        Group& group = groups.emplace_back();
        for (std::size_t r = 0; r < requests[g].size(); ++r) {
            group.jobs.push_back(make_job(requests[g][r], scores[g][r], max_length));
            group.longest = std::max(group.longest, group.jobs.back().length());
        }
        // states know no position beyond those of the model; whole inputs may be longer
        if (!exact && group.jobs.size() > 1 && group.longest <= network.config().max_positions) {
            group.shared = common_beginning(group.jobs) / cut_step * cut_step;
        }
        if (group.shared >= shortest_shared) {
            together.push_back(&group);
            continue;
        }
        for (const Job& job : group.jobs) {
            apart.push_back(&job);
        }
    }
    Index done = 0;
    const auto progress = [&](Index count) {
        done += count;
        control.at(done, all, "requests");
        control.throw_if_stopped();
    };

    const auto room = [exact](const Job* job) {
        return exact ? (job->length() + exact_step - 1) / exact_step * exact_step : job->length();
    };
    std::stable_sort(apart.begin(), apart.end(), [](const Job* a, const Job* b) { return a->length() > b->length(); });
    for (std::size_t at = 0; at < apart.size();) {
        const Index length = room(apart[at]);
        std::size_t end = at + 1;
        while (end < apart.size() && static_cast<Index>(end - at + 1) * length <= batch_tokens &&
               (exact ? room(apart[end]) == length : 8 * room(apart[end]) >= 7 * length)) {
            ++end;
        }
        score_apart(network, mode, std::vector<const Job*>(apart.begin() + static_cast<std::ptrdiff_t>(at),
                                                           apart.begin() + static_cast<std::ptrdiff_t>(end)), length);
        progress(static_cast<Index>(end - at));
        at = end;
    }

    std::stable_sort(together.begin(), together.end(), [](const Group* a, const Group* b) {
        return a->shared != b->shared ? a->shared > b->shared : a->rest() > b->rest();
    });
    for (std::size_t at = 0; at < together.size();) {
        std::vector<const Group*> batch;
        Index jobs = 0;
        Index tokens = 0;                    // longest first, so all are filled up to the first
        for (; at < together.size(); ++at) {
            const Group& group = *together[at];
            const auto own = static_cast<Index>(group.jobs.size());
            tokens += group.shared + own * (batch.empty() ? group.rest() : batch.front()->rest());
            if (!batch.empty() && (tokens > batch_tokens || group.shared != batch.front()->shared)) {
                break;
            }
            batch.push_back(&group);
            jobs += own;
        }
        score_together(network, batch);
        progress(jobs);
    }
    return scores;
}

template std::vector<std::vector<RequestScore>> score_requests<float>(const models::Network<float>&, Mode,
                                                                      const std::vector<RequestGroup>&, Index,
                                                                      const Control&);
template std::vector<std::vector<RequestScore>> score_requests<double>(const models::Network<double>&, Mode,
                                                                       const std::vector<RequestGroup>&, Index,
                                                                       const Control&);

}  // namespace stillhouse::evaluation
