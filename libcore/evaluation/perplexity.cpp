// SPDX-License-Identifier: Apache-2.0
// Perplexity over windows of a text.
#include "libcore/evaluation/perplexity.hpp"

#include "libcore/evaluation/stream.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::evaluation {

namespace {

// Tokens a forward holds at a time, and rows of logits: bounds memory, and results do not depend on them.
constexpr Index batch_tokens = 8192;
constexpr Index head_rows = 256;

}  // namespace

std::vector<Window> windows(Index tokens, Index context, Index stride)
{
    if (context < 2 || stride < 1 || stride > context) {
        throw_error(ErrorCode::bad_argument, "the context must be at least 2 and the stride between 1 and the context");
    }
    std::vector<Window> result;
    Index reached = 1;                        // tokens before this one are scored or never are
    for (Index begin = 0; begin + 1 < tokens; begin += stride) {
        const Index length = std::min(context, tokens - begin);
        const Index from = stride == context ? 1 : std::max<Index>(1, reached - begin);
        if (from < length) {
            result.push_back({begin, length, from});
            reached = begin + length;
        }
        if (begin + length >= tokens) {
            break;
        }
    }
    return result;
}

std::vector<Window> rolling_windows(Index tokens, Index context)
{
    // predicted tokens are 1 .. tokens - 1; each full window predicts `context` of them from as many inputs
    std::vector<Window> result;
    for (Index done = 0; done + 1 < tokens;) {
        const Index predicted = std::min(context, tokens - 1 - done);
        const Index end = 1 + done + predicted;
        const Index begin = done == 0 ? 0 : std::max<Index>(0, end - 1 - context);
        result.push_back({begin, end - begin, 1 + done - begin});
        done += predicted;
    }
    return result;
}

Index Scores::tokens() const
{
    Index n = 0;
    for (const Index count : window_tokens) {
        n += count;
    }
    return n;
}

double Scores::mean() const { return total(window_nll) / static_cast<double>(std::max<Index>(1, tokens())); }

double Scores::standard_error() const { return ratio_standard_error(window_nll, window_tokens); }

double total(const std::vector<double>& values)
{
    double sum = 0.0;
    for (const double x : values) {
        sum += x;
    }
    return sum;
}

double ratio_standard_error(const std::vector<double>& sums, const std::vector<Index>& counts)
{
    double total = 0.0;
    double n = 0.0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        total += sums[i];
        n += static_cast<double>(counts[i]);
    }
    const auto units = static_cast<double>(sums.size());
    if (units < 2.0 || n <= 0.0) {
        return std::nan("");
    }
    double square = 0.0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const double d = sums[i] - total / n * static_cast<double>(counts[i]);
        square += d * d;
    }
    return std::sqrt(square * units / (units - 1.0)) / n;
}

