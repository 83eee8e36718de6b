// SPDX-License-Identifier: Apache-2.0
// Gradient steps of the whole network on its logits.
#include "libcore/training/end_to_end.hpp"

#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace stillhouse::training {

namespace {

// Logits alive at a time, and rows of them at least: with 50304 columns in f32 this is 51 MB for the student and as
// much for the teacher. Fewer rows would pack the head's weights too often.
constexpr Index head_elements = Index{1} << 21;
constexpr Index fewest_rows = 256;

template <class T>
models::Parameters<T> entries_of(const models::Parameters<T>& weights, const std::vector<std::string>& names)
{
    if (names.empty()) {
        throw_error(ErrorCode::bad_argument, "no weight is left to train; widen --train or narrow --freeze");
    }
    models::Parameters<T> entries;
    for (const auto& name : names) {
        const auto* weight = weights.find(name);
        if (weight == nullptr) {
            throw_error(ErrorCode::bad_argument, "no weight is called " + name);
        }
        entries.add(name, weight->shape);
    }
    return entries;
}

}  // namespace

Index head_rows(Index n, Index vocabulary)
{
    return std::min(n, std::max(fewest_rows, head_elements / vocabulary));
}

template <class T>
EndToEndTrainer<T>::EndToEndTrainer(models::Network<T>& network, const std::vector<std::string>& trained,
                                    EndToEndOptions options)
    : network_(network), options_(options), gradient_(entries_of(network.weights(), trained)),
      optimizer_(gradient_, options.adamw)
{
    if (options_.average > 0.0) {
        average_ = gradient_.zeros_like();
        for (auto& entry : average_) {
            std::copy_n(network.weights().at(entry.name).values.data(), entry.values.size(), entry.values.data());
        }
    }
}

template <class T>
double EndToEndTrainer<T>::accumulate(const TokenRows& rows, const models::Network<T>* teacher, double total,
                                      Index tokens_before)
{
    const auto& config = network_.config();
    auto& ops = network_.ops();
    const Index n = rows.batch * rows.length;
    const Index width = config.width;
    const models::Dropout dropout{options_.dropout, options_.seed, static_cast<std::uint64_t>(steps_),
                                  static_cast<std::uint64_t>(tokens_before * width)};

    models::Scratch<T> stream(n * width);
    Sequences<T> x(stream.data(), rows.batch, rows.length, width);
    network_.embed(rows.tokens.data(), n, stream.data());
    if (dropout.active()) {
        models::drop(ops.pool(), dropout, models::Dropout::at_embedding(), stream.data(), n * width, stream.data());
    }
    tapes_.resize(static_cast<std::size_t>(config.layers));
    models::Scratch<T> after(n * width);
    for (Index i = 0; i < config.layers; ++i) {
        tapes_[static_cast<std::size_t>(i)].dropout = dropout;
        network_.layer(i, x, {after.data(), rows.batch, rows.length, width}, &tapes_[static_cast<std::size_t>(i)]);
        std::swap(stream, after);
        x.data = stream.data();
    }

    Index teacher_width = 0;
    models::Scratch<T> taught;
    if (teacher != nullptr) {
        teacher_width = teacher->config().width;
        taught = models::Scratch<T>(n * teacher_width);
        const Sequences<T> s(taught.data(), rows.batch, rows.length, teacher_width);
        teacher->embed(rows.tokens.data(), n, taught.data());
        for (Index i = 0; i < teacher->config().layers; ++i) {
            teacher->layer(i, s, s, nullptr);
        }
    }

    std::vector<Index> targets(static_cast<std::size_t>(n), -1);
    for (Index b = 0; b < rows.batch; ++b) {
        for (Index t = 0; t + 1 < rows.length; ++t) {
            targets[static_cast<std::size_t>(b * rows.length + t)] =
                rows.tokens[static_cast<std::size_t>(b * rows.length + t + 1)];
        }
    }

    double loss = 0.0;
    models::Scratch<T>& gradient = after;
    const Index at_once = head_rows(n, config.vocabulary);
    models::Scratch<T> logits(at_once * config.vocabulary);
    models::Scratch<T> teacher_logits(teacher != nullptr ? logits.size() : 0);
    for (Index first = 0; first < n; first += at_once) {
        const Index count = std::min(at_once, n - first);
        const Index* wanted = targets.data() + first;
        const auto scored = static_cast<double>(count - std::count(wanted, wanted + count, Index(-1)));
        const Matrix<T> l(logits.data(), count, config.vocabulary);
        const Matrix<const T> block(stream.data() + first * width, count, width);
        network_.head(block, l);
        Matrix<const T> t;
        if (teacher != nullptr) {
            const Matrix<T> room(teacher_logits.data(), count, config.vocabulary);
            teacher->head({taught.data() + first * teacher_width, count, teacher_width}, room);
            t = room;
        }
        const double share = scored / total;
        loss += share * (rows.teacher.empty()
                             ? logit_loss<T>(ops, options_.loss, l, t, wanted, static_cast<T>(share), l)
                             : stored_loss<T>(ops, options_.loss, l, rows.teacher, first, wanted,
                                              static_cast<T>(share), l));
        network_.head_backward(block, l, {gradient.data() + first * width, count, width}, gradient_);
    }

    const Sequences<T> d(gradient.data(), rows.batch, rows.length, width);
    for (Index i = config.layers - 1; i >= 0; --i) {
        models::LayerTape<T>& tape = tapes_[static_cast<std::size_t>(i)];
        network_.layer_backward(i, tape, d, d, gradient_);
        tape.mixer.reset();
    }
    if (dropout.active()) {
        models::drop(ops.pool(), dropout, models::Dropout::at_embedding(), gradient.data(), n * width, gradient.data());
    }
    network_.embed_backward(rows.tokens.data(), n, gradient.data(), gradient_);
    return loss;
}