template <class T>
Scores score(const models::Network<T>& network, Mode mode, const models::Network<T>* reference,
             const std::vector<Index>& tokens, const std::vector<Window>& windows, const Control& control)
{
    const Index vocabulary = network.config().vocabulary;
    if (reference != nullptr && reference->config().vocabulary != vocabulary) {
        throw_error(ErrorCode::bad_data, "the models do not share a vocabulary: " + std::to_string(vocabulary) +
                                             " and " + std::to_string(reference->config().vocabulary) + " logits");
    }
    Scores scores;
    auto& ops = network.ops();
    Buffer<T> logits(head_rows * vocabulary);
    Buffer<T> other(reference != nullptr ? logits.size() : 0);
    std::vector<double> log_sum(head_rows), other_log_sum(head_rows);

    for (std::size_t at = 0; at < windows.size();) {
        control.throw_if_stopped();
        control.at(static_cast<Index>(at), static_cast<Index>(windows.size()), "windows");
        const Index inputs = windows[at].length - 1;        // the last token is only predicted
        std::size_t end = at + 1;
        while (end < windows.size() && windows[end].length - 1 == inputs &&
               (static_cast<Index>(end - at) + 1) * inputs <= batch_tokens) {
            ++end;
        }
        const auto batch = static_cast<Index>(end - at);
        std::vector<Index> rows(static_cast<std::size_t>(batch * inputs));
        for (Index b = 0; b < batch; ++b) {
            std::copy_n(tokens.begin() + windows[at + static_cast<std::size_t>(b)].begin, inputs,
                        rows.begin() + b * inputs);
        }
        const Buffer<T> x = last_stream(network, mode, rows, batch, inputs);
        Buffer<T> y;
        if (reference != nullptr) {
            y = last_stream(*reference, Mode::parallel, rows, batch, inputs);
        }
        for (Index b = 0; b < batch; ++b) {
            const Window& window = windows[at + static_cast<std::size_t>(b)];
            double nll = 0.0;
            double reference_nll = 0.0;
            double window_kl = 0.0;
            Index agreements = 0;
            for (Index first = window.first_scored - 1; first < inputs; first += head_rows) {
                const Index n = std::min(head_rows, inputs - first);
                const Matrix<T> l(logits.data(), n, vocabulary);
                const Index width = network.config().width;
                network.head({x.data() + (b * inputs + first) * width, n, width}, l);
                ops.log_sum_exp(l, log_sum.data());
                Matrix<T> r;
                if (reference != nullptr) {
                    const Index other_width = reference->config().width;
                    r = {other.data(), n, vocabulary};
                    reference->head({y.data() + (b * inputs + first) * other_width, n, other_width}, r);
                    ops.log_sum_exp(r, other_log_sum.data());
                }
                std::vector<double> kl(static_cast<std::size_t>(n));
                std::vector<char> agrees(static_cast<std::size_t>(n));
                if (reference != nullptr) {
                    ops.pool().for_each(n, [&](Index i) {
                        const auto row = static_cast<std::size_t>(i);
                        double sum = 0.0;
                        for (Index j = 0; j < vocabulary; ++j) {
                            const double q = static_cast<double>(r(i, j)) - other_log_sum[row];
                            sum += std::exp(q) * (q - static_cast<double>(l(i, j)) + log_sum[row]);
                        }
                        kl[row] = sum;
                        agrees[row] = first_maximum(l.row(i), vocabulary) == first_maximum(r.row(i), vocabulary);
                    });
                }
                for (Index i = 0; i < n; ++i) {
                    const auto row = static_cast<std::size_t>(i);
                    const Index position = first + i + 1;
                    const Index target = tokens[static_cast<std::size_t>(window.begin + position)];
                    const double loss = log_sum[row] - static_cast<double>(l(i, target));
                    nll += loss;
                    if (static_cast<Index>(scores.position_nll.size()) <= position) {
                        scores.position_nll.resize(static_cast<std::size_t>(position) + 1);
                        scores.position_tokens.resize(static_cast<std::size_t>(position) + 1);
                    }
                    scores.position_nll[static_cast<std::size_t>(position)] += loss;
                    ++scores.position_tokens[static_cast<std::size_t>(position)];
                    if (reference != nullptr) {
                        reference_nll += other_log_sum[row] - static_cast<double>(r(i, target));
                        window_kl += kl[row];
                        agreements += agrees[row];
                    }
                }
            }
            scores.window_nll.push_back(nll);
            scores.window_tokens.push_back(inputs + 1 - window.first_scored);
            if (reference != nullptr) {
                scores.reference_nll.push_back(reference_nll);
                scores.kl.push_back(window_kl);
                scores.agreements.push_back(static_cast<double>(agreements));
            }
        }
        at = end;
    }
    return scores;
}

template Scores score<float>(const models::Network<float>&, Mode, const models::Network<float>*,
                             const std::vector<Index>&, const std::vector<Window>&, const Control&);
template Scores score<double>(const models::Network<double>&, Mode, const models::Network<double>*,
                              const std::vector<Index>&, const std::vector<Window>&, const Control&);

}  // namespace stillhouse::evaluation