template <class T>
double EndToEndTrainer<T>::step(const std::vector<TokenRows>& pieces, const models::Network<T>* teacher)
{
    const bool taught = teacher != nullptr || std::none_of(pieces.begin(), pieces.end(), [](const TokenRows& rows) {
        return rows.teacher.empty();
    });
    if (options_.loss != LogitLoss::ce && !taught) {
        throw_error(ErrorCode::bad_argument, "this loss compares with a teacher; give --teacher");
    }
    if (teacher != nullptr && teacher->config().vocabulary != network_.config().vocabulary) {
        throw_error(ErrorCode::bad_data, "the teacher has " + std::to_string(teacher->config().vocabulary) +
                                             " logits, the student " +
                                             std::to_string(network_.config().vocabulary));
    }
    double total = 0.0;
    for (const auto& rows : pieces) {
        total += static_cast<double>(rows.batch * (rows.length - 1));
    }
    if (total <= 0.0) {
        throw_error(ErrorCode::bad_data, "rows of a single token predict nothing; use longer rows");
    }
    gradient_.fill_zero();
    double loss = 0.0;
    Index tokens = 0;
    for (const auto& rows : pieces) {
        loss += accumulate(rows, teacher, total, tokens);
        tokens += rows.batch * rows.length;
    }
    if (!std::isfinite(loss)) {
        throw_error(ErrorCode::bad_data, "the loss is not finite at step " + std::to_string(steps_) + "; lower --lr");
    }
    auto& pool = network_.ops().pool();
    clip(pool, gradient_, options_.clip);
    optimizer_.step(pool, gradient_, options_.rate.at(steps_), network_.weights());
    ++steps_;
    for (auto& entry : average_) {
        const auto& weight = network_.weights().at(entry.name).values;
        const T keep = static_cast<T>(options_.average);
        for (Index i = 0; i < entry.values.size(); ++i) {
            entry.values[i] = keep * entry.values[i] + (1 - keep) * weight[i];
        }
    }
    network_.refresh();
    return loss;
}

template <class T>
void EndToEndTrainer<T>::resume_at(Index steps)
{
    steps_ = steps;
    optimizer_.resume_at(steps);
    network_.refresh();
}

template <class T>
void EndToEndTrainer<T>::use_average()
{
    for (const auto& entry : average_) {
        std::copy_n(entry.values.data(), entry.values.size(), network_.weights().at(entry.name).values.data());
    }
    if (average_.size() > 0) {
        network_.refresh();
    }
}

template class EndToEndTrainer<float>;
template class EndToEndTrainer<double>;

}  // namespace stillhouse::training
